"""A served run gives the probabilities of `evaluate`; damaged and hostile folders and zips raise one `UserError`."""

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
from stages.core import lookup
from stages.core.errors import UserError
from stages.core.records import DamagedSample
from stages.datasets.store import Store
from stages.faces.detection import whole
from stages.serving.predictions import predict
from stages.serving.served_run import serve

INFO, WEIGHTS = "model.json", "best.safetensors"


def extract_samples(corpus: str, run: SmallRun, folder: Path) -> dict[str, tuple[str, str]]:
    """Write the samples of the corpus as single files, and return {sample_id: (file name, part of the file)}."""
    if corpus == "faces":
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
def test_files_get_the_probabilities_of_evaluate(tmp_path: Path, corpus: str, kind: str):
    run = small_run(corpus)
    served = serve(str(run.folder))
    assert served.kind == kind
    names = extract_samples(corpus, run, tmp_path)
    with Store(run.dataset) as store:
        assert set(names) >= set(store.sample_id)
        expected = evaluate.predict(served.model, store, np.arange(len(store.sample_id)), "test")
    predictions = {
        (prediction.query.file.name, prediction.query.part): prediction.probabilities
        for prediction in predict(served, sorted(tmp_path.iterdir()), whole)
    }
    probabilities = np.stack([predictions[names[sample_id]] for sample_id in expected["sample_id"]])
    assert np.abs(probabilities - expected["probabilities"]).max() <= 1e-5
    assert np.ptp(probabilities, axis=0).max() > 1e-4  # they depend on the input


def test_rejects_a_signal_with_another_number_of_features():
    served = serve(str(small_run("eeg").folder))
    with pytest.raises(DamagedSample, match=r"feature 12; .* feature 310"):
        served.prepare(np.ones((9, 12)), None)


def test_finds_a_run_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(small_run("faces").folder, tmp_path / "data/models/mine")
    monkeypatch.chdir(tmp_path)
    assert serve("mine").kind == "image"
    with pytest.raises(UserError, match=r"no such run; Did you mean 'mine'\?.*received: 'mime'"):
        serve("mime")


# ---- untrusted input ----


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))


def error_of(path: Path) -> str:
    """Return the message of the `UserError` for a run, a short line for each mistake."""
    with pytest.raises(UserError) as error:
        serve(str(path))
    assert max(map(len, str(error.value).splitlines())) < 700
    return str(error.value)


def edit_info(folder: Path, **changes: object) -> None:
    """Change model.json: `a__b=1` sets info["a"]["b"]."""
    info = json.loads((folder / INFO).read_text())
    for path, value in changes.items():
        *outer, last = path.split("__")
        section = info
        for key in outer:
            section = section[key]
        section[last] = value
    (folder / INFO).write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model__name": "resnet_9000"}, ["model.name", "unknown name", "custom_cnn"]),
        ({"model__name": "../../os"}, ["model.name", "unknown name"]),
        ({"model__widths": [4, 8]}, [WEIGHTS, "not the weights of 'custom_cnn'"]),
        ({"model__widths": [4, 1_000_000_000]}, ["model.widths", "to 10,000"]),
        ({"model__widths": [10_000] * 4}, ["too large a model"]),
        ({"model__widths": [4] * 2_000}, ["cannot be built"]),
        ({"model__colour": "red"}, ["model.colour", "unknown key"]),
        ({"classes": ["angry", "happy"]}, ["not the weights of"]),
        ({"classes": ["angry"] * 7}, ["classes", "'angry'", "7 times"]),
        ({"classes": ["angry", "\x1b[2J"]}, ["classes.1", "allowed"]),
        ({"input__shape": [1, 10**4, 10**8]}, ["input.shape", "values a sample"]),
        ({"input__shape": [1, 10**4000]}, ["input.shape.1", "or less"]),
        ({"input__scale_factor": 1.0}, ["input", "'faces'"]),
        ({"normaliser__sd": [[[1e-300]]]}, ["normaliser.sd", "allowed: 1e-15 to 1e+15"]),
        ({"normaliser__mean": [[[0.1, 0.2]]]}, ["normaliser.mean", "nested lists"]),
        ({"normaliser__mean": [[[1e300]]]}, ["normaliser.mean", "to 1e+15"]),
        ({"normaliser__mean": [[[float("nan")]]]}, ["normaliser.mean", "to 1e+15"]),
        ({"normaliser__mean": [[[10**400]]]}, ["normaliser.mean", "nested lists"]),
        ({"normaliser__mean": [[["0.5"]]]}, ["normaliser.mean", "nested lists"]),
        ({"feature": {"name": "os"}}, ["feature.name", "unknown name"]),
        ({"feature": {"name": "faces", "size_px": 24}}, ["feature.color", "missing"]),
        ({"feature__size_px": 40}, ["input.shape", "height 40 x width 40", "height 24 x width 24"]),
        ({"feature__size_px": 10**4000}, ["feature.size_px", "allowed"]),
        ({"corpus": None}, ["corpus", "allowed"]),
        ({"ood": {"method": "magic", "threshold": 1.0, "mean": [], "precision": []}}, ["ood.method", "mahalanobis"]),
        ({"ood": {"method": "mahalanobis"}}, ["ood.threshold", "missing"]),
        ({"ood": {"method": "mahalanobis", "threshold": 1.0, "mean": [0.0], "precision": [[1.0]]}}, ["ood", "10 stat"]),
        ({"ood": {"method": "mahalanobis", "threshold": 1.0, "mean": [0.0] * 99, "precision": []}}, ["ood.mean", "64"]),
        ({"temperature": 0.0}, ["temperature", "0.1 or more"]),
        ({"temperature": 1e9}, ["temperature", "10 or less"]),
        ({"inputs": {str(number): "x" for number in range(11)}}, ["inputs", "10"]),
        ({"protocol": "a" * 2_001}, ["protocol", "2000"]),
        ({"run": "\x1b[2J"}, ["run", "allowed"]),
    ],
)
def test_rejects_a_tampered_model_json(folder: Path, change: dict, words: list[str]):
    edit_info(folder, **change)
    error = error_of(folder)
    assert [word for word in words if word not in error] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feature__n_mels": 39}, "mel 39"),
        ({"feature__duration_s": 2.5}, "time 157 x mel"),
        ({"input__rate_hz": None}, "not what feature 'mel' gives"),
        ({"model__transformer_layers": 1_000}, "model.transformer_layers: allowed: -500 to 500"),
    ],
)
def test_rejects_settings_that_contradict_the_feature_or_model(tmp_path: Path, change: dict, words: str):
    folder = Path(shutil.copytree(small_run("speech").folder, tmp_path / "run"))
    edit_info(folder, **change)
    assert words in error_of(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"run": NaN}', "[" * 100_000, "\x00"])
