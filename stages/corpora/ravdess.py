"""RAVDESS (Livingstone & Russo 2018, PLoS ONE 13(5): e0196391): 24 actors speak two sentences in eight emotions.

    Actor_07/03-01-05-01-02-01-07.wav   modality-channel-emotion-intensity-statement-repetition-actor

Kaggle's archive holds every clip twice, once below audio_speech_actors_01-24/. Songs (channel 02) and sound or
pictures of the videos (modality 01, 02) are left out where an archive holds them too: this reader is for speech.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, lacking, read_clips

CODES = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
PARTS: dict[str, str] = {}
GROUP = "speaker"
EXPECTED = 1_440

_MODALITIES = {"01": "audio and video", "02": "video", "03": "audio"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
_REPETITIONS = ("01", "02")
_ACTORS = tuple(f"{actor:02d}" for actor in range(1, 25))


def read(archive: Path) -> Iterator[Record]:
    """Every speech clip once, ordered by name, undecoded."""
    return read_clips(archive, "ravdess", _record)


def synthesise(folder: Path, *, size: int, seed: int) -> None:
    """Draw `size` clips of drawn speakers (at most 24 × 60) in this layout, 16 kHz mono."""
    from stages.corpora.drawing.voice_corpus import write_corpus  # SciPy is needed for drawing alone

    write_corpus(folder, size=size, seed=seed)


def missing(found: dict[str | None, int]) -> str:
    """How `found` (clips per part) differs from the whole corpus, in words; '' if it does not."""
    return lacking(found, "RAVDESS", EXPECTED)


def _record(clip: Clip) -> Record | None:
    modality, channel = clip.code("modality", _MODALITIES), clip.code("channel", _CHANNELS)
    if _MODALITIES[modality] != "audio" or _CHANNELS[channel] != "speech":
        return None
    clip.code("repetition", _REPETITIONS)
    actor = clip.code("actor", _ACTORS)
    return clip.record(
        "-".join(clip.fields.values()),
        CODES[clip.code("emotion", CODES)],
        actor,
        gender="male" if int(actor) % 2 else "female",
        intensity=_INTENSITIES[clip.code("intensity", _INTENSITIES)],
        statement=_STATEMENTS[clip.code("statement", _STATEMENTS)],
    )
