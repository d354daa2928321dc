"""The leakage audit, subsets of the training part, and reading the split file of a dataset that lacks samples."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from stages import split
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.core.records import Record
from stages.datasets.splits import audit, drop_from_train, duplicates_across, load_parts, stratified_subset
from stages.params.load import parse

#                  0        1        2             3             4       5       6
PART = np.array(["train", "train", "validation", "validation", "test", "test", "train"])
CONTENT = ["a", "b", "a", "c", "b", "d", "b"]
IDS = [f"id{number}" for number in range(7)]


def test_duplicates_across_parts_are_dropped_from_train_only():
    assert duplicates_across(PART, ["a", "a", "b", "b", "c", "c", "a"]) == []  # within one part
    assert duplicates_across(PART, CONTENT) == [[0, 2], [1, 4, 6]]
    kept = drop_from_train(PART, [[0, 2], [1, 4, 6]])
    assert kept.tolist() == ["dropped", "dropped", "validation", "validation", "test", "test", "dropped"]
    assert PART[0] == "train"  # the argument is not modified


def test_dropping_keeps_validation_and_test_complete():
    rng = np.random.default_rng(2)
    part = rng.choice(["train", "validation", "test"], 600)
    content = rng.integers(0, 150, 600).astype(str).tolist()
    kept = drop_from_train(part, duplicates_across(part, content))
    assert (part[part != "train"] == kept[part != "train"]).all()
    left = {c for c, p in zip(content, kept, strict=True) if p == "train"}
    assert left.isdisjoint(c for c, p in zip(content, part, strict=True) if p != "train")


def test_audit_lists_duplicates_and_groups_in_several_parts():
    group = ["anna", "ben", "anna", None, "", "ben", "carl"]
    result = audit(PART, IDS, group, duplicates_across(PART, CONTENT))
    assert result["duplicates_across_parts"] == {"train and test": 1, "train and validation": 1}
    assert result["duplicate_ids"] == [["id0", "id2"], ["id1", "id4", "id6"]]
    assert result["groups_on_two_sides"] == ["anna", "ben"]


EMOTIONS = ["happy", "sad"]


@pytest.fixture
def split_speech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict]:
    """Return a function that runs the stage on 12 speakers with 10 clips per emotion and returns the split file."""

    def run(duplicates: bool = False, kind: str = "speaker", **change: object) -> dict:
        def read(archive: Path) -> Iterator[Record]:
            for number in range(240):
                speaker, label = f"s{number % 12}", EMOTIONS[number // 12 % 2]
                content = b"the same" if duplicates and number < 2 else str(number).encode()
                yield Record(f"{number:03}", label, partial(bytes, content), bytes, speaker, extra={"gender": "female"})

        content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
        content["corpora"]["faces"]["classes"] = EMOTIONS
        content["splits"]["faces"].update(change)
        inputs, output = tmp_path / "params.yaml", tmp_path / "split.json"
        inputs.write_text(yaml.safe_dump(content), encoding="utf-8")
        reader = SimpleNamespace(read=read, PARTS={}, GROUP=kind)
        monkeypatch.setattr(split.lookup, "load", lambda room, name: reader)
        arguments = ["faces", "--params", inputs, "--archive", tmp_path, "--output", output]
        monkeypatch.setattr(sys, "argv", ["split", *map(str, arguments)])
        split.main()
        return read_json(output)

    return run


@pytest.mark.parametrize("kind", ["speaker", "subject"])
def test_pooled_split_is_labelled_as_dependent(split_speech: Callable[..., dict], kind: str):
    result = split_speech(protocol="stratified", kind=kind)
    assert result["protocol"] == f"{kind}-dependent: stratified (pooled, 10% validation, as much test, fold 0)"
    assert len(result["audit"]["groups_on_two_sides"]) == 12


def test_disjoint_split_is_labelled_as_disjoint(split_speech: Callable[..., dict]):
    result = split_speech(protocol="group_disjoint", folds=4, fold=1)
    assert result["protocol"] == "speaker-disjoint (fold 1 of 4; speakers: train 8, validation 1, test 3)"
    assert result["audit"] == {"duplicates_across_parts": {}, "duplicate_ids": [], "groups_on_two_sides": []}
    assert sum(result["counts"].values()) == 240


def test_rejects_one_clip_under_two_speakers(split_speech: Callable[..., dict]):
    """The listed test group puts the two copies in different parts."""
    listed = {"protocol": "group_disjoint", "test_groups": [["s0"]]}
    with pytest.raises(UserError, match=r"^splits\.faces: 1 recordings are in two parts .* 000 and 001; allowed: none"):
        split_speech(duplicates=True, **listed)
    result = split_speech(duplicates=True, **listed, on_duplicate="drop")
    assert (result["dropped"], result["counts"]["dropped"]) == (["001"], 1)
    split_speech(duplicates=True, protocol="group_disjoint", test_groups=[["s0", "s1"]])  # both copies in one part


def test_train_samples_does_not_change_validation_and_test(split_speech: Callable[..., dict]):
    listed = {"protocol": "group_disjoint", "folds": 4, "fold": 1}
    full, limited = split_speech(**listed), split_speech(**listed, train_samples=40)
    assert limited["protocol"] == f"{full['protocol']}; 40 of {full['counts']['train']} training samples"
    assert (limited["counts"]["train"], limited["counts"]["unused"]) == (40, full["counts"]["train"] - 40)
    assert set(limited["parts"]["train"]) < set(full["parts"]["train"])
    assert all(limited["parts"][part] == full["parts"][part] for part in ("validation", "test"))
    with pytest.raises(UserError, match=r"^splits\.faces\.train_samples: too few; .*; received: 1"):
        split_speech(**listed, train_samples=1)


INDICES = np.arange(5, 205)  # 200 of 300 samples
LABEL = np.random.default_rng(0).choice(3, 300, p=[0.6, 0.3, 0.1])


def subset(count: int | None, seed: int = 7) -> np.ndarray:
    return stratified_subset(INDICES, LABEL, count, seed, "studies.faces")


def test_subset_keeps_the_share_of_every_class():
    indices = subset(50)
    assert len(indices) == len(set(indices)) == 50
    assert set(indices) <= set(INDICES)
    assert list(indices) == sorted(indices)
    expected = np.bincount(LABEL[INDICES]) / 4
    assert np.abs(np.bincount(LABEL[indices]) - expected).max() < 1
    assert (subset(50) == indices).all()
    assert set(subset(50, seed=8)) != set(indices)


@pytest.mark.parametrize("count", [None, 200, 1000])
def test_subset_of_all_samples(count: int | None):
    assert subset(count) is INDICES


@pytest.mark.parametrize("count", [1, 2])
def test_rejects_a_subset_smaller_than_the_number_of_classes(count: int):
    with pytest.raises(UserError, match=rf"^studies\.faces\.train_samples: too few; .* all 200; received: {count}$"):
        subset(count)


def write_split(path: Path, **parts: list[str]) -> Path:
    write_json(path, {"parts": {"train": [], "validation": [], "test": [], **parts}})
    return path


def test_rejected_samples_are_not_in_the_parts(tmp_path: Path):
    path = write_split(tmp_path / "a.json", train=["a", "b", "c"], validation=["d"], test=["f", "e"])
    parts = load_parts(path, ["e", "a", "x", "c", "d", "f"])  # b was damaged, and x dropped
    assert [parts[name].tolist() for name in ("train", "validation", "test")] == [[1, 3], [4], [0, 5]]


def test_rejects_an_empty_part(tmp_path: Path):
    path = write_split(tmp_path / "a.json", train=["a"], validation=["b"], test=["gone"])
    with pytest.raises(UserError, match="part 'test' has no samples"):
        load_parts(path, ["a", "b"])