def test_rejects_content_that_is_no_model_json(folder: Path, content: str):
    (folder / INFO).write_text(content)
    assert INFO in error_of(folder)


def with_header(header: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))


def with_first_weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """Return a function that changes one of the tensors in a file of weights."""

    def write(path: Path) -> None:
        weights = load_file(path)
        name = next(name for name in weights if name.endswith("weight"))
        save_file({**weights, name: change(weights[name]).contiguous()}, path)

    return write


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: save_file({str(i): torch.zeros(0) for i in range(9_999)}, path), "not the weights of"),
        (lambda path: save_file({"large": torch.zeros(1 << 20)}, path), "not the weights of"),
        (with_header(b'{"__metadata__":{"a":"' + b"x" * (9 << 20) + b'"}}'), "not the weights of"),
        (with_first_weights(lambda values: values.reshape(-1)), "1 tensors differ"),
        (with_first_weights(lambda values: values * torch.nan), "not finite"),
        (with_first_weights(lambda values: values.double() + 1e300), "not finite"),
        (with_first_weights(lambda values: values.to(torch.float8_e4m3fn)), "received: 'torch.float8_e4m3fn'"),
        (lambda path: path.write_bytes(b""), "damaged or cut short"),
        (lambda path: path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"), "damaged or cut short"),
        (with_header(b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}'), "damaged or cut short"),
        (with_header(b'{"a":{"dtype":"F8_E8M0","shape":[64],"data_offsets":[0,64]}}'), "damaged or cut short"),
        (with_header(b'{"a":{"dtype":null,"shape":[1]},"b":{"dtype":"X","shape":[1]}}'), "damaged or cut short"),
        (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n" * 9), "damaged or cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged or cut short"),
        (Path.unlink, f"without {WEIGHTS}"),
    ],
)
def test_rejects_other_or_damaged_weights(folder: Path, damage: Callable[[Path], object], words: str):
    damage(folder / WEIGHTS)
    assert words in error_of(folder)


def write_zip(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_zip_is_read_without_extraction(folder: Path, tmp_path: Path):
    content = {name: (folder / name).read_bytes() for name in (WEIGHTS, INFO)}
    image = np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8)
    runs = serve(str(write_zip(tmp_path / "run.zip", content))), serve(str(folder))
    assert np.array_equal(*(run.probabilities([run.prepare(image)]) for run in runs))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.zip"]


@pytest.mark.parametrize("name", ["../model.json", "/etc/passwd", "run/model.json", "weights.pt", "a.json\x00.png"])
def test_rejects_a_zip_with_another_member(tmp_path: Path, name: str):
    assert "not a packed run" in error_of(write_zip(tmp_path / "run.zip", {INFO: b"{}", WEIGHTS: b"", name: b"x"}))


def test_rejects_incomplete_damaged_and_large_zips(tmp_path: Path):
    path = tmp_path / "run.zip"
    assert "not a packed run" in error_of(write_zip(path, {INFO: b"{}"}))
    assert "too big" in error_of(write_zip(path, {WEIGHTS: b"", INFO: bytes(17 << 20)}, zipfile.ZIP_DEFLATED))
    path.write_bytes(b"PK\x03\x04 and no more")
    assert "damaged or cut short" in error_of(path)
