"""Who is trained on, chosen with and tested on."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.checks import UserError
from stages.core.schema import Split
from stages.datasets import protocols
from stages.datasets.protocols import Metadata

ROLES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
PARTS = {"train", "validation", "test"}


def split(protocol: str = "official", **change: object) -> Split:
    given_settings = {"seed": 7, "fold": 0, "validation_fraction": 0.1, "on_duplicate": "report", **change}
    return Split(protocol=protocol, **given_settings)


def metadata(counts: dict[str | None, dict[str, int]], seed: int = 0) -> Metadata:
    """As many samples as `counts` says: {partition: {label: n}}, in a drawn order."""
    rows = [(part, label) for part, labels in counts.items() for label, n in labels.items() for _ in range(n)]
    order = np.random.default_rng(seed).permutation(len(rows))
    partition = np.array([rows[index][0] for index in order], dtype=object)
    return Metadata(
        np.array([rows[index][1] for index in order]),
        partition,
        ROLES,
        np.array([""] * len(order)),
        None,
        np.array([""] * len(order)),
    )


def shares(corpus: Metadata, part: np.ndarray, name: str) -> Counter:
    return Counter(corpus.label[part == name].tolist())


CLASSES = {"happy": 200, "sad": 100, "disgust": 20}
HALF = {"happy": 20, "sad": 10, "disgust": 4}


def test_official_takes_the_three_parts_as_they_are():
    corpus = metadata({"Training": CLASSES, "PublicTest": HALF, "PrivateTest": HALF})
    part, label = protocols.official(corpus, split())
    assert part.tolist() == [ROLES[name] for name in corpus.partition]
    assert label == "official (test = PrivateTest, validation = PublicTest)"


def test_official_without_private_test_tests_on_the_public_one_and_says_so():
    corpus = metadata({"Training": CLASSES, "PublicTest": HALF})
    part, label = protocols.official(corpus, split())
    assert set(part[corpus.partition == "PublicTest"]) == {"test"}
    assert shares(corpus, part, "validation") == {"happy": 20, "sad": 10, "disgust": 2}
    assert shares(corpus, part, "train") == {"happy": 180, "sad": 90, "disgust": 18}
    assert "test = PublicTest" in label
    assert "not comparable with figures on PrivateTest" in label
    assert "validation = 10% of train" in label


def test_official_with_train_and_test_folders():
    corpus = metadata({"train": CLASSES, "test": HALF})
    part, label = protocols.official(corpus, split())
    assert set(part[corpus.partition == "test"]) == {"test"}
    assert shares(corpus, part, "validation") == {"happy": 20, "sad": 10, "disgust": 2}
    assert "not comparable with figures on PrivateTest" in label  # the folder holds PublicTest, too


def folds(protocol: str, corpus: Metadata, count: int, name: str, **change: object) -> np.ndarray:
    """(count, N) which samples are in part `name`, fold by fold."""
    found = [getattr(protocols, protocol)(corpus, split(protocol, fold=fold, **change))[0] for fold in range(count)]
    return np.array(found) == name


def test_folds_of_the_drawn_validation_part_are_disjoint_and_cover_train():
    corpus = metadata({"train": CLASSES, "test": HALF})
    times = folds("official", corpus, 10, "validation").sum(axis=0)
    assert set(times[corpus.partition == "train"]) == {1}
    assert set(times[corpus.partition == "test"]) == {0}


@pytest.mark.parametrize("name", ["test", "validation"])
def test_folds_of_stratified_are_disjoint_and_cover(name: str):
    corpus = metadata({None: CLASSES})
    assert set(folds("stratified", corpus, 5, name, validation_fraction=0.2).sum(axis=0)) == {1}


def test_stratified_pools_all_and_keeps_the_proportions():
    corpus = metadata({"Training": CLASSES, "PublicTest": {"happy": 100, "sad": 100, "disgust": 20}})
    part, label = protocols.stratified(corpus, split("stratified"))
    assert shares(corpus, part, "test") == {"happy": 30, "sad": 20, "disgust": 4}
    assert shares(corpus, part, "validation") == {"happy": 30, "sad": 20, "disgust": 4}
    assert shares(corpus, part, "train") == {"happy": 240, "sad": 160, "disgust": 32}
    assert label == "stratified (pooled, 10% validation, as much test, fold 0)"


def test_halves():
    corpus = metadata({"Training": CLASSES, "PublicTest": HALF, "PrivateTest": HALF})
    part, label = protocols.test_halves(corpus, split("test_halves"))
    assert part[corpus.partition == "Training"].tolist() == ["train"] * 320
    assert shares(corpus, part, "test") == shares(corpus, part, "validation") == HALF
    assert "half of PrivateTest + PublicTest" in label
    other, _ = protocols.test_halves(corpus, split("test_halves", fold=1))
    np.testing.assert_array_equal(part == "test", other == "validation")  # the halves change places


def test_the_draw_depends_on_the_seed_alone():
    corpus = metadata({None: CLASSES})
    draws = [protocols.stratified(corpus, split("stratified", seed=seed))[0].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@settings(max_examples=40, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from("abcdefg"), st.integers(4, 40), min_size=2),
    seed=st.integers(0, 1000),
    fold=st.integers(0, 3),
    form=st.sampled_from(["stratified", "official", "test_halves"]),
)
def test_parts_are_a_partition_with_every_class_in_each(counts: dict[str, int], seed: int, fold: int, form: str):
    corpus = metadata({None: counts} if form == "stratified" else {"train": counts, "test": counts}, seed)
    fold = fold % 2 if form == "test_halves" else fold
    part, _ = getattr(protocols, form)(corpus, split(form, seed=seed, fold=fold, validation_fraction=0.25))
    assert part.shape == corpus.label.shape
    assert set(part) == PARTS
    for name in PARTS:
        assert set(corpus.label[part == name]) == set(counts)


OFFICIAL = {"Training": CLASSES, "PublicTest": HALF, "PrivateTest": HALF}


@pytest.mark.parametrize(
    ("protocol", "counts", "change", "words"),
    [
        ("stratified", {None: CLASSES}, {"fold": 10}, ["fold 10 does not exist", "0 to 9"]),
        ("official", {"train": CLASSES, "test": HALF}, {"fold": 10}, ["fold 10 does not exist", "0 to 9"]),
        ("official", OFFICIAL, {"fold": 1}, ["no folds", "allowed: fold 0", "received: 1"]),
        ("test_halves", OFFICIAL, {"fold": 2}, ["fold 2 does not exist", "0 to 1"]),
        ("stratified", {None: {"happy": 50, "sad": 9}}, {}, ["class 'sad' has 9 samples", "at least 10"]),
        ("test_halves", {"train": CLASSES, "test": {"happy": 9, "sad": 1}}, {}, ["class 'sad' has 1", "at least 2"]),
        ("official", {None: CLASSES}, {}, ["protocol official cannot be used here"]),
        ("official", {"Training": CLASSES, None: HALF}, {}, ["every sample in an official part"]),
        ("official", {"Training": CLASSES}, {}, ["a train part and one to test on", "received parts: train"]),
        ("official", {"test": CLASSES, "validation": HALF}, {}, ["a train part", "received parts: test, validation"]),
        ("test_halves", {"train": CLASSES}, {}, ["test_halves cannot be used here", "received parts: train"]),
        ("test_halves", {None: CLASSES}, {}, ["test_halves cannot be used here"]),
    ],
)
def test_what_cannot_be_split_is_refused_in_one_line(protocol: str, counts: dict, change: dict, words: list[str]):
    with pytest.raises(UserError) as error:
        getattr(protocols, protocol)(metadata(counts), split(protocol, **change))
    line = str(error.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_the_label_tells_the_share_that_is_drawn():
    """A seventh, which is what a fraction of .15 comes to in whole folds."""
    corpus = metadata({"train": CLASSES, "test": HALF})
    part, label = protocols.official(corpus, split(validation_fraction=0.15))
    assert "validation = 14.3% of train" in label
    assert (part == "validation").sum() == pytest.approx((corpus.partition == "train").sum() / 7, abs=2)
