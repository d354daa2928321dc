"""One name per emotion in every corpus: FER's 'Angry', RAVDESS's '05' and EmoDB's 'W' are all 'angry'."""

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt", "calm", "boredom")
# No emotions: what subjects of EEGMAT did (Zyma et al. 2019, Data 4(1): 14). Any EEG recorded in trials can be told
# apart by the same models, and theirs may be had by everyone. Faces and voices know emotions alone.
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
}


def canonical(word: str) -> str | None:
    """The emotion that `word` names in any spelling corpora use ('Anger', 'surprised'), or None."""
    word = word.strip().lower()
    return word if word in EMOTIONS else _ALIASES.get(word)


def canonical_class(word: str) -> str | None:
    """As `canonical`, of all classes: emotions and what else trials of EEG are labelled with."""
    return canonical(word) or (word.strip().lower() if word.strip().lower() in WORKLOAD else None)
