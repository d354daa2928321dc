"""EmoDB, the Berlin database (Burkhardt et al. 2005, Interspeech): 10 actors speak German in seven emotions.

    wav/03a01Fa.wav   speaker 03, text a01, F for Freude (the first letter of the German emotion), version a

The authors left out takes that listeners did not recognise, so classes and speakers differ in size.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, count_mismatch, read_clips

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

_MALE, _FEMALE = ("03", "10", "11", "12", "15"), ("08", "09", "13", "14", "16")

missing = partial(count_mismatch, corpus="EmoDB", expected=535)


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all clips, each once, undecoded, sorted by name."""
    return read_clips(archive, "emodb", _record)


def _record(clip: Clip) -> Record:
    speaker, emotion = clip.code("speaker", sorted(_MALE + _FEMALE)), clip.code("emotion", CODES)
    sample_id = speaker + clip.fields["text"].lower() + emotion + clip.fields["version"].lower()
    return clip.record(sample_id, CODES[emotion], speaker, gender="male" if speaker in _MALE else "female")
