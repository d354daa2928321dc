"""The command `predict`: every kind of file and of output, damaged files, and mistakes in its options."""

import csv
import io
import json
import os
import shutil
import signal
import sys
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import pytest
import soundfile
import torch
from clips import write_clip
from conftest import ROOT
from PIL import Image
from recording_forms import edf, edf_plus, waves_uv
from safetensors.torch import load_file, save_file
from small_runs import small_run

from stages.apps import predict
from stages.core.errors import UserError
from stages.corpora.decoding.images import ALLOWED
from stages.datasets import novelty
from stages.datasets.store import Store
from stages.explain.prediction_picture import distinct_names
from stages.export import graph as onnx_graph
from stages.features import eeg
from stages.serving import predictions
from stages.serving.run_files import FILES
from stages.serving.served_run import ServedRun, serve
from stages.training import model_folder

PORTRAIT = ROOT.parent / "shared/media/astronaut.png"
needs_portrait = pytest.mark.skipif(not PORTRAIT.exists(), reason="no picture of a person comes with the project")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Call it to run the command and return its output. `corpus` selects the run where no option does."""

    def run(corpus: str, *arguments: object) -> str:
        which = () if {"--run", "--model"} & set(arguments) else ("--run", str(small_run(corpus).folder))
        monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments), *which])
        capsys.readouterr()  # discards the output of making the run
        predict.main()
        run.out, run.err = capsys.readouterr()
        return run.out

    return run


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def face(seed: int = 0, size: tuple[int, int] = (48, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8))


def clip(path: Path, seconds: float = 1.0, rate_hz: int = 16_000) -> Path:
    tone = 8000 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate_hz)) / rate_hz)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


def error_of(call, corpus: str, *arguments: object) -> str:
    """Return the one-line message of the `UserError` that the command raises."""
    with pytest.raises(UserError) as error:
        call(corpus, *arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def predictions_in(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["answers"]


# ---- outputs ----


def test_writes_a_folder_of_faces_as_table_json_and_csv(call, tmp_path: Path):
    (tmp_path / "in/deeper").mkdir(parents=True)
    for number in range(70):  # more than a batch, one of them given twice
        face(number).save(tmp_path / "in" / ("deeper" if number % 2 else "") / f"{number:02d}.png")
    (tmp_path / "in/notes.txt").write_text("no picture")
    outputs = "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--visualize", tmp_path / "samples.png"
    table = call("faces", tmp_path / "in", tmp_path / "in/00.png", "--no-detect", *outputs)
    assert max(Image.open(tmp_path / "samples.png").size) < 4000
    content = json.loads((tmp_path / "a.json").read_text())
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert {row["tilt_deg"] for row in rows} == {"0"}
    assert len(table.splitlines()) == 71
    assert len(content["answers"]) == len(rows) == 70
    assert (content["run"], content["synthetic"]) == ("faces_custom_cnn", True)
    run = serve(str(small_run("faces").folder))
    images = [np.asarray(Image.open(row["file"])) for row in rows]
    expected = run.probabilities([run.prepare(image) for image in images])
    for prediction, row, probabilities in zip(content["answers"], rows, expected, strict=True):
        assert [prediction["probabilities"][name] for name in run.classes] == pytest.approx(probabilities, abs=1e-6)
        assert [float(row[name]) for name in run.classes] == pytest.approx(probabilities, abs=2e-6)
        assert prediction["class"] == row["class"] == run.classes[int(probabilities.argmax())]
        assert Path(row["file"]).name in table


@needs_portrait
def test_draws_pictures_of_a_portrait(call, tmp_path: Path):
    out = tmp_path / "a.json"
    pictures = tmp_path / "samples.png", tmp_path / "attributions.png"
    call("faces", PORTRAIT, "--json", out, "--visualize", pictures[0], "--explain", pictures[1])
    [prediction] = predictions_in(out)
    assert 150 < prediction["box"]["left"] < 220
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 250
            assert len(set(picture.convert("L").tobytes())) > 30


def test_a_picture_without_a_face_is_no_error(call, tmp_path: Path):
    Image.new("L", (200, 200), 90).save(tmp_path / "wall.png")
    options = ("--json", tmp_path / "a.json", "--visualize", tmp_path / "samples.png")
    assert "no face found" in call("faces", tmp_path / "wall.png", *options)
    [prediction] = predictions_in(tmp_path / "a.json")
    assert (prediction["class"], prediction["probabilities"]) == (None, None)
    assert not (tmp_path / "samples.png").exists()


def test_reads_tiny_and_large_photos(call, tmp_path: Path):
    face(size=(1, 1)).save(tmp_path / "1x1.png")
    Image.new("RGB", (8000, 6000), "gray").save(tmp_path / "large.jpg")
    assert "tiny: 1 px" in call("faces", tmp_path / "1x1.png", "--no-detect")
    assert "no face found" in call("faces", tmp_path / "1x1.png", tmp_path / "large.jpg")


def test_warns_where_no_picture_has_a_face(call, tmp_path: Path, capsys: pytest.CaptureFixture):
    for level in (20, 90, 160):
        Image.new("L", (200, 200), level).save(tmp_path / f"{level}.png")
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(UserError, match="notes"):
        call("faces", tmp_path)
    output = capsys.readouterr()
    assert "warning: no face in 3 pictures (a lower --min-score" in output.err
    assert "the picture is very dark" in output.out
    call("faces", tmp_path / "20.png", tmp_path / "90.png", "--no-detect")
    assert "no face" not in call.err


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.heics", "b.heics", "c.txt", "noext"], "4 files passed over for the suffix (2 .heics, 1 .txt, 1 without"),
        (["a.edf", "b.txt"], "(1 .edf, 1 .txt); read: .jpg"),
        (["a.edf"], "for EEG recordings (EDF, BDF, CNT, FIF, SET, BrainVision, GDF), name a recogniser of theirs with"),
        (["a.wav", "a.txt"], "for audio (WAV, FLAC, MP3, Ogg), name a recogniser of theirs with --run"),
        (["Photo.AVIFS"], "1 file passed over for the suffix (1 .avifs)"),
        ([f"{number}.s{number}" for number in range(12)], "and 4 more suffixes"),
        ([".hidden", "__MACOSX/a.txt"], ""),
    ],
)
def test_counts_files_that_are_passed_over(call, tmp_path: Path, names: list[str], words: str):
    folder = tmp_path / "in"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    line = error_of(call, "faces", folder)
    assert "holds no image files" in line
    face().save(folder / "x.png")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    for given in (folder, tmp_path / "in.zip"):
        call("faces", given, "--no-detect")
        assert words in call.err
        assert words or "passed over" not in call.err


def test_reads_every_suffix_of_images_in_a_folder(call, tmp_path: Path):
    names = "a.jfif", "b.JPE", "c.webp", "d.bmp", "e.tif", "f.png"
    for name, form in zip(names, ("JPEG", "JPEG", "WEBP", "BMP", "TIFF", "PNG"), strict=True):
        face().save(tmp_path / name, form)
    call("faces", tmp_path, "--no-detect", "--json", tmp_path / "a.json")
    assert [Path(one["file"]).name for one in predictions_in(tmp_path / "a.json")] == list(names)


def test_reads_a_zip_of_photos(call, tmp_path: Path):
    """It gives the same as the files; a damaged member does not stop the others."""
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number in range(3):
            face(number).save(tmp_path / f"{number}.png")
            archive.write(tmp_path / f"{number}.png", f"trip/{number}.png")
        archive.writestr("trip/3.jpg", truncated())
    line = error_of(call, "faces", tmp_path / "photos.zip", "--no-detect", "--json", tmp_path / "zip.json")
    assert "photos.zip: trip/3.jpg: not a whole" in line
    call("faces", *(tmp_path / f"{number}.png" for number in range(3)), "--no-detect", "--json", tmp_path / "a.json")
    found, expected = predictions_in(tmp_path / "zip.json"), predictions_in(tmp_path / "a.json")
    assert [one["part"] for one in found] == [f"trip/{number}.{'jpg' if number == 3 else 'png'}" for number in range(4)]
    assert [one["probabilities"] for one in found[:3]] == [one["probabilities"] for one in expected]


@pytest.mark.parametrize("corpus", ["faces", "speech"])
def test_refuses_a_zip_without_files_of_the_kind(call, tmp_path: Path, corpus: str):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    assert "files; allowed: ." in (line := error_of(call, corpus, tmp_path / "a.zip"))
    assert "received: '1 .txt'" in line


@pytest.mark.parametrize(
    ("form", "mode", "size"),
    [
        ("JPEG", "RGB", (12_000, 9_000)),
        ("JPEG", "L", (40_000, 300)),
        ("PNG", "L", (9_000, 12_000)),
        ("PNG", "1", (50_000, 1_500)),
    ],
)
def test_shrinks_huge_photos(call, tmp_path: Path, form: str, mode: str, size: tuple[int, int]):
    Image.new(mode, size, "white").save(tmp_path / f"a.{form}", form)
    call("faces", tmp_path / f"a.{form}", "--no-detect", "--json", tmp_path / "a.json")
    [prediction] = predictions_in(tmp_path / "a.json")
    box = prediction["box"]
    assert 5_000 < max(box["width"], box["height"]) <= 32_000
    assert box["width"] * box["height"] <= 8_192**2
    assert box["width"] / box["height"] == pytest.approx(size[0] / size[1], rel=0.02)
    assert "very bright" in prediction["note"]


def test_keeps_the_pixels_of_a_panorama(call, tmp_path: Path):
    Image.new("L", (20_000, 600), "white").save(tmp_path / "a.jpg")
    call("faces", tmp_path / "a.jpg", "--no-detect", "--json", tmp_path / "a.json")
    [prediction] = predictions_in(tmp_path / "a.json")
    assert (prediction["box"]["width"], prediction["box"]["height"]) == (20_000, 600)


def test_refuses_more_pixels_than_any_camera_has(call, tmp_path: Path):
    Image.new("1", (60_000, 4_000)).save(tmp_path / "a.png")
    assert "60000x4000 pixels; allowed: 200,000,000 in all" in error_of(call, "faces", tmp_path / "a.png")


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems have UTF-8 names only")
def test_escapes_a_file_name_that_is_not_utf8(call, tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png"))
    face().save(path)
    call("faces", path, "--no-detect", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    [prediction] = predictions_in(tmp_path / "a.json")
    assert prediction["file"].endswith("bad\\xff.png")
    assert "bad\\xff.png" in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_escapes_file_names_on_the_terminal_only(call, tmp_path: Path):
    """macOS puts a narrow no-break space into names of screenshots."""
    path = tmp_path / "1.00.00\u202fPM \U0001f468\u200d\U0001f469.png"
    face().save(path)
    table = call("faces", path, "--no-detect", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    assert "\\u202f" in table
    [prediction] = predictions_in(tmp_path / "a.json")
    assert Path(prediction["file"]) == path
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        [row] = csv.DictReader(stream)
    assert Path(row["file"]) == path


@pytest.mark.parametrize("given", [["in"], ["in/a", "in/b"]])
def test_an_unreadable_folder_does_not_stop_others(call, tmp_path: Path, monkeypatch, given: list[str]):
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        face().save(tmp_path / "in" / name / "x.png")
    small_run("faces")  # made before the patch: removing its temporary folders calls `scandir`, too
    real = os.scandir

    def closed(path):  # the tests may run as root, who may read every folder
        if not isinstance(path, int) and Path(path) == tmp_path / "in/a":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    folders = [tmp_path / name for name in given]
    line = error_of(call, "faces", *folders, "--no-detect", "--json", tmp_path / "a.json")
    assert line == f"{tmp_path / 'in' / 'a'}: a folder that cannot be read"
    files = [Path(prediction["file"]) for prediction in predictions_in(tmp_path / "a.json")]
    assert [file.relative_to(tmp_path).as_posix() for file in files] == ["in/a", "in/b/x.png"]


def test_pictures_have_distinct_names():
    files = [Path(name) for name in ("in/happy/1.jpg", "in/sad/1.jpg", "other/sad/1.jpg", "in/sad/2.jpg")]
    assert list(distinct_names(files).values()) == ["happy/1.jpg", "in/sad/1.jpg", "other/sad/1.jpg", "2.jpg"]


def test_writes_all_files_though_the_reader_of_the_table_closes_the_pipe(call, tmp_path: Path, monkeypatch):
    """As `| head` does."""
    face().save(tmp_path / "x.png")
    monkeypatch.setattr(predictions, "table", Mock(side_effect=BrokenPipeError))
    with pytest.raises(BrokenPipeError):
        call("faces", tmp_path / "x.png", "--no-detect", "--json", tmp_path / "a.json")
    assert (tmp_path / "a.json").exists()


def test_refuses_too_many_features_before_memory_is_allocated(tmp_path: Path, call, monkeypatch):
    """Zeros compress well: a file of 65 KB would need 20 GB."""
    np.savez_compressed(tmp_path / "wide.npz", x=np.zeros((1, 3_000_000), np.uint8))
    small_run("eeg")  # made before the function is replaced
    monkeypatch.setattr(eeg, "compute", None)
    line = error_of(call, "eeg", tmp_path / "wide.npz")
    assert "x feature 3000000; run" in line


def test_predicts_and_draws_clips(call, tmp_path: Path):
    paths = clip(tmp_path / "short.wav"), clip(tmp_path / "long.wav", 9.0)
    table = call("speech", *paths, "--visualize", tmp_path / "samples.png")
    assert "9.0 s long: only 3 s after the leading silence" in table
    call("speech", paths[0], "--explain", tmp_path / "attributions.png")
    assert all(Image.open(tmp_path / name).size[1] > 300 for name in ("samples.png", "attributions.png"))


def test_silence_around_a_clip_does_not_count(call, tmp_path: Path):
    tone, rate_hz = soundfile.read(clip(tmp_path / "tone.wav", 2.0))
    soundfile.write(tmp_path / "quiet.wav", np.concatenate([0 * tone, tone, 0 * tone]), rate_hz)
    assert "long: only" not in call("speech", tmp_path / "quiet.wav")


def test_reads_eeg_features_as_npz_and_npy(call, tmp_path: Path):
    rng = np.random.default_rng(0)
    one, other = rng.normal(4, 1, (20, 310)), rng.normal(4, 1, (100, 310))
    np.savez(tmp_path / "trials.npz", **{"one": one, "red\x1b": other})
    np.save(tmp_path / "one.npy", one)
    table = call("eeg", tmp_path / "trials.npz", tmp_path / "one.npy", "--json", tmp_path / "a.json")
    assert "100 windows long: only the first 74" in table
    found = predictions_in(tmp_path / "a.json")
    assert [prediction["part"] for prediction in found] == ["one", "red\\x1b", ""]
    first, second, third = ([*prediction["probabilities"].values()] for prediction in found)
    assert first == pytest.approx(third, abs=1e-6)
    assert first != pytest.approx(second, abs=1e-6)


def test_predicts_each_trial_of_a_seed_v_file(call, tmp_path: Path):
    with zipfile.ZipFile(small_run("eeg").archive) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".npz")]
        (tmp_path / "1_123.npz").write_bytes(archive.read(name))
    assert len(call("eeg", tmp_path / "1_123.npz").splitlines()) == 46


def test_draws_a_trial_on_the_head(call, tmp_path: Path):
    np.save(tmp_path / "one.npy", np.random.default_rng(0).normal(4, 1, (20, 310)))
    pictures = "--visualize", tmp_path / "samples.png", "--explain", tmp_path / "attributions.png"
    call("eeg", tmp_path / "one.npy", *pictures)
    for name in ("samples.png", "attributions.png"):
        picture = np.asarray(Image.open(tmp_path / name)).astype(int)
        red, blue = (np.abs(picture - color).sum(2) < 30 for color in ((178, 24, 43), (33, 102, 172)))
        assert red.sum() > 20 < blue.sum()  # for and against the class, in the colors of the map


def test_cuts_recordings_into_stretches(call, tmp_path: Path):
    """Each is as long as the run's longest trial, and predicted as if it were alone."""
    (tmp_path / "a.edf").write_bytes(edf(waves := waves_uv(30.0, rate_hz=128), rate_hz=128))
    (tmp_path / "start.edf").write_bytes(edf(waves[:, : 12 * 128], rate_hz=128))
    run, out = recording_run(tmp_path / "run"), tmp_path / "a.json"
    call("", tmp_path / "a.edf", tmp_path / "start.edf", "--run", run, "--json", out)
    found = predictions_in(out)
    assert [prediction["part"] for prediction in found] == ["0–12 s", "12–24 s", "24–30 s", ""]
    assert found[0]["probabilities"] == pytest.approx(found[3]["probabilities"], abs=1e-6)
    assert found[0]["probabilities"] != pytest.approx(found[1]["probabilities"], abs=1e-6)


