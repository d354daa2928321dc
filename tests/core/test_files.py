"""Files are whole or absent, and their bytes depend on their content alone."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core import files
from stages.core.errors import UserError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    with files.written_whole(path) as temporary:
        temporary.write_bytes(b"content")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename across disks would be a copy
    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_a_failed_write(tmp_path, error):
    with pytest.raises(error), files.written_whole(tmp_path / "a.bin") as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise error
    assert names(tmp_path) == []


def test_a_failed_write_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="stop"), files.written_whole(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise ValueError("stop")
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a.bin"]


def test_a_link_is_replaced_not_followed(tmp_path):
    """DVC's outputs may be links into its cache: writing through one would damage the cache."""
    cached, output = tmp_path / "cached", tmp_path / "output"
    cached.write_bytes(b"before")
    os.link(cached, output)
    with files.written_whole(output) as temporary:
        temporary.write_bytes(b"after")
    assert (cached.read_bytes(), output.read_bytes()) == (b"before", b"after")


def test_write_json(tmp_path):
    path = tmp_path / "a.json"
    content = {"b": [1, 2.5, None, True], "a": "é"}
    files.write_json(path, content)
    assert files.read_json(path) == content
    assert list(files.read_json(path)) == ["b", "a"]
    assert path.read_bytes().endswith(b"}\n")
    assert "é".encode() in path.read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_write_json_refuses_what_is_no_number(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"accuracy": value})
    assert names(tmp_path) == []


def test_read_json_of_what_is_none(tmp_path):
    with pytest.raises(UserError, match="no such file; run `dvc repro` first"):
        files.read_json(tmp_path / "a.json")
    for content in (b"", b"{", b"\xff\xfe"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(UserError, match="not valid JSON"):
            files.read_json(tmp_path / "a.json")


def test_write_csv(tmp_path):
    path = tmp_path / "a.csv"
    files.write_csv(path, ("epoch", "loss", "name"), [(1, 0.5, "a,b"), (2, None, 'c"d'), (3, 1e-9, "é")])
    expected = 'epoch,loss,name\n1,0.500000,"a,b"\n2,,"c""d"\n3,0.000000,é\n'
    assert path.read_bytes() == expected.encode()


def test_write_csv_is_whole_or_absent(tmp_path):
    def rows():
        yield (1,)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        files.write_csv(tmp_path / "a.csv", ("n",), rows())
    assert names(tmp_path) == []


def test_md5_is_that_of_dvc_lock(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5


def test_digest_changes_with_every_byte(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abd")
    found = {
        files.digest({"lr": 0.1}, [one]),
        files.digest({"lr": 0.2}, [one]),
        files.digest({"lr": 0.1}, [two]),
        files.digest({"lr": 0.1}, [one, two]),
        files.digest({"lr": 0.1}, []),
    }
    assert len(found) == 5
    assert all(len(name) == 16 for name in found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(one=json_values, other=json_values)
def test_digests_are_equal_just_where_contents_are(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (files.digest(one, []) == files.digest(other, [])) == same


def test_digest_ignores_the_order_of_keys():
    assert files.digest({"a": 1, "b": 2}, []) == files.digest({"b": 2, "a": 1}, [])


def test_require_free_space(tmp_path):
    files.require_free_space(tmp_path / "new", 1)
    assert (tmp_path / "new").is_dir()
    with pytest.raises(UserError, match=r"1,000,000,000,000 MB are to be written, [\d,]+ MB are free"):
        files.require_free_space(tmp_path, 10**18)
