"""Ensembles: the weighted mean of several runs' probabilities. Weights and temperature fit the validation part."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.calibration import fit_temperature, tempered
from stages.core.errors import refuse, warn
from stages.core.files import md5
from stages.evaluation import predictions
from stages.evaluation.predictions import Columns, Groupings
from stages.evaluation.report.paired import difference

# Added to the validation samples that each member explains best, so that a few dozen of them do not choose one member.
PSEUDO_SAMPLES = 10
TOLERANCE, ITERATIONS = 1e-9, 20_000  # expectation–maximisation ends once no weight changes by more
SMALLEST = 1e-9  # what a probability of 0 for the true class counts as
SHARED = ("corpus", "name", "source", "synthetic", "classes")  # what all members must have in common
SUMS = ("parameters", "flops")

# Weights by member, which sum to 1, and the temperature of the mean.
Fitted = tuple[dict[str, float], float]


@dataclass(frozen=True)
class Member:
    """The predictions of one run: columns, names of groups, attributes and md5 of the file."""

    columns: Columns
    groupings: Groupings
    origin: dict[str, Any]
    md5: str

    def rows(self) -> dict[str, int]:
        """Return {sample id: row}."""
        return {name: row for row, name in enumerate(self.columns["sample_id"].tolist())}

    def taken(self, rows: list[int]) -> "Member":
        """Return the member with these rows alone, in this order."""
        columns, groupings = (
            {key: np.asarray(values)[rows] for key, values in table.items()} for table in (self.columns, self.groupings)
        )
        return replace(self, columns=columns, groupings=groupings)


def read(folder: Path, names: list[str], corpus: str, where: str) -> dict[str, Member]:
    """Return the members, all with the same samples in the same order.

    Samples that a member lacks, since its dataset rejected them as damaged, are left out with a warning. Raises
    `UserError`, which begins with `where`, for members of other corpora, classes, labels or splits.
    """
    paths = {name: folder / f"{name}.h5" for name in names}
    members = {name: Member(*predictions.read_with_origin(path), md5(path)) for name, path in paths.items()}
    first = members[names[0]].origin | {"corpus": corpus}
    for name, member in members.items():
        for key in SHARED:
            if not np.array_equal(member.origin[key], first[key]):
                allowed = f"one {key} of all members, {first[key]}"
                refuse(
                    f"members differ in {key}", where=where, allowed=allowed, received=f"{member.origin[key]} of {name}"
                )
    return _aligned(members, where)


def _aligned(members: dict[str, Member], where: str) -> dict[str, Member]:
    """Return the members with the samples that all of them have."""
    names, rows = list(members), {name: member.rows() for name, member in members.items()}
    every = set().union(*rows.values())
    common = [sample for sample in rows[names[0]] if all(sample in own for own in rows.values())]
    aligned = {name: member.taken([rows[name][sample] for sample in common]) for name, member in members.items()}
    for key in ("part", "label"):
        for name, member in aligned.items():
            if not np.array_equal(member.columns[key], aligned[names[0]].columns[key]):
                allowed = "members with one split (protocol, seed, fold) and one corpus; `dvc repro` renews all of them"
                refuse(f"members in which a sample has another {key}", where=where, allowed=allowed, received=name)
    if {*aligned[names[0]].columns["part"]} != set(predictions.PARTS):
        allowed = "members with one split (protocol, seed, fold); `dvc repro` renews all of them"
        refuse("members without common samples", where=where, allowed=allowed, received=", ".join(names))
    if lost := len(every) - len(common):
        warn(f"{where}: {lost} samples are left out, which not all members have (damaged in one of their datasets)")
    return aligned


def fit(members: dict[str, Member], how: str, where: str) -> Fitted:
    """Return the weights, 'equal' or of the 'validation' part, and the temperature, 1 (with a warning) without one."""
    is_validation = next(iter(members.values())).columns["part"] == "validation"
    labels, probabilities = _stacked(members, is_validation)
    n = len(members)
    weights = np.full(n, 1 / n) if how == "equal" else mixture_weights(labels, probabilities)
    weights = (weights / weights.sum()).round(4)
    mean = _mean(weights, probabilities)
    temperature = fit_temperature(labels, np.log(np.maximum(mean, SMALLEST)))
    if temperature is None:
        warn(f"{where}: the temperature does not converge on the validation part, so confidence stays as it is")
    return dict(zip(members, weights.tolist(), strict=True)), temperature or 1.0


def mixture_weights(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the weights (M,) of members' `probabilities` (M, N, C) that are most probable given `labels` (N,).

    Expectation–maximisation for a mixture of fixed components (Dempster, Laird, Rubin 1977), with a Dirichlet prior of
    `PSEUDO_SAMPLES` more samples for each member. The posterior has one maximum, so the start does not matter.
    """
    likelihood = np.maximum(probabilities[:, np.arange(len(labels)), labels], SMALLEST)  # (M, N)
    weights = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(ITERATIONS):
        before, shares = weights, weights[:, None] * likelihood  # (M, N)
        weights = (shares / shares.sum(axis=0)).sum(axis=1) + PSEUDO_SAMPLES
        weights /= weights.sum()
        if np.abs(weights - before).max() < TOLERANCE:
            break
    return weights


