"""What users bring, broken: through the real stage scripts, one line each, status 1, and nothing left behind."""

import copy
import hashlib
import io
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from stages.params.load import parse

ROOT = Path(__file__).parents[1]
COMMITTED = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
RUN, RECIPE = "runs.faces_custom_cnn", "recipes.faces_custom"
CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# A script whose worker processes outlive it never closes its output: this is when the test gives up on it.
LIMIT_S = 60
PROGRESS = re.compile(r"^ *\d+%\||^\s*$")


# ---- calling a script ------------------------------------------------------------------------------------------------


def write_params(folder, changes):
    """The committed params with the value at each dotted path replaced."""
    params = copy.deepcopy(COMMITTED)
    for path, value in changes.items():
        *folders, last = path.split(".")
        at = params
        for key in folders:
            at = at[key]
        at[last] = value
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.safe_dump(params, stream)
    return folder / "params.yaml"


def call(module, *arguments, file_limit_bytes=None, **environment):
    """Run it as DVC would; `file_limit_bytes` is where the disk is full, for it and its worker processes."""
    limits = (file_limit_bytes, file_limit_bytes)
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits) if file_limit_bytes else None,
    )


def told(done, count=1):
    """The lines of error, which are the last that it says; before them there may be warnings and a progress bar."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    before, errors = lines[:-count], lines[-count:]
    assert [line for line in errors if not line.startswith("error: ")] == []
    assert [line for line in before if not line.startswith("warning: ") and not PROGRESS.match(line)] == []
    return errors


def download(folder, changes, **more):
    """The one line `download` refuses with. The archive is DVC's: a user knows only where the faces came from."""
    output = folder / "out" / "faces.zip"
    params = write_params(folder, {"corpora.faces.name": "FER-2013"} | changes)
    [line] = told(call("stages.download", "faces", "--params", params, "--archive", output, **more))
    assert str(output) not in line
    assert list(output.parent.glob("*")) == []
    return line


def stage_on(script, folder, archive, changes, **more):
    """`prepare` or `split` of an archive: what came of it, and the folder of its output."""
    real = {"corpora.faces.source": str(archive), "corpora.faces.name": "FER-2013"}  # no cap of drawn faces applies
    arguments = (
        "--params",
        write_params(folder, real | changes),
        "--archive",
        archive,
        "--output",
        folder / "out" / "faces",
    )
    return call(f"stages.{script}", "faces", *arguments, **more), folder / "out"


def refused_by(script, folder, archive, changes=None, **more):
    done, output = stage_on(script, folder, archive, changes or {}, **more)
    [line] = told(done)
    assert list(output.glob("*")) == []
    return line


# ---- what is brought -------------------------------------------------------------------------------------------------


