"""Protocols assign every sample to train, validation or test."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.datasets import protocols
from stages.datasets.protocols import Metadata
from stages.params.schema import Split

ROLES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
PARTS = {"train", "validation", "test"}


def split(protocol: str = "official", **change: object) -> Split:
    values = {"seed": 7, "fold": 0, "validation_fraction": 0.1, "on_duplicate": "report", **change}
    return Split(protocol=protocol, **values)


def table(rows: list[dict[str, str | None]], seed: int = 0, group_kind: str | None = None) -> Metadata:
    """Return one row per sample, in random order; missing keys are unknown."""
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = [rows[index] for index in order]
    return Metadata(
        label=np.array([row["label"] for row in shuffled]),
        partition=np.array([row.get("partition") for row in shuffled], dtype=object),
        roles=ROLES,
        group=np.array([row.get("group", "") for row in shuffled]),
        group_kind=group_kind,
        gender=np.array([row.get("gender", "") for row in shuffled]),
        trial=np.array([row.get("trial", -1) for row in shuffled]),
    )


def metadata(counts: dict[str | None, dict[str, int]], seed: int = 0) -> Metadata:
    """Return `counts` samples: {partition: {label: n}}."""
    rows = [{"partition": part, "label": label} for part, labels in counts.items() for label in labels]
    return table([row for row in rows for _ in range(counts[row["partition"]][row["label"]])], seed)


def speech(counts: dict[str, dict[str, int]], seed: int = 0, genders: tuple[str, ...] = ("male", "female")) -> Metadata:
    """Return `counts` samples: {speaker: {label: n}}; genders alternate."""
    rows = [
        {"label": label, "group": speaker, "gender": genders[index % len(genders)]}
        for index, (speaker, labels) in enumerate(counts.items())
        for label, n in labels.items()
        for _ in range(n)
    ]
    return table(rows, seed, "speaker")


def shares(corpus: Metadata, part: np.ndarray, name: str) -> Counter:
    return Counter(corpus.label[part == name].tolist())


CLASSES = {"happy": 200, "sad": 100, "disgust": 20}
HALF = {"happy": 20, "sad": 10, "disgust": 4}


def test_official_uses_the_three_parts():
    corpus = metadata({"Training": CLASSES, "PublicTest": HALF, "PrivateTest": HALF})
    part, label = protocols.official(corpus, split())
    assert part.tolist() == [ROLES[name] for name in corpus.partition]
    assert label == "official (test = PrivateTest, validation = PublicTest)"


@pytest.mark.parametrize(("train", "test"), [("Training", "PublicTest"), ("train", "test")])
def test_official_without_three_parts_samples_validation_from_train(train: str, test: str):
    corpus = metadata({train: CLASSES, test: HALF})
    part, label = protocols.official(corpus, split())
    assert set(part[corpus.partition == test]) == {"test"}
    assert shares(corpus, part, "validation") == {"happy": 20, "sad": 10, "disgust": 2}
    assert shares(corpus, part, "train") == {"happy": 180, "sad": 90, "disgust": 18}
    note = "not comparable with figures on PrivateTest"  # a folder `test` contains PublicTest, too
    assert label == f"official (test = {test}, validation = 10% of train, fold 0; {note})"
    folds = [protocols.official(corpus, split(fold=fold))[0] == "validation" for fold in range(10)]
    assert (np.sum(folds, axis=0) == (corpus.partition == train)).all()  # disjoint, and cover train


def test_stratified_pools_all_samples_in_proportion():
    corpus = metadata({"Training": CLASSES, "PublicTest": {"happy": 100, "sad": 100, "disgust": 20}})
    part, label = protocols.stratified(corpus, split("stratified"))
    assert shares(corpus, part, "test") == {"happy": 30, "sad": 20, "disgust": 4}
    assert shares(corpus, part, "validation") == {"happy": 30, "sad": 20, "disgust": 4}
    assert shares(corpus, part, "train") == {"happy": 240, "sad": 160, "disgust": 32}
    assert label == "stratified (pooled, 10% validation, as much test, fold 0)"
    parts = np.array([protocols.stratified(corpus, split("stratified", fold=fold))[0] for fold in range(10)])
    for name in ("test", "validation"):
        assert set((parts == name).sum(axis=0)) == {1}


def test_halves_split_all_samples_outside_train():
    corpus = metadata({"Training": CLASSES, "PublicTest": HALF, "PrivateTest": HALF})
    part, label = protocols.test_halves(corpus, split("test_halves"))
    assert part[corpus.partition == "Training"].tolist() == ["train"] * 320
    assert shares(corpus, part, "test") == shares(corpus, part, "validation") == HALF
    assert "half of PrivateTest + PublicTest" in label
    other, _ = protocols.test_halves(corpus, split("test_halves", fold=1))
    np.testing.assert_array_equal(part == "test", other == "validation")  # the halves are exchanged


@pytest.mark.parametrize("protocol", ["stratified", "group_disjoint"])
def test_parts_depend_on_the_seed_only(protocol: str):
    corpus, change = speech(RAVDESS), {"folds": 6}
    parts = []
    for seed in (1, 1, 2):
        np.random.seed(len(parts))
        parts.append(getattr(protocols, protocol)(corpus, split(protocol, seed=seed, **change))[0].tolist())
    assert parts[0] == parts[1] != parts[2]


@settings(max_examples=40, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from("abcdefg"), st.integers(4, 40), min_size=2),
    seed=st.integers(0, 1000),
    fold=st.integers(0, 3),
    protocol=st.sampled_from(["stratified", "official", "test_halves"]),
)
def test_every_part_has_every_class(counts: dict[str, int], seed: int, fold: int, protocol: str):
    corpus = metadata({None: counts} if protocol == "stratified" else {"train": counts, "test": counts}, seed)
    fold = fold % 2 if protocol == "test_halves" else fold
    part, _ = getattr(protocols, protocol)(corpus, split(protocol, seed=seed, fold=fold, validation_fraction=0.25))
    assert part.shape == corpus.label.shape
    assert set(part) == PARTS
    for name in PARTS:
        assert set(corpus.label[part == name]) == set(counts)


OFFICIAL = {"Training": CLASSES, "PublicTest": HALF, "PrivateTest": HALF}


@pytest.mark.parametrize(
    ("protocol", "counts", "change", "words"),
    [
        ("stratified", {None: CLASSES}, {"fold": 10}, ["fold 10 does not exist", "0 to 9"]),
        ("official", OFFICIAL, {"fold": 1}, ["no folds", "allowed: fold 0", "received: 1"]),
        ("test_halves", OFFICIAL, {"fold": 2}, ["fold 2 does not exist", "0 to 1"]),
        ("stratified", {None: {"happy": 50, "sad": 9}}, {}, ["class 'sad' has 9 samples", "at least 10"]),
        ("test_halves", {"train": CLASSES, "test": {"happy": 9, "sad": 1}}, {}, ["class 'sad' has 1", "at least 2"]),
        ("official", {None: CLASSES}, {}, ["protocol official cannot be used here", "protocol stratified"]),
        ("official", {"Training": CLASSES, None: HALF}, {}, ["every sample in an official part"]),
        ("official", {"Training": CLASSES}, {}, ["a train part and one to test on", "received parts: train"]),
        ("official", {"test": CLASSES, "validation": HALF}, {}, ["a train part", "received parts: test, validation"]),
        ("test_halves", {"train": CLASSES}, {}, ["test_halves cannot be used here", "received parts: train"]),
    ],
)
def test_rejects_unsuitable_corpora(protocol: str, counts: dict, change: dict, words: list[str]):
    with pytest.raises(UserError) as error:
        getattr(protocols, protocol)(metadata(counts), split(protocol, **change))
    assert [word for word in words if word not in str(error.value)] == []


def test_label_states_the_actual_validation_share():
    """A fraction of 0.15 is rounded to one of seven folds."""
    corpus = metadata({"train": CLASSES, "test": HALF})
    part, label = protocols.official(corpus, split(validation_fraction=0.15))
    assert "validation = 14.3% of train" in label
    assert (part == "validation").sum() == pytest.approx((corpus.partition == "train").sum() / 7, abs=2)


RAVDESS = {
    f"{actor:02d}": {"neutral": 4} | dict.fromkeys(["calm", "happy", "sad", "angry", "fear"], 8)
    for actor in range(1, 25)
}
# The test actors of EmoBox (Ma et al. 2024, arXiv 2406.07162).
EMOBOX = "01 11 20 21, 04 10 12 14, 08 09 19 23, 03 05 07 24, 02 15 16 18, 06 13 17 22"
EMOBOX = [actors.split() for actors in EMOBOX.split(", ")]


def grouped(**change: object) -> Split:
    return split("group_disjoint", **{"folds": None if "test_groups" in change else 6, **change})


def speakers(corpus: Metadata, part: np.ndarray) -> dict[str, set[str]]:
    return {name: set(corpus.group[part == name].tolist()) for name in sorted(set(part))}


def assert_disjoint(corpus: Metadata, part: np.ndarray):
    result = speakers(corpus, part)
    assert set(result) == PARTS
    assert sum(map(len, result.values())) == len(set(corpus.group))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fold", range(6))
def test_balanced_speakers_are_spread_evenly(fold: int, seed: int):
    corpus = speech(RAVDESS)
    part, label = protocols.group_disjoint(corpus, grouped(seed=seed, fold=fold))
    assert_disjoint(corpus, part)
    gender = dict(zip(corpus.group.tolist(), corpus.gender.tolist(), strict=True))
    result = {name: Counter(gender[speaker] for speaker in own) for name, own in speakers(corpus, part).items()}
    assert result == {name: {"male": n, "female": n} for name, n in (("train", 9), ("validation", 1), ("test", 2))}
    assert label == f"speaker-disjoint (fold {fold} of 6; speakers: train 18, validation 2, test 4)"


def test_group_disjoint_does_not_depend_on_the_order_of_samples():
    first, second = (speech(RAVDESS, order) for order in range(2))
    parts = [speakers(corpus, protocols.group_disjoint(corpus, grouped())[0]) for corpus in (first, second)]
    assert parts[0] == parts[1]


def test_seed_changes_folds_of_unequal_speakers():
    corpus = speech({f"s{n}": {"happy": 5 + n, "sad": 40 - 3 * n} for n in range(10)})
    assert len({protocols.group_disjoint(corpus, grouped(folds=5, seed=n))[0].tobytes() for n in range(10)}) > 3


def test_rare_classes_are_spread_over_the_folds():
    """Only four of twelve speakers have disgusted clips."""
    corpus = speech({f"s{n:02d}": {"happy": 20} | ({"disgust": 10} if n < 4 else {}) for n in range(12)}, genders=("",))
    for fold in range(4):
        part, _ = protocols.group_disjoint(corpus, grouped(folds=4, fold=fold))
        assert shares(corpus, part, "test") == {"happy": 60, "disgust": 10}


@st.composite
def corpora(draw: st.DrawFn) -> Metadata:
    """Generate 3 to 12 speakers with very different numbers of samples per class, some with none."""
    amount = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1)
    counts = draw(st.lists(amount, min_size=3, max_size=12))
    genders = draw(st.sampled_from([("male", "female"), ("female", "female", "male"), ("",)]))
    return speech({f"s{n}": amounts for n, amounts in enumerate(counts)}, draw(st.integers(0, 99)), genders)


@settings(max_examples=40, deadline=None)
@given(corpus=corpora(), seed=st.integers(0, 2**31), data=st.data())
def test_no_speaker_is_in_two_parts(corpus: Metadata, seed: int, data: st.DataObject):
    count = len(set(corpus.group))
    folds = data.draw(st.integers(2, min(count, 6)) | st.just(count))  # also one speaker per fold
    fraction = data.draw(st.sampled_from([0.01, 0.1, 0.2]))
    tested = []
    for fold in range(folds):
        change = {"folds": folds, "fold": fold, "seed": seed, "validation_fraction": fraction}
        if -(-count // folds) + max(1, round(fraction * count)) >= count:
            continue  # too few speakers: an error, tested below
        part, label = protocols.group_disjoint(corpus, grouped(**change))
        assert_disjoint(corpus, part)
        assert label.startswith(f"speaker-disjoint (fold {fold} of {folds}; ")
        tested.append(speakers(corpus, part)["test"])
    if tested:
        assert sorted(speaker for test_speakers in tested for speaker in test_speakers) == sorted(set(corpus.group))
        assert max(map(len, tested)) - min(map(len, tested)) <= 1


@pytest.mark.parametrize("fold", range(6))
def test_listed_groups_are_the_test_part(fold: int):
    corpus = speech(RAVDESS)
    part, label = protocols.group_disjoint(corpus, grouped(test_groups=EMOBOX, fold=fold))
    assert_disjoint(corpus, part)
    result = speakers(corpus, part)
    assert result["test"] == set(EMOBOX[fold])
    assert len(result["validation"]) == 2
    assert label == f"speaker-disjoint (fold {fold} of 6; speakers: train 18, validation 2, test 4)"


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.1, 2), (1 / 6, 4), (0.2, 5), (0.25, 7), (0.5, 10)])
def test_validation_is_about_its_fraction_of_all_speakers(fraction: float, count: int):
    """The twenty speakers outside test are divided into whole folds: a quarter of 24 becomes a third of 20."""
    corpus = speech(RAVDESS)
    part, _ = protocols.group_disjoint(corpus, grouped(validation_fraction=fraction))
    assert len(speakers(corpus, part)["validation"]) == count


def corpus_of(count: int) -> Metadata:
    return speech({f"s{n}": {"happy": 5, "sad": 5} for n in range(count)})


@pytest.mark.parametrize(
    ("corpus", "change", "words"),
    [
        (corpus_of(2), {"folds": 2}, ["at least 3 speakers", "received: 2 (s0, s1)"]),
        (corpus_of(4), {"folds": 6}, ["splits: 4 speakers; allowed: at least 6"]),
        (corpus_of(3), {"folds": 2}, ["splits: 1 speakers are left", "more than 1 (validation_fraction)"]),
        (corpus_of(6), {"folds": 2, "validation_fraction": 0.5}, ["3 speakers are left", "allowed: more than 3"]),
        (corpus_of(4), {"test_groups": [["s0", "s1", "s2", "s3"]]}, ["splits: 0 speakers are left"]),
        (corpus_of(4), {"test_groups": [["s0"], ["s01"]]}, ["splits: test_groups.1: no such group", "received: 's01'"]),
        (metadata({None: CLASSES}), {}, ["the group of some samples is not known"]),
    ],
)
def test_rejects_unsuitable_groups(corpus: Metadata, change: dict, words: list[str]):
    with pytest.raises(UserError) as error:
        protocols.group_disjoint(corpus, grouped(**change))
    assert [word for word in words if word not in str(error.value)] == []


def trials(numbers: range) -> Metadata:
    """Two subjects of three sessions each."""
    rows = [{"label": "sad", "group": subject, "trial": trial} for subject in "ab" for trial in numbers]
    return table(rows * 3, group_kind="subject")


@pytest.mark.parametrize(
    ("fold", "train", "validation", "test"),
    [(0, "0–4", "5–9", "10–14"), (1, "5–9", "10–14", "0–4"), (2, "10–14", "0–4", "5–9")],
)
def test_trial_blocks_rotate(fold: int, train: str, validation: str, test: str):
    corpus = trials(range(15))
    part, label = protocols.trial_blocks(corpus, split("trial_blocks", fold=fold))
    for name, block in (("train", train), ("validation", validation), ("test", test)):
        first, last = map(int, block.split("–"))
        assert set(corpus.trial[part == name]) == set(range(first, last + 1))
        assert f"{name} {block}" in label
    assert label.startswith(f"trial blocks (fold {fold} of 3; trials: ")


@pytest.mark.parametrize("numbers", [range(16), range(-1, 3)])
def test_rejects_trials_outside_the_blocks(numbers: range):
    with pytest.raises(UserError, match=r"allowed: trials 0 to 14; received: "):
        protocols.trial_blocks(trials(numbers), split("trial_blocks"))
