"""FER+ as labels of FER-2013's faces: the rules of its votes, its two layouts, and a training with shares of votes."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from archive_files import make_folder, make_zip, one_line
from PIL import Image

from stages import download, prepare, split, train
from stages.core.files import read_json
from stages.core.records import Record
from stages.corpora.archive import fer_plus
from stages.corpora.fer2013 import CODES, VOTED_CODES, read
from stages.datasets.store import Store
from stages.params.load import parse

EMOTIONS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
LABELS = ("majority", "distribution")

# votes for the eight emotions in FER+'s order, unknown and NF; the label by majority; that by distribution, its votes
RULES = [
    ((0, 10, 0, 0, 0, 0, 0, 0, 0, 0), "happy", "happy", {"happy": 10}),
    ((4, 6, 0, 0, 0, 0, 0, 0, 0, 0), "happy", "happy", {"neutral": 4, "happy": 6}),
    ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None, "neutral", {"neutral": 4, "angry": 3, "disgust": 2}),  # 4 of 9 counted
    ((5, 0, 0, 1, 1, 0, 1, 0, 2, 0), "neutral", "neutral", {"neutral": 5}),  # 5 of 7 counted
    ((5, 0, 5, 0, 0, 0, 0, 0, 0, 0), None, "neutral", {"neutral": 5, "surprise": 5}),
    ((0, 0, 0, 0, 2, 1, 0, 7, 0, 0), "contempt", "contempt", {"angry": 2, "contempt": 7}),
    ((4, 0, 0, 0, 0, 0, 0, 2, 4, 0), None, None, None),  # as often unknown
    ((0, 2, 0, 0, 0, 0, 0, 0, 8, 0), None, None, None),
    ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), None, None, None),
    ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None, None, None),
    ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), None, None, None),
    ((2, 0, 0, 0, 1, 1, 1, 1, 1, 1), "neutral", "neutral", {"neutral": 2}),
]


def gray(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(gray(seed)).save(stream, "PNG")
    return stream.getvalue()


def table(header: str, rows: list[list[object]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows([header.split(","), *rows])
    return stream.getvalue().encode()


def fer(usages: list[str]) -> bytes:
    rows = [[number % 7, " ".join(map(str, gray(number).ravel())), usage] for number, usage in enumerate(usages)]
    return table("emotion,pixels,Usage", rows)


def plus_table(usages: list[str], votes: list[tuple[int, ...]], header: str = HEADER) -> bytes:
    """As in the published file, a row without a face has no image name."""
    rows = enumerate(zip(usages, votes, strict=True))
    names = header.count("Image name")
    return table(header, [[usage, *["" if v[9] > 5 else f"fer{n:07}.png"] * names, *v] for n, (usage, v) in rows])


VOTES = [votes for votes, *_ in RULES]
USAGES = ["Training", "PublicTest", "PrivateTest"] * 4
BOTH = {"fer2013.csv": fer(USAGES), "fer2013new.csv": plus_table(USAGES, VOTES)}
IMAGES = {f"FER2013Train/fer{number:07}.png": png(number) for number in range(8)}
LABEL_ROWS = [[f"fer{number:07}.png", "(0, 0, 48, 48)", *votes] for number, votes in enumerate(VOTES[:8])]
LABEL_FILE = table("", LABEL_ROWS).partition(b"\r\n")[2]


def found(tmp_path: Path, files: dict[str, bytes], labels: str) -> tuple[list[Record], list[str]]:
    notes: list[str] = []
    return list(read(make_zip(tmp_path / "raw.zip", files), None, notes.append, labels)), notes


# ---- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LABELS)
def test_rules_of_the_published_code(tmp_path: Path, labels: str):
    records, notes = found(tmp_path, BOTH, labels)
    column = LABELS.index(labels) + 1
    expected = [(number, rule[column], USAGES[number]) for number, rule in enumerate(RULES) if rule[column]]
    assert [(int(row.sample_id[3:]), row.label, row.partition) for row in records] == expected
    votes = [rule[3] if labels == "distribution" else None for rule in RULES if rule[column]]
    assert [record.votes for record in records] == votes
    for record in records:
        np.testing.assert_array_equal(record.load()[0], gray(int(record.sample_id[3:])))
    left_out = "5 without a clear answer" if labels == "majority" else "2 without a clear answer"
    assert [word for word in (f"{len(expected)} of 12 faces", left_out, "1 not a face") if word not in notes[0]] == []
    assert set(VOTED_CODES) == {*CODES, "contempt"} == set(EMOTIONS) == set(fer_plus.CLASSES)


def test_labels_are_not_those_of_fer2013(tmp_path: Path):
    """Without the setting, the labels are FER-2013's."""
    archive = make_zip(tmp_path / "raw.zip", {"fer2013.csv": fer(USAGES)})
    assert next(read(archive)).label == "angry"
    assert found(tmp_path, BOTH, "majority")[0][0].label == "happy"


