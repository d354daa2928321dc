"""Writes are atomic, and the bytes of a file depend on its content only."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from stages.core import files
from stages.core.errors import UserError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    with files.written_whole(path) as temporary:
        temporary.write_bytes(b"content")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename across disks would be a copy
    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_write_keeps_old_file(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")
    with pytest.raises(error), files.written_whole(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a.bin"]


def test_hard_link_is_replaced_not_followed(tmp_path):
    """DVC's outputs may be links into its cache: writing through a link would damage the cache."""
    cached, output = tmp_path / "cached", tmp_path / "output"
    cached.write_bytes(b"before")
    os.link(cached, output)
    with files.written_whole(output) as temporary:
        temporary.write_bytes(b"after")
    assert (cached.read_bytes(), output.read_bytes()) == (b"before", b"after")


def test_json_round_trip_keeps_order_and_utf8(tmp_path):
    path = tmp_path / "a.json"
    content = {"b": [1, 2.5, None, True], "a": "é"}
    files.write_json(path, content)
    assert list(files.read_json(path).items()) == list(content.items())
    assert path.read_text(encoding="utf-8").endswith('"é"\n}\n')


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_write_json_rejects_nan_and_infinity(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"accuracy": value})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "not valid"), (b"{", "not valid"), (b"\xff\xfe", "not valid")],
)
def test_read_json_rejects_missing_and_broken_files(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        files.read_json(tmp_path / "a.json")


def test_write_csv_formats_cells(tmp_path):
    path = tmp_path / "a.csv"
    files.write_csv(path, ("epoch", "loss", "name"), [(1, 0.5, "a,b"), (2, None, 'c"d'), (3, 1e-9, "é")])
    expected = 'epoch,loss,name\n1,0.500000,"a,b"\n2,,"c""d"\n3,0.000000,é\n'
    assert path.read_bytes() == expected.encode()


def test_md5_equals_published_value(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5


def test_digest_depends_on_content_and_files(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abd")
    inputs = [({"lr": 0.1}, [one]), ({"lr": 0.2}, [one]), ({"lr": 0.1}, [two]), ({"lr": 0.1}, [one, two]), (None, [])]
    digests = {files.digest(content, paths) for content, paths in inputs}
    assert len(digests) == len(inputs)
    assert {len(digest) for digest in digests} == {16}
    assert files.digest({"a": 1, "b": 2}, []) == files.digest({"b": 2, "a": 1}, [])


def test_rejects_write_larger_than_free_space(tmp_path):
    files.require_free_space(tmp_path / "new", 1)
    assert (tmp_path / "new").is_dir()
    with pytest.raises(UserError, match=r"1,000,000,000,000 MB needed, [\d,]+ MB free"):
        files.require_free_space(tmp_path, 10**18)


def test_a_terminated_program_leaves_nothing(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from stages.core import files\n"
        "with files.written_whole(Path(sys.argv[1])) as part: part.touch(); print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.bin")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
    assert names(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
