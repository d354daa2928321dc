"""Broken input in the real stage scripts: one line of error, exit status 1, and no output is left behind."""

import io
import os
import resource
import subprocess
import sys
import zipfile
from functools import partial
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import yaml
from conftest import ROOT, only_speech, shrink
from PIL import Image

from stages.core.errors import UserError
from stages.params.load import parse

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
TIMEOUT_S = 60  # a worker process that outlives its script keeps the output open


# ---- calling a stage -------------------------------------------------------------------------------------------------


def arguments(script, corpus, source, changes=None):
    """Return the command line of a stage that reads `source` as a real corpus, and the path of its output.

    `changes`: new values of the params by dotted path.
    """
    params, folder = parse((ROOT / "params.yaml").read_text(encoding="utf-8")), source.parent
    {"faces": shrink, "speech": only_speech}[corpus](params)
    real = {f"corpora.{corpus}.source": str(source), f"corpora.{corpus}.name": "real"}
    for path, value in (real | (changes or {})).items():
        *sections, last = path.split(".")
        block = params
        for key in sections:
            block = block[key]
        block[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    output = folder / "out" / "x"
    paths = ["--archive", output] if script == "download" else ["--archive", source, "--output", output]
    return [corpus, "--params", folder / "params.yaml", *paths], output


def run_script(script, *case, file_limit_bytes=None):
    """Run a stage as DVC does; return the process and the path of its output.

    No file of the script or its workers may exceed `file_limit_bytes`, as on a full disk.
    """
    command, output = arguments(script, *case)
    limits = (file_limit_bytes, file_limit_bytes)
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{script}", *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits) if file_limit_bytes else None,
    )
    return done, output


def error_of_script(script, *case, **limits):
    """Return the only line that a failing stage prints to standard error."""
    done, output = run_script(script, *case, **limits)
    assert done.returncode == 1, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert list(output.parent.glob("*")) == []
    return line


def call(monkeypatch, script, *case):
    """Run a stage in this process, which takes less time; return the path of its output."""
    command, output = arguments(script, *case)
    monkeypatch.setattr(sys, "argv", [script, *map(str, command)])
    import_module(f"stages.{script}").main()
    return output


def error_of_call(monkeypatch, script, corpus, source, *changes):
    """Return the only line of the `UserError` that a stage raises in this process."""
    with pytest.raises(UserError) as error:
        call(monkeypatch, script, corpus, source, *changes)
    assert "\n" not in str(error.value)
    assert list((source.parent / "out").glob("*")) == []
    return str(error.value)


# ---- corpora ---------------------------------------------------------------------------------------------------------


def encoded(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


FACE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)))
FACES = {f"train/{label}/Training_{number}.png": FACE for label in LABELS for number in range(3)}
PIXELS = " ".join(map(str, range(256))) + " 7" * (48 * 48 - 256)


def rows_of(count, pixels=PIXELS):
    """Return rows of fer2013.csv: all emotions in turn, 8 of 10 in Training and one in each of the other parts."""
    parts = ["Training"] * 8 + ["PublicTest", "PrivateTest"]
    return [f"{number % 7},{pixels},{parts[number // 7 % 10]}" for number in range(count)]


def table(rows):
    return {"fer2013.csv": "\n".join(["emotion,pixels,Usage", *rows, ""]).encode()}


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_truncated_zip(path):
    path.write_bytes(make_zip(path, FACES).read_bytes()[:-500])
    return path


def make_csv(path, rows):
    path.write_bytes(table(rows)["fer2013.csv"])
    return path


# ---- download --------------------------------------------------------------------------------------------------------

# {case: (function of a folder that makes the source, words of the message)}
SOURCES = {
    "missing file": (lambda folder: folder / "a.zip", ["no such file"]),
    "truncated zip": (lambda folder: make_truncated_zip(folder / "a.zip"), ["damaged"]),
    "unsafe name": (
        lambda folder: make_zip(folder / "a.zip", FACES | {"train/../../up.jpg": FACE}),
        ["unsafe member name", "'train/../../up.jpg'"],
    ),
    "unknown class in a zip": (
        lambda folder: make_zip(folder / "a.zip", FACES | {"train/hapy/1.png": FACE}),
        ["train/hapy/1.png", "'happy'?", "allowed: angry, disgust"],
    ),
    "unknown part in a table": (
        lambda folder: make_csv(folder / "a.csv", [f"1,{PIXELS},Train"]),
        ["row 2", "allowed: Training, PublicTest, PrivateTest", "received: 'Train'"],
    ),
    "class without samples": (
        lambda folder: make_zip(folder / "a.zip", {name: FACE for name in FACES if "/sad/" not in name}),
        ["'sad'", "no samples", "angry"],
    ),
    "empty class folder": (
        lambda folder: make_zip(folder / "a.zip", FACES | {"test/happy/": b""}),
        ["test/happy", "empty class folder"],
    ),
}


