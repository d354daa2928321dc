"""The leakage audit, subsets of the training part, and reading the split file of a dataset that lacks samples."""

import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps

from stages import split
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.core.records import Record
from stages.core.seeding import generator
from stages.corpora import image_folder
from stages.datasets.splits import (
    audit,
    dependence,
    differing,
    drop_from_train,
    load_parts,
    overlaps,
    same_content,
    stratified_subset,
)
from stages.params.load import parse
from stages.synthetic.faces.face import draw_face

#                  0        1        2             3             4       5       6
PART = np.array(["train", "train", "validation", "validation", "test", "test", "train"])
CONTENT = ["a", "b", "a", "c", "b", "d", "b"]
IDS = [f"id{number}" for number in range(7)]


def test_duplicates_across_parts_are_dropped_from_train_only():
    assert differing(same_content(["a", "a", "b", "b", "c", "c", "a"]), PART) == []  # within one part
    assert differing(same_content(CONTENT), PART) == [[0, 2], [1, 4, 6]]
    kept = drop_from_train(PART, [[0, 2], [1, 4, 6]])
    assert kept.tolist() == ["dropped", "dropped", "validation", "validation", "test", "test", "dropped"]
    assert PART[0] == "train"  # the argument is not modified


def test_dropping_keeps_validation_and_test_complete():
    rng = np.random.default_rng(2)
    part = rng.choice(["train", "validation", "test"], 600)
    content = rng.integers(0, 150, 600).astype(str).tolist()
    kept = drop_from_train(part, differing(same_content(content), part))
    assert (part[part != "train"] == kept[part != "train"]).all()
    left = {c for c, p in zip(content, kept, strict=True) if p == "train"}
    assert left.isdisjoint(c for c, p in zip(content, part, strict=True) if p != "train")


def test_audit_lists_duplicates_and_groups_in_several_parts():
    group = np.array(["anna", "ben", "anna", "", "", "ben", "carl"])
    label = np.array(["happy"] * 7)
    result = audit(PART, label, IDS, group, overlaps(PART, label, CONTENT, []))
    assert result["duplicates_across_parts"] == {"train and test": 1, "train and validation": 1}
    assert result["duplicate_ids"] == [["id0", "id2"], ["id1", "id4", "id6"]]
    assert result["groups_on_two_sides"] == ["anna", "ben"]
    assert (result["label_conflicts"], result["near_duplicate_ids"]) == ({}, [])


@pytest.mark.parametrize(
    ("label", "sets", "counts"),
    [
        ("hhhhhhh", [], {}),
        ("shhhhhh", [[0, 2]], {"h and s": 1}),
        ("hshhahh", [[1, 4, 6]], {"a and h and s": 1}),
        ("hhsahhh", [[0, 2]], {"h and s": 1}),
        ("shhhhhs", [[0, 2], [1, 4, 6]], {"h and s": 2}),  # within train, and across parts
    ],
)
def test_audit_counts_label_conflicts(label: str, sets: list[list[int]], counts: dict[str, int]):
    labels = np.array(list(label))
    found = overlaps(PART, labels, CONTENT, [])
    assert found.conflicts == sets
    result = audit(PART, labels, IDS, np.full(7, ""), found)
    assert result["label_conflicts"] == counts
    assert result["label_conflict_ids"] == [[IDS[index] for index in indices] for indices in sets]


EMOTIONS = ["happy", "sad"]


