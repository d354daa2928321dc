"""One name per emotion in every corpus: FER's 'Angry', RAVDESS's '05' and EmoDB's 'W' are all 'angry'."""

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt", "calm", "boredom")

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
