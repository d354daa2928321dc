"""Emotions over time for each face: a CSV file, and a picture of the whole time in bounded memory."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from stages.core.outputs import require_writable
from stages.evaluation.pictures.canvas import INK, PALETTE, QUIET, Caption, quiet_axes, save, short, titled_figure
from stages.live.overlay import text_colour
from stages.live.recognition import LabeledFace, LabeledFrame

STEP_S, MAX_STEPS = 0.05, 1_200  # time step of the picture; beyond MAX_STEPS, pairs of steps are merged
KEPT_FACES, PICTURED_FACES = 32, 5  # the faces with the most frames
LETTER_WIDTH = 0.0072  # width of a letter in a class name, as a share of the picture's width
WIDTH_IN, FACE_IN, LEGEND_IN = 9.0, 1.75, 0.65


class FaceRows:
    """Writes a row for each face of each frame to a CSV file at once; keeps nothing in memory."""

    def __init__(self, path: Path, classes: list[str]) -> None:
        require_writable(path, "--csv")
        self._classes = classes
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        probabilities = [f"{kind}_{name}" for kind in ("raw", "smoothed") for name in classes]
        self._writer.writerow(["time_s", "face", "left", "top", "width", "height", "tilt_deg", "class", *probabilities])

    def add(self, labeled: LabeledFrame) -> None:
        """Add the next frame; one without a face has no row."""
        for face in labeled.faces:
            place = [face.box.left, face.box.top, face.box.width, face.box.height, f"{face.box.tilt_deg:g}"]
            values = [f"{value:.6f}" for value in (*face.raw, *face.smoothed)]
            row = [f"{labeled.frame.time_s:.6f}", face.number, *place, self._classes[face.shown]]
            self._writer.writerow(row + values)

    def close(self) -> None:
        self._stream.close()


@dataclass
class _Sums:
    """Sums of one face by step: its probabilities, and how often each class was shown."""

    frames: int = 0
    steps: dict[int, np.ndarray] = field(default_factory=dict)  # (2, n_classes) each


class Timeline:
    """Mean probabilities in steps of `step_s`, which doubles whenever there are more than `MAX_STEPS`."""

    def __init__(self, classes: list[str]) -> None:
        self.classes, self.step_s = classes, STEP_S
        self._faces: dict[int, _Sums] = {}
        self._steps: dict[int, None] = {}  # steps with at least one frame
        self.n_frames = self.n_faces = 0
        self._newest = -1

    def add(self, labeled: LabeledFrame) -> None:
        """Add the next frame."""
        step = int(labeled.frame.time_s / self.step_s)
        self._steps[step] = None
        self.n_frames += 1
        for face in sorted(labeled.faces, key=lambda face: face.number):
            self._add_face(step, face)
        if len(self._faces) > 2 * KEPT_FACES:
            present = {face.number for face in labeled.faces}
            self._faces = {number: self._faces[number] for number in sorted({*self.longest(KEPT_FACES), *present})}
        if len(self._steps) > MAX_STEPS:
            self._halve()

    def close(self) -> None:
        """Do nothing: no file is open."""

    def longest(self, count: int) -> list[int]:
        """Return the numbers of the faces with the most frames, in their order of appearance."""
        ranked = sorted(self._faces, key=lambda number: -self._faces[number].frames)
        return sorted(ranked[:count])

    @property
    def until_s(self) -> float:
        """Return the end of the last step, in seconds."""
        return self.step_s * (max(self._steps, default=0) + 1)

    def stretches(self, number: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return the uninterrupted stretches of one face.

        Each is: edges (n + 1,) of its steps in seconds, mean smoothed probabilities (n, n_classes), the class shown
        most often (n,).
        """
        steps, found = list(self._steps), self._faces[number].steps
        result: list[list[tuple[int, int]]] = [[]]
        for begin, end in zip(steps, [*steps[1:], steps[-1] + 1], strict=True):
            if begin in found:
                result[-1].append((begin, end))
            elif result[-1]:
                result.append([])
        stretches = []
        for stretch in filter(None, result):
            sums = np.stack([found[begin] for begin, _ in stretch])  # (n, 2, n_classes)
            edges = np.array([begin for begin, _ in stretch] + [stretch[-1][1]]) * self.step_s
            means = sums[:, 0] / sums[:, 1].sum(axis=1, keepdims=True)
            stretches.append((edges, means, sums[:, 1].argmax(axis=1)))
        return stretches

    def _add_face(self, step: int, face: LabeledFace) -> None:
        if face.number > self._newest:  # numbers increase with the first appearance
            self.n_faces, self._newest = self.n_faces + 1, face.number
        kept = self._faces.setdefault(face.number, _Sums())
        kept.frames += 1
        sums = kept.steps.setdefault(step, np.zeros((2, len(self.classes))))
        sums[0] += face.smoothed
        sums[1, face.shown] += 1

    def _halve(self) -> None:
        self.step_s *= 2
        self._steps = dict.fromkeys(step // 2 for step in self._steps)
        for kept in self._faces.values():
            merged: dict[int, np.ndarray] = {}
            for step, sums in kept.steps.items():
                merged[step // 2] = merged[step // 2] + sums if step // 2 in merged else sums
            kept.steps = merged


def draw_timeline(path: Path, timeline: Timeline, source: str, info: dict[str, Any]) -> None:
    """Draw a row per face: smoothed probabilities stacked over time, above them the class shown. `info`: model.json."""
    numbers = timeline.longest(PICTURED_FACES)
    faces = f"{timeline.n_faces} faces" if timeline.n_faces != 1 else "1 face"
    left_out = f", the {len(numbers)} with the most frames" if timeline.n_faces > len(numbers) else ""
    where = f"{source}: {faces}{left_out}; frames"
    caption = Caption(info["run"], where, info["protocol"], timeline.n_frames, info["synthetic"])
    body_in = FACE_IN * max(len(numbers), 1) + LEGEND_IN
    figure = titled_figure(caption, "emotions over time", WIDTH_IN, body_in)
    grid = figure.subplots(max(len(numbers), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, number in zip(grid, numbers, strict=False):
        _draw_face(axes, timeline, number)
    if not numbers:
        grid[0].text(0.5, 0.5, "no face", transform=grid[0].transAxes, ha="center", va="center", color=QUIET)
        _frame(grid[0], timeline, "")
    grid[-1].set_xlabel("time in s", fontsize=8.5, color=INK)
    style = {"loc": "outside lower center", "fontsize": 8, "frameon": False}
    named = enumerate(timeline.classes)
    patches = [Patch(color=PALETTE[index % len(PALETTE)], alpha=0.82, label=short(name)) for index, name in named]
    figure.legend(handles=patches, ncols=min(len(patches), 8), **style)
    save(figure, path)


def _draw_face(axes: Axes, timeline: Timeline, number: int) -> None:
    colours = [PALETTE[index % len(PALETTE)] for index in range(len(timeline.classes))]
    for edges, means, shown in timeline.stretches(number):
        stacked = np.concatenate([means, means[-1:]]).T  # (n_classes, n + 1), the last step up to its end
        axes.stackplot(edges, stacked, colors=colours, step="post", linewidth=0, alpha=0.82)
        changes = np.flatnonzero(np.diff(shown)) + 1  # a block for each run of one class
        for first, last in zip([0, *changes], [*changes, len(shown)], strict=True):
            begin, end, label = edges[first], edges[last], shown[first]
            strip = Rectangle((begin, 1.04), end - begin, 0.17, color=colours[label], linewidth=0, clip_on=False)
            axes.add_patch(strip)
            if end - begin > LETTER_WIDTH * (1 + len(short(timeline.classes[label]))) * timeline.until_s:
                style = {"ha": "center", "va": "center", "fontsize": 7.5, "color": text_colour(colours[label])}
                axes.text((begin + end) / 2, 1.12, short(timeline.classes[label]), **style)
    _frame(axes, timeline, f"face {number}")


def _frame(axes: Axes, timeline: Timeline, name: str) -> None:
    quiet_axes(axes)
    axes.set_xlim(0, timeline.until_s)
    axes.set_ylim(0, 1.24)
    axes.set_yticks((0, 0.5, 1))
    axes.spines["left"].set_bounds(0, 1)
    axes.set_ylabel(name, fontsize=8.5, color=INK)
