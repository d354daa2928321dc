"""Faces found, missed and invented by the detector, and its time, beside OpenCV's Haar cascade.

    python -m benchmarks.detection photos/centres.csv --reference

The table has one row per face, `file,x,y`: the photograph beside the table, and a point inside the face in pixels.
A photograph without faces has one row without x and y. `--reference` writes into metrics/reference/cost.json.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stages.checks.params import load
from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line
from stages.corpora.decoding.images import decode_image
from stages.experiments.cost_record import add_to_record, circumstances
from stages.faces.detection import BlazeFinder, FinderSettings
from stages.serving.boxes import Box, Finder

REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("table", type=Path, help="faces by eye: file,x,y")
    parser.add_argument("--reference", action="store_true", help="write into metrics/reference/cost.json")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rows = pd.read_csv(args.table)
    images = {name: decode_image((args.table.parent / name).read_bytes())[0] for name in rows["file"].unique()}
    points = {name: group[["x", "y"]].dropna().to_numpy() for name, group in rows.groupby("file")}
    figures = {}
    for name, find in (("blazeface", BlazeFinder(FinderSettings())), ("haar", haar())):
        figures[name] = compare(find, images, points)
        print(f"{name}: {figures[name]}")
    if args.reference:
        command = f"python -m benchmarks.detection …/{args.table.name} --reference"
        add_to_record("detection", figures | circumstances(load(Path("params.yaml")), command))


def compare(find: Finder, images: dict[str, np.ndarray], points: dict[str, np.ndarray]) -> dict[str, float]:
    """Return numbers of photographs, faces, found and missed ones and false boxes, and the median ms a photograph."""
    found = false = 0
    times_ms = []
    for name, image in images.items():
        boxes, elapsed_ms = timed(lambda image=image: find(image))
        times_ms.append(elapsed_ms)
        is_inside = np.array([[contains(box, *point) for point in points[name]] for box in boxes], bool)
        is_inside = is_inside.reshape(len(boxes), len(points[name]))
        found += int(is_inside.any(axis=0).sum())
        false += len(boxes) - int(is_inside.any(axis=0).sum())  # a second box of a face is false, too
    n_faces = sum(map(len, points.values()))
    counts = {"photographs": len(images), "faces": n_faces, "found": found, "missed": n_faces - found, "false": false}
    return counts | {"median_ms": round(float(np.median(times_ms)), 1)}


def timed(call: Callable[[], list[Box]]) -> tuple[list[Box], float]:
    """Return the result of `call`, and the shortest of several times in ms."""
    times_s = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        times_s.append(time.perf_counter() - start)
    return result, 1000 * min(times_s)


def contains(box: Box, x: float, y: float) -> bool:
    return box.left <= x < box.left + box.width and box.top <= y < box.top + box.height


def haar() -> Finder:
    """Return OpenCV's frontal cascade with its usual settings."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def find(image: np.ndarray) -> list[Box]:
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return [Box(*map(int, rect)) for rect in cascade.detectMultiScale(gray, 1.1, 5)]

    return find


if __name__ == "__main__":
    exit_with_one_line(main)
