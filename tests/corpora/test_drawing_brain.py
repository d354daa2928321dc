"""Drawn brains: in the released form, neither trivial nor hopeless, and giving nothing away by length or place."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.core.errors import UserError
from stages.core.seeding import generator
from stages.corpora import seed_v
from stages.corpora.drawing.brain import draw_brain, draw_day, draw_trial
from stages.corpora.drawing.brain_corpus import Experiment, draw_lengths, draw_subject, write_corpus
from stages.corpora.drawing.brain_scalp import pattern, positions, random_pattern

EXPERIMENT = Experiment(seed_v.CODES, seed_v.ORDERS, seed_v.EXPECTED_WINDOWS)


@cache
def people(count: int = 16) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """All trials, their labels and their places (subject, session, trial)."""
    trials, labels, places = [], [], []
    for subject in range(1, count + 1):
        data, label = draw_subject(subject, EXPERIMENT, seed=7)
        trials += data.values()
        labels += [codes[0] for codes in label.values()]
        places += [(subject, number // 15, number % 15) for number in data]
    return trials, np.array(labels), np.array(places)


def predicted(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    return model.fit(features[train], labels[train]).predict(features[test])


def over_blocks(features: np.ndarray) -> tuple[float, np.ndarray]:
    """Accuracy and confusion on the last five trials of each session, learnt from the first five, and in rotation."""
    _, labels, places = people()
    confusion = np.zeros((5, 5), dtype=int)
    for fold in range(3):
        block = (places[:, 2] // 5 + fold) % 3
        found = predicted(features, labels, block == 0, block == 2)
        confusion += confusion_matrix(labels[block == 2], found)
    return confusion.trace() / confusion.sum(), confusion


def within_people(features: np.ndarray) -> np.ndarray:
    """Less each subject's mean."""
    subject = people()[2][:, 0]
    return features - np.stack([features[subject == which].mean(axis=0) for which in subject])


def means() -> np.ndarray:
    return np.stack([trial.mean(axis=0) for trial in people()[0]])


def test_a_subject_has_the_released_form():
    data, label = draw_subject(3, EXPERIMENT, seed=7)
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


def test_files_depend_on_the_seed_and_the_subject_alone(tmp_path: Path):
    for name, size, seed in (("one", 1, 7), ("two", 2, 7), ("other", 1, 8)):
        write_corpus(tmp_path / name, EXPERIMENT, size=size, seed=seed)
    one, two, other = ((tmp_path / name / "1_123.npz").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
    assert (tmp_path / "two" / "2_123.npz").read_bytes() != two
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["1_123.npz", "2_123.npz"]


@pytest.mark.parametrize("size", [0, 1000])
def test_numbers_of_subjects(tmp_path: Path, size: int):
    with pytest.raises(UserError, match=rf"synthetic\.size: .*allowed: 1 to 999 subjects; received: {size}"):
        seed_v.synthesise(tmp_path, size=size, seed=7)


def test_the_cap():
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


def test_lengths_tell_neither_emotion_nor_place():
    rng = generator(7, "lengths")
    lengths = np.array([draw_lengths(15, 601, rng) for _ in range(600)])
    assert set(lengths.sum(axis=1)) == {601}
    assert (lengths.min(), lengths.max()) == (lengths.clip(8, 74).min(), lengths.clip(8, 74).max())
    assert np.ptp(lengths.mean(axis=0)) < 3
    accuracy, _ = over_blocks(np.array([[len(trial)] for trial in people()[0]], dtype=float))
    assert accuracy < 0.27


def test_a_trial_of_any_length_is_drawn():
    rng = generator(7, "short")
    brain = draw_brain(rng)
    for n_windows in (1, 2, 3, 200):
        assert draw_trial("sad", n_windows, brain, draw_day(rng), rng).shape == (n_windows, 310)


def test_a_linear_model_of_means_is_above_chance_and_far_from_perfect():
    accuracy, confusion = over_blocks(means())
    assert 0.5 < accuracy < 0.63
    wrong = confusion + confusion.T
    np.fill_diagonal(wrong, 0)
    assert np.unravel_index(wrong.argmax(), wrong.shape) == (1, 2)  # fear and sad


def test_people_who_were_not_trained_on_are_harder():
    _, labels, places = people()
    features, test = within_people(means()), places[:, 0] > 12
    accuracy = np.mean(predicted(features, labels, ~test, test) == labels[test])
    assert 0.4 < accuracy < 0.62


def test_the_end_of_a_trial_tells_what_its_mean_does_not():
    """Less the mean over its windows: nothing is left for a model without time."""
    trials = people()[0]
    late = np.stack([trial[-max(1, len(trial) // 6) :].mean(axis=0) - trial.mean(axis=0) for trial in trials])
    accuracy, _ = over_blocks(late)
    assert 0.4 < accuracy < 0.8


def test_the_order_of_profiles_tells_what_no_single_electrode_does():
    """Correlation with each emotion's ripple wherever it is largest, which a convolution with pooling computes."""
    from stages.corpora.drawing.brain import _ORDERS, _PROFILES

    maps = within_people(means()).reshape(-1, 62, 5)
    kernels = np.stack([_PROFILES[list(_ORDERS[name])] for name in seed_v.CODES])  # (5, 3, 5)
    windows = np.lib.stride_tricks.sliding_window_view(maps, 3, axis=1)  # (trials, 60, bands, 3)
    accuracy, _ = over_blocks(np.einsum("npbk,ekb->nep", windows, kernels).max(axis=2))
    assert 0.35 < accuracy < 0.85


def test_drift_does_not_tell_a_trials_place():
    """Sessions 2 and 3 share their order: what tells the place would tell the emotion."""
    _, labels, places = people()
    happy = labels == seed_v.CODES.index("happy")  # one emotion alone, so that nothing but the place is left
    first = (places[:, 2] < 5).astype(int)
    train = happy & (places[:, 0] <= 8)
    test = happy & (places[:, 0] > 8)
    found = predicted(within_people(means()), first, train, test)
    chance = max(np.mean(first[test]), 1 - np.mean(first[test]))
    assert np.mean(found == first[test]) < chance + 0.1
