"""What the page shows for an uploaded file: probabilities, one message, a photo with boxes, the attribution."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stages.explain.attribution_picture import draw_attributions
from stages.explain.prediction_picture import photo
from stages.serving.boxes import Finder
from stages.serving.predictions import Prediction, error_lines, predict, table
from stages.serving.served_run import ServedRun

MAX_ROWS = 50  # longest table of faces or trials
PHOTO_IN, MIN_ASPECT = 7.0, 0.15  # longer side of the photo with boxes; its shorter side at least, as a share of it
DPI = 110
SAMPLES = {"image": "faces", "audio": "clips", "windows": "trials", "recording": "stretches"}
NO_FACE = "No face was found. If the picture shows a face and nothing else, tick the box below it."


@dataclass(frozen=True)
class Result:
    """`probabilities` {class: p} of the largest face or the first trial; `table` of all of several samples.

    `photo` with boxes and `attribution` are pictures (height, width, 3) uint8.
    """

    message: str = ""
    is_error: bool = False
    table: str = ""
    probabilities: dict[str, float] | None = None
    photo: np.ndarray | None = None
    attribution: np.ndarray | None = None


def result_of(run: ServedRun, path: str | None, find: Finder) -> Result:
    """Return the result for one uploaded file, or its error. None: nothing is uploaded."""
    if path is None:
        return Result()
    predictions = list(predict(run, [Path(path)], find))
    errors = error_lines([_without_folder(prediction) for prediction in predictions])
    answered = [prediction for prediction in predictions if prediction.probabilities is not None]
    if not answered:
        return Result(errors or NO_FACE, is_error=True)
    # The largest face; without boxes `max` returns the first sample.
    main = max(answered, key=lambda one: one.query.box.width * one.query.box.height if one.query.box else 0)
    rows = [_without_folder(prediction) for prediction in answered[:MAX_ROWS]]
    return Result(
        " ".join(filter(None, (_message(run.kind, answered, main), *errors.splitlines()))),
        table=table(rows, run.classes) if len(answered) > 1 else "",
        probabilities=dict(zip(run.classes, map(float, main.probabilities), strict=True)),
        photo=_photo(answered, run.classes) if run.kind == "image" else None,
        attribution=_attribution(run, answered),
    )


def _without_folder(prediction: Prediction) -> Prediction:
    return replace(prediction, query=replace(prediction.query, file=Path(prediction.query.file.name)))


def _message(kind: str, predictions: list[Prediction], main: Prediction) -> str:
    """Return which of several samples is shown above, and its note."""
    listed = f", the first {MAX_ROWS} of them below" if len(predictions) > MAX_ROWS else ""
    which = "the largest" if kind == "image" else "the first"
    several = f"{len(predictions)} {SAMPLES[kind]}{listed}. Above: {main.query.part}, {which}."
    note = f"Note: {main.query.note}." if main.query.note else ""
    return " ".join(filter(None, (several if len(predictions) > 1 else "", note)))


def _photo(predictions: list[Prediction], classes: list[str]) -> np.ndarray:
    figure = Figure(dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    photo(axes, predictions, classes)
    _, width, height, _ = axes.images[0].get_extent()
    longer = max(width, height)
    figure.set_size_inches([PHOTO_IN * max(side / longer, MIN_ASPECT) for side in (width, height)])
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _attribution(run: ServedRun, predictions: list[Prediction]) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="emotion_attribution_") as folder:
        path = Path(folder) / "attribution.png"
        draw_attributions(path, run, predictions)
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
