"""TESS (Pichora-Fuller & Dupuis 2010, University of Toronto, doi:10.5683/SP2/E8H2MF): 200 words in seven emotions.

    OAF_angry/OAF_back_angry.wav   speaker, word after "say the word", emotion

Two actresses: OAF is 64 years old, YAF 26. Kaggle's archive holds every clip twice, once a folder further down.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, lacking, read_clips

CODES = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprise",  # pleasant surprise
    "sad": "sad",
}
PARTS: dict[str, str] = {}
GROUP = "speaker"
EXPECTED = 2_800

_SPELLED_OUT = {"pleasant_surprise": "ps", "pleasant_surprised": "ps"}  # as folders are, and renamed files
_SPEAKERS = {"OAF": "OAF", "YAF": "YAF", "OA": "OAF"}  # OA_bite_neutral.wav is the one file that is spelled so


def read(archive: Path) -> Iterator[Record]:
    """Every clip once, ordered by name, undecoded."""
    return read_clips(archive, "tess", _record)


def missing(found: dict[str | None, int]) -> str:
    """How `found` (clips per part) differs from the whole corpus, in words; '' if it does not."""
    return lacking(found, "TESS", EXPECTED)


def _record(clip: Clip) -> Record:
    speaker, emotion = _SPEAKERS[clip.code("speaker", _SPEAKERS)], clip.code("emotion", (*CODES, *_SPELLED_OUT))
    emotion = _SPELLED_OUT.get(emotion, emotion)
    return clip.record(f"{speaker}_{clip.fields['word'].lower()}_{emotion}", CODES[emotion], speaker, gender="female")