FORMS = {
    "in a folder": {f"FER/{name}": content for name, content in BOTH.items()},
    "another name": {"icml_face_data.csv": BOTH["fer2013.csv"], "labels.csv": BOTH["fer2013new.csv"]},
    "an exact copy": BOTH | {"copy/fer2013new.csv": BOTH["fer2013new.csv"]},
    "blank rows": {name: content + b"\r\n,,\r\n\r\n" for name, content in BOTH.items()},
    "a byte order mark": {name: "\ufeff".encode() + content for name, content in BOTH.items()},
    "no image names": BOTH | {"fer2013new.csv": plus_table(USAGES, VOTES, HEADER.replace("Image name,", ""))},
    "decimals": BOTH | {"fer2013new.csv": plus_table(USAGES, [tuple(map(float, votes)) for votes in VOTES])},
    "images beside": BOTH | IMAGES,
}


@pytest.mark.parametrize("files", FORMS.values(), ids=FORMS)
def test_reads_tables(tmp_path: Path, files: dict[str, bytes]):
    labels = [record.label for record in found(tmp_path, files, "distribution")[0]]
    assert labels == [rule[2] for rule in RULES if rule[2]]


SCRIPT = {
    "label.csv": {**IMAGES, "FER2013Train/label.csv": LABEL_FILE},
    "in a folder": {f"data/{name}": content for name, content in IMAGES.items()}
    | {"data/FER2013Train/label.csv": LABEL_FILE},
    "fer2013new.csv": {**IMAGES, "fer2013new.csv": plus_table(["Training"] * 12, VOTES)},
    "both": {**IMAGES, "fer2013new.csv": plus_table(["Training"] * 12, VOTES), "FER2013Train/label.csv": LABEL_FILE},
    "class folders": {f"happy/{name.rpartition('/')[2]}": content for name, content in IMAGES.items()}
    | {"fer2013new.csv": plus_table(["Training"] * 12, VOTES)},
}  # fmt: skip


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("files", SCRIPT.values(), ids=SCRIPT)
def test_reads_the_images_of_its_own_script(tmp_path: Path, files: dict[str, bytes], labels: str):
    records, notes = found(tmp_path, files, labels)
    rules = [rule[LABELS.index(labels) + 1] for rule in RULES[:8]]
    assert [record.label for record in records] == [label for label in rules if label]
    assert {record.partition for record in records} == {"Training"}
    assert [int(Path(record.sample_id).stem[3:]) for record in records] == [n for n, label in enumerate(rules) if label]
    assert f"{len(records)} of 8 faces" in notes[0]
    np.testing.assert_array_equal(records[0].load()[0], gray(0))


def test_parts_of_the_folders(tmp_path: Path):
    parts = {"Train": "Training", "Valid": "PublicTest", "Test": "PrivateTest"}
    files = {}
    for number, part in enumerate(parts):
        files[f"FER2013{part}/fer{number:07}.png"] = png(number)
        files[f"FER2013{part}/label.csv"] = f'fer{number:07}.png,"(0, 0, 48, 48)",0,9,0,0,0,0,0,0,1,0\n'.encode()
    records, _ = found(tmp_path, files, "majority")
    assert {record.partition for record in records} == set(parts.values())
    assert all(record.sample_id.startswith("FER2013") and record.label == "happy" for record in records)


TRAINING = ["Training"] * 12
PLUS = BOTH["fer2013new.csv"]
MISTAKES = [
    ({"fer2013.csv": BOTH["fer2013.csv"]}, ["no votes of FER+", "fer2013new.csv (Usage,Image name", "fer2013.csv"]),
    ({"fer2013new.csv": PLUS}, ["no faces for the votes of FER+", "received: 'fer2013new.csv'"]),
    ({"train/happy/Training_1.jpg": png(1), "fer2013new.csv": PLUS}, ["fer2013.csv or fer*.png"]),
    (BOTH | {"fer2013new.csv": plus_table(USAGES[:-1], VOTES[:-1])}, ["fer2013.csv with 12 rows", "new.csv with 11"]),
    (BOTH | {"fer2013.csv": fer(USAGES[:-3])}, ["fer2013.csv with 9 rows", "fer2013new.csv with 12"]),
    (BOTH | {"fer2013.csv": fer(USAGES[1:])}, ["fer2013.csv with 11 rows", "fer2013new.csv with 12"]),
    (BOTH | {"fer2013new.csv": plus_table(TRAINING, VOTES)}, ["line 3", "another Usage", "allowed: PublicTest;"]),
    (BOTH | {"fer2013new.csv": PLUS.replace(b"PrivateTest", b"Test")}, ["line 4", "unknown Usage", "'Test'"]),
    (BOTH | {"fer2013new.csv": PLUS.replace(b".png,4,6", b".png,4,six")}, ["line 3", "not a number of votes", "'six'"]),
    (BOTH | {"fer2013new.csv": PLUS.replace(b"contempt", b"x")}, ["missing columns", "contempt", "fer2013new.csv"]),
    (BOTH | {"b.csv": PLUS.replace(b".png,4,6", b".png,6,4")}, ["more than one table of FER+", "b.csv", "2013new.csv"]),
    ({**IMAGES, "FER2013Train/label.csv": LABEL_FILE[:200]}, ["label.csv line", "columns", "image,box,neutral"]),
    ({**IMAGES, "FER2013Train/label.csv": LABEL_FILE.partition(b"fer0000005")[0]}, ["fer0000005.png", "no votes"]),
    (SCRIPT["both"] | {"fer2013new.csv": plus_table(TRAINING, VOTES[::-1])}, ["two rows", "new.csv line", "label.csv"]),
    ({**IMAGES, "fer2013new.csv": plus_table(["PublicTest"] * 12, VOTES)}, ["another Usage than its folder's"]),
]  # fmt: skip


