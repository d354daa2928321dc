"""Every spelling corpora use for an emotion gives one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.labels import EMOTIONS, canonical

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
    assert len(set(EMOTIONS)) == len(EMOTIONS)


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