def encoded(form="PNG", **options):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def animation():
    frames = [Image.new("L", (48, 48), shade) for shade in (0, 100, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def huge():
    """A whole and honest PNG of 20,000x20,000 pixels of one bit: 50 MB unpacked, 49 kB packed."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_000 * (1 + 20_000 // 8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


FACE = encoded()
FACES = {f"train/{label}/Training_{number}.png": FACE for label in CODES for number in range(3)}
PIXELS = " ".join(map(str, range(256))) + " 7" * (48 * 48 - 256)


def rows_of(count, pixels=PIXELS):
    """Rows of fer2013.csv: seven emotions in turn, in 8 of 10 of Training and one of each of the others."""
    parts = ["Training"] * 8 + ["PublicTest", "PrivateTest"]
    return [f"{number % 7},{pixels},{parts[number // 7 % 10]}" for number in range(count)]


def table(rows):
    return {"fer2013.csv": "\n".join(["emotion,pixels,Usage", *rows, ""]).encode()}


def packed(path, files, **fields):
    """A zip of these files, names as they are; `fields` are set on the last one's header."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
        for field, value in fields.items():  # of the central directory, which is written last
            setattr(info, field, value)
    return path


def written(path, content):
    path.write_bytes(content)
    return path


def cut_short(path):
    return written(path, packed(path, FACES).read_bytes()[:-500])


def with_empty_folder(path):
    for name, content in FACES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (path / "train" / "contempt").mkdir()
    return path


# ---- download: path, archive, layout ---------------------------------------------------------------------------------

# How the source is made from its path (without ending), and what the line says beside that path.
SOURCES = {
    "missing path": (lambda at: at.with_suffix(".zip"), ["no such file or folder"]),
    "not an archive": (
        lambda at: written(at.with_suffix(".zip"), b"hello"),
        ["not an archive", "allowed: a zip, a tar"],
    ),
    "truncated zip": (lambda at: cut_short(at.with_suffix(".zip")), ["damaged or cut short"]),
    "name with ..": (
        lambda at: packed(at.with_suffix(".zip"), FACES | {"train/../../up.jpg": FACE}),
        ["unsafe member name", "'train/../../up.jpg'"],
    ),
    "absolute name": (
        lambda at: packed(at.with_suffix(".zip"), FACES | {"/etc/up.jpg": FACE}),
        ["unsafe member name", "'/etc/up.jpg'"],
    ),
    "symlink": (
        lambda at: packed(at.with_suffix(".zip"), FACES | {"l.jpg": b"/etc/passwd"}, external_attr=0o120777 << 16),
        ["'l.jpg'", "link"],
    ),
    "10 GB, deflated": (
        lambda at: packed(at.with_suffix(".zip"), FACES | {"big.jpg": FACE}, file_size=10**10),
        ["'big.jpg'", "10000000000"],
    ),
    "10 GB, all of them there": (
        lambda at: packed(at.with_suffix(".zip"), FACES | {"big.jpg": FACE}, file_size=10**10, compress_size=10**10),
        ["'big.jpg'", "10000000000"],
    ),
    "empty class folder": (with_empty_folder, ["train/contempt", "empty class folder"]),
    "unknown class folder": (
        lambda at: packed(at.with_suffix(".zip"), FACES | {"train/hapy/1.png": FACE}),
        ["train/hapy/1.png", "Did you mean 'happy'?", "allowed: angry, disgust"],
    ),
    "a class without samples": (
        lambda at: packed(at.with_suffix(".zip"), {name: face for name, face in FACES.items() if "/sad/" not in name}),
        ["'sad'", "no samples"],
    ),
    "no layout of faces": (
        lambda at: packed(at.with_suffix(".zip"), {"readme.txt": b"hello"}),
        ["not the layout", "emotion,pixels,Usage", "readme.txt"],
    ),
    "label 9": (
        lambda at: packed(at.with_suffix(".zip"), table([*rows_of(20), f"9,{PIXELS},Training"])),
        ["row 22", "emotion code", "allowed: 0 to 6", "received: '9'"],
    ),
    "unknown part": (
        lambda at: written(at.with_suffix(".csv"), table([f"1,{PIXELS},Train"])["fer2013.csv"]),
        ["row 2", "allowed: Training, PublicTest, PrivateTest", "received: 'Train'"],
    ),
}


@pytest.mark.parametrize(("make", "words"), SOURCES.values(), ids=SOURCES)
def test_a_broken_source(tmp_path, make, words):
    source = make(tmp_path / "brought")
    line = download(tmp_path, {"corpora.faces.source": str(source)})
    assert str(source) in line
    assert [word for word in words if word not in line] == []
    assert {path.name for path in tmp_path.iterdir()} <= {source.name, "params.yaml", "out"}


def test_a_checksum_that_does_not_match(tmp_path):
    source = packed(tmp_path / "brought.zip", FACES)
    received = hashlib.sha256(source.read_bytes()).hexdigest()
    line = download(tmp_path, {"corpora.faces.source": str(source), "corpora.faces.checksum": f"sha256:{'a' * 64}"})
    assert [word for word in (str(source), "does not match", "a" * 64, received) if word not in line] == []


class HalfAnswer(BaseHTTPRequestHandler):
    """Says how long the file is, sends half of it and hangs up."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2000000")
        self.end_headers()
        self.wfile.write(bytes(1_000_000))

    def log_message(self, *_):
        pass


@pytest.fixture
def half_url():
    with ThreadingHTTPServer(("127.0.0.1", 0), HalfAnswer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/faces.zip"
        server.shutdown()


def test_a_url_down_half_way(tmp_path, half_url):
    changes = {"corpora.faces.source": half_url, "corpora.faces.checksum": f"sha256:{'a' * 64}"}
    cache = {"EMOTION_RECOGNITION_CACHE": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    line = download(tmp_path, changes, **cache)
    assert half_url in line
    assert "download failed" in line
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_real_source_without_a_name(tmp_path):
    line = download(tmp_path, {"corpora.faces.name": None, "corpora.faces.source": str(tmp_path)})
    assert "corpora.faces.name: missing" in line


def test_a_full_disk_while_packing(tmp_path):
    source = packed(tmp_path / "brought.zip", table(rows_of(100)))
    line = download(tmp_path, {"corpora.faces.source": str(source)}, file_limit_bytes=100_000)
    assert "file too large" in line.lower()  # what a limit says in place of "No space left on device"


# ---- prepare: damaged samples, full disk -----------------------------------------------------------------------------

DAMAGED = {
    "train/happy/zero.jpg": (b"", "0 bytes"),
    "train/happy/huge.png": (huge(), "20000x20000 pixels"),
    "train/happy/animated.jpg": (animation(), "a GIF"),
    "train/happy/animated.gif": (animation(), "a GIF"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_image(tmp_path, name):
    content, reason = DAMAGED[name]
    archive = packed(tmp_path / "faces.zip", FACES | {name: content})
    line = refused_by("prepare", tmp_path, archive)
    assert [word for word in ("1 of 22 samples are damaged", name, reason) if word not in line] == []


def test_damaged_images_that_are_few_are_left_out_and_named(tmp_path):
    archive = packed(tmp_path / "faces.zip", FACES | {name: content for name, (content, _) in DAMAGED.items()})
    done, output = stage_on("prepare", tmp_path, archive, {"prepare.max_rejected_fraction": 0.5})
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"warning: .*4 damaged samples left out: [^\n]*\n", done.stderr)
    with h5py.File(output / "faces") as file:
        assert len(file["x"]) == len(FACES)
        found = sorted(file.attrs["rejected"].tolist())
    for line, name in zip(found, sorted(DAMAGED), strict=True):
        assert line.startswith(f"{name}: ")
        assert DAMAGED[name][1] in line


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(PIXELS.rpartition(" ")[0], "2303 pixels"), (PIXELS.replace(" 9 ", " nine ", 1), "text among the pixels")],
    ids=["short row", "text"],
)
def test_damaged_pixels(tmp_path, pixels, reason):
    archive = packed(tmp_path / "faces.zip", table([*rows_of(20), *rows_of(1, pixels)]))
    line = refused_by("prepare", tmp_path, archive)
    assert [word for word in ("1 of 21 samples are damaged", "row000020", reason) if word not in line] == []


# With more than one chunk, worker processes decode.
MANY = 1_200


def test_too_many_damaged_samples_among_many(tmp_path):
    archive = packed(tmp_path / "faces.zip", table(rows_of(MANY) + rows_of(50, "1 2 3")))
    line = refused_by("prepare", tmp_path, archive)
    assert f"50 of {MANY + 50} samples are damaged, allowed: 1.0%" in line


def test_a_full_disk_while_writing_many(tmp_path):
    archive = packed(tmp_path / "faces.zip", table(rows_of(MANY)))
    line = refused_by("prepare", tmp_path, archive, file_limit_bytes=1_000_000)
    assert "file too large" in line.lower()
    assert str(tmp_path / "out" / "faces") in line


# ---- split -----------------------------------------------------------------------------------------------------------


def test_a_class_that_is_not_trained_on(tmp_path):
    rows = [row.replace("Training", "PublicTest") if row[0] == "3" else row for row in rows_of(210)]
    line = refused_by("split", tmp_path, packed(tmp_path / "faces.zip", table(rows)))
    assert "no training sample of class happy" in line


# ---- params ----------------------------------------------------------------------------------------------------------

# Changes, and how each line begins, without the file's path.
MISTAKES = {
    "unknown key": ({f"{RUN}.wibble": 1}, [f"{RUN}.wibble: unknown key"]),
    "wrong type": ({f"{RUN}.max_epochs": "ten"}, [f"{RUN}.max_epochs: allowed: a whole number"]),
    "lr -1": ({f"{RECIPE}.optimizer.lr": -1}, [f"{RECIPE}.optimizer.lr: allowed: more than 0; received: -1"]),
    "unknown model": (
        {f"{RUN}.model.name": "custom_cn"},
        [f"{RUN}.model.name: unknown name; Did you mean 'custom_cnn'?"],
    ),
    "several": (
        {"sead": 1, f"{RECIPE}.optimizer.lr": -1, f"{RUN}.model.name": "cnn", "corpora.faces.source": "faces.zip"},
        [
            "sead: unknown key",
            f"{RUN}.model.name: unknown",
            f"{RECIPE}.optimizer.lr: allowed",
            "corpora.faces.source: ",
        ],
    ),
    "batch of one": ({f"{RUN}.batch_size": 1}, [f"{RUN}.batch_size: allowed: 2 or more; received: 1"]),
    "fold 10 of 10": ({"splits.faces.fold": 10}, ["splits.faces.fold: allowed: 0 to 9; received: 10"]),
    "nothing to train on": (
        {"splits.faces.protocol": "stratified", "splits.faces.validation_fraction": 0.5},
        ["splits.faces.validation_fraction: allowed: less than "],
    ),
    "real but called synthetic": (
        {"corpora.faces.source": "/data/faces.zip", "corpora.faces.name": "synthetic"},
        ["corpora.faces.name: allowed: anything but 'synthetic'"],
    ),
    "no checksum": ({"corpora.faces.checksum": "abc"}, ["corpora.faces.checksum: allowed: sha256:"]),
}


@pytest.mark.parametrize(("changes", "starts"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_params(tmp_path, changes, starts):
    path = write_params(tmp_path, changes)
    lines = told(call("stages.checks.params", path), len(starts))
    assert [start for start in starts if not any(line.startswith(f"error: {path}: {start}") for line in lines)] == []
