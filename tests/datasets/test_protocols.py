"""Who is trained on, chosen with and tested on."""

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
    given_settings = {"seed": 7, "fold": 0, "validation_fraction": 0.1, "on_duplicate": "report", **change}
    return Split(protocol=protocol, **given_settings)


def table(rows: list[dict[str, str | None]], seed: int = 0, group_kind: str | None = None) -> Metadata:
    """One row a sample, in a drawn order; what a row leaves out is not known."""
    order = np.random.default_rng(seed).permutation(len(rows))
    drawn = [rows[index] for index in order]
    return Metadata(
        label=np.array([row["label"] for row in drawn]),
        partition=np.array([row.get("partition") for row in drawn], dtype=object),
        roles=ROLES,
        group=np.array([row.get("group", "") for row in drawn]),
        group_kind=group_kind,
        gender=np.array([row.get("gender", "") for row in drawn]),
        trial=np.array([row.get("trial", -1) for row in drawn]),
    )


def metadata(counts: dict[str | None, dict[str, int]], seed: int = 0) -> Metadata:
    """As many samples as `counts` says: {partition: {label: n}}."""
    rows = [{"partition": part, "label": label} for part, labels in counts.items() for label in labels]
    return table([row for row in rows for _ in range(counts[row["partition"]][row["label"]])], seed)


def spoken(counts: dict[str, dict[str, int]], seed: int = 0, genders: tuple[str, ...] = ("male", "female")) -> Metadata:
    """As many samples as `counts` says: {speaker: {label: n}}; genders alternate."""
    rows = [
        {"label": label, "group": speaker, "gender": genders[place % len(genders)]}
        for place, (speaker, labels) in enumerate(counts.items())
        for label, n in labels.items()
        for _ in range(n)
    ]
    return table(rows, seed, "speaker")


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
        ("official", {None: CLASSES}, {}, ["protocol official cannot be used here", "protocol stratified draws"]),
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


RAVDESS = {
    f"{actor:02d}": {"neutral": 4} | dict.fromkeys(["calm", "happy", "sad", "angry", "fear"], 8)
    for actor in range(1, 25)
}
EMOBOX = [  # the test actors of EmoBox (Ma et al. 2024, arXiv 2406.07162)
    ["01", "11", "20", "21"],
    ["04", "10", "12", "14"],
    ["08", "09", "19", "23"],
    ["03", "05", "07", "24"],
    ["02", "15", "16", "18"],
    ["06", "13", "17", "22"],
]


def grouped(**change: object) -> Split:
    return split("group_disjoint", **{"folds": None if "test_groups" in change else 6, **change})


def speakers(corpus: Metadata, part: np.ndarray) -> dict[str, set[str]]:
    return {name: set(corpus.group[part == name].tolist()) for name in sorted(set(part))}


def assert_apart(corpus: Metadata, part: np.ndarray):
    found = speakers(corpus, part)
    assert set(found) == PARTS
    assert sum(map(len, found.values())) == len(set(corpus.group))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fold", range(6))
def test_speakers_of_a_balanced_corpus_are_spread_evenly(fold: int, seed: int):
    corpus = spoken(RAVDESS)
    part, label = protocols.group_disjoint(corpus, grouped(seed=seed, fold=fold))
    assert_apart(corpus, part)
    gender = dict(zip(corpus.group.tolist(), corpus.gender.tolist(), strict=True))
    found = {name: Counter(gender[speaker] for speaker in of) for name, of in speakers(corpus, part).items()}
    assert found == {
        "train": {"male": 9, "female": 9},
        "validation": {"male": 1, "female": 1},
        "test": {"male": 2, "female": 2},
    }
    assert label == f"speaker-disjoint (fold {fold} of 6; speakers: train 18, validation 2, test 4)"


def test_the_draw_of_speakers_depends_on_the_seed_alone():
    corpus = spoken(RAVDESS)
    draws = [protocols.group_disjoint(corpus, grouped(seed=seed))[0].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    np.random.seed(5)
    assert protocols.group_disjoint(corpus, grouped(seed=1))[0].tolist() == draws[0]


def test_the_draw_of_speakers_does_not_depend_on_the_order_of_samples():
    found = []
    for order in range(2):
        corpus = spoken(RAVDESS, order)
        found.append(speakers(corpus, protocols.group_disjoint(corpus, grouped())[0]))
    assert found[0] == found[1]


def test_the_seed_draws_among_unequal_speakers_too():
    corpus = spoken({f"s{n}": {"happy": 5 + n, "sad": 40 - 3 * n} for n in range(10)})
    assert len({protocols.group_disjoint(corpus, grouped(folds=5, seed=n))[0].tobytes() for n in range(10)}) > 3


def test_rare_classes_are_spread_over_the_folds():
    """Of twelve speakers, four alone are ever disgusted."""
    corpus = spoken({f"s{n:02d}": {"happy": 20} | ({"disgust": 10} if n < 4 else {}) for n in range(12)}, genders=("",))
    for fold in range(4):
        part, _ = protocols.group_disjoint(corpus, grouped(folds=4, fold=fold))
        assert shares(corpus, part, "test") == {"happy": 60, "disgust": 10}


@st.composite
def corpora(draw: st.DrawFn) -> Metadata:
    """3 to 12 speakers who say very different amounts of each class, not every class each."""
    amounts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1)
    counts = draw(st.lists(amounts, min_size=3, max_size=12))
    genders = draw(st.sampled_from([("male", "female"), ("female", "female", "male"), ("",)]))
    return spoken({f"s{n}": found for n, found in enumerate(counts)}, draw(st.integers(0, 99)), genders)