@pytest.mark.parametrize(("files", "words"), MISTAKES)
def test_refuses_faces_and_votes_that_do_not_match(tmp_path: Path, files: dict[str, bytes], words: list[str]):
    line = one_line(lambda: found(tmp_path, files, "majority"), str(tmp_path / "raw.zip"), *words)
    assert len(line) < 500


@pytest.mark.parametrize("files", [BOTH, SCRIPT["label.csv"], SCRIPT["fer2013new.csv"], {"fer2013new.csv": PLUS}])
def test_fer_plus_is_refused_without_the_setting(tmp_path: Path, files: dict[str, bytes]):
    archive = make_zip(tmp_path / "raw.zip", files)
    one_line(lambda: list(read(archive)), str(archive), "FER+", "corpora.<corpus>.labels to majority or distribution")


# ---- the stages ------------------------------------------------------------------------------------------------------


def run_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str, classes: list[str]) -> dict[str, Path]:
    """Run download, prepare, split and one epoch of training on 160 faces; return the files that they write."""
    paths = {name: tmp_path / name for name in ("source", "raw.zip", "x.h5", "split.json", "model", "history.csv")}
    rng = np.random.default_rng(3)
    votes = [tuple(rng.multinomial(10, rng.dirichlet(np.full(10, 0.3)))) for _ in range(160)]
    usages = ["Training"] * 100 + ["PublicTest"] * 30 + ["PrivateTest"] * 30
    make_folder(paths["source"], {"fer2013.csv": fer(usages), "fer2013new.csv": plus_table(usages, votes)})
    content = parse((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    content["corpora"]["faces"] |= {
        "source": str(paths["source"]),
        "name": "FER+",
        "labels": labels,
        "classes": classes,
    }
    content["runs"] = {"faces_custom_cnn": {**content["runs"]["faces_custom_cnn"], "max_epochs": 1}}
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(content | {"studies": {}, "ensembles": {}, "distillations": {}}), encoding="utf-8")
    inputs = {
        "dataset": paths["x.h5"],
        "split": paths["split.json"],
        "checkpoints": tmp_path / "c",
        "logs": tmp_path / "l",
    }
    for stage, key, arguments in (
        (download, "faces", {"archive": paths["raw.zip"]}),
        (prepare, "faces", {"archive": paths["raw.zip"], "output": paths["x.h5"]}),
        (split, "faces", {"archive": paths["raw.zip"], "output": paths["split.json"]}),
        (train, "faces_custom_cnn", inputs | {"model": paths["model"], "history": paths["history.csv"]}),
    ):
        words = [f"--{name}={path}" for name, path in ({"params": params} | arguments).items()]
        monkeypatch.setattr(sys, "argv", ["stage", key, *words])
        stage.main()
    return paths


@pytest.mark.parametrize("labels", LABELS)
def test_every_stage_uses_the_votes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, labels: str):
    classes = ["happy", "sad", "contempt", "neutral", "angry"]
    paths = run_stages(tmp_path, monkeypatch, labels, classes)
    records = [r for r in read(paths["raw.zip"], labels=labels) if r.label in classes]
    assert read_json(paths["split.json"])["protocol"].endswith(f"; labels: {labels} of the votes")
    assert sum(map(len, read_json(paths["split.json"])["parts"].values())) == len(records)
    assert read_json(paths["model"] / "model.json")["classes"] == classes
    assert f"labels of FER+, {labels} of the votes" in capsys.readouterr().err
    with Store(paths["x.h5"]) as store:
        assert [classes[index] for index in store.label] == [record.label for record in records]
        if labels == "majority":
            assert store.soft_label is None
        else:
            votes = np.array([[record.votes.get(name, 0) for name in classes] for record in records])
            np.testing.assert_allclose(store.soft_label, votes / votes.sum(1, keepdims=True), rtol=1e-6)
            assert (store.soft_label.max(1) < 1).sum() > 10
    history = list(csv.DictReader(paths["history.csv"].open()))
    assert len(history) == 1
    assert np.isfinite(float(history[0]["train_loss"]))
