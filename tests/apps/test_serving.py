"""What a run answers to raw files is what `evaluate` found; folders and zips from elsewhere are refused in one line."""

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_runs import SmallRun, small_run

from stages import evaluate
from stages.apps.answers import ask
from stages.apps.detection import whole
from stages.apps.serving import serve
from stages.core import lookup
from stages.core.errors import UserError
from stages.core.records import DamagedSample
from stages.datasets.store import Store


def raw_files(corpus: str, run: SmallRun, folder: Path) -> dict[str, tuple[str, str]]:
    """{sample_id: (file, part of it)} of the corpus as someone has it who never saw the archive."""
    if corpus == "faces":  # a table of pixels: saved without loss
        for record in lookup.load("corpora", run.reader).read(run.archive):
            Image.fromarray(record.load()[0]).save(folder / f"{record.sample_id}.png")
        return {path.stem: (path.name, "") for path in folder.iterdir()}
    with zipfile.ZipFile(run.archive) as archive:
        for name in archive.namelist():
            (folder / Path(name).name).write_bytes(archive.read(name))
    if corpus == "speech":
        return {path.stem: (path.name, "") for path in folder.iterdir()}
    return {f"01_s{i // 15 + 1}_t{i % 15:02d}": ("1_123.npz", f"trial {i}") for i in range(45)}


@pytest.mark.parametrize(("corpus", "kind"), [("faces", "image"), ("speech", "audio"), ("eeg", "windows")])
def test_raw_files_get_the_probabilities_of_the_evaluation(tmp_path: Path, corpus: str, kind: str):
    run = small_run(corpus)
    served = serve(str(run.folder))
    assert served.kind == kind
    names = raw_files(corpus, run, tmp_path)
    with Store(run.dataset) as store:
        assert set(names) >= set(store.sample_id)
        judged = evaluate.predict(served.model, store, np.arange(len(store.sample_id)), "test")
    answers = {(one.asked.file.name, one.asked.part): one for one in ask(served, sorted(tmp_path.iterdir()), whole)}
    found = np.stack([answers[names[sample_id]].probabilities for sample_id in judged["sample_id"]])
    assert np.abs(found - judged["probabilities"]).max() <= 1e-5
    assert np.ptp(found, axis=0).max() > 1e-4  # or all would be alike whatever was read


def test_hands_out_a_recogniser_that_gradients_pass():
    served = serve(str(small_run("faces").folder))
    x = served.recogniser.unpack(served.batch([served.prepare(np.zeros((48, 48), np.uint8))])[0]).requires_grad_()
    served.recogniser(x)[0, 0].backward()
    assert x.grad.abs().sum() > 0
    assert not served.recogniser.training


def test_nothing_to_answer():
    served = serve(str(small_run("faces").folder))
    assert served.probabilities([]).shape == (0, len(served.classes))


def test_signal_of_another_number_of_features():
    served = serve(str(small_run("eeg").folder))
    with pytest.raises(DamagedSample, match="feature 12; run eeg_lstm_mask takes time 74 x feature 310"):
        served.prepare(np.ones((9, 12)), None)


# ---- where runs lie ----


def test_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(small_run("faces").folder, tmp_path / "data/models/mine")
    monkeypatch.chdir(tmp_path)
    assert serve("mine").kind == "image"
    with pytest.raises(UserError, match=r"no such run; Did you mean 'mine'\?.*received: 'mime'"):
        serve("mime")


# ---- hostile input ----


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        serve(str(path))
    line = str(error.value)
    assert len(line) < 700
    assert "\n" not in line
    return line