@settings(max_examples=60, deadline=None)
@given(corpus=corpora(), seed=st.integers(0, 2**31), data=st.data())
def test_no_speaker_is_ever_on_two_sides(corpus: Metadata, seed: int, data: st.DataObject):
    count = len(set(corpus.group))
    folds = data.draw(st.integers(2, min(count, 6)) | st.just(count))  # each speaker alone, too
    fraction = data.draw(st.sampled_from([0.01, 0.1, 0.2]))
    tested = []
    for fold in range(folds):
        change = {"folds": folds, "fold": fold, "seed": seed, "validation_fraction": fraction}
        if -(-count // folds) + max(1, round(fraction * count)) >= count:
            continue  # told, not split: see below
        part, label = protocols.group_disjoint(corpus, grouped(**change))
        assert_apart(corpus, part)
        assert label.startswith(f"speaker-disjoint (fold {fold} of {folds}; ")
        tested.append(speakers(corpus, part)["test"])
    if tested:
        assert sorted(speaker for found in tested for speaker in found) == sorted(set(corpus.group))
        assert max(map(len, tested)) - min(map(len, tested)) <= 1


@pytest.mark.parametrize("folds", [4, 6, 10])
def test_leave_one_speaker_out(folds: int):
    rng = np.random.default_rng(folds)
    for draw in range(5):
        corpus = spoken({f"s{n}": {c: int(rng.integers(1, 21)) for c in "abcd"} for n in range(folds)}, draw)
        parts = [
            protocols.group_disjoint(corpus, grouped(folds=folds, fold=fold, seed=draw))[0] for fold in range(folds)
        ]
        tested = [speakers(corpus, part)["test"] for part in parts]
        assert [len(found) for found in tested] == [1] * folds
        assert set().union(*tested) == set(corpus.group)


def test_speakers_of_one_sample_each():
    corpus = spoken({f"s{n}": {"ab"[n % 2]: 1} for n in range(6)})
    part, _ = protocols.group_disjoint(corpus, grouped(folds=3))
    assert Counter(part.tolist()) == {"train": 3, "validation": 1, "test": 2}


@pytest.mark.parametrize("fold", range(6))
def test_listed_groups_are_what_is_tested_on(fold: int):
    corpus = spoken(RAVDESS)
    part, label = protocols.group_disjoint(corpus, grouped(test_groups=EMOBOX, fold=fold))
    assert_apart(corpus, part)
    found = speakers(corpus, part)
    assert found["test"] == set(EMOBOX[fold])
    assert len(found["validation"]) == 2
    assert label == f"speaker-disjoint (fold {fold} of 6; speakers: train 18, validation 2, test 4)"


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.1, 2), (1 / 6, 4), (0.2, 5), (0.25, 7), (0.5, 10)])
def test_validation_takes_about_its_fraction_of_all_speakers(fraction: float, count: int):
    """In whole folds of the twenty that are left: a quarter of 24 speakers comes to a third of 20."""
    corpus = spoken(RAVDESS)
    part, _ = protocols.group_disjoint(corpus, grouped(validation_fraction=fraction))
    assert len(speakers(corpus, part)["validation"]) == count


def of_speakers(count: int) -> Metadata:
    return spoken({f"s{n}": {"happy": 5, "sad": 5} for n in range(count)})


@pytest.mark.parametrize(
    ("corpus", "change", "words"),
    [
        (of_speakers(1), {"folds": 2}, ["allowed: at least 3 speakers, one for each part", "received: 1 (s0)"]),
        (of_speakers(2), {"folds": 2}, ["at least 3 speakers", "received: 2 (s0, s1)"]),
        (of_speakers(4), {"folds": 6}, ["splits: 4 speakers; allowed: at least 6, one for each fold"]),
        (of_speakers(3), {"folds": 2}, ["splits: 1 speakers are left", "more than 1 (validation_fraction)"]),
        (of_speakers(6), {"folds": 2, "validation_fraction": 0.5}, ["3 speakers are left", "allowed: more than 3"]),
        (of_speakers(4), {"test_groups": [["s0", "s1", "s2", "s3"]]}, ["splits: 0 speakers are left"]),
        (
            spoken(RAVDESS),
            {"test_groups": [["01", "02"], ["03", "004"]]},
            ["splits: test_groups.1: no such group; Did you mean '04'? allowed: 01, 02", "received: '004'"],
        ),
        (metadata({None: CLASSES}), {}, ["the group of some samples is not known"]),
        (
            table([{"label": "sad", "group": g} for g in ("a", "b", "c", "")] * 3, group_kind="subject"),
            {"folds": 2},
            ["protocol group_disjoint: the subject of some samples is not known"],
        ),
    ],
)
def test_groups_that_cannot_be_kept_apart_are_refused_in_one_line(corpus: Metadata, change: dict, words: list[str]):
    with pytest.raises(UserError) as error:
        protocols.group_disjoint(corpus, grouped(**change))
    line = str(error.value)
    assert "\n" not in line
    for word in words:
        assert word in line


# ---- trials ----------------------------------------------------------------------------------------------------------


def trials(numbers: range) -> Metadata:
    """Two subjects of three sessions each."""
    rows = [
        {"label": "sad", "group": subject, "trial": trial} for subject in "ab" for _ in range(3) for trial in numbers
    ]
    return table(rows, group_kind="subject")


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
def test_trial_blocks_need_the_trials_of_seed_v(numbers: range):
    with pytest.raises(UserError, match="allowed: trials 0 to 14 of each session; received: "):
        protocols.trial_blocks(trials(numbers), split("trial_blocks"))
