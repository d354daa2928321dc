"""Mean and standard deviation of the training part alone."""

from pathlib import Path

import numpy as np
import pytest
from small_store import pictures, write_store

from stages.datasets import statistics
from stages.datasets.store import Store


@pytest.mark.parametrize("at_once", [7, 4096])
@pytest.mark.parametrize("channels", [1, 3])
def test_against_numpy_over_the_given_samples_only(
    tmp_path: Path, channels: int, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(statistics, "SAMPLES_AT_ONCE", at_once)
    x = pictures(90, channels, 8, 8)
    x[60:] = 255  # what is judged on must not move the figures
    train = np.random.default_rng(1).permutation(60)
    with Store(write_store(tmp_path / "a.h5", x)) as store:
        mean, sd = statistics.mean_and_sd(store, train)
    values = x[:60].astype(np.float64) / 255
    np.testing.assert_allclose(mean, values.mean(axis=(0, 2, 3)).reshape(channels, 1, 1), rtol=1e-6)
    np.testing.assert_allclose(sd, values.std(axis=(0, 2, 3)).reshape(channels, 1, 1), rtol=1e-5)


def test_broadcasts_over_one_sample(tmp_path: Path):
    with Store(write_store(tmp_path / "a.h5", pictures(20, 3, 8, 8))) as store:
        mean, sd = statistics.mean_and_sd(store, np.arange(20))
        standardised = (store.read(np.arange(20)) - mean) / sd
    np.testing.assert_allclose(standardised.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(standardised.std(axis=(0, 2, 3)), 1, atol=1e-5)


def test_a_constant_channel_is_not_divided_by_zero(tmp_path: Path):
    with Store(write_store(tmp_path / "a.h5", np.full((5, 1, 4, 4), 51, np.uint8))) as store:
        mean, sd = statistics.mean_and_sd(store, np.arange(5))
    assert mean.item() == pytest.approx(0.2)
    assert sd.item() == pytest.approx(1.0, abs=1e-3) or sd.item() > 0
