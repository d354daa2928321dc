"""What the page shows of an upload: probabilities, one readable message, pictures of what was seen and what spoke."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stages.apps import answers as told
from stages.apps.answer_picture import photo
from stages.apps.answers import Answer
from stages.apps.detection import Finder
from stages.apps.explanation_picture import draw_explanations
from stages.apps.serving import ServedRun

LISTED = 50  # lines of the table of several faces or trials
PHOTO_IN, FLATTEST = 7.0, 0.15  # longer side of the photo with boxes; its shorter side, as a part of that, at least
DPI = 110
COUNTED = {"image": "faces", "audio": "clips", "windows": "trials", "recording": "stretches"}
NO_FACE = "No face was found. If the picture shows a face and nothing else, tick the box below it."


@dataclass(frozen=True)
class Shown:
    """`probabilities` {class: p} of the largest face, or of the first trial; `table` of all, where there are several.

    Pictures are (height, width, 3) uint8: `seen`, a photo with boxes, and `why`, what speaks for the answer.
    """

    message: str = ""
    is_error: bool = False
    table: str = ""
    probabilities: dict[str, float] | None = None
    seen: np.ndarray | None = None
    why: np.ndarray | None = None


def show(run: ServedRun, path: str | None, find: Finder) -> Shown:
    """All there is to say of one uploaded file; of a damaged one, what is wrong. None: nothing is uploaded."""
    if path is None:
        return Shown()
    found = list(told.ask(run, [Path(path)], find))
    wrong = told.error_lines([_by_name(answer) for answer in found])
    asked = [answer for answer in found if answer.probabilities is not None]
    if not asked:
        return Shown(wrong or NO_FACE, is_error=True)
    main = max(asked, key=_area_px)
    return Shown(
        " ".join(filter(None, (_message(run.kind, asked, main), *wrong.splitlines()))),
        table=told.table([_by_name(answer) for answer in asked[:LISTED]], run.classes) if len(asked) > 1 else "",
        probabilities=dict(zip(run.classes, map(float, main.probabilities), strict=True)),
        seen=_boxes(asked, run.classes) if run.kind == "image" else None,
        why=_explained(run, asked),
    )


def _by_name(answer: Answer) -> Answer:
    """Without the folder where uploads lie."""
    return replace(answer, asked=replace(answer.asked, file=Path(answer.asked.file.name)))


def _area_px(answer: Answer) -> int:
    """0 where there are no boxes, so that the first of all is the largest."""
    box = answer.asked.box
    return box.width * box.height if box else 0


def _message(kind: str, asked: list[Answer], main: Answer) -> str:
    """Which of several is told of, and what is odd about it."""
    listed = f", the first {LISTED} of them below" if len(asked) > LISTED else ""
    which = "the largest" if kind == "image" else "the first"
    several = f"{len(asked)} {COUNTED[kind]}{listed}. Above: {main.asked.part}, {which}." if len(asked) > 1 else ""
    note = f"Note: {main.asked.note}." if main.asked.note else ""
    return " ".join(filter(None, (several, note)))


def _boxes(asked: list[Answer], classes: list[str]) -> np.ndarray:
    """The photo alone, with a box round each face that tells its number and class."""
    figure = Figure(dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    photo(axes, asked, classes)
    _, width, height, _ = axes.images[0].get_extent()
    longer = max(width, height)
    figure.set_size_inches([PHOTO_IN * max(side / longer, FLATTEST) for side in (width, height)])
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _explained(run: ServedRun, asked: list[Answer]) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="emotion_why_") as folder:
        path = Path(folder) / "why.png"
        draw_explanations(path, run, asked)
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