@pytest.mark.parametrize(
    ("gap_at", "parts"),
    [
        (12, ["0–12 s", "72–84 s", "84–90 s"]),
        (6, ["0–6 s", "66–78 s", "78–90 s"]),
        (20, ["0–12 s", "12–20 s", "80–90 s"]),
        (30, ["0–12 s", "12–24 s", "24–30 s"]),
    ],
)
def test_no_stretch_crosses_a_gap_of_a_recording(call, tmp_path: Path, gap_at: int, parts: list[str]):
    starts = [second + 60 * (second >= gap_at) for second in range(30)]
    (tmp_path / "a.edf").write_bytes(edf_plus(waves_uv(30.0, rate_hz=128), [], starts, rate_hz=128))
    out = tmp_path / "a.json"
    call("", tmp_path / "a.edf", "--run", recording_run(tmp_path / "run"), "--json", out)
    assert [prediction["part"] for prediction in predictions_in(out)] == parts


def test_a_damaged_stretch_does_not_stop_others(call, tmp_path: Path, capsys: pytest.CaptureFixture):
    """The remainder at the end, shorter than a window, is left out."""
    waves = waves_uv(37.0, rate_hz=128)
    waves[0, 14 * 128 : 20 * 128] = 0
    (tmp_path / "a.edf").write_bytes(edf(waves, rate_hz=128))
    run, out = recording_run(tmp_path / "run"), tmp_path / "a.json"
    line = error_of(call, "", tmp_path / "a.edf", "--run", run, "--json", out)
    assert "a.edf: 12–24 s: channel Fp1: flat for a whole window" in line
    found = [(prediction["part"], "error" in prediction) for prediction in predictions_in(out)]
    assert found == [("0–12 s", False), ("12–24 s", True), ("24–36 s", False)]
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(("setting", "value"), [("window_s", 1e-5), ("window_s", 1e9), ("resample_hz", 1e9)])
def test_refuses_settings_that_would_take_forever(call, tmp_path: Path, setting: str, value: float):
    path = recording_run(tmp_path / "run") / "model.json"
    info = json.loads(path.read_text())
    info["feature"][setting] = value
    path.write_text(json.dumps(info))
    (tmp_path / "a.edf").write_bytes(edf(waves_uv(30.0, rate_hz=128), rate_hz=128))
    with pytest.raises(UserError, match=f"feature.{setting}: allowed: "):
        call("", tmp_path / "a.edf", "--run", tmp_path / "run")


