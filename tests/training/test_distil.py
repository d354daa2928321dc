"""`distil`: the answers of a teacher in the training labels of a dataset, and a training with them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from small_models import SIZE_PX, small_model
from small_store import write_store

from stages import distil
from stages.core.errors import UserError
from stages.core.files import md5, write_json
from stages.datasets.batches import MemoryBatches
from stages.datasets.store import Store
from stages.params.load import parse
from stages.training import model_folder

N, CLASSES = 20, ["angry", "happy", "sad"]
TRAIN, VALIDATION, TEST = range(12), range(12, 16), range(16, N)
WEIGHT, TEMPERATURE = 0.7, 2.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with params, a dataset, a teacher's dataset in another order, a split and a teacher."""
    x = np.random.default_rng(0).integers(0, 256, (N, 1, SIZE_PX, SIZE_PX), dtype=np.uint8)
    parts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    write_store(tmp_path / "faces.h5", x, label=np.arange(N) % 3, classes=CLASSES)
    write_json(tmp_path / "split.json", {"parts": {part: [f"s{i}" for i in rows] for part, rows in parts.items()}})
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    taught = {"corpus": "faces", "dataset": "faces", "teacher": "faces_custom_cnn", "teacher_dataset": "faces"}
    params["distillations"] = {"taught": taught | {"weight": WEIGHT, "temperature": TEMPERATURE}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    save_teacher(tmp_path, "faces.h5")
    return tmp_path


def save_teacher(folder: Path, dataset: str, **changed: object) -> None:
    model = small_model("faces_custom_cnn")
    inputs = {path: md5(folder / path) for path in (dataset, "split.json")}
    info = model.info | {"classes": CLASSES, "temperature": 1.5, "inputs": inputs} | changed
    model_folder.save(folder / "teacher", info, {"best": model.recogniser.architecture.state_dict()})


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, teacher_dataset: str = "faces.h5", **paths: str) -> Path:
    named = {"params": "params.yaml", "dataset": "faces.h5", "split": "split.json", "output": "taught.h5"} | paths
    named |= {"teacher": "teacher", "teacher-dataset": teacher_dataset}
    monkeypatch.setattr(sys, "argv", ["distil", "taught", *(f"--{key}={folder / v}" for key, v in named.items())])
    distil.main()
    return folder / named["output"]


def expected(folder: Path, dataset: str, rows: list[int]) -> np.ndarray:
    """Return the labels by hand: each row of the teacher's dataset alone through its logits."""
    teacher, eye = model_folder.load(folder / "teacher"), np.eye(3)
    with Store(folder / dataset) as store:
        x = torch.from_numpy(store.read(np.arange(len(store))))
        ids, label = store.sample_id, store.label
    found = []
    for row in rows:
        at = ids.index(f"s{row}")
        with torch.no_grad():
            logits = teacher.recogniser(x[at : at + 1])[0].double().numpy() / (1.5 * TEMPERATURE)
        answer = np.exp(logits) / np.exp(logits).sum()
        found.append((1 - WEIGHT) * eye[label[at]] + WEIGHT * answer)
    return np.array(found)


def test_training_labels_are_mixed_and_all_else_is_kept(folder, monkeypatch, capsys):
    with Store(run(folder, monkeypatch)) as taught, Store(folder / "faces.h5") as store:
        np.testing.assert_allclose(taught.soft_label[TRAIN], expected(folder, "faces.h5", list(TRAIN)), atol=1e-6)
        np.testing.assert_array_equal(taught.soft_label[12:], np.eye(3)[store.label[12:]])
        for name in ("label", "length", "group", "sample_id", "extra"):
            assert np.array_equal(getattr(taught, name), getattr(store, name))
        every = np.arange(N)
        np.testing.assert_array_equal(taught.read_packed(every), store.read_packed(every))
        note = taught.description.teachers[-1]
        assert vars(taught.description) == vars(store.description) | {"teachers": [*store.description.teachers, note]}
    assert note == "faces_custom_cnn: weight 0.7, temperature 2.0"
    assert "the teacher agrees with" in capsys.readouterr().out
    [(_, _, label)] = MemoryBatches(folder / "taught.h5", np.arange(N), N, shuffle_seed=1)
    assert label.shape == (N, 3)
    np.testing.assert_allclose(label.sum(1), 1, atol=1e-6)


def test_samples_are_matched_by_name(folder, monkeypatch, capsys):
    """The teacher's dataset has other pixels in another order, and lacks a training sample."""
    with Store(folder / "faces.h5") as store:
        x, label = 255 - store.read_packed(np.arange(N)), store.label
    order = np.random.default_rng(1).permutation(np.delete(np.arange(N), 3))
    write_store(folder / "other.h5", x[order], label=label[order], classes=CLASSES, sample_id=[f"s{i}" for i in order])
    save_teacher(folder, "other.h5")
    with Store(run(folder, monkeypatch, "other.h5")) as taught:
        rows = [row for row in TRAIN if row != 3]
        np.testing.assert_allclose(taught.soft_label[rows], expected(folder, "other.h5", rows), atol=1e-6)
        np.testing.assert_array_equal(taught.soft_label[3], [1, 0, 0])
    assert "distillations.taught: 1 samples keep their labels" in capsys.readouterr().err


def test_a_second_teacher_mixes_into_the_labels_of_the_first(folder, monkeypatch):
    with Store(run(folder, monkeypatch)) as first:
        one = first.soft_label[:12].copy()
    with Store(run(folder, monkeypatch, dataset="taught.h5", output="twice.h5")) as twice:
        answers = (expected(folder, "faces.h5", list(TRAIN)) - (1 - WEIGHT) * np.eye(3)[np.arange(12) % 3]) / WEIGHT
        np.testing.assert_allclose(twice.soft_label[:12], (1 - WEIGHT) * one + WEIGHT * answers, atol=1e-6)
        assert len(twice.description.teachers) == 3


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"classes": CLASSES[::-1]}, ("a teacher of other classes", "angry, happy, sad")),
        ({"inputs": {"faces.h5": "0" * 32}}, ("a teacher of other data", "faces.h5")),
    ],
)
def test_a_teacher_of_other_data_is_refused(folder, monkeypatch, changed, parts):
    save_teacher(folder, "faces.h5", **changed)
    with pytest.raises(UserError) as caught:
        run(folder, monkeypatch)
    assert [part for part in ("distillations.taught: ", *parts) if part not in str(caught.value)] == []
    assert not (folder / "taught.h5").exists()


def test_a_missing_teacher_is_one_line(folder):
    named = {"params": "params.yaml", "dataset": "faces.h5", "teacher-dataset": "faces.h5", "split": "split.json"}
    named |= {"teacher": "absent", "output": "taught.h5"}
    paths = [f"--{key}={folder / value}" for key, value in named.items()]
    done = subprocess.run([sys.executable, "-m", "stages.distil", "taught", *paths], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "absent" in done.stderr
