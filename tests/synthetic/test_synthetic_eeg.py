"""Synthetic EEG has the form of SEED-V, is moderately difficult, and its trial lengths and positions do not help."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.core.seeding import generator
from stages.corpora import seed_v
from stages.synthetic.eeg.corpus import sample_lengths, synthesise_subject
from stages.synthetic.eeg.signal import ORDERS, PROFILES, pattern, positions, random_pattern


def subject_trials(subject: int) -> tuple[dict, dict]:
    return synthesise_subject(subject, seed_v.CODES, seed_v.ORDERS, seed_v.EXPECTED_WINDOWS, seed=7)


@cache
def corpus(count: int = 16) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return all trials, their labels and their positions (subject, session, trial)."""
    trials, labels, trial_positions = [], [], []
    for subject in range(1, count + 1):
        data, label = subject_trials(subject)
        trials += data.values()
        labels += [codes[0] for codes in label.values()]
        trial_positions += [(subject, number // 15, number % 15) for number in data]
    return trials, np.array(labels), np.array(trial_positions)


def predicted(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    return model.fit(features[train], labels[train]).predict(features[test])


def block_accuracy(features: np.ndarray) -> tuple[float, np.ndarray]:
    """Return accuracy and confusion of a linear model over the three folds of trial blocks."""
    _, labels, trial_positions = corpus()
    confusion = np.zeros((5, 5), dtype=int)
    for fold in range(3):
        block = (trial_positions[:, 2] // 5 + fold) % 3
        predictions = predicted(features, labels, block == 0, block == 2)
        confusion += confusion_matrix(labels[block == 2], predictions)
    return confusion.trace() / confusion.sum(), confusion


def without_subject_mean(features: np.ndarray) -> np.ndarray:
    """Subtract the mean of each subject."""
    subject = corpus()[2][:, 0]
    return features - np.stack([features[subject == other].mean(axis=0) for other in subject])


def means() -> np.ndarray:
    return np.stack([trial.mean(axis=0) for trial in corpus()[0]])


def test_subject_has_the_form_of_seed_v():
    data, label = subject_trials(3)
    assert list(data) == list(label) == list(range(45))
    for number, values in data.items():
        assert values.shape == (len(label[number]), 310)
        assert values.dtype == np.float64
        assert 8 <= len(values) <= 74
        assert set(label[number]) == {seed_v.ORDERS[number // 15][number % 15]}
    windows = [sum(len(data[session * 15 + trial]) for trial in range(15)) for session in range(3)]
    assert windows == [681, 541, 601]
    whole = np.concatenate(list(data.values()))
    assert -2 < whole.min() < whole.max() < 10


def test_files_depend_on_seed_and_subject_only(tmp_path: Path):
    for name, size, seed in (("one", 1, 7), ("two", 2, 7), ("other", 1, 8)):
        seed_v.synthesise(tmp_path / name, size=size, seed=seed)
    folders = [tmp_path / name / "EEG_DE_features" for name in ("one", "two", "other")]
    one, two, other = ((folder / "1_123.npz").read_bytes() for folder in folders)
    assert one == two != other
    assert (folders[1] / "2_123.npz").read_bytes() != two
    assert sorted(path.name for path in folders[1].iterdir()) == ["1_123.npz", "2_123.npz"]


def test_patterns_are_smooth_over_the_scalp():
    assert positions().shape == (62, 2)
    assert len(np.unique(positions(), axis=0)) == 62
    assert np.abs(positions()).max() <= 1
    frontal = pattern((0.0, 1.0, (1, 0, 0, 0, 0)))
    assert np.unravel_index(frontal.argmax(), frontal.shape) == (1, 0)  # FPZ
    assert np.mean(frontal**2) == pytest.approx(1)
    fields = np.stack([random_pattern(generator(1, "field", step)) for step in range(400)])
    assert fields.std() == pytest.approx(1, abs=0.05)
    near, far = (np.corrcoef(fields[:, 27, 2], fields[:, other, 2])[0, 1] for other in (28, 0))  # CZ and C2, FP1
    assert near > 0.75 > 0.3 > abs(far)


def test_lengths_predict_neither_emotion_nor_position():
    rng = generator(7, "lengths")
    lengths = np.array([sample_lengths(15, 601, rng) for _ in range(600)])
    assert set(lengths.sum(axis=1)) == {601}
    assert (lengths.min(), lengths.max()) == (lengths.clip(8, 74).min(), lengths.clip(8, 74).max())
    assert np.ptp(lengths.mean(axis=0)) < 3
    accuracy, _ = block_accuracy(np.array([[len(trial)] for trial in corpus()[0]], dtype=float))
    assert accuracy < 0.27


def test_linear_model_of_means_is_above_chance_and_not_perfect():
    accuracy, confusion = block_accuracy(means())
    assert 0.5 < accuracy < 0.63
    wrong = confusion + confusion.T
    np.fill_diagonal(wrong, 0)
    assert np.unravel_index(wrong.argmax(), wrong.shape) == (1, 2)  # fear and sad


def test_unseen_subjects_are_harder():
    _, labels, trial_positions = corpus()
    features, test = without_subject_mean(means()), trial_positions[:, 0] > 12
    accuracy = np.mean(predicted(features, labels, ~test, test) == labels[test])
    assert 0.4 < accuracy < 0.62


def test_end_of_a_trial_adds_information_to_its_mean():
    """The mean over windows is subtracted, so a model without time has no information."""
    trials = corpus()[0]
    late = np.stack([trial[-max(1, len(trial) // 6) :].mean(axis=0) - trial.mean(axis=0) for trial in trials])
    accuracy, _ = block_accuracy(late)
    assert 0.4 < accuracy < 0.8


def test_order_of_profiles_is_informative():
    """Features are the largest correlations with the ripple of each emotion, as from a convolution with pooling."""
    maps = without_subject_mean(means()).reshape(-1, 62, 5)
    kernels = np.stack([PROFILES[list(ORDERS[name])] for name in seed_v.CODES])  # (5, 3, 5)
    windows = np.lib.stride_tricks.sliding_window_view(maps, 3, axis=1)  # (trials, 60, bands, 3)
    accuracy, _ = block_accuracy(np.einsum("npbk,ekb->nep", windows, kernels).max(axis=2))
    assert 0.35 < accuracy < 0.85


def test_drift_does_not_reveal_the_position_of_a_trial():
    """Sessions 2 and 3 have the same order of emotions, so the position would reveal the emotion."""
    _, labels, trial_positions = corpus()
    happy = labels == seed_v.CODES.index("happy")  # with one emotion, only the position differs
    first = (trial_positions[:, 2] < 5).astype(int)
    train = happy & (trial_positions[:, 0] <= 8)
    test = happy & (trial_positions[:, 0] > 8)
    predictions = predicted(without_subject_mean(means()), first, train, test)
    chance = max(np.mean(first[test]), 1 - np.mean(first[test]))
    assert np.mean(predictions == first[test]) < chance + 0.1
