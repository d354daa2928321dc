"""The frame rate of `live` beside that of the `fer` package on one clip, recorded in `metrics/reference/cost.json`.

    python -m benchmarks.frame_rate CLIP --fer-python <python>

That Python belongs to a separate environment with `fer` (PyPI), which needs TensorFlow: pip install fer==25.10.3
tensorflow-cpu 'opencv-contrib-python<5' 'setuptools<81'. The two programs run alternately, three times each. `live`
decodes, detects, classifies, draws and writes every frame; `fer` decodes, detects with its Haar cascade, and
classifies. Neither time includes loading.
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

from stages.checks.params import load
from stages.core.command import HelpFormatter
from stages.core.errors import UserError, exit_with_one_line
from stages.experiments.cost_record import add_to_record, circumstances
from stages.faces.frames import Video
from stages.serving.run_files import load_run

PAIRS = 3
RATE = re.compile(r"frames in [\d.]+ s, ([\d.]+) per second")
# The loop over frames of fer's documentation. The first prediction, which builds its graph, is not timed.
FER = """
import json, sys, time
from importlib.metadata import version
import cv2
from fer.fer import FER
detector = FER(mtcnn=False)
detector.detect_emotions(cv2.VideoCapture(sys.argv[1]).read()[1])
capture, count, faces, start = cv2.VideoCapture(sys.argv[1]), 0, 0, time.perf_counter()
while True:
    has_frame, frame = capture.read()
    if not has_frame:
        break
    faces += bool(detector.detect_emotions(frame))
    count += 1
seconds = time.perf_counter() - start
versions = {name: version(name) for name in ("fer", "tensorflow-cpu", "opencv-contrib-python")}
print(json.dumps({"per_second": count / seconds, "frames": count, "frames_with_a_face": faces, "versions": versions}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--fer-python", required=True, type=Path, metavar="PYTHON")
    parser.add_argument("--run", help="folder, packed zip, or name in data/models; default: the run that ships")
    args = parser.parse_args()
    params = load(Path("params.yaml"))
    measured = measure(args.clip, args.fer_python, args.run)
    run = f" --run {args.run}" if args.run else ""
    command = f"python -m benchmarks.frame_rate {args.clip.name} --fer-python <python>{run}"
    add_to_record("live", measured | circumstances(params, command))
    rates = f"{measured['per_second']:.0f} frames/s, fer {measured['fer_per_second']:.0f}: x{measured['ratio']:.1f}"
    print(f"{args.clip.name}: {rates}")


def measure(clip: Path, fer_python: Path, run: str | None) -> dict[str, Any]:
    """Return the medians of both rates and of the ratios of the pairs. Raises `UserError` where a program fails."""
    first, info = next(Video(clip).frames()), load_run(run).info
    pairs = [(live_rate(clip, run), run_fer(clip, fer_python)) for _ in range(PAIRS)]
    last = pairs[-1][1]
    return {
        "clip": clip.name,
        "frames": last["frames"],
        "size_px": [*first.image.shape[1::-1]],
        "run": info["run"],
        "input": info["input"]["shape"],
        "per_second": round(statistics.median(rate for rate, _ in pairs), 1),
        "fer_per_second": round(statistics.median(fer["per_second"] for _, fer in pairs), 1),
        "ratio": round(statistics.median(rate / fer["per_second"] for rate, fer in pairs), 2),
        "fer": last["versions"] | {"frames_with_a_face": last["frames_with_a_face"]},
    }


def live_rate(clip: Path, run: str | None) -> float:
    """Return the frames per second that `live` reports, drawing and writing included."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--video", str(clip), "--headless", "--output", f"{folder}/labeled.mp4"]
        options += ["--run", run] if run else []
        output = _output_of([sys.executable, "-m", "stages.apps.live", *options])
    return float(RATE.search(output).group(1))


def run_fer(clip: Path, python: Path) -> dict[str, Any]:
    """Return the rate of the package, the number of frames, of frames with a face, and the versions."""
    return json.loads(_output_of([str(python), "-c", FER, str(clip)]).splitlines()[-1])


def _output_of(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{command[0]}: cannot be run: {error.strerror}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{command[0]}: ended with status {done.returncode}: {last[:200]}")
    return done.stdout


if __name__ == "__main__":
    exit_with_one_line(main)