@pytest.mark.parametrize(("make", "words"), SOURCES.values(), ids=SOURCES)
def test_download_refuses_a_broken_source(tmp_path, monkeypatch, make, words):
    """The message names the source: the user does not know the archive, which is deleted."""
    source = make(tmp_path)
    line = error_of_call(monkeypatch, "download", "faces", source)
    assert [word for word in (str(source), *words) if word not in line] == []
    assert {path.name for path in tmp_path.iterdir()} <= {source.name, "params.yaml", "out"}


def test_download_exits_with_one_line(tmp_path):
    source = make_truncated_zip(tmp_path / "a.zip")
    assert str(source) in error_of_script("download", "faces", source)


def test_download_reports_a_full_disk(tmp_path):
    source = make_zip(tmp_path / "a.zip", table(rows_of(100)))
    line = error_of_script("download", "faces", source, file_limit_bytes=100_000)
    assert "file too large" in line.lower()  # a limit's text for "No space left on device"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpora.faces.name": "synthetic"}, ["corpora.faces.name", "anything but 'synthetic'"]),
        (
            {"splits.faces.protocol": "stratified", "splits.faces.validation_fraction": 0.5},
            ["splits.faces.validation_fraction", "less than 0.4", "received: 0.5"],
        ),
    ],
    ids=["real source named synthetic", "split without training samples"],
)
def test_download_validates_the_whole_params_file(tmp_path, monkeypatch, changes, words):
    line = error_of_call(monkeypatch, "download", "faces", tmp_path / "a.zip", changes)
    assert [word for word in (str(tmp_path / "params.yaml"), *words) if word not in line] == []


# ---- prepare ---------------------------------------------------------------------------------------------------------


def rejected_by(path):
    """Return {sample_id: reason} of the damaged samples that a prepared dataset lists."""
    with h5py.File(path) as file:
        return dict(line.split(": ", 1) for line in file.attrs["rejected"].tolist())


def test_a_few_damaged_images_are_left_out(tmp_path):
    reasons = {"a.jpg": "0 bytes", "b.png": "not a whole", "c.jpg": "a GIF"}
    damaged = dict(zip(reasons, (b"", FACE[:900], encoded(Image.open(io.BytesIO(FACE)), "GIF")), strict=True))
    archive = make_zip(tmp_path / "a.zip", FACES | {f"train/happy/{name}": damaged[name] for name in damaged})
    done, output = run_script("prepare", "faces", archive, {"prepare.max_rejected_fraction": 0.5})
    assert done.returncode == 0, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("warning: ")
    assert "3 damaged samples left out" in line
    rejected = rejected_by(output)
    assert list(rejected) == [f"train/happy/{name}" for name in reasons]
    assert [name for name in reasons if reasons[name] not in rejected[f"train/happy/{name}"]] == []
    with h5py.File(output) as file:
        assert len(file["x"]) == len(FACES)


# Of large images a chunk has five samples, and more than `CHUNKS_MEANWHILE` chunks start worker processes.
MANY = 120
WORKERS = {"datasets.faces.feature.size_px": 480, "machine.workers": 2}


def test_prepare_refuses_too_many_damaged_samples(tmp_path):
    archive = make_zip(tmp_path / "a.zip", table(rows_of(MANY) + rows_of(5, "1 2 3")))
    line = error_of_script("prepare", "faces", archive, WORKERS)
    words = (str(archive), f"5 of {MANY + 5} samples", "allowed: 1.0%", f"row{MANY:06}: 3 pixels")
    assert [word for word in words if word not in line] == []


def test_prepare_reports_a_full_disk_while_workers_run(tmp_path):
    archive = make_zip(tmp_path / "a.zip", table(rows_of(MANY)))
    line = error_of_script("prepare", "faces", archive, WORKERS, file_limit_bytes=1_000_000)
    assert str(tmp_path / "out" / "x") in line
    assert "file too large" in line.lower()


# ---- split -----------------------------------------------------------------------------------------------------------


def test_split_refuses_a_class_without_training_samples(tmp_path):
    rows = [row.replace("Training", "PublicTest") if row[0] == "3" else row for row in rows_of(210)]
    line = error_of_script("split", "faces", make_zip(tmp_path / "a.zip", table(rows)))
    assert "splits.faces: no training sample of class happy" in line


# ---- speech ----------------------------------------------------------------------------------------------------------