def combined(members: dict[str, Member], fitted: Fitted) -> Columns:
    """Return the columns of the members with the weighted mean of their probabilities, its temperature applied."""
    weights, temperature = fitted
    first = next(iter(members.values())).columns
    _, probabilities = _stacked(members, np.full(len(first["label"]), True))
    mean = _mean(np.array([weights[name] for name in members]), probabilities).astype(np.float32)
    return dict(first) | {"probabilities": tempered(mean, temperature)}


def origin(key: str, members: dict[str, Member]) -> dict[str, Any]:
    """Return what the metrics say about the ensemble itself; protocols that differ are joined, costs added up."""
    first, origins = next(iter(members.values())).origin, [member.origin for member in members.values()]
    protocol = " / ".join(dict.fromkeys(origin["protocol"] for origin in origins))
    about = {"run": key, "model": "ensemble"} | {name: _plain(first[name]) for name in SHARED} | {"protocol": protocol}
    part = next(iter(members.values())).columns["part"].tolist()
    counts = {"n_train": int(first["n_train"])} | {f"n_{name}": part.count(name) for name in predictions.PARTS}
    sums = {name: int(sum(origin[name] for origin in origins)) for name in SUMS}
    teachers = list(dict.fromkeys(teacher for origin in origins for teacher in origin.get("teachers", ())))
    return about | counts | sums | ({"teachers": teachers} if teachers else {})


def compared(columns: Columns, members: dict[str, Member], seed: int) -> list[dict[str, Any]]:
    """Return a row per member, the most accurate first, with the paired difference of the ensemble to it."""
    rows = []
    for name, member in members.items():
        is_test = member.columns["part"] == "test"
        hits = member.columns["probabilities"][is_test].argmax(axis=1) == member.columns["label"][is_test]
        paired = difference(columns, member.columns, seed)
        row = {"run": name, "accuracy": round(float(hits.mean()), 6), "gain": round(paired.accuracy, 6)}
        row |= {"gain_ci95": list(paired.ci95), "mcnemar_p": float(f"{paired.p:.6g}")}
        rows.append(row | {"predictions_md5": member.md5})
    return sorted(rows, key=lambda row: -row["accuracy"])


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _stacked(members: dict[str, Member], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels (N,) of these rows, and the members' probabilities (M, N, C)."""
    every = [member.columns["probabilities"][rows] for member in members.values()]
    return next(iter(members.values())).columns["label"][rows], np.stack(every).astype(np.float64)


def _mean(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.tensordot(weights / weights.sum(), probabilities, axes=1)  # (M), (M, N, C) → (N, C)
