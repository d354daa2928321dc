"""Distance to the training data: other signals are beyond the threshold, samples of the corpus are not."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from small_store import DESCRIPTION

from stages.datasets import novelty

IMAGES, SERIES = ["channel", "height", "width"], ["time", "mel"]


def images(count: int, seed: int) -> np.ndarray:
    """Return (count, 1, 32, 32) with details at all scales."""
    rng = np.random.default_rng(seed)
    enlarged = lambda n: cv2.resize(rng.normal(size=(n, n)), (32, 32), interpolation=cv2.INTER_CUBIC)  # noqa: E731
    found = [sum(map(enlarged, (3, 8, 20))) * rng.uniform(0.7, 1.3) for _ in range(count)]
    return np.array(found, np.float32)[:, None]


def series(count: int, seed: int) -> np.ndarray:
    """Return (count, 60, 8) smooth over time."""
    noise = np.random.default_rng(seed).normal(size=(count, 70, 8))
    return np.stack([noise[:, start : start + 60] for start in range(10)]).sum(axis=0).astype(np.float32) / 3


def fitted(x: np.ndarray, length: np.ndarray, layout: list[str]) -> dict:
    store = SimpleNamespace(read=lambda at: x[at], length=length, description=replace(DESCRIPTION, layout=layout))
    half = len(x) // 2
    return novelty.fit(store, np.arange(half), np.arange(half, len(x)), np.zeros(1), np.ones(1))


def beyond(one: np.ndarray, length: int, layout: list[str], ood: dict) -> bool:
    return novelty.distance(novelty.statistics(one, length, layout), ood) > ood["threshold"]


NOISE = np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)
CHECKS = np.indices((60, 60)).sum(axis=0).astype(np.float32) % 2
RAMP = np.linspace(-1, 1, 60, dtype=np.float32) * np.ones((60, 1), np.float32)
STRANGE = {"noise": NOISE, "wall": np.zeros_like(NOISE), "checks": CHECKS, "ramp": RAMP, "huge": 1e6 * NOISE}


@pytest.mark.parametrize("name", STRANGE)
def test_other_signals_are_beyond_the_threshold(name: str):
    ood = fitted(images(200, 0), np.full(200, 1), IMAGES)
    assert beyond(STRANGE[name][None, :32, :32], 1, IMAGES, ood)
    ood = fitted(series(200, 0), np.full(200, 60), SERIES)
    assert beyond(STRANGE[name][:, :8], 60, SERIES, ood)


def test_other_samples_of_the_corpus_are_not():
    ood = fitted(images(400, 0), np.full(400, 1), IMAGES)
    assert np.mean([beyond(one, 1, IMAGES, ood) for one in images(300, 7)]) <= 0.04
    length = np.random.default_rng(2).integers(25, 61, 400)
    ood = fitted(series(400, 0), length, SERIES)
    others = zip(series(300, 7), length, strict=False)
    assert np.mean([beyond(one, n, SERIES, ood) for one, n in others]) <= 0.04


def test_padding_does_not_count():
    one = series(1, 0)[0]
    padded = one.copy()
    padded[30:] = 99
    np.testing.assert_array_equal(novelty.statistics(one, 30, SERIES), novelty.statistics(padded, 30, SERIES))


@pytest.mark.parametrize("length", [0, 1, 2, 17])
def test_short_clips_have_finite_statistics(length: int):
    found = novelty.statistics(series(1, 0)[0], length, SERIES)
    assert len(found) == novelty.n_statistics([60, 8], SERIES)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("count", [2, 5, 40])
def test_few_or_equal_samples_give_a_finite_threshold(count: int):
    for x in (images(count, 0), np.ones((count, 1, 32, 32), np.float32)):
        ood = fitted(x, np.full(count, 1), IMAGES)
        assert np.isfinite([ood["threshold"], *np.ravel(ood["precision"])]).all()
        assert ood["threshold"] > 0
