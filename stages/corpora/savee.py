"""SAVEE (Jackson & Haq 2014, University of Surrey): four men speak English in seven emotions.

    ALL/DC_a01.wav            as on Kaggle: speaker, emotion, number of the sentence
    AudioData/DC/a01.wav      as published: the speaker is the folder

There are 15 sentences per emotion and speaker, and 30 neutral ones. All speakers are male.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, count_mismatch, read_clips

CODES = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
PARTS: dict[str, str] = {}
GROUP = "speaker"

missing = partial(count_mismatch, corpus="SAVEE", expected=480)


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all clips, each once, undecoded, sorted by name."""
    return read_clips(archive, "savee", _record)


def _record(clip: Clip) -> Record:
    speaker, emotion = clip.code("speaker", ("DC", "JE", "JK", "KL")), clip.code("emotion", CODES)
    return clip.record(f"{speaker}_{emotion}{clip.fields['sentence']}", CODES[emotion], speaker, gender="male")
