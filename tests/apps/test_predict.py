"""The command as a user meets it: every kind of file, every kind of output, and what is brought broken."""

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

import numpy as np
import onnx
import pytest
import torch
from clips import write_clip
from conftest import ROOT
from PIL import Image
from recording_forms import edf, waves_uv
from safetensors.torch import load_file, save_file
from small_runs import small_run

from stages.apps import answers, onnx_graph, predict
from stages.apps.answer_picture import told_apart
from stages.apps.pack import pack
from stages.apps.run_files import FILES
from stages.apps.serving import ServedRun, serve
from stages.core.errors import UserError
from stages.features import eeg
from stages.training import model_folder

PORTRAIT = ROOT.parent / "shared/media/astronaut.png"
needs_portrait = pytest.mark.skipif(not PORTRAIT.exists(), reason="no picture of a person comes with the project")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run it; what stands on the terminal. `corpus` picks the run."""

    def run(corpus: str, *arguments: object) -> str:
        which = () if {"--run", "--model"} & set(arguments) else ("--run", str(small_run(corpus).folder))
        monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments), *which])
        capsys.readouterr()  # what making the run said
        predict.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Heard, also where the tests were started in the background, whose children do not hear it."""
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


def refusal(call, corpus: str, *arguments: object) -> str:
    with pytest.raises(UserError) as error:
        call(corpus, *arguments)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


# ---- what comes out ----


