"""What a run says of the samples in a user's files, and how that is written: terminal, JSON, CSV."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.apps.boxes import Box, crop
from stages.apps.detection import Finder
from stages.apps.file_kinds import misfit
from stages.apps.inputs import Sample, read_samples
from stages.apps.serving import Prepared, ServedRun
from stages.core.errors import UserError, printable
from stages.core.files import write_csv, write_json
from stages.core.records import DamagedSample, Signal

NO_FACE = "no face found (a lower --min-neighbors or --min-face-px finds more, --no-detect takes it whole)"
WIDEST = 44  # letters of a file's name in the table


@dataclass(frozen=True)
class Asked:
    """A sample and what is to be said of it: `part` of the file, `note` on what a reader should know.

    `prepared` is None where there is nothing to ask: no face in a picture, or `error`, why a file cannot be read.
    """

    file: Path
    part: str = ""
    box: Box | None = None
    prepared: Prepared | None = None
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class Answer:
    """`probabilities` (n_classes,) in the run's order of classes, None where nothing was asked."""

    asked: Asked
    probabilities: np.ndarray | None


def ask(run: ServedRun, files: Iterable[Path], find: Finder) -> Iterator[Answer]:
    """An answer for every sample of every file, in order, asked in batches; of what is decoded, features alone stay."""
    waiting: list[Asked] = []
    for file in files:
        waiting += samples(run, file, find)
        if len(waiting) >= run.batch_size:
            yield from _answered(run, waiting)
            waiting = []
    yield from _answered(run, waiting)


def samples(run: ServedRun, file: Path, find: Finder) -> Iterator[Asked]:
    """One of each face, clip or trial in a file; a damaged one is told of, and does not stop the others."""
    if file.is_dir():
        yield Asked(file, error="a folder that cannot be read")
        return
    feature = run.info["feature"]
    windows = (feature["max_windows"], feature["window_s"]) if run.kind == "recording" else None
    try:
        for sample in read_samples(file, run.kind, windows):
            yield from _sample(run, file, sample, find)
    except (DamagedSample, UserError) as error:
        yield Asked(file, error=misfit(file, run.kind) or _without(file, str(error)))
    except OSError as error:
        yield Asked(file, error=f"cannot be read: {error.strerror or error}")


def _sample(run: ServedRun, file: Path, sample: Sample, find: Finder) -> Iterator[Asked]:
    try:
        signal = sample.load()
        if run.kind == "image":
            yield from _faces(run, file, signal[0], find)
        else:
            prepared = run.prepare(*signal)
            yield Asked(file, sample.part, None, prepared, _length_note(run, prepared, signal))
    except (DamagedSample, UserError) as error:
        if not sample.part:
            raise
        yield Asked(file, sample.part, error=_without(file, str(error)))


def _faces(run: ServedRun, file: Path, image: np.ndarray, find: Finder) -> Iterator[Asked]:
    boxes = find(image)
    if not boxes:
        yield Asked(file, note=NO_FACE)
    for number, box in enumerate(boxes, start=1):
        part = f"face {number}" if len(boxes) > 1 else ""
        yield Asked(file, part, box, run.prepare(crop(image, box)), _face_note(box, run.info["feature"]["size_px"]))


def _face_note(box: Box, size_px: int) -> str:
    tiny = f"tiny: {box.width} px, enlarged to {size_px}" if 2 * max(box.width, box.height) <= size_px else ""
    leans = f"leans: turned upright by {abs(box.tilt_deg):g}°" if box.tilt_deg else ""
    return "; ".join(filter(None, ["cut off at the picture's edge" if box.cut_off else "", tiny, leans]))


def _length_note(run: ServedRun, prepared: Prepared, signal: Signal) -> str:
    """What a feature leaves out of a long sample: nothing of a clip that is short enough without its silence."""
    n_windows = run.info["feature"].get("max_windows", 0)
    if run.kind == "windows" and len(signal[0]) > n_windows:
        return f"{len(signal[0])} windows long: judged by the first {n_windows}"
    longest_s, (x, frames), (values, rate_hz) = run.info["feature"].get("duration_s"), prepared, signal
    if longest_s is None or rate_hz is None or frames < len(x):
        return ""
    seconds = values.shape[-1] / rate_hz
    from_where = " from its first sound" if run.info["feature"].get("trim_db") else ""
    return f"{seconds:.1f} s long: judged by {longest_s:g} s{from_where}" if seconds > longest_s else ""


def _without(file: Path, error: str) -> str:
    """What is wrong, without the name that stands beside it."""
    return " ".join(error.replace(f"{file}: ", "", 1).split())


