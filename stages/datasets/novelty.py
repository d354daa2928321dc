"""Distance of a sample to the training data, by simple statistics of its standardised features.

The statistics are the mean, the standard deviation and the contrast at several distances along each axis. Their
Mahalanobis distance finds noise, plain surfaces, patterns and other signals, which a network often gives a confident
class: on FER-2013, the energy score (Liu et al. 2020) of the network passes all noise and all walls at its 99 %
quantile. A face that is turned upside down has the same statistics and is not found.
"""

import math
from typing import Any

import numpy as np

from stages.datasets.store import Store

METHOD = "mahalanobis"
LAGS = (1, 2, 4, 8, 16)  # steps along an axis, those below half of its length
QUANTILE, MARGIN = 0.99, 1.1  # few validation samples underestimate the quantile, hence the margin
MAX_SAMPLES = 2_000  # at most, from each part
FLOOR, RIDGE = 1e-3, 1e-2  # added to standard deviations; added to variances, as a share of their mean


def n_statistics(shape: list[int], layout: list[str]) -> int:
    """Return the number of statistics of one sample."""
    return 2 + sum(len(_lags(size)) for size, axis in zip(shape, layout, strict=True) if axis != "channel")


def statistics(x: np.ndarray, length: int, layout: list[str]) -> np.ndarray:
    """Return (n_statistics,) of one standardised sample (…) with `length` true time steps."""
    valid = x[: max(1, int(length))] if layout[0] == "time" else x
    sd = float(valid.std())
    values = [float(valid.mean()), sd]
    for axis, size in enumerate(x.shape):
        for lag in _lags(size) if layout[axis] != "channel" else ():
            if lag >= valid.shape[axis]:  # a short clip: as if its steps were independent
                values.append(math.sqrt(2) * sd)
                continue
            steps = np.moveaxis(valid, axis, 0)
            change = (steps[lag:] - steps[:-lag]).ravel()
            values.append(math.sqrt(float(change @ change) / change.size))
    return np.array([values[0], *np.log(np.array(values[1:]) + FLOOR)])


def fit(store: Store, train: np.ndarray, validation: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> dict[str, Any]:
    """Return what `is_unlike` needs: mean and precision from the training part, threshold from the validation part."""
    known, other = (_of_part(store, indices, mean, sd) for indices in (train, validation))
    covariance = np.atleast_2d(np.cov(known, rowvar=False, bias=True))
    covariance += RIDGE * max(np.trace(covariance) / len(covariance), FLOOR) * np.eye(len(covariance))
    ood = {"method": METHOD, "mean": known.mean(axis=0).tolist(), "precision": np.linalg.inv(covariance).tolist()}
    farthest = float(np.quantile([distance(row, ood) for row in other], QUANTILE))
    # The root of their number is the expected distance, which equal samples would fall short of.
    return ood | {"threshold": MARGIN * max(farthest, math.sqrt(known.shape[1]))}


def distance(row: np.ndarray, ood: dict[str, Any]) -> float:
    """Return the Mahalanobis distance of the statistics of one sample."""
    offset = row - np.array(ood["mean"])
    return math.sqrt(max(0.0, float(offset @ np.array(ood["precision"]) @ offset)))


def _lags(size: int) -> list[int]:
    return [lag for lag in LAGS if 2 * lag < size]


def _of_part(store: Store, indices: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return (n, n_statistics) of up to `MAX_SAMPLES` evenly spaced samples."""
    chosen = np.sort(indices)[:: -(-len(indices) // MAX_SAMPLES)]
    layout, rows = store.description.layout, []
    for start in range(0, len(chosen), 64):
        block = chosen[start : start + 64]
        x = (store.read(block) - mean.astype(np.float32)) / sd.astype(np.float32)
        rows += [statistics(one, store.length[index], layout) for one, index in zip(x, block, strict=True)]
    return np.array(rows)