def recording_run(folder: Path) -> Path:
    """Save an untrained LSTM for recordings of three channels and up to six windows of 2 s."""
    torch.manual_seed(0)
    feature = {"name": "eeg_de", "channels": ["Fp1", "Cz", "O2"], "low_hz": 0.5, "high_hz": 60.0, "notch_hz": None}
    feature |= {"resample_hz": None, "window_s": 2.0, "smoothing": "none", "padding": "zero", "max_windows": 6}
    given = {"shape": [6, 15], "layout": ["time", "feature"], "scale_factor": 1.0, "add_offset": 0.0, "rate_hz": 0.5}
    info = {"run": "mine", "model": {"name": "eeg_lstm", "hidden": 8, "use_length": True}, "input": given}
    info |= {"normaliser": {"mean": [[3.0] * 15], "sd": [[0.5] * 15]}, "classes": ["happy", "sad"], "feature": feature}
    info |= {"corpus": "own", "name": "own", "source": "zip", "synthetic": False, "protocol": "all samples"}
    model_folder.save(folder, info, {"best": model_folder.build(info).architecture.state_dict()})
    return folder


# ---- distance to the training data ----


def run_with_distance(folder: Path, corpus: str) -> Path:
    """Copy the small run of a corpus with the statistics of its samples, as `train` stores them."""
    source = small_run(corpus)
    info = json.loads((source.folder / "model.json").read_text())
    mean, sd = (np.array(info["normaliser"][key]) for key in ("mean", "sd"))
    with Store(source.dataset) as store:
        info["ood"] = novelty.fit(store, np.arange(0, len(store), 2), np.arange(1, len(store), 2), mean, sd)
    shutil.copytree(source.folder, folder)
    (folder / "model.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("which", ["folder", "onnx", "without the key"])
def test_notes_pictures_unlike_the_training_data(call, tmp_path: Path, which: str):
    run = run_with_distance(tmp_path / "run", "faces")
    if which == "onnx":
        onnx.save(onnx_graph.export(serve(str(run)).model), tmp_path / "a.onnx")
    options = {"folder": ("--run", run), "onnx": ("--model", tmp_path / "a.onnx")}.get(which, ())
    with Store(small_run("faces").dataset) as store:
        for number, x in enumerate(store.read_packed(np.arange(20))):
            Image.fromarray(x[0]).save(tmp_path / f"face_{number}.png")
    stripes = np.tile(np.arange(48, dtype=np.uint8) // 4 % 2 * 255, (48, 1))
    strange = {"noise": face(), "wall": Image.new("L", (48, 48), 120), "stripes": Image.fromarray(stripes)}
    strange["ramp"] = Image.linear_gradient("L")
    for name, image in strange.items():
        image.save(tmp_path / f"{name}.png")
    call("faces", *sorted(tmp_path.glob("*.png")), "--no-detect", "--json", tmp_path / "a.json", *options)
    noted = {Path(one["file"]).stem for one in predictions_in(tmp_path / "a.json") if predictions.UNLIKE in one["note"]}
    assert noted == (set() if which == "without the key" else set(strange))


def test_notes_sounds_that_are_no_speech(call, tmp_path: Path):
    run, rng, times = (
        run_with_distance(tmp_path / "run", "speech"),
        np.random.default_rng(0),
        np.arange(48_000) / 16_000,
    )
    chord = sum(
        np.sin(2 * np.pi * pitch * factor * times) / factor for pitch in (262, 330, 392) for factor in (1, 2, 3)
    )
    drums = np.tile(np.exp(-np.arange(8_000) / 800) * rng.normal(size=8_000), 6)
    sounds = {"noise": rng.normal(size=48_000), "chord": chord, "drums": drums, "sine": np.sin(2_765 * times)}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", sound / np.abs(sound).max(), 16_000)
    table = call("speech", *sorted(tmp_path.glob("*.wav")), "--run", run)
    assert table.count(predictions.UNLIKE) == len(sounds)
    with zipfile.ZipFile(small_run("speech").archive) as archive:
        for name in [name for name in archive.namelist() if name.endswith(".wav")][:20]:
            (tmp_path / "own" / Path(name).name).parent.mkdir(exist_ok=True)
            (tmp_path / "own" / Path(name).name).write_bytes(archive.read(name))
    assert call("speech", tmp_path / "own", "--run", run).count(predictions.UNLIKE) <= 1


# ---- exported and packed runs ----


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "face.onnx"
    onnx.save(onnx_graph.export(serve(str(small_run("faces").folder)).model), path)
    return path


def test_exported_run_predicts_like_the_folder(call, exported: Path, tmp_path: Path):
    face().save(tmp_path / "a.png")
    for name, which in (("folder", ()), ("onnx", ("--model", exported))):
        call("faces", tmp_path / "a.png", "--no-detect", "--json", tmp_path / f"{name}.json", *which)
    folder, graph = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("folder", "onnx"))
    [of_folder], [of_graph] = folder.pop("answers"), graph.pop("answers")
    assert graph == folder
    assert of_folder["probabilities"] == pytest.approx(of_graph["probabilities"], abs=1e-4)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_the_predictions_before_it(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    for number in range(100):  # more than a batch
        face(number).save(tmp_path / f"{number:02d}.png")
    real = ServedRun.probabilities
    batches = iter([real])

    def interrupted(run: ServedRun, prepared: list) -> np.ndarray:
        return next(batches, lambda *_: signal.raise_signal(signal.SIGINT))(run, prepared)

    small_run("faces")
    monkeypatch.setattr(ServedRun, "probabilities", interrupted)
    line = error_of(call, "faces", tmp_path, "--no-detect", "--json", tmp_path / "a.json")
    assert line == "interrupted after 64 predictions"
    assert len(capsys.readouterr().out.splitlines()) == 1 + 64
    content = json.loads((tmp_path / "a.json").read_text())
    assert (content["interrupted"], len(content["answers"])) == (True, 64)


def test_refuses_explain_with_an_exported_model(call, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    face().save(tmp_path / "a.png")
    line = error_of(call, "faces", tmp_path / "a.png", "--model", exported, "--explain", tmp_path / "attributions.png")
    assert line.startswith("--explain: needs --run")
    with pytest.raises(SystemExit):
        call("faces", tmp_path / "a.png", "--model", exported, "--run", "any")
    assert "not allowed with argument" in capsys.readouterr().err


# ---- damaged files ----


def truncated() -> bytes:
    stream = io.BytesIO()
    face(size=(300, 300)).save(stream, "JPEG")
    return stream.getvalue()[:2000]


@pytest.mark.parametrize(
    ("corpus", "name", "content", "words"),
    [
        ("faces", "a.jpg", truncated(), "not a whole JPEG, PNG, "),
        ("faces", "a.png", b"", "0 bytes"),
        ("faces", "a.gif", b"GIF89a", "a GIF"),
        ("speech", "a.wav", b"no audio", "not WAV, FLAC, MP3 or Ogg"),
        ("speech", "a.wav", b"", "0 bytes"),
        ("eeg", "a.npz", b"PK\x03\x04", "damaged or cut short"),
        ("eeg", "a.npz", b"no zip", "not a whole array of numbers"),
        ("eeg", "a.npy", b"\x93NUMPY\x01\x00\xff\xff", "not a whole array of numbers"),
    ],
)
def test_refuses_a_damaged_file(call, tmp_path: Path, corpus: str, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    line = error_of(call, corpus, tmp_path / name)
    assert words in line
    assert line.count(name) == 1


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(310), "allowed: numbers (windows, features)"),
        (np.array([{}], dtype=object), "not a whole array of numbers"),
        (np.ones((9, 12)), "takes time 74 x feature 310"),
        (np.full((9, 310), np.nan), "no finite float32"),
    ],
)
def test_refuses_an_array_that_is_no_trial(call, tmp_path: Path, array: np.ndarray, words: str):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert words in error_of(call, "eeg", tmp_path / "a.npy")


def test_arrays_that_are_no_trials_do_not_stop_others(call, tmp_path: Path, capsys: pytest.CaptureFixture):
    """The file also holds labels and names."""
    trial = np.random.default_rng(0).normal(4, 1, (20, 310))
    np.savez(tmp_path / "a.npz", x=trial, label=np.arange(3), name=np.array("me"), day=np.arange(3))
    with pytest.raises(UserError) as error:
        call("eeg", tmp_path / "a.npz", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    labels, name = str(error.value).splitlines()
    assert "a.npz: day and 1 more: an array (3,) of type int64; allowed: numbers (windows, features)" in labels
    assert "a.npz: name: an array ()" in name
    found = {prediction["part"]: prediction for prediction in predictions_in(tmp_path / "a.json")}
    assert sum(found["x"]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert all("error" in found[part] for part in ("label", "name", "day"))
    assert len(list(csv.DictReader((tmp_path / "a.csv").open()))) == 4
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_overflow_gives_an_error_instead_of_nan(call, tmp_path: Path):
    run = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    weights = load_file(run / "best.safetensors")
    save_file({name: value * 1e30 if value.ndim == 4 else value for name, value in weights.items()}, run / FILES[1])
    face().save(tmp_path / "a.png")
    line = error_of(call, "", tmp_path / "a.png", "--run", run, "--no-detect", "--json", tmp_path / "a.json")
    assert "a.png: no prediction: the network overflows" in line
    assert "probabilities" not in predictions_in(tmp_path / "a.json")[0]


PICTURES = f"allowed: pictures ({ALLOWED}), as this run reads them"


@pytest.mark.parametrize(
    ("corpus", "name", "words"),
    [
        ("faces", "voice.wav", f"voice.wav: WAV audio; {PICTURES}"),
        ("faces", "clip.mp4", f"clip.mp4: an MP4 video; {PICTURES}; python -m stages.apps.live --video"),
        ("faces", "a.gif", f"a GIF; {PICTURES}; save it as PNG or JPEG"),
        ("faces", "a.avif", f"an AVIF picture; {PICTURES}; save it as PNG or JPEG"),
        ("faces", "a.mp3", "MP3 audio"),
        ("faces", "BMI.png", "not a whole JPEG, PNG, "),
        ("speech", "a.png", "a.png: a PNG picture; allowed: audio (WAV, FLAC, MP3, Ogg)"),
        ("eeg", "voice.wav", "voice.wav: WAV audio; allowed: EEG features (npz, npy)"),
    ],
)
def test_names_the_kind_of_a_file_that_the_run_does_not_read(call, tmp_path: Path, corpus: str, name: str, words: str):
    path = tmp_path / name
    if name == "a.mp3":
        path.write_bytes(bytes.fromhex("fff388c4") + bytes(60))  # as libsndfile writes it, without a tag
    elif name == "BMI.png":
        path.write_text("BMI 23 and more of a text")
    else:
        {".wav": clip, ".mp4": lambda path: write_clip(path, 3)}.get(path.suffix, face().save)(path)
    assert words in error_of(call, corpus, path)


# ---- mistakes in the options ----


def test_refuses_paths_without_files(call, tmp_path: Path):
    assert "no such file or folder" in error_of(call, "faces", tmp_path / "absent.png")
    assert "holds no image files" in error_of(call, "faces", tmp_path)


@pytest.mark.parametrize("option", ["--json", "--csv", "--visualize", "--explain"])
def test_refuses_an_output_that_cannot_be_written(call, tmp_path: Path, option: str):
    face().save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    for name, words in ((".", "a folder, not a file"), ("no/a.x", "its folder does not exist"), ("pipe", "a device")):
        assert error_of(call, "faces", tmp_path / "a.png", option, tmp_path / name).startswith(f"{option}: {words}")
    assert (tmp_path / "pipe").is_fifo()


def test_refuses_outputs_that_are_inputs(call, tmp_path: Path):
    run = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    face().save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for options, words in (
        (("--visualize", tmp_path / "a.png"), "--visualize: {}/a.png is an input"),
        (("--explain", tmp_path / "link.png"), "--explain: {}/link.png is an input"),
        (("--json", run / "model.json"), "--json: {}/run/model.json is an input"),
        (("--json", tmp_path / "b", "--csv", tmp_path / "run/../b"), "--json and --csv: both would write {}/b"),
        (("--visualize", tmp_path / "b.jpg"), "--visualize: not the name of a PNG"),
    ):
        assert error_of(call, "", tmp_path / "a.png", "--run", run, *options).startswith(words.format(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_below_the_threshold_the_answer_is_uncertain(call, tmp_path: Path):
    face().save(tmp_path / "a.png")
    call("faces", tmp_path / "a.png", "--no-detect", "--json", tmp_path / "a.json")
    [sure] = predictions_in(tmp_path / "a.json")
    for threshold, answer in ((sure["probability"] - 1e-6, sure["class"]), (sure["probability"] + 1e-6, "uncertain")):
        options = ("--threshold", threshold, "--json", tmp_path / "b.json", "--csv", tmp_path / "b.csv")
        table = call("faces", tmp_path / "a.png", "--no-detect", *options)
        [found] = predictions_in(tmp_path / "b.json")
        assert found == sure | {"uncertain": answer == "uncertain"}
        assert answer in table
        assert f"{sure['class']} {sure['probability']:.2f}" in " ".join(table.split())  # still told
        [row] = csv.DictReader((tmp_path / "b.csv").read_text(encoding="utf-8").splitlines())
        assert (row["class"], row["uncertain"]) == (sure["class"], str(answer == "uncertain"))


@pytest.mark.parametrize("threshold", ["-0.1", "1", "nan"])
def test_refuses_a_threshold_that_is_no_probability(call, tmp_path: Path, threshold: str):
    face().save(tmp_path / "a.png")
    error = error_of(call, "faces", tmp_path / "a.png", f"--threshold={threshold}")
    assert "--threshold: not a probability; allowed: 0 to less than 1" in error