RATE_HZ = 16_000
EMOTIONS = {"03": "happy", "04": "sad", "05": "angry", "01": "neutral"}  # codes of RAVDESS


def clip(samples, rate_hz=RATE_HZ, subtype="PCM_16", form="WAV"):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, subtype, format=form)
    return stream.getvalue()


def noise(seed, rate_hz=RATE_HZ):
    return 0.1 * np.random.default_rng(seed).normal(size=rate_hz // 4)


def clips_of(actor, contents, suffix="wav"):
    """Return {name: content} of a speaker of RAVDESS, at most two clips of each emotion."""
    places = [(emotion, repetition) for emotion in EMOTIONS for repetition in ("01", "02")]
    names = [f"03-01-{emotion}-01-01-{repetition}-{actor}.{suffix}" for emotion, repetition in places]
    return {f"Actor_{actor}/{name}": content for name, content in zip(names, contents, strict=False)}


DAMAGED_CLIPS = [
    (b"", "0 bytes"),
    (b"I am a text file\n" * 20, "not WAV"),
    (clip(np.zeros(0)), "no samples"),
    (clip(np.zeros(RATE_HZ)), "silence"),
    (clip(np.full(RATE_HZ, np.nan), subtype="FLOAT"), "NaN"),
    (clip(noise(1))[:-2000], "cut short"),
    (clip(np.zeros(40 * 60 * 4000, dtype=np.int16), 4000), "600"),  # forty minutes
]
WAV_FORMATS = [("PCM_U8", "WAV", 8000), ("PCM_24", "WAV", 96_000), ("FLOAT", "WAV", 48_000), ("PCM_16", "RF64", 16_000)]
OTHER_FORMATS = [("PCM_16", "FLAC", 16_000), ("MPEG_LAYER_III", "MP3", 44_100), ("VORBIS", "OGG", 22_050)]


def test_damaged_clips_are_left_out(tmp_path, monkeypatch, capsys):
    """All clips of one speaker are damaged; those of the others are prepared, in any format and at any rate."""
    files = clips_of("01", [clip(noise(1, rate_hz), rate_hz, subtype, form) for subtype, form, rate_hz in WAV_FORMATS])
    for actor, (subtype, form, rate_hz) in zip(("02", "03", "04"), OTHER_FORMATS, strict=True):
        files |= clips_of(actor, [clip(noise(1, rate_hz), rate_hz, subtype, form)], form.lower())
    damaged = clips_of("05", DAMAGED_CLIPS)
    archive = make_zip(tmp_path / "a.zip", files | {name: content for name, (content, _) in damaged.items()})
    rejected = rejected_by(call(monkeypatch, "prepare", "speech", archive, {"prepare.max_rejected_fraction": 0.6}))
    printed = capsys.readouterr()
    assert f"{len(files)} samples" in printed.out
    assert f"{len(damaged)} damaged samples left out" in printed.err
    assert rejected.keys() == {Path(name).stem for name in damaged}
    assert [name for name, (_, reason) in damaged.items() if reason not in rejected[Path(name).stem]] == []


@pytest.mark.parametrize(("seconds", "n_cut"), [([1, 1, 1], 0), ([2, 1, 1], 1), ([2, 3, 1], 2), ([4, 4, 4], 3)])
def test_clips_that_are_cut_are_counted(tmp_path, monkeypatch, capsys, seconds, n_cut):
    clips = [clip(np.tile(noise(number), 4 * length)) for number, length in enumerate(seconds)]
    changes = {"datasets.speech.feature.duration_s": 1.5}
    output = call(monkeypatch, "prepare", "speech", make_zip(tmp_path / "a.zip", clips_of("01", clips)), changes)
    with h5py.File(output) as file:
        cut, longest, steps = file.attrs["cut"], file.attrs["longest"], file["x"].shape[1]
    assert (cut, longest > steps) == (n_cut, n_cut > 0)
    warned = f"{n_cut} of 3 samples cut to the {steps} time steps of datasets.speech.feature; the longest has {longest}"
    assert (warned in capsys.readouterr().err) == (n_cut > 0)


def test_normalising_by_speaker_needs_known_speakers(tmp_path, monkeypatch):
    files = {f"{emotion}/{number}.wav": clip(noise(number)) for emotion in EMOTIONS.values() for number in range(2)}
    changes = {"corpora.speech.reader": "speech_folder", "datasets.speech.normalize_groups": "mean_sd"}
    archive = make_zip(tmp_path / "a.zip", files)
    line = error_of_call(monkeypatch, "prepare", "speech", archive, changes)
    assert line.startswith("datasets.speech.normalize_groups: ")
    assert "not known" in line