def edited(folder: Path, **changes: object) -> None:
    """`a__b=1` sets info["a"]["b"]."""
    info = json.loads((folder / "model.json").read_text())
    for path, value in changes.items():
        *outer, last = path.split("__")
        at = info
        for key in outer:
            at = at[key]
        at[last] = value
    (folder / "model.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model__name": "resnet_9000"}, ["model.name", "unknown name", "custom_cnn"]),
        ({"model__name": "../../os"}, ["model.name", "unknown name"]),
        ({"model__widths": [4, 8]}, ["best.safetensors", "not the weights of the 'custom_cnn'"]),
        ({"model__widths": [4, 1_000_000_000]}, ["model.widths", "up to 10,000"]),
        ({"model__widths": [10_000] * 4}, ["too large a model"]),
        ({"model__widths": "wide"}, ["model.widths", "a list"]),
        ({"model__colour": "red"}, ["model.colour", "unknown key"]),
        ({"classes": ["angry", "happy"]}, ["not the weights of"]),
        ({"classes": ["angry"] * 7}, ["'angry' stands 7 times"]),
        ({"classes": []}, ["classes", "2 or more"]),
        ({"input__shape": [1, 10**6, 10**6]}, ["input.shape", "values a sample or fewer"]),
        ({"input__shape": [1, 12, 24]}, ["input.shape", "received: channel 1 x height 12 x width 24"]),
        ({"input__scale_factor": 1.0}, ["not what feature 'faces' gives"]),
        ({"normaliser__sd": [[[0.0]]]}, ["normaliser.sd", "more than 0"]),
        ({"normaliser__mean": [[[0.1, 0.2]]]}, ["normaliser.mean", "nested lists"]),
        ({"normaliser__mean": [[[1e300]]]}, ["normaliser.mean", "1e+15 or less"]),
        ({"normaliser__mean": [[[10**400]]]}, ["model.json", "a number of 401 digits"]),
        ({"normaliser__sd": [[[1e-300]]]}, ["normaliser.sd", "more than 0"]),
        ({"normaliser__mean": "half"}, ["normaliser.mean", "a list"]),
        ({"feature": {"name": "os"}}, ["feature.name", "unknown name"]),
        ({"feature__size_px": "big"}, ["feature.size_px", "a whole number"]),
        (
            {"feature__size_px": 40},
            ["input.shape", "channel 1 x height 40 x width 40", "received: channel 1 x height 24"],
        ),
        ({"feature__color": "rgb"}, ["input.shape", "channel 3 x height 24", "received: channel 1"]),
        ({"feature": {"name": "faces", "size_px": 24}}, ["feature.color", "missing"]),
        ({"model__widths": [4] * 2_000}, ["cannot be built", "more layers than it has weights"]),
        ({"corpus": None}, ["corpus", "allowed"]),
        ({"inputs": [1, 2]}, ["inputs", "allowed"]),
        ({"inputs": {str(number): "x" for number in range(11)}}, ["inputs", "10"]),
        ({"protocol": "a" * 2_001}, ["protocol", "2000"]),
        ({"name": "a" * 2_001}, ["name", "2000"]),
        ({"classes": ["angry", "\x1b[2J"]}, ["classes.1", "allowed"]),
        ({"run": None}, ["run", "allowed"]),
        ({"run": "\x1b[2J"}, ["run", "allowed"]),
    ],
)
def test_tampered_model_json(folder: Path, change: dict, words: list[str]):
    edited(folder, **change)
    line = refused(folder)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("corpus", "change", "words"),
    [
        ("speech", {"feature__n_mels": 39}, "mel 39, as feature 'mel' gives them"),
        ("speech", {"feature__duration_s": 2.5}, "time 157 x mel"),
        ("speech", {"input__rate_hz": None}, "not what feature 'mel' gives"),
        ("speech", {"input__rate_hz": 1e-300}, "not what feature 'mel' gives"),
        ("eeg", {"input__rate_hz": 0.25}, "not what feature 'eeg' gives"),
        ("eeg", {"feature__max_windows": 9}, "time 9, as feature 'eeg' gives them; received: time 74"),
    ],
)
def test_model_json_of_another_feature(tmp_path: Path, corpus: str, change: dict, words: str):
    folder = Path(shutil.copytree(small_run(corpus).folder, tmp_path / "run"))
    edited(folder, **change)
    assert words in refused(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"run": NaN}', "[" * 100_000, "\x00"])
def test_model_json_that_is_none(folder: Path, content: str):
    (folder / "model.json").write_text(content)
    assert "model.json" in refused(folder)


def other_weights(path: Path) -> None:
    save_file({"conv.weight": torch.zeros(3, 3)}, path)


def with_header(header: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))


def not_finite(path: Path) -> None:
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("weight"))
    save_file({**weights, name: weights[name] * torch.nan}, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (other_weights, "not the weights of"),
        (not_finite, "no number"),
        (lambda path: path.write_bytes(b""), "damaged or cut short"),
        (lambda path: path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"), "damaged or cut short"),
        (with_header(b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}'), "damaged or cut short"),
        (with_header(b'{"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,4]}}'), "damaged or cut short"),
        (with_header(b'{"a":{"dtype":1,"shape":[1]},"b":{"dtype":"F32","shape":[1]}}'), "a type that is not read"),
        (with_header(b'{"a":{"dtype":null,"shape":[1]},"b":{"dtype":"X","shape":[1]}}'), "a type that is not read"),
        (with_header(b'{"__metadata__":{"a":"' + b"x" * (9 << 20) + b'"}}'), "damaged or cut short"),
        (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n" * 9), "damaged or cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "does not fit"),
        (Path.unlink, "without best.safetensors"),
    ],
)
def test_broken_weights(folder: Path, damage, words: str):
    damage(folder / "best.safetensors")
    assert words in refused(folder)


def zipped(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_zip_is_read_in_place(folder: Path, tmp_path: Path):
    content = {name: (folder / name).read_bytes() for name in ("best.safetensors", "model.json")}
    image = np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8)
    packed, loose = serve(str(zipped(tmp_path / "run.zip", content))), serve(str(folder))
    assert np.array_equal(*(run.probabilities([run.prepare(image)]) for run in (packed, loose)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.zip"]


@pytest.mark.parametrize("name", ["../model.json", "/etc/passwd", "run/model.json", "weights.pt", "model.json\x00.png"])
def test_zip_with_hostile_names(folder: Path, tmp_path: Path, name: str):
    content = {file: (folder / file).read_bytes() for file in ("best.safetensors", "model.json")}
    assert "not a packed run" in refused(zipped(tmp_path / "run.zip", {**content, name: b"x"}))


def test_zip_that_lacks_a_file_or_is_none(folder: Path, tmp_path: Path):
    assert "not a packed run" in refused(zipped(tmp_path / "a.zip", {"model.json": b"{}"}))
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and no more")
    assert "damaged or cut short" in refused(tmp_path / "b.zip")


def test_zip_bomb(tmp_path: Path):
    content = {"best.safetensors": b"", "model.json": bytes(17 << 20)}
    assert "too big" in refused(zipped(tmp_path / "run.zip", content, zipfile.ZIP_DEFLATED))
