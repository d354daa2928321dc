"""Leakage found and mended, and the split file read beside a dataset that lacks samples."""

from pathlib import Path

import numpy as np
import pytest

from stages.core.checks import UserError
from stages.core.files import write_json
from stages.datasets.splits import audit, drop_from_train, duplicates_across, load_parts

#                  0        1        2             3             4       5       6
PART = np.array(["train", "train", "validation", "validation", "test", "test", "train"])
CONTENT = ["a", "b", "a", "c", "b", "d", "b"]
IDS = [f"id{number}" for number in range(7)]


def test_duplicates_within_one_part_do_not_leak():
    assert duplicates_across(PART, ["a", "a", "b", "b", "c", "c", "a"]) == []
    assert duplicates_across(PART, list("abcdefg")) == []


def test_duplicates_across_parts():
    assert duplicates_across(PART, CONTENT) == [[0, 2], [1, 4, 6]]


def test_dropping_leaves_no_twin_of_a_judged_sample_behind():
    kept = drop_from_train(PART, duplicates_across(PART, CONTENT))
    assert kept.tolist() == ["dropped", "dropped", "validation", "validation", "test", "test", "dropped"]
    assert PART[0] == "train"  # the argument stays
    assert (
        duplicates_across(kept[kept != "dropped"], [c for c, p in zip(CONTENT, kept, strict=True) if p != "dropped"])
        == []
    )


def test_a_twin_in_all_three_parts_leaves_train_alone():
    part = np.array(["train", "validation", "test"])
    assert drop_from_train(part, [[0, 1, 2]]).tolist() == ["dropped", "validation", "test"]


def test_a_large_drawn_case_keeps_the_judged_parts_whole():
    rng = np.random.default_rng(2)
    part = rng.choice(["train", "validation", "test"], 600)
    content = rng.integers(0, 150, 600).astype(str).tolist()
    kept = drop_from_train(part, duplicates_across(part, content))
    assert (part[part != "train"] == kept[part != "train"]).all()
    left = {c for c, p in zip(content, kept, strict=True) if p == "train"}
    assert left.isdisjoint(c for c, p in zip(content, part, strict=True) if p != "train")


def test_audit_names_what_leaks():
    group = ["anna", "ben", "anna", None, "", "ben", "carl"]
    found = audit(PART, IDS, group, duplicates_across(PART, CONTENT))
    assert found["duplicates_across_parts"] == {"train and test": 1, "train and validation": 1}
    assert found["duplicate_ids"] == [["id0", "id2"], ["id1", "id4", "id6"]]
    assert found["groups_on_two_sides"] == ["anna", "ben"]


def test_audit_of_a_clean_split():
    found = audit(PART, IDS, [None] * 7, [])
    assert found == {"duplicates_across_parts": {}, "duplicate_ids": [], "groups_on_two_sides": []}


def write_split(path: Path, **parts: list[str]) -> Path:
    write_json(path, {"parts": {"train": [], "validation": [], "test": [], **parts}})
    return path


def test_rejected_samples_are_left_out_of_the_parts(tmp_path: Path):
    path = write_split(tmp_path / "a.json", train=["a", "b", "c"], validation=["d"], test=["f", "e"])
    parts = load_parts(path, ["e", "a", "x", "c", "d", "f"])  # b was damaged; x was dropped
    assert {name: indices.tolist() for name, indices in parts.items()} == {
        "train": [1, 3],
        "validation": [4],
        "test": [0, 5],
    }


def test_an_empty_part_is_refused(tmp_path: Path):
    path = write_split(tmp_path / "a.json", train=["a"], validation=["b"], test=["gone"])
    with pytest.raises(UserError, match="part 'test' has no samples"):
        load_parts(path, ["a", "b"])


def test_no_split_file(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        load_parts(tmp_path / "a.json", ["a"])
