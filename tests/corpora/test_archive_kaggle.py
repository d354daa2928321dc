"""Kaggle as a source, with the library's own errors: each becomes one line that says what to do."""

from collections.abc import Callable
from pathlib import Path

import kagglehub
import pytest
import requests
from archive_forms import one_line
from kagglehub.exceptions import (
    BackendError,
    CredentialError,
    DataCorruptionError,
    KaggleApiHTTPError,
    UnauthenticatedError,
)

from stages.corpora.archive.fetch import fetch


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | str], None]:
    def answer(result: Exception | str) -> None:
        def download(handle: str) -> str:
            if isinstance(result, Exception):
                raise result
            return f"{result}/{handle}"

        monkeypatch.setattr(kagglehub, "dataset_download", download)

    return answer


def http_error(status: int) -> KaggleApiHTTPError:
    response = requests.Response()
    response.status_code = status
    return KaggleApiHTTPError(f"{status} Client Error.\n\nYou don't have permission", response=response)


def test_kaggle_gives_a_folder(kaggle: Callable):
    kaggle("/cache")
    assert fetch("kaggle:ada/fer-2013", None) == Path("/cache/ada/fer-2013")
    assert fetch("kaggle:ada/fer-2013/versions/2", None) == Path("/cache/ada/fer-2013/versions/2")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (UnauthenticatedError(), "denies access"),
        (CredentialError("no token"), "denies access"),
        (http_error(401), "denies access"),
        (http_error(403), "denies access"),
        (http_error(404), "no such dataset"),
        (http_error(500), "500"),
        (BackendError("down\nfor now"), "down"),
        (DataCorruptionError("md5"), "DataCorruptionError"),
        (ValueError("Invalid Kaggle credentials file at kaggle.json"), "Invalid Kaggle credentials file"),
        (requests.ConnectionError("Failed to resolve 'api.kaggle.com'"), "no network"),
        (requests.Timeout("Read timed out."), "no answer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_kaggle_errors_say_what_to_do(error: Exception, word: str, kaggle: Callable):
    kaggle(error)
    places = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME with KAGGLE_KEY", "~/.kaggle/kaggle.json")
    by_hand = ("https://www.kaggle.com/datasets/ada/fer-2013", "absolute path")
    one_line(lambda: fetch("kaggle:ada/fer-2013", None), word, *places, *by_hand)


@pytest.mark.parametrize("handle", ["", "fer2013", "a/b/c", "../up", "a/..", "a/b/versions/x", "a b/c"])
def test_refuses_odd_handles(handle: str):
    one_line(lambda: fetch(f"kaggle:{handle}", None), "not a Kaggle dataset", "<owner>/<slug>")


def test_refuses_a_checksum_for_a_folder():
    one_line(lambda: fetch("kaggle:ada/fer-2013", "a" * 64), "a folder has no checksum")