def _answered(run: ServedRun, waiting: list[Asked]) -> Iterator[Answer]:
    found = iter(run.probabilities([asked.prepared for asked in waiting if asked.prepared is not None]))
    return (Answer(asked, None) if asked.prepared is None else _told(asked, next(found)) for asked in waiting)


def _told(asked: Asked, probabilities: np.ndarray) -> Answer:
    """Values far beyond all that the run was trained on, or its own weights, can lead beyond what float32 holds."""
    if np.isfinite(probabilities).all():
        return Answer(asked, probabilities)
    return Answer(replace(asked, prepared=None, error="no answer: the run's numbers overflow on its values"), None)


# ---- how it is told ----


def table(answers: list[Answer], classes: list[str]) -> str:
    """A line for each answer: file, part, class and its probability, the two next ones, note."""
    import pandas as pd  # half a second, which `live` need not wait for

    rows = [_table_row(answer, classes) for answer in answers if not answer.asked.error]
    frame = pd.DataFrame(rows, columns=["file", "part", "class", "p", "then", "note"])
    names = ["file", "", "class", "p", "then", ""]
    text = frame.to_markdown(index=False, tablefmt="plain", disable_numparse=True, headers=names)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _table_row(answer: Answer, classes: list[str]) -> tuple[str, ...]:
    name = printable(str(answer.asked.file))
    name = name if len(name) <= WIDEST else f"…{name[1 - WIDEST :]}"
    if answer.probabilities is None:
        return name, answer.asked.part, "–", "", "", answer.asked.note
    first, *rest = np.argsort(-answer.probabilities, kind="stable")[:3]
    then = ", ".join(f"{classes[index]} {answer.probabilities[index]:.2f}" for index in rest)
    return (
        name,
        printable(answer.asked.part),
        classes[first],
        f"{answer.probabilities[first]:.2f}",
        then,
        answer.asked.note,
    )


def write_answers_json(path: Path, answers: list[Answer], info: dict[str, Any], interrupted: bool) -> None:
    """Which run, trained on what, every answer, and whether they are all that was asked for."""
    told = {name: info[name] for name in ("run", "name", "synthetic", "protocol", "classes")}
    write_json(
        path, told | {"interrupted": interrupted, "answers": [_json_row(answer, info["classes"]) for answer in answers]}
    )


def _json_row(answer: Answer, classes: list[str]) -> dict[str, Any]:
    asked, p = answer.asked, answer.probabilities
    row: dict[str, Any] = {"file": _as_text(asked.file)}
    if asked.error:
        return row | {"part": asked.part, "error": asked.error}
    row |= {"part": asked.part, "box": vars(asked.box) if asked.box else None, "note": asked.note}
    if p is None:
        return row | {"class": None, "probability": None, "probabilities": None}
    named = {name: float(value) for name, value in zip(classes, p, strict=True)}
    return row | {"class": classes[int(p.argmax())], "probability": float(p.max()), "probabilities": named}


def write_answers_csv(path: Path, answers: list[Answer], classes: list[str]) -> None:
    """A row for each answer, a column for each class."""
    columns = ("file", "part", "left", "top", "width", "height", "tilt_deg")
    columns += ("class", "probability", *classes, "note", "error")
    write_csv(path, columns, (_csv_row(answer, classes) for answer in answers))


def _csv_row(answer: Answer, classes: list[str]) -> list[Any]:
    asked, p = answer.asked, answer.probabilities
    seen = asked.box
    box = [seen.left, seen.top, seen.width, seen.height, f"{seen.tilt_deg:g}"] if seen else [None] * 5
    said = [None] * (2 + len(classes)) if p is None else [classes[int(p.argmax())], float(p.max()), *map(float, p)]
    return [_as_text(asked.file), asked.part, *box, *said, asked.note, asked.error]


def _as_text(file: Path) -> str:
    """The name as it is, for programs to open; of one that is no UTF-8, what is not is spelled out."""
    return str(file).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def error_lines(answers: list[Answer]) -> str:
    """One for each file that could not be read, and for what is wrong with its parts; '' if all could."""
    parts: dict[tuple[Path, str], list[str]] = {}
    for asked in (answer.asked for answer in answers if answer.asked.error):
        parts.setdefault((asked.file, asked.error), []).append(asked.part)
    lines = ((file, _named_parts(wrong), error) for (file, error), wrong in parts.items())
    return "\n".join(f"{printable(str(file))}: {part}{shorten_line(error)}" for file, part, error in lines)


def _named_parts(parts: list[str]) -> str:
    """The first of those that have the same mistake, and how many they are; '' for a whole file."""
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"{printable(parts[0])}{more}: " if parts[0] else ""


def shorten_line(text: str, limit: int = 300) -> str:
    """One printable line of a message that may quote what is in a file."""
    text = printable(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
