"""Mean and standard deviation of the given samples, and normalisation of groups."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_store import DESCRIPTION, pictures, write_store

from stages.core.errors import UserError
from stages.datasets import statistics
from stages.datasets.store import Store, create


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_numpy_over_the_given_samples_only(tmp_path: Path, channels: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "SAMPLES_AT_ONCE", 7)
    x = pictures(90, channels, 8, 8)
    x[60:] = 255  # other parts must not change the statistics
    train = np.random.default_rng(1).permutation(60)
    with Store(write_store(tmp_path / "a.h5", x)) as store:
        mean, sd = statistics.mean_and_sd(store, train)
    values = x[:60].astype(np.float64) / 255
    np.testing.assert_allclose(mean, values.mean(axis=(0, 2, 3)).reshape(channels, 1, 1), rtol=1e-6)
    np.testing.assert_allclose(sd, values.std(axis=(0, 2, 3)).reshape(channels, 1, 1), rtol=1e-5)


def test_large_samples_are_read_in_small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "VALUES_AT_ONCE", 500)
    sizes = []
    original = Store.read
    monkeypatch.setattr(Store, "read", lambda store, block: (sizes.append(len(block)), original(store, block))[1])
    x = pictures(20, 3, 8, 8)  # 192 values each
    with Store(write_store(tmp_path / "a.h5", x)) as store:
        mean, _ = statistics.mean_and_sd(store, np.arange(20))
    assert sizes == [2] * 10
    np.testing.assert_allclose(mean.ravel(), x.mean(axis=(0, 2, 3)) / 255, rtol=1e-6)


def test_statistics_of_a_clip_are_standardised_one_by_one(tmp_path: Path):
    """Values of a speaker embedding have no axis that could be averaged."""
    x = np.random.default_rng(3).normal(size=(30, 4, 5)).astype(np.float32)
    attributes = {"layout": ["statistic", "unit"], "scale_factor": 1.0, "add_offset": 0.0}
    with Store(write_store(tmp_path / "a.h5", x, **attributes)) as store:
        mean, sd = statistics.mean_and_sd(store, np.arange(20))
    np.testing.assert_allclose(mean, x[:20].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(sd, x[:20].std(axis=0), rtol=1e-5)


def spectrograms(count: int = 20) -> np.ndarray:
    """Return (count, 6, 3) with a different level in each band; small_store sets the length of sample n to n % 5."""
    x = np.random.default_rng(2).normal([-20, 0, 50], [1, 5, 20], (count, 6, 3)).astype(np.float32)
    for number in range(count):
        x[number, number % 5 :] = 1e4  # padding must not be read
    return x


def test_only_true_time_steps_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "SAMPLES_AT_ONCE", 3)
    x = spectrograms()
    train = np.random.default_rng(1).permutation(15)
    attributes = {"layout": ["time", "mel"], "scale_factor": 0.5, "add_offset": 10.0}
    with Store(write_store(tmp_path / "a.h5", x, **attributes)) as store:
        mean, sd = statistics.mean_and_sd(store, train)
    counted = 10 + np.concatenate([x[number, : number % 5] for number in range(15)]).astype(np.float64) / 2
    assert counted.max() < 1e3
    assert mean.shape == sd.shape == (1, 3)
    np.testing.assert_allclose(mean, counted.mean(axis=0)[None], rtol=1e-6)
    np.testing.assert_allclose(sd, counted.std(axis=0)[None], rtol=1e-6)


def test_features_over_time_by_hand(tmp_path: Path):
    """Samples have 0, 1, 2 and 3 true steps: 1; 2, 4; 3, 6, 9."""
    x = np.full((4, 5, 2), 99.0, np.float32)
    for number in range(4):
        x[number, :number, 0] = number * np.arange(1, number + 1)
        x[number, :number, 1] = -7
    with Store(write_store(tmp_path / "a.h5", x, layout=["time", "feature"], scale_factor=1.0)) as store:
        mean, sd = statistics.mean_and_sd(store, np.arange(4))
    np.testing.assert_allclose(mean, [[25 / 6, -7]])
    np.testing.assert_allclose(sd, [[np.std([1, 2, 4, 3, 6, 9]), 1]])  # a constant is not divided by 0


def speech(count: int = 24) -> np.ndarray:
    """Return `spectrograms` with a different level and scale for each speaker of small_store (number % 4)."""
    x = spectrograms(count)
    speaker = np.arange(count) % 4
    return x * (1 + speaker)[:, None, None] + 7 * speaker[:, None, None].astype(np.float32)


def normalized(path: Path, kind: str) -> np.ndarray:
    """Return `speech` of speakers 1 and 3, normalised in the file; small_store has no names for even ones."""
    x = speech()[1::2]
    with create(path) as writer:
        names = [f"speaker {number % 4}" for number in range(1, 24, 2)]
        columns = {"label": [0] * 12, "sample_id": names, "extra": ["{}"] * 12}
        writer.append(x, length=[number % 5 for number in range(1, 24, 2)], group=names, **columns)
        statistics.normalize_groups(writer, ["time", "mel"], kind, "datasets.speech")
        writer.describe(replace(DESCRIPTION, layout=["time", "mel"], scale_factor=1.0))
    with Store(path) as store:
        return store.read(np.arange(12))


@pytest.mark.parametrize("kind", ["mean", "mean_sd"])
def test_every_speaker_has_mean_0_over_true_frames(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "SAMPLES_AT_ONCE", 5)
    arrays = speech()[1::2], normalized(tmp_path / "a.h5", kind)
    for own in (slice(0, 12, 2), slice(1, 12, 2)):  # samples of the two speakers alternate
        numbers = np.arange(1, 24, 2)[own]
        before, after = (
            np.concatenate([x[own][row, : number % 5] for row, number in enumerate(numbers)]) for x in arrays
        )
        expected = before - before.mean(axis=0)
        np.testing.assert_allclose(after, expected / (before.std(axis=0) if kind == "mean_sd" else 1), atol=1e-3)


def test_rejects_samples_without_a_group(tmp_path: Path):
    def attempt() -> None:
        with create(tmp_path / "a.h5") as writer:
            columns = {"length": [1, 1], "label": [0, 0], "sample_id": ["a", "b"], "extra": ["{}"] * 2}
            writer.append(np.zeros((2, 3, 3), np.float32), group=["x", ""], **columns)
            statistics.normalize_groups(writer, ["time", "mel"], "mean", "datasets.emodb")

    line = r"^datasets\.emodb\.normalize_groups: .* not known; allowed: none; received: 'mean'$"
    with pytest.raises(UserError, match=line):
        attempt()
    assert not (tmp_path / "a.h5").exists()
