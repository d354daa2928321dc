"""Which values of `corpora.<corpus>.source` are valid, and what each is."""

import pytest

from stages.params.schema import source_kind


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("synthetic", "synthetic"),
        ("https://example.org/a.zip?token=x", "url"),
        ("http://localhost:8000/a.zip", "url"),
        ("http://127.0.0.1:8000/a.zip", "url"),
        ("kaggle:ada/fer-2013", "kaggle"),
        ("kaggle:ada/fer-2013/versions/2", "kaggle"),
        ("/data/a.ZIP", "zip"),
        ("/data/fer2013.csv", "csv"),
        ("/data/a.tar.gz", "tar"),
        ("/data/folder", "path"),
    ],
)
def test_valid_sources(source: str, kind: str):
    assert source_kind(source) == kind


@pytest.mark.parametrize(
    "source",
    [
        *("", "data/a.zip", "~/a.zip", "sythetic"),
        *("http://example.org/a.zip", "http://localhost.example.org/a", "ftp://example.org/a", "file:///etc/passwd"),
        *("https://", "https://[::1/a", "HTTPS://example.org"),
        *("kaggle:", "kaggle:fer2013", "kaggle:a/b/c", "kaggle:../up", "kaggle:a/b/versions/x", "kaggle:a b/c"),
    ],
)
def test_invalid_sources(source: str):
    assert source_kind(source) is None
