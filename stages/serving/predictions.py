"""Predictions of a run for the samples in a user's files, and their output as a table, JSON and CSV."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import UserError, printable, warn
from stages.core.files import write_csv, write_json
from stages.core.records import DamagedSample, Signal
from stages.serving import image_quality
from stages.serving.boxes import Box, Finder, crop
from stages.serving.inputs import Sample, read_samples, wrong_kind
from stages.serving.served_run import Prepared, ServedRun

HOW_TO_FIND_MORE = "a lower --min-score or --min-face-px finds more, --no-detect takes the whole picture"
NO_FACE = f"no face found ({HOW_TO_FIND_MORE})"
UNCERTAIN = "uncertain"
UNLIKE = "unlike the training data"
MAX_NAME_LETTERS, MAX_ERROR_LETTERS = 44, 300  # longest file name in the table, and longest error


@dataclass(frozen=True)
class Query:
    """One sample of a file, prepared for the run.

    `part`: which sample of the file, '' where it is the only one. `note`: what a reader should know about it.
    `prepared` is None where nothing can be predicted: a picture without a face, or an unreadable file (`error`).
    """

    file: Path
    part: str = ""
    box: Box | None = None
    prepared: Prepared | None = None
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class Prediction:
    """`probabilities` (n_classes,) in the run's order of classes; None where the query could not be answered.

    An answer less probable than `threshold` is uncertain.
    """

    query: Query
    probabilities: np.ndarray | None
    threshold: float = 0.0

    @property
    def is_uncertain(self) -> bool:
        return self.probabilities is not None and bool(self.probabilities.max() < self.threshold)

    def answer(self, classes: list[str]) -> str:
        """Return the most probable class, or 'uncertain'."""
        return UNCERTAIN if self.is_uncertain else classes[int(self.probabilities.argmax())]


def predict(run: ServedRun, files: Iterable[Path], find: Finder, threshold: float = 0.0) -> Iterator[Prediction]:
    """Yield a prediction for every sample of every file, in order, computed in batches.

    Memory holds the features of one batch, not the decoded files. `threshold`: the least probability of an answer.
    """
    waiting: list[Query] = []
    for file in files:
        waiting += queries(run, file, find)
        if len(waiting) >= run.batch_size:
            yield from _predict_batch(run, waiting, threshold)
            waiting = []
    yield from _predict_batch(run, waiting, threshold)


def queries(run: ServedRun, file: Path, find: Finder) -> Iterator[Query]:
    """Yield a query for each face, clip or trial of a file; a damaged one has an error and does not stop the others."""
    if file.is_dir():
        yield Query(file, error="a folder that cannot be read")
        return
    feature = run.info["feature"]
    windows = (feature["max_windows"], feature["window_s"]) if run.kind == "recording" else None
    try:
        for sample in read_samples(file, run.kind, windows):
            yield from _sample_queries(run, file, sample, find)
    except (DamagedSample, UserError) as error:
        yield Query(file, error=wrong_kind(file, run.kind) or _without_name(file, error))
    except OSError as error:
        yield Query(file, error=f"cannot be read: {error.strerror or error}")


def _sample_queries(run: ServedRun, file: Path, sample: Sample, find: Finder) -> Iterator[Query]:
    try:
        signal = sample.load()
        if run.kind != "image":
            prepared = run.prepare(*signal)
            note = _joined(_length_note(run, prepared, signal), _novelty_note(run, prepared))
            yield Query(file, sample.part, None, prepared, note)
            return
        boxes = find(signal[0])
        if not boxes:
            exposure = image_quality.exposure(signal[0])
            yield Query(file, sample.part, note=NO_FACE + (f"; the picture is {exposure}" if exposure else ""))
        for number, box in enumerate(boxes, start=1):
            face = crop(signal[0], box)
            prepared = run.prepare(face)
            note = _joined(_face_note(box, face, run.info["feature"]["size_px"]), _novelty_note(run, prepared))
            part = ": ".join(filter(None, [sample.part, f"face {number}" if len(boxes) > 1 else ""]))
            yield Query(file, part, box, prepared, note)
    except (DamagedSample, UserError) as error:
        if not sample.part:
            raise
        yield Query(file, sample.part, error=_without_name(file, error))


def _face_note(box: Box, face: np.ndarray, size_px: int) -> str:
    edge = "cut off at the edge of the picture" if box.cut_off else ""
    tiny = f"tiny: {box.width} px, enlarged to {size_px}" if 2 * max(box.width, box.height) <= size_px else ""
    tilted = f"tilted: rotated upright by {abs(box.tilt_deg):.0f}°" if box.tilt_deg else ""
    return _joined(edge, tiny, tilted, image_quality.exposure(face), image_quality.blur(face))


def _novelty_note(run: ServedRun, prepared: Prepared) -> str:
    return UNLIKE if run.is_unlike_training(prepared) else ""


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _length_note(run: ServedRun, prepared: Prepared, signal: Signal) -> str:
    """Return which part of a long sample the feature used; '' where it used all of it.

    A clip that is short enough once its silence is trimmed is used whole.
    """
    n_windows = run.info["feature"].get("max_windows", 0)
    if run.kind == "windows" and len(signal[0]) > n_windows:
        return f"{len(signal[0])} windows long: only the first {n_windows} are used"
    max_s, (x, frames), (values, rate_hz) = run.info["feature"].get("duration_s"), prepared, signal
    if max_s is None or rate_hz is None or frames < len(x):
        return ""
    seconds = values.shape[-1] / rate_hz
    start = " after the leading silence" if run.info["feature"].get("trim_db") else ""
    return f"{seconds:.1f} s long: only {max_s:g} s{start} are used" if seconds > max_s else ""


def _without_name(file: Path, error: Exception) -> str:
    """Return the message in one line, without the file name, which stands in a column of its own."""
    return " ".join(str(error).replace(f"{file}: ", "", 1).split())


def _predict_batch(run: ServedRun, batch: list[Query], threshold: float) -> Iterator[Prediction]:
    rows = iter(run.probabilities([query.prepared for query in batch if query.prepared is not None]))
    for query in batch:
        row = None if query.prepared is None else next(rows)
        if row is not None and not np.isfinite(row).all():  # values far outside the training data overflow float32
            error = "no prediction: the network overflows on this input"
            row, query = None, replace(query, prepared=None, error=error)
        yield Prediction(query, row, threshold)


def drop_features(predictions: Iterable[Prediction], kept: int) -> Iterator[Prediction]:
    """Yield the predictions, to save memory only the first `kept` with their features, which pictures need."""
    count = 0
    for prediction in predictions:
        count += prediction.query.prepared is not None
        yield prediction if count <= kept else replace(prediction, query=replace(prediction.query, prepared=None))


def until_interrupted(predictions: Iterable[Prediction]) -> tuple[list[Prediction], bool]:
    """Return all predictions, or those before Ctrl-C, and whether it was pressed."""
    done: list[Prediction] = []
    try:
        done.extend(predictions)
        return done, False
    except KeyboardInterrupt:
        return done, True


# ---- output ----


def table(predictions: list[Prediction], classes: list[str]) -> str:
    """Return one line per prediction: file, part, class and probability, the next two classes, note."""
    import pandas as pd  # takes half a second to import, which `live` does not need

    rows = [_table_row(prediction, classes) for prediction in predictions if not prediction.query.error]
    names = ["file", "", "class", "p", "then", ""]
    text = pd.DataFrame(rows).to_markdown(index=False, tablefmt="plain", disable_numparse=True, headers=names)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _table_row(prediction: Prediction, classes: list[str]) -> tuple[str, ...]:
    query, p = prediction.query, prediction.probabilities
    name, part = printable(str(query.file)), printable(query.part)
    name = name if len(name) <= MAX_NAME_LETTERS else f"…{name[1 - MAX_NAME_LETTERS :]}"
    if p is None:
        return name, part, "–", "", "", query.note
    answer, order = prediction.answer(classes), np.argsort(-p, kind="stable")
    shown = order[:2] if answer == UNCERTAIN else order[1:3]
    then = ", ".join(f"{classes[index]} {p[index]:.2f}" for index in shown)
    return name, part, answer, "" if answer == UNCERTAIN else f"{p[order[0]]:.2f}", then, query.note


def warn_without_faces(predictions: list[Prediction]) -> None:
    """Warn where none of several pictures has a face, which looks like a mistake of the program."""
    pictures = [prediction.query for prediction in predictions if not prediction.query.error]
    if len(pictures) > 1 and all(query.note.startswith(NO_FACE) for query in pictures):
        warn(f"no face in {len(pictures):,} pictures ({HOW_TO_FIND_MORE})")


def write_files(
    json_path: Path | None,
    csv_path: Path | None,
    predictions: list[Prediction],
    info: dict[str, Any],
    interrupted: bool,
) -> None:
    """Write the predictions as JSON, as CSV, or both.

    JSON: the run, its training corpus, every prediction, and whether the command was interrupted. CSV: one row per
    prediction with a column for each class. Both hold the most probable class, and whether it is less probable than the
    threshold.
    """
    classes = info["classes"]
    if json_path:
        run = {name: info[name] for name in ("run", "name", "synthetic", "protocol", "classes")}
        rows = [_json_row(prediction, classes) for prediction in predictions]
        write_json(json_path, run | {"interrupted": interrupted, "answers": rows})
    if csv_path:
        columns = ("file", "part", "left", "top", "width", "height", "tilt_deg")
        columns += ("class", "probability", "uncertain", *classes, "note", "error")
        write_csv(csv_path, columns, (_csv_row(prediction, classes) for prediction in predictions))


def _json_row(prediction: Prediction, classes: list[str]) -> dict[str, Any]:
    query, p = prediction.query, prediction.probabilities
    row: dict[str, Any] = {"file": _as_text(query.file), "part": query.part}
    if query.error:
        return row | {"error": query.error}
    row |= {"box": vars(query.box) if query.box else None, "note": query.note}
    if p is None:
        return row | {"class": None, "probability": None, "uncertain": None, "probabilities": None}
    by_class = {name: float(value) for name, value in zip(classes, p, strict=True)}
    best = {"class": classes[int(p.argmax())], "probability": float(p.max()), "uncertain": prediction.is_uncertain}
    return row | best | {"probabilities": by_class}


def _csv_row(prediction: Prediction, classes: list[str]) -> list[Any]:
    query, p, b = prediction.query, prediction.probabilities, prediction.query.box
    box = [b.left, b.top, b.width, b.height, f"{b.tilt_deg:g}"] if b else [None] * 5
    values = [None] * (3 + len(classes))
    if p is not None:
        values = [classes[int(p.argmax())], float(p.max()), prediction.is_uncertain, *map(float, p)]
    return [_as_text(query.file), query.part, *box, *values, query.note, query.error]


def _as_text(file: Path) -> str:
    """Return the name for other programs to open; bytes that are not UTF-8 are escaped."""
    return str(file).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def error_lines(predictions: list[Prediction]) -> str:
    """Return one line for each unreadable file and for each error of its parts; '' if there is none."""
    parts: dict[tuple[Path, str], list[str]] = {}
    for query in (prediction.query for prediction in predictions if prediction.query.error):
        parts.setdefault((query.file, query.error), []).append(query.part)
    lines = []
    for (file, error), names in parts.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        part = f"{printable(names[0])}{more}: " if names[0] else ""
        text = printable(error)  # it may quote the content of a file
        text = text if len(text) <= MAX_ERROR_LETTERS else f"{text[: MAX_ERROR_LETTERS - 1]}…"
        lines.append(f"{printable(str(file))}: {part}{text}")
    return "\n".join(lines)
