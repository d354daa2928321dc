"""Tables beside a corpus's files; what readers make of their rows is tested with each reader."""

from pathlib import Path

import pytest
from archive_forms import make_zip, one_line

from stages.corpora.archive import members, tables


def test_columns_in_any_order_and_case_and_further_ones(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"x/T.CSV": "\ufeff B ,a,c\r\n1, 2 ,\r\n\r\n3\r\n".encode()})
    found = list(tables.rows(archive, tables.find(archive, "t.csv"), ("a", "b"), "a,b"))
    assert [row for _, row in found] == [{"b": "1", "a": "2", "c": ""}, {"b": "3", "a": "", "c": ""}]
    assert [where.rpartition(" ")[2] for where, _ in found] == ["2", "4"]


@pytest.mark.parametrize("rows", ["1,2,3\n4,5,6\n", "1,2\n4,5,6\n"])
def test_cells_beyond_the_last_column_are_refused(tmp_path: Path, rows: str):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": f"a,b\n{rows}".encode()})
    one_line(lambda: list(tables.rows(archive, "t.csv", ("a", "b"), "a,b")), "not a table", "allowed: a,b")


def test_names_that_pandas_takes_for_nothing(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": b"a,b\n1,NA\n2,nan\n3,None\n"})
    assert [row["b"] for _, row in tables.rows(archive, "t.csv", ("a", "b"), "a,b")] == ["NA", "nan", "None"]


def test_none_and_two(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": b"", "x/t.csv": b"a", "y.csv.txt": b""})
    assert tables.find(archive, "y.csv") is None
    one_line(lambda: tables.find(archive, "t.csv"), "more than one t.csv", "allowed: one t.csv", "x/t.csv")


def test_of_exact_copies_the_least_wrapped_and_none_that_is_hidden(tmp_path: Path):
    files = {"a/b/t.csv": b"x", "y/T.csv": b"x", "z/t.csv": b"x", "__MACOSX/t.csv": b"y", ".git/t.csv": b"z"}
    assert tables.find(make_zip(tmp_path / "a.zip", files), "t.csv") == "y/T.csv"


@pytest.mark.parametrize("file", ["a/1", "./a/1", "a\\1"])
def test_named(file: str):
    assert tables.named("here", file, {"a/1": "x"}) == "x"
    one_line(lambda: tables.named("here", file + "2", {"a/1": "x"}, "tune"), "here: no such tune", "a path such as x")


def test_fingerprints_are_of_bytes_and_cost_no_reading(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"one", "b": b"one", "c": b"two", "d": b""})
    one, same, other, empty = (members.fingerprint(archive, name) for name in "abcd")
    assert one == same != other
    assert empty == (0, 0)
