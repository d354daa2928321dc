"""Class names, the same in every corpus: 'Angry' in FER-2013, '05' in RAVDESS and 'W' in EmoDB are all 'angry'."""

from collections.abc import Sequence

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt", "calm", "boredom")
# Not emotions: the two tasks of EEGMAT (Zyma et al. 2019, Data 4(1): 14), an EEG dataset that anyone may download.
# The same models classify them. Faces and speech have emotions only.
WORKLOAD = ("rest", "arithmetic")
CLASSES = EMOTIONS + WORKLOAD

_ALIASES = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "contemptuous": "contempt",
    "bored": "boredom",
} | {  # IEMOCAP's codes; its 'exc' and 'fru' are no class here
    "ang": "angry",
    "dis": "disgust",
    "fea": "fear",
    "hap": "happy",
    "neu": "neutral",
    "sur": "surprise",
}


def canonical(word: str, known: Sequence[str] = EMOTIONS) -> str | None:
    """Return the class among `known` for a spelling that some corpus uses ('Anger', 'surprised'), or None."""
    word = word.strip().lower()
    name = _ALIASES.get(word, word)
    return name if name in known else None
