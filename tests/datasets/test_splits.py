"""Leakage found and mended, and the split file read beside a dataset that lacks samples."""

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
from stages.datasets.splits import audit, drop_from_train, duplicates_across, load_parts, require_no_duplicates
from stages.params.load import parse

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


def test_twins_in_two_parts_are_refused_where_groups_are_kept_apart():
    require_no_duplicates(PART, IDS, [], "splits.speech")
    with pytest.raises(UserError) as error:
        require_no_duplicates(PART, IDS, duplicates_across(PART, CONTENT), "splits.speech")
    line = str(error.value)
    assert line.startswith("splits.speech: 2 recordings stand in two parts under two names, the first id0 and id2; ")
    assert "allowed: none with protocol group_disjoint" in line
    assert "\n" not in line


EMOTIONS = ["happy", "sad"]


@pytest.fixture
def split_speech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict]:
    """Runs the stage on 12 speakers who say 10 clips of each emotion; gives what it writes."""

    def read(archive: Path) -> Iterator[Record]:
        for number in range(240):
            speaker, label = f"s{number % 12}", EMOTIONS[number // 12 % 2]
            content = archive.read_bytes() if number in (0, 1) else str(number).encode()
            yield Record(f"{number:03}", label, partial(bytes, content), bytes, speaker, extra={"gender": "female"})

    def run(twins: bool = False, kind: str = "speaker", **change: object) -> dict:
        content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
        content["corpora"]["faces"]["classes"] = EMOTIONS
        content["splits"]["faces"].update(change)
        inputs, output = tmp_path / "params.yaml", tmp_path / "split.json"
        with inputs.open("w", encoding="utf-8") as stream:
            yaml.safe_dump(content, stream)
        archive = tmp_path / "raw"
        reader = SimpleNamespace(read=read if twins else distinct, PARTS={}, GROUP=kind)
        archive.write_bytes(b"the same clip")
        monkeypatch.setattr(split.lookup, "load", lambda room, name: reader)
        arguments = ["faces", "--params", inputs, "--archive", archive, "--output", output]
        monkeypatch.setattr(sys, "argv", ["split", *map(str, arguments)])
        split.main()
        return read_json(output)

    def distinct(archive: Path) -> Iterator[Record]:
        return (record for record in read(archive) if record.sample_id not in ("000", "001"))

    return run


@pytest.mark.parametrize("kind", ["speaker", "subject"])
def test_a_pooled_draw_of_known_people_says_that_it_depends_on_them(split_speech: Callable[..., dict], kind: str):
    found = split_speech(protocol="stratified", kind=kind)
    assert found["protocol"] == f"{kind}-dependent: stratified (pooled, 10% validation, as much test, fold 0)"
    assert len(found["audit"]["groups_on_two_sides"]) == 12


def test_speakers_kept_apart_are_said_to_be(split_speech: Callable[..., dict]):
    found = split_speech(protocol="group_disjoint", folds=4, fold=1)
    assert found["protocol"] == "speaker-disjoint (fold 1 of 4; speakers: train 8, validation 1, test 3)"
    assert found["audit"] == {"duplicates_across_parts": {}, "duplicate_ids": [], "groups_on_two_sides": []}
    assert sum(found["counts"].values()) == 238


def test_one_clip_of_two_speakers_stops_a_split_by_speaker(split_speech: Callable[..., dict]):
    """Listed so that they are on two sides."""
    listed = {"protocol": "group_disjoint", "test_groups": [["s0"]]}
    with pytest.raises(
        UserError, match=r"^splits\.faces: 1 recordings stand in two parts .* 000 and 001; allowed: none"
    ):
        split_speech(twins=True, **listed)
    found = split_speech(twins=True, **listed, on_duplicate="drop")
    assert (found["dropped"], found["counts"]["dropped"]) == (["001"], 1)
    split_speech(twins=True, protocol="group_disjoint", test_groups=[["s0", "s1"]])  # on the same side: no leak


def test_fewer_training_samples_leave_judged_ones_alone(split_speech: Callable[..., dict]):
    listed = {"protocol": "group_disjoint", "folds": 4, "fold": 1}
    whole, thin = split_speech(**listed), split_speech(**listed, train_samples=40)
    assert thin["protocol"] == f"{whole['protocol']}; 40 of {whole['counts']['train']} training samples"
    assert (thin["counts"]["train"], thin["counts"]["unused"]) == (40, whole["counts"]["train"] - 40)
    assert set(thin["parts"]["train"]) < set(whole["parts"]["train"])
    assert all(thin["parts"][part] == whole["parts"][part] for part in ("validation", "test"))
    with pytest.raises(
        UserError, match=r"^splits\.faces\.train_samples: too few; allowed: enough that .*; received: 1"
    ):
        split_speech(**listed, train_samples=1)


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