def test_folder_of_faces_into_table_json_and_csv(call, tmp_path: Path):
    (tmp_path / "in/deeper").mkdir(parents=True)
    for number in range(70):  # more than a batch
        face(number).save(tmp_path / "in" / ("deeper" if number % 2 else "") / f"{number:02d}.png")
    (tmp_path / "in/notes.txt").write_text("no picture")
    said = call("faces", tmp_path / "in", "--no-detect", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    answers = json.loads((tmp_path / "a.json").read_text())
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert {row["tilt_deg"] for row in rows} == {"0"}
    assert len(said.splitlines()) == 71
    assert len(answers["answers"]) == len(rows) == 70
    assert (answers["run"], answers["synthetic"]) == ("faces_custom_cnn", True)
    served = serve(str(small_run("faces").folder))
    for answer, row in zip(answers["answers"], rows, strict=True):
        image = np.asarray(Image.open(answer["file"]))
        [expected] = served.probabilities([served.prepare(image)])
        found = [answer["probabilities"][name] for name in served.classes]
        assert found == pytest.approx(expected, abs=1e-6)
        assert [float(row[name]) for name in served.classes] == pytest.approx(expected, abs=2e-6)
        assert answer["class"] == row["class"] == served.classes[int(expected.argmax())]
        assert Path(row["file"]).name in said


@needs_portrait
def test_portrait_with_pictures(call, tmp_path: Path):
    out = tmp_path / "a.json"
    pictures = tmp_path / "seen.png", tmp_path / "why.png"
    call("faces", PORTRAIT, "--json", out, "--visualize", pictures[0], "--explain", pictures[1])
    [answer] = json.loads(out.read_text())["answers"]
    assert 150 < answer["box"]["left"] < 220
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    for path in pictures:
        with Image.open(path) as drawn:
            assert min(drawn.size) > 250
            assert len(set(drawn.convert("L").tobytes())) > 30


def test_no_face_is_said_and_is_no_error(call, tmp_path: Path):
    Image.new("L", (200, 200), 90).save(tmp_path / "wall.png")
    out = tmp_path / "a.json"
    options = ("--json", out, "--visualize", tmp_path / "seen.png")
    assert "no face found" in call("faces", tmp_path / "wall.png", *options)
    [answer] = json.loads(out.read_text())["answers"]
    assert (answer["class"], answer["probabilities"]) == (None, None)
    assert not (tmp_path / "a.png").exists()


@needs_portrait
def test_faces_behind_many_pictures_without_one_are_drawn(call, tmp_path: Path):
    for number in range(predict.DRAWN + 2):
        Image.new("L", (60, 60), 90).save(tmp_path / f"{number:02d}.png")
    shutil.copy(PORTRAIT, tmp_path / "z.png")
    call("faces", tmp_path, "--explain", tmp_path.parent / "why.png")
    assert (tmp_path.parent / "why.png").exists()


def test_tiny_and_large_photos(call, tmp_path: Path):
    face(size=(1, 1)).save(tmp_path / "1x1.png")
    Image.new("RGB", (8000, 6000), "gray").save(tmp_path / "large.jpg")
    said = call("faces", tmp_path / "1x1.png", "--no-detect")
    assert "tiny: 1 px" in said
    assert "no face found" in call("faces", tmp_path / "1x1.png", tmp_path / "large.jpg")


def test_a_name_that_is_no_utf8(call, tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png"))
    try:
        face().save(path)
    except OSError:
        pytest.skip("this file system keeps no such name")
    call("faces", path, "--no-detect", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    [answer] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["answers"]
    assert answer["file"].endswith("bad\\xff.png")
    assert "bad\\xff.png" in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_names_are_written_as_they_are(call, tmp_path: Path):
    """macOS puts a narrow no-break space into names of screenshots; only a terminal is spared what is not printable."""
    path = tmp_path / "1.00.00\u202fPM \U0001f468\u200d\U0001f469.png"
    face().save(path)
    said = call("faces", path, "--no-detect", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    assert "\\u202f" in said
    [answer] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["answers"]
    assert Path(answer["file"]) == path
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        [row] = csv.DictReader(stream)
    assert Path(row["file"]) == path


@pytest.mark.parametrize("given", [["in"], ["in/a", "in/b"]])
def test_a_folder_that_cannot_be_read_stops_no_other(call, tmp_path: Path, monkeypatch, given: list[str]):
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        face().save(tmp_path / "in" / name / "x.png")
    real = os.scandir

    def closed(path):  # the tests may run as root, whom no folder is closed to
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    folders = [tmp_path / name for name in given]
    line = refusal(call, "faces", *folders, "--no-detect", "--json", tmp_path / "a.json")
    assert line == f"{tmp_path / 'in' / 'a'}: a folder that cannot be read"
    told = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["answers"]
    assert [Path(answer["file"]).relative_to(tmp_path).as_posix() for answer in told] == ["in/a", "in/b/x.png"]


def test_a_file_given_twice_is_asked_once(call, tmp_path: Path):
    face().save(tmp_path / "x.png")
    assert len(call("faces", tmp_path, tmp_path / "x.png", "--no-detect").splitlines()) == 2


def test_pictures_tell_files_of_one_name_apart():
    files = [Path(name) for name in ("in/happy/1.jpg", "in/sad/1.jpg", "other/sad/1.jpg", "in/sad/2.jpg")]
    assert list(told_apart(files).values()) == ["happy/1.jpg", "in/sad/1.jpg", "other/sad/1.jpg", "2.jpg"]


def test_who_closes_the_pipe_loses_no_file(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As `| head` does, before the whole table is through."""
    face().save(tmp_path / "x.png")

    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(answers, "table", broken)
    with pytest.raises(BrokenPipeError):
        call("faces", tmp_path / "x.png", "--no-detect", "--json", tmp_path / "a.json")
    assert (tmp_path / "a.json").exists()


def test_more_features_than_the_run_takes_are_refused_before_room_is_made(tmp_path: Path, call, monkeypatch):
    """Zeros compress well: an upload of 65 KB would have asked for 20 GB."""
    np.savez_compressed(tmp_path / "wide.npz", x=np.zeros((1, 3_000_000), np.uint8))
    small_run("eeg")  # made before features are forbidden, whichever test comes first
    monkeypatch.setattr(eeg, "compute", None)
    line = refusal(call, "eeg", tmp_path / "wide.npz")
    assert "x feature 3000000; run" in line


@needs_portrait
def test_a_picture_with_200_faces(call, tmp_path: Path):
    tile = Image.open(PORTRAIT).convert("RGB").crop((130, 20, 320, 210)).resize((90, 90))
    crowd = Image.fromarray(np.tile(np.asarray(tile), (10, 20, 1)))
    crowd.save(tmp_path / "crowd.png")
    out, pictures = tmp_path / "a.json", (tmp_path / "seen.png", tmp_path / "why.png")
    said = call("faces", tmp_path / "crowd.png", "--json", out, "--visualize", pictures[0], "--explain", pictures[1])
    answers = json.loads(out.read_text())["answers"]
    assert 190 <= len(answers) <= 210
    assert len(said.splitlines()) == 1 + len(answers)
    assert all(max(Image.open(path).size) < 4000 for path in pictures)


def test_clips_with_pictures(call, tmp_path: Path):
    paths = clip(tmp_path / "short.wav"), clip(tmp_path / "long.wav", 9.0)
    said = call("speech", *paths, "--visualize", tmp_path / "seen.png", "--explain", tmp_path / "why.png")
    assert "9.0 s long: judged by 3 s from its first sound" in said
    assert all(Image.open(tmp_path / name).size[1] > 400 for name in ("seen.png", "why.png"))


def test_a_clip_that_is_long_by_its_silence_alone(call, tmp_path: Path):
    """What counts is cut out first, so that nothing of it goes unheard."""
    path = clip(tmp_path / "quiet.wav", 2.0)
    with wave.open(str(path), "rb") as file:
        said = file.readframes(file.getnframes())
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000) + said + bytes(96_000))  # 2 s of silence, 2 s of tone, 3 s of silence
    assert "judged by" not in call("speech", path)


def test_eeg_features_in_every_form(call, tmp_path: Path):
    rng = np.random.default_rng(0)
    one, other = rng.normal(4, 1, (20, 310)), rng.normal(4, 1, (30, 310))
    np.savez(tmp_path / "trials.npz", one=one, other=other)
    np.save(tmp_path / "one.npy", one)
    call("eeg", tmp_path / "trials.npz", tmp_path / "one.npy", "--json", tmp_path / "a.json")
    answers = json.loads((tmp_path / "a.json").read_text())["answers"]
    assert [answer["part"] for answer in answers] == ["one", "other", ""]
    first, second, third = ([*answer["probabilities"].values()] for answer in answers)
    assert first == pytest.approx(third, abs=1e-6)
    assert first != pytest.approx(second, abs=1e-6)


def test_a_trial_longer_than_the_run_takes(call, tmp_path: Path):
    np.savez(tmp_path / "a.npz", **{"\x1bred": np.random.default_rng(0).normal(4, 1, (100, 310))})
    said = call("eeg", tmp_path / "a.npz", "--json", tmp_path / "a.json")
    assert "100 windows long: judged by the first 74" in said
    assert json.loads((tmp_path / "a.json").read_text())["answers"][0]["part"] == "\\x1bred"


def test_seed_v_file_trial_by_trial(call, tmp_path: Path):
    with zipfile.ZipFile(small_run("eeg").archive) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".npz")]
        (tmp_path / "1_123.npz").write_bytes(archive.read(name))
    assert len(call("eeg", tmp_path / "1_123.npz").splitlines()) == 46


def test_pictures_of_a_trial_on_the_head(call, tmp_path: Path):
    np.save(tmp_path / "one.npy", np.random.default_rng(0).normal(4, 1, (20, 310)))
    call("eeg", tmp_path / "one.npy", "--visualize", tmp_path / "seen.png", "--explain", tmp_path / "why.png")
    for name in ("seen.png", "why.png"):
        drawn = np.asarray(Image.open(tmp_path / name)).astype(int)
        red, blue = (np.abs(drawn - color).sum(2) < 30 for color in ((178, 24, 43), (33, 102, 172)))
        assert red.sum() > 20 < blue.sum()  # for and against, in the colours of the map


def test_recordings_in_stretches(call, tmp_path: Path):
    """Those of a run's longest trial, each as if it were alone."""
    (tmp_path / "a.edf").write_bytes(edf(waves := waves_uv(30.0, rate_hz=128), rate_hz=128))
    (tmp_path / "start.edf").write_bytes(edf(waves[:, : 12 * 128], rate_hz=128))
    run, out = recording_run(tmp_path / "run"), tmp_path / "a.json"
    call("", tmp_path / "a.edf", tmp_path / "start.edf", "--run", run, "--json", out)
    answers = json.loads(out.read_text())["answers"]
    assert [answer["part"] for answer in answers] == ["0–12 s", "12–24 s", "24–30 s", ""]
    assert answers[0]["probabilities"] == pytest.approx(answers[3]["probabilities"], abs=1e-6)
    assert answers[0]["probabilities"] != pytest.approx(answers[1]["probabilities"], abs=1e-6)


def test_a_bad_stretch_stops_no_other(call, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Nor does what is left over at the end, less than a window."""
    waves = waves_uv(37.0, rate_hz=128)
    waves[0, 14 * 128 : 20 * 128] = 0
    (tmp_path / "a.edf").write_bytes(edf(waves, rate_hz=128))
    run, out = recording_run(tmp_path / "run"), tmp_path / "a.json"
    line = refusal(call, "", tmp_path / "a.edf", "--run", run, "--json", out)
    assert "a.edf: 12–24 s: channel Fp1: flat for a whole window" in line
    answers = json.loads(out.read_text())["answers"]
    assert [(answer["part"], "error" in answer) for answer in answers] == [
        ("0–12 s", False),
        ("12–24 s", True),
        ("24–36 s", False),
    ]
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("setting", "value"), [("window_s", 1e-5), ("window_s", 1e9), ("resample_hz", 1e9), ("resample_hz", 1e-9)]
)
def test_settings_that_would_have_no_end(call, tmp_path: Path, setting: str, value: float):
    path = recording_run(tmp_path / "run") / "model.json"
    info = json.loads(path.read_text())
    info["feature"][setting] = value
    path.write_text(json.dumps(info))
    (tmp_path / "a.edf").write_bytes(edf(waves_uv(30.0, rate_hz=128), rate_hz=128))
    with pytest.raises(UserError, match=f"feature.{setting}: allowed: "):
        call("", tmp_path / "a.edf", "--run", tmp_path / "run")


def recording_run(folder: Path) -> Path:
    """An untrained LSTM over recordings of three channels, windows of 2 s, six of them at most."""
    torch.manual_seed(0)
    feature = {"name": "eeg_de", "channels": ["Fp1", "Cz", "O2"], "low_hz": 0.5, "high_hz": 60.0, "notch_hz": None}
    feature |= {"resample_hz": None, "window_s": 2.0, "smoothing": "none", "padding": "zero", "max_windows": 6}
    given = {"shape": [6, 15], "layout": ["time", "feature"], "scale_factor": 1.0, "add_offset": 0.0, "rate_hz": 0.5}
    info = {"run": "mine", "model": {"name": "eeg_lstm", "hidden": 8, "use_length": True}, "input": given}
    info |= {"normaliser": {"mean": [[3.0] * 15], "sd": [[0.5] * 15]}, "classes": ["happy", "sad"], "feature": feature}
    info |= {"corpus": "own", "name": "own", "source": "zip", "synthetic": False, "protocol": "all samples"}
    model_folder.save(folder, info, {"best": model_folder.build(info).architecture.state_dict()})
    return folder


# ---- exported and packed runs ----


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "face.onnx"
    onnx.save(onnx_graph.export(serve(str(small_run("faces").folder)).model), path)
    return path


def test_exported_and_packed_runs_answer_as_the_folder(call, exported: Path, tmp_path: Path):
    face().save(tmp_path / "a.png")
    pack(str(small_run("faces").folder), tmp_path / "run.zip")
    for name, which in (("folder", ()), ("zip", ("--run", tmp_path / "run.zip")), ("onnx", ("--model", exported))):
        call("faces", tmp_path / "a.png", "--no-detect", "--json", tmp_path / f"{name}.json", *which)
    folder, packed, graph = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("folder", "zip", "onnx"))
    assert packed == folder
    [one], [other] = folder.pop("answers"), graph.pop("answers")
    assert graph == folder
    assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-4)


def test_exported_sequences_are_drawn_as_the_run_draws_them(call, tmp_path: Path):
    served = serve(str(small_run("eeg").folder))
    onnx.save(onnx_graph.export(served.model), tmp_path / "eeg.onnx")
    np.save(tmp_path / "one.npy", np.random.default_rng(0).normal(4, 1, (20, 310)))
    for name, which in (("a.png", ()), ("b.png", ("--model", tmp_path / "eeg.onnx"))):
        call("eeg", tmp_path / "one.npy", "--visualize", tmp_path / name, *which)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.usefixtures("ctrl_c")
def test_what_ctrl_c_leaves_is_told(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    for number in range(100):  # more than a batch
        face(number).save(tmp_path / f"{number:02d}.png")
    real = ServedRun.probabilities
    batches = iter([real])

    def interrupted(run: ServedRun, prepared: list) -> np.ndarray:
        return next(batches, lambda *_: signal.raise_signal(signal.SIGINT))(run, prepared)

    small_run("faces")
    monkeypatch.setattr(ServedRun, "probabilities", interrupted)
    assert (
        refusal(call, "faces", tmp_path, "--no-detect", "--json", tmp_path / "a.json") == "interrupted after 64 answers"
    )
    assert len(capsys.readouterr().out.splitlines()) == 1 + 64
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told["interrupted"], len(told["answers"])) == (True, 64)


def test_what_an_exported_run_does_not_do(call, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    face().save(tmp_path / "a.png")
    line = refusal(call, "faces", tmp_path / "a.png", "--model", exported, "--explain", tmp_path / "why.png")
    assert line.startswith("--explain: needs --run")
    with pytest.raises(SystemExit):
        call("faces", tmp_path / "a.png", "--model", exported, "--run", "any")
    assert "not allowed with argument" in capsys.readouterr().err


# ---- what is brought broken ----


def truncated() -> bytes:
    stream = io.BytesIO()
    face(size=(300, 300)).save(stream, "JPEG")
    return stream.getvalue()[:2000]


@pytest.mark.parametrize(
    ("corpus", "name", "content", "words"),
    [
        ("faces", "a.jpg", b"no image", "not a whole JPEG or PNG image"),
        ("faces", "a.jpg", truncated(), "not a whole JPEG or PNG image"),
        ("faces", "a.png", b"", "0 bytes"),
        ("faces", "a.gif", b"GIF89a", "a GIF"),
        ("speech", "a.wav", b"no audio", "not WAV, FLAC, MP3 or Ogg audio"),
        ("speech", "a.wav", b"", "0 bytes"),
        ("eeg", "a.npz", b"PK\x03\x04", "damaged or cut short"),
        ("eeg", "a.npz", b"no zip", "not a whole array of numbers"),
        ("eeg", "a.npy", b"\x93NUMPY\x01\x00\xff\xff", "not a whole array of numbers"),
    ],
)
def test_damaged_file(call, tmp_path: Path, corpus: str, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    line = refusal(call, corpus, tmp_path / name)
    assert words in line
    assert line.count(name) == 1


def test_audio_without_samples(call, tmp_path: Path):
    assert "no samples" in refusal(call, "speech", clip(tmp_path / "a.wav", 0))


def test_arrays_that_are_no_trials(call, tmp_path: Path):
    np.save(tmp_path / "flat.npy", np.ones(310))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "other.npy", np.ones((9, 12)))
    np.save(tmp_path / "nan.npy", np.full((9, 310), np.nan))
    for name, words in (
        ("flat.npy", "allowed: numbers (windows, features)"),
        ("objects.npy", "not a whole array of numbers"),
        ("other.npy", "takes time 74 x feature 310"),
        ("nan.npy", "no finite float32"),
    ):
        assert words in refusal(call, "eeg", tmp_path / name)


def test_one_damaged_file_stops_no_other(call, tmp_path: Path, capsys: pytest.CaptureFixture):
    face().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    face(1).save(tmp_path / "c.png")
    line = refusal(call, "faces", tmp_path, "--no-detect", "--json", tmp_path / "a.json")
    assert "b.png: not a whole JPEG or PNG image" in line
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert [("error" in answer) for answer in json.loads((tmp_path / "a.json").read_text())["answers"]] == [
        False,
        True,
        False,
    ]


def test_one_damaged_array_stops_no_other(call, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Labels and names beside the trials."""
    trial = np.random.default_rng(0).normal(4, 1, (20, 310))
    np.savez(tmp_path / "a.npz", x=trial, label=np.arange(3), name=np.array("me"), day=np.arange(3))
    with pytest.raises(UserError) as error:
        call("eeg", tmp_path / "a.npz", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    labels, name = str(error.value).splitlines()
    assert "a.npz: day and 1 more: an array (3,) of type int64; allowed: numbers (windows, features)" in labels
    assert "a.npz: name: an array ()" in name
    answers = {answer["part"]: answer for answer in json.loads((tmp_path / "a.json").read_text())["answers"]}
    assert sum(answers["x"]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert all("error" in answers[part] for part in ("label", "name", "day"))
    assert len(list(csv.DictReader((tmp_path / "a.csv").open()))) == 4
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_run_whose_numbers_overflow(call, tmp_path: Path):
    """No NaN comes out as a probability."""
    run = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    weights = load_file(run / "best.safetensors")
    save_file({name: value * 1e30 if value.ndim == 4 else value for name, value in weights.items()}, run / FILES[1])
    face().save(tmp_path / "a.png")
    line = refusal(call, "", tmp_path / "a.png", "--run", run, "--no-detect", "--json", tmp_path / "a.json")
    assert "a.png: no answer: the run's numbers overflow" in line
    assert "probabilities" not in json.loads((tmp_path / "a.json").read_text())["answers"][0]


def test_files_of_another_kind_are_named(call, tmp_path: Path):
    clip(tmp_path / "voice.wav")
    face().save(tmp_path / "a.png")
    for suffix in ("webp", "bmp", "tiff", "gif"):
        face().save(tmp_path / f"a.{suffix}")
    write_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "a.mp3").write_bytes(bytes.fromhex("fff388c4") + bytes(60))  # as libsndfile writes it, without a tag
    (tmp_path / "BMI.png").write_text("BMI 23 and more of a text")
    pictures = "allowed: pictures (JPEG, PNG), as this run takes them"
    for corpus, name, words in (
        ("faces", "voice.wav", f"voice.wav: WAV audio; {pictures}"),
        ("faces", "clip.mp4", f"clip.mp4: an MP4 video; {pictures}; python -m stages.apps.live --video takes it"),
        ("faces", "a.webp", f"a WebP picture; {pictures}; save it as PNG or JPEG"),
        ("faces", "a.bmp", "a BMP picture"),
        ("faces", "a.tiff", "a TIFF picture"),
        ("faces", "a.gif", "a GIF; "),
        ("faces", "a.mp3", "MP3 audio"),
        ("faces", "BMI.png", "not a whole JPEG or PNG image"),
        ("speech", "a.png", "a.png: a PNG picture; allowed: audio (WAV, FLAC, MP3, Ogg)"),
        ("eeg", "voice.wav", "voice.wav: WAV audio; allowed: EEG features (npz, npy)"),
    ):
        assert words in refusal(call, corpus, tmp_path / name)


def test_paths_that_hold_nothing(call, tmp_path: Path):
    assert "no such file or folder" in refusal(call, "faces", tmp_path / "absent.png")
    assert "holds no image files" in refusal(call, "faces", tmp_path)


@pytest.mark.parametrize("option", ["--json", "--csv", "--visualize", "--explain"])
def test_output_not_writable_is_told_before_the_work(call, tmp_path: Path, option: str):
    face().save(tmp_path / "a.png")
    assert refusal(call, "faces", tmp_path / "a.png", option, tmp_path).startswith(f"{option}: a folder, not a file")
    assert "its folder does not exist" in refusal(call, "faces", tmp_path / "a.png", option, tmp_path / "no/a.x")


def test_output_that_is_no_file_stays(call, tmp_path: Path):
    face().save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".x.json.trial").write_text("mine")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        line = refusal(call, "faces", tmp_path / "a.png", "--json", path)
        assert line.startswith("--json: a device or pipe, not a file")
    call("faces", tmp_path / "a.png", "--no-detect", "--json", tmp_path / "x.json")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / ".x.json.trial").read_text() == "mine"


def test_output_never_overwrites_what_is_read(call, tmp_path: Path):
    run = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    face().save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for options, words in (
        (("--visualize", tmp_path / "a.png"), "--visualize: {}/a.png is read, and would be written over"),
        (("--explain", tmp_path / "link.png"), "--explain: {}/link.png is read"),
        (("--json", run / "model.json"), "--json: {}/run/model.json is read"),
        (("--json", tmp_path / "b", "--csv", tmp_path / "run/../b"), "--json and --csv: both would write {}/b"),
        (("--visualize", tmp_path / "b.jpg"), "--visualize: not the name of a PNG"),
    ):
        assert refusal(call, "", tmp_path / "a.png", "--run", run, *options).startswith(words.format(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_float16_weights_are_served(call, tmp_path: Path):
    """As weights that ship are kept."""
    folder = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    weights = load_file(folder / "best.safetensors")
    halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    save_file(halved, folder / "best.safetensors")
    whole, half = serve(str(small_run("faces").folder)), serve(str(folder))
    prepared = [whole.prepare(np.asarray(face(number))) for number in range(4)]
    assert np.abs(whole.probabilities(prepared) - half.probabilities(prepared)).max() < 0.01
