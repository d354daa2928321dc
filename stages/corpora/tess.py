"""TESS (Pichora-Fuller & Dupuis 2010, University of Toronto, doi:10.5683/SP2/E8H2MF): 200 words in seven emotions.

    OAF_angry/OAF_back_angry.wav   speaker, word after "say the word", emotion

There are two actresses: OAF is 64 years old, YAF 26. Kaggle's archive holds every clip twice, once in a deeper folder.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, count_mismatch, read_clips

# fmt: off
CODES = {"angry": "angry", "disgust": "disgust", "fear": "fear", "happy": "happy", "neutral": "neutral", "sad": "sad",
         "ps": "surprise"}  # pleasant surprise
# fmt: on
PARTS: dict[str, str] = {}
GROUP = "speaker"

_LONG_CODES = {"pleasant_surprise": "ps", "pleasant_surprised": "ps"}  # names in folders and renamed files
_SPEAKERS = {"OAF": "OAF", "YAF": "YAF", "OA": "OAF"}  # only OA_bite_neutral.wav is spelled like this

missing = partial(count_mismatch, corpus="TESS", expected=2_800)


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all clips, each once, undecoded, sorted by name."""
    return read_clips(archive, "tess", _record)


def _record(clip: Clip) -> Record:
    speaker, emotion = _SPEAKERS[clip.code("speaker", _SPEAKERS)], clip.code("emotion", (*CODES, *_LONG_CODES))
    emotion = _LONG_CODES.get(emotion, emotion)
    return clip.record(f"{speaker}_{clip.fields['word'].lower()}_{emotion}", CODES[emotion], speaker, gender="female")
