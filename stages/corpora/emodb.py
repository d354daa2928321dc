"""EmoDB, the Berlin database (Burkhardt et al. 2005, Interspeech): 10 actors speak German in seven emotions.

    wav/03a01Fa.wav   speaker 03, text a01, Freude (each emotion by the first letter of its German name), version a

Takes that listeners did not recognise were left out by its authors: classes and speakers are of different sizes.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, lacking, read_clips

CODES = {
    "W": "angry",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "N": "neutral",
}
PARTS: dict[str, str] = {}
GROUP = "speaker"
EXPECTED = 535

_GENDERS = {
    "03": "male",
    "08": "female",
    "09": "female",
    "10": "male",
    "11": "male",
    "12": "male",
    "13": "female",
    "14": "female",
    "15": "male",
    "16": "female",
}


def read(archive: Path) -> Iterator[Record]:
    """Every clip once, ordered by name, undecoded."""
    return read_clips(archive, "emodb", _record)


def missing(found: dict[str | None, int]) -> str:
    """How `found` (clips per part) differs from the whole corpus, in words; '' if it does not."""
    return lacking(found, "EmoDB", EXPECTED)


def _record(clip: Clip) -> Record:
    speaker, emotion = clip.code("speaker", _GENDERS), clip.code("emotion", CODES)
    sample_id = speaker + clip.fields["text"].lower() + emotion + clip.fields["version"].lower()
    return clip.record(sample_id, CODES[emotion], speaker, gender=_GENDERS[speaker])
