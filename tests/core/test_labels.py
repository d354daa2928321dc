"""All spellings of an emotion map to one class name."""

import pytest

from stages.core.labels import CLASSES, canonical

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
WORKLOAD = ("rest", "arithmetic")


@pytest.mark.parametrize(("name", "spellings"), SPELLINGS.items())
def test_known_spellings_map_to_name(name, spellings):
    for spelling in spellings.split():
        assert canonical(f" {spelling}\n") == canonical(spelling, CLASSES) == name


@pytest.mark.parametrize("word", ["", "  ", "exc", "happyhappy", "_ALIASES", "0", "train", "\x00é", *WORKLOAD])
def test_other_words_are_no_emotion(word):
    assert canonical(word) is None


def test_workload_is_a_class():
    assert set(CLASSES) == {*SPELLINGS, *WORKLOAD}
    assert [canonical(f" {word.title()}", CLASSES) for word in (*WORKLOAD, "train")] == [*WORKLOAD, None]
