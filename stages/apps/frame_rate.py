"""`live` beside the `fer` package on one clip, `metrics/reference/cost.json`: `python -m stages.apps.frame_rate CLIP
--fer-python <python>`.

That python is of an environment of its own with `fer` (PyPI), which needs TensorFlow: pip install fer==25.10.3
tensorflow-cpu 'opencv-contrib-python<5' 'setuptools<81'. The two run one after the other, three times. Ours decodes,
finds, classifies, draws and writes every frame; theirs decodes, finds with its Haar cascade, and classifies. Loading
counts for neither.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stages.apps.frames import Video
from stages.apps.latency import PATH, circumstances
from stages.apps.run_files import load_run
from stages.checks.params import load
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import read_json, write_json

PAIRS = 3
RATE = re.compile(r"frames in [\d.]+ s, ([\d.]+) a second")
# What fer's documentation does with a video's frames; the first answer, which builds its graph, is not timed.
FER = """
import json, sys, time
from importlib.metadata import version
import cv2
from fer.fer import FER
detector = FER(mtcnn=False)
detector.detect_emotions(cv2.VideoCapture(sys.argv[1]).read()[1])
capture, count, faces, start = cv2.VideoCapture(sys.argv[1]), 0, 0, time.perf_counter()
while True:
    there, frame = capture.read()
    if not there:
        break
    faces += bool(detector.detect_emotions(frame))
    count += 1
seconds = time.perf_counter() - start
versions = {name: version(name) for name in ("fer", "tensorflow-cpu", "opencv-contrib-python")}
print(json.dumps({"per_second": count / seconds, "frames": count, "frames_with_a_face": faces, "versions": versions}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--fer-python", required=True, type=Path, metavar="PYTHON")
    parser.add_argument("--run", help="a run's folder, its packed zip, or its name in data/models; default: what ships")
    args = parser.parse_args()
    params = load(Path("params.yaml"))
    found = {"live": measure(args.clip, args.fer_python, args.run)}
    asked = f"python -m stages.apps.frame_rate {args.clip.name} --fer-python <python>"
    origin = circumstances(params) | {"command": asked + (f" --run {args.run}" if args.run else "")}
    before = read_json(PATH) if PATH.exists() else {}
    write_json(PATH, before | {"live": found["live"] | origin})
    told = found["live"]
    print(
        f"{args.clip.name}: {told['per_second']:.0f} frames/s, fer {told['fer_per_second']:.0f}: x{told['ratio']:.1f}"
    )


def measure(clip: Path, fer_python: Path, run: str | None) -> dict[str, Any]:
    """Medians of both rates and of their ratios, pair by pair. Raises `UserError` where one of the two fails."""
    first, model = next(Video(clip).frames()), load_run(run).info
    pairs = [(ours(clip, run), fer(clip, fer_python)) for _ in range(PAIRS)]
    last = pairs[-1][1]
    return {
        "clip": clip.name,
        "frames": last["frames"],
        "size_px": [*first.image.shape[1::-1]],
        "run": model["run"],
        "input": model["input"]["shape"],
        "per_second": round(statistics.median(rate for rate, _ in pairs), 1),
        "fer_per_second": round(statistics.median(theirs["per_second"] for _, theirs in pairs), 1),
        "ratio": round(statistics.median(rate / theirs["per_second"] for rate, theirs in pairs), 2),
        "fer": last["versions"] | {"frames_with_a_face": last["frames_with_a_face"]},
    }


def ours(clip: Path, run: str | None) -> float:
    """Frames a second, drawing and writing among them, as `live` tells at its end."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "stages.apps.live", "--video", str(clip), "--headless", "--output", f"{folder}/seen.mp4"]
        said = _said([sys.executable, *words, *(["--run", run] if run else [])])
    return float(RATE.search(said).group(1))


def fer(clip: Path, python: Path) -> dict[str, Any]:
    """The rate of the package, how many frames it read and in how many of them it found a face, and its versions."""
    return json.loads(_said([str(python), "-c", FER, str(clip)]).splitlines()[-1])


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{command[0]}: cannot be run: {error.strerror}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"{command[0]}: ended with status {done.returncode}: {last[:200]}")
    return done.stdout


if __name__ == "__main__":
    exit_with_one_line(main)
