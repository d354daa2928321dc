"""Every spelling corpora use for an emotion gives one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.labels import CLASSES, EMOTIONS, WORKLOAD, canonical, canonical_class

SPELLINGS = {
    "angry": "Angry ANGRY anger",
    "disgust": "Disgust disgusted",
    "fear": "Fear fearful",
    "happy": "happiness Happy joy",
    "sad": "Sadness sad",
    "surprise": "Surprise surprised",
    "neutral": "Neutral",
    "contempt": "contemptuous contempt",
    "calm": "Calm",
    "boredom": "bored",
}


def test_names_are_distinct():
    assert len(set(CLASSES)) == len(CLASSES) == len(EMOTIONS) + len(WORKLOAD)


@pytest.mark.parametrize(("name", "spellings"), SPELLINGS.items())
def test_spellings(name, spellings):
    assert {canonical(spelling) for spelling in spellings.split()} == {name}


@pytest.mark.parametrize("word", ["", "  ", "hap", "happyhappy", "_ALIASES", "0", "train"])
def test_other_words_name_none(word):
    assert canonical(word) is None


@given(st.text())
def test_any_word_is_one_of_the_names_or_none(word):
    assert canonical(word) in (*EMOTIONS, None)


@given(st.sampled_from(EMOTIONS), st.sampled_from(["", " ", "\t", "\n"]))
def test_names_stand_for_themselves(name, space):
    assert canonical(space + name.upper() + space) == name


@pytest.mark.parametrize("word", WORKLOAD)
def test_workload_is_a_class_and_no_emotion(word):
    assert canonical(word) is None
    assert canonical_class(f" {word.title()}") == word


@given(st.text() | st.sampled_from(EMOTIONS))
def test_emotions_are_classes(word):
    assert canonical_class(word) == canonical(word) or word.strip().lower() in WORKLOAD