@pytest.fixture
def split_speech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict]:
    """Return a function that runs the stage on 12 speakers with 10 clips per emotion and returns the split file."""

    def run(
        duplicates: bool = False,
        kind: str = "speaker",
        name: Callable[[int], str] = lambda number: f"s{number % 12}",
        **change: object,
    ) -> dict:
        def read(archive: Path) -> Iterator[Record]:
            for number in range(240):
                speaker, label = name(number), EMOTIONS[number // 12 % 2]
                content = b"the same" if duplicates and number < 2 else str(number).encode()
                yield Record(f"{number:03}", label, partial(bytes, content), bytes, speaker, extra={"gender": "female"})

        content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
        content["corpora"]["faces"]["classes"] = EMOTIONS
        content["splits"]["faces"].update(change)
        inputs, output = tmp_path / "params.yaml", tmp_path / "split.json"
        inputs.write_text(yaml.safe_dump(content), encoding="utf-8")
        reader = SimpleNamespace(read=read, PARTS={}, GROUP=kind)
        monkeypatch.setattr(split.lookup, "load", lambda room, name: reader)
        monkeypatch.setattr(split, "unread_files", lambda archive, group: [])
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


def test_one_speaker_under_two_names_is_in_one_part(split_speech: Callable[..., dict]):
    def name(number: int) -> str:
        return f"{'S' if number < 120 else 's'}{number % 12:02}"

    result = split_speech(name=name, protocol="group_disjoint", folds=4)
    assert result["protocol"] == "speaker-disjoint (fold 0 of 4; speakers: train 8, validation 1, test 3)"
    assert result["audit"]["similar_groups"] == [[f"S{number:02}", f"s{number:02}"] for number in range(12)]
    apart = split_speech(name=name, protocol="group_disjoint", folds=4, merge_similar_groups=False)
    assert apart["protocol"] == "speaker-disjoint (fold 0 of 4; speakers: train 16, validation 2, test 6)"


def test_disjoint_split_is_labelled_as_disjoint(split_speech: Callable[..., dict]):
    result = split_speech(protocol="group_disjoint", folds=4, fold=1)
    assert result["protocol"] == "speaker-disjoint (fold 1 of 4; speakers: train 8, validation 1, test 3)"
    assert not any(result["audit"].values())
    assert {"duplicates_across_parts", "duplicate_ids", "groups_on_two_sides", "label_conflicts"} < set(result["audit"])
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


def face(number: int, **save: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(draw_face(EMOTIONS[number % 2], generator(1, "split", number), 64))
    change = save.pop("change", None)
    (change(image) if change else image).save(stream, "PNG", **save)
    return stream.getvalue()


@pytest.fixture
def split_faces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict]:
    """Return a function that runs the stage on class folders with these further files, and returns the split file."""

    def run(files: dict[str, bytes], kind: str | None = None, **change: object) -> dict:
        content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
        content["corpora"]["faces"].update(classes=EMOTIONS, reader="image_folder")
        content["corpora"]["faces"]["synthetic"]["size_px"] = 48
        content["splits"]["faces"].update(change)
        inputs, output, archive = tmp_path / "params.yaml", tmp_path / "split.json", tmp_path / "faces.zip"
        inputs.write_text(yaml.safe_dump(content), encoding="utf-8")
        with zipfile.ZipFile(archive, "w") as packed:
            for number in range(40):
                packed.writestr(
                    f"{'train' if number < 30 else 'test'}/{EMOTIONS[number % 2]}/{number}.png", face(number)
                )
            for name, content in files.items():
                packed.writestr(name, content)
        monkeypatch.setattr(image_folder, "GROUP", kind)
        arguments = ["faces", "--params", inputs, "--archive", archive, "--output", output]
        monkeypatch.setattr(sys, "argv", ["split", *map(str, arguments)])
        split.main()
        return read_json(output)

    return run


LEAKS = {
    "same bytes under two labels": ({"train/sad/copy.png": face(0)}, "label_conflict_ids", "happy/0.png", 2),
    "smaller": (
        {"test/happy/copy.png": face(0, change=lambda image: image.resize((48, 48)))},
        "near_duplicate_ids",
        "happy/0.png",
        1,
    ),
    "mirrored": ({"test/sad/copy.png": face(1, change=ImageOps.mirror)}, "near_duplicate_ids", "sad/1.png", 1),
    "encoded again": ({"test/sad/copy.png": face(3, compress_level=1)}, "near_duplicate_ids", "sad/3.png", 1),
    "mirrored, other label": (
        {"test/happy/copy.png": face(1, change=ImageOps.mirror)},
        "near_duplicate_ids",
        "sad/1.png",
        1,
    ),
    "smaller, within train, other label": (
        {"train/sad/copy.png": face(0, change=lambda image: image.resize((48, 48)))},
        "near_label_conflict_ids",
        "happy/0.png",
        2,
    ),
}


@pytest.mark.parametrize(("files", "key", "original", "n_dropped"), LEAKS.values(), ids=LEAKS)
def test_copies_are_counted_and_dropped(
    split_faces: Callable[..., dict],
    capsys: pytest.CaptureFixture[str],
    files: dict[str, bytes],
    key: str,
    original: str,
    n_dropped: int,
):
    [copy] = files
    reported = split_faces(files)
    assert reported["audit"][key] == [sorted([copy, f"train/{original}"])]
    assert reported["dropped"] == []
    assert "on_duplicate: drop" in capsys.readouterr().err
    dropped = split_faces(files, on_duplicate="drop")
    assert dropped["counts"]["dropped"] == n_dropped
    assert f"train/{original}" in dropped["dropped"]
    assert dropped["parts"]["test"] == reported["parts"]["test"]


def test_files_that_no_sample_uses_are_counted(split_faces: Callable[..., dict]):
    files = {
        "notes.txt": b"a",
        "train/happy/x.xyz": b"a",
        "train/sad/y.XYZ": b"a",
        "train/.hidden": b"",
        "README": b"a",
    }
    assert split_faces(files)["audit"]["passed_over"] == {".txt": 1, ".xyz": 2, "no suffix": 1}


@pytest.mark.parametrize(
    ("kind", "group", "label"),
    [
        ("person", "aabb", "person-dependent: "),
        ("person", "abcd", ""),
        ("person", "ab c", "persons unknown, so perhaps person-dependent: "),
        ("person", "    ", ""),  # the rule for faces
        ("speaker", "    ", "speakers unknown, so perhaps speaker-dependent: "),
        ("speaker", "aabb", "speaker-dependent: "),
        (None, "    ", ""),
    ],
)
def test_label_says_whether_a_person_is_in_two_parts(kind: str | None, group: str, label: str):
    groups = np.array([name.strip() for name in group])
    part, labels = np.array(["train", "test"] * 2), np.array(["happy"] * 4)
    found = overlaps(part, labels, list("wxyz"), [])
    assert dependence(kind, groups, audit(part, labels, IDS[:4], groups, found)) == label


def test_faces_of_unknown_persons_are_not_called_dependent(split_faces: Callable[..., dict]):
    for kind in (None, "person"):
        assert split_faces({}, kind=kind, protocol="stratified")["protocol"].startswith("stratified")


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
