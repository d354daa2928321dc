"""SAVEE (Jackson & Haq 2014, University of Surrey): four men speak English in seven emotions.

    ALL/DC_a01.wav            as on Kaggle: speaker, emotion, number of the sentence
    AudioData/DC/a01.wav      as published: the speaker is the folder

15 sentences an emotion and speaker, 30 neutral ones. All speakers are male.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, lacking, read_clips

CODES = {
    "a": "angry",
    "d": "disgust",
    "f": "fear",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprise",
}
PARTS: dict[str, str] = {}
GROUP = "speaker"
EXPECTED = 480

_SPEAKERS = ("DC", "JE", "JK", "KL")


def read(archive: Path) -> Iterator[Record]:
    """Every clip once, ordered by name, undecoded."""
    return read_clips(archive, "savee", _record)


def missing(found: dict[str | None, int]) -> str:
    """How `found` (clips per part) differs from the whole corpus, in words; '' if it does not."""
    return lacking(found, "SAVEE", EXPECTED)


def _record(clip: Clip) -> Record:
    speaker, emotion = clip.code("speaker", _SPEAKERS), clip.code("emotion", CODES)
    return clip.record(f"{speaker}_{emotion}{clip.fields['sentence']}", CODES[emotion], speaker, gender="male")
