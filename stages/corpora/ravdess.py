"""RAVDESS (Livingstone & Russo 2018, PLoS ONE 13(5): e0196391): 24 actors speak two sentences in eight emotions.

    Actor_07/03-01-05-01-02-01-07.wav   modality-channel-emotion-intensity-statement-repetition-actor

Kaggle's archive holds every clip twice, once below audio_speech_actors_01-24/. This reader is for speech: songs
(channel 02) and files of the videos (modality 01 and 02) are left out.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, count_mismatch, read_clips

# fmt: off
CODES = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad",
         "05": "angry", "06": "fear", "07": "disgust", "08": "surprise"}
# fmt: on
PARTS: dict[str, str] = {}
GROUP = "speaker"

_MODALITIES = ("01", "02", "03")  # audio and video, video, audio
_CHANNELS = ("01", "02")  # speech, song
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
_ACTORS = tuple(f"{actor:02d}" for actor in range(1, 25))

missing = partial(count_mismatch, corpus="RAVDESS", expected=1_440)


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all speech clips, each once, undecoded, sorted by name."""
    return read_clips(archive, "ravdess", _record)


def synthesise(folder: Path, *, size: int, seed: int) -> None:
    """Write `size` clips (at most 24 × 60) of synthetic speakers into `folder` in this layout, 16 kHz mono."""
    from stages.synthetic.speech.corpus import write_corpus  # imported here: only synthesis needs SciPy

    write_corpus(folder, size=size, seed=seed)


def _record(clip: Clip) -> Record | None:
    if (clip.code("modality", _MODALITIES), clip.code("channel", _CHANNELS)) != ("03", "01"):
        return None
    clip.code("repetition", ("01", "02"))
    actor = clip.code("actor", _ACTORS)
    return clip.record(
        "-".join(clip.fields.values()),
        CODES[clip.code("emotion", CODES)],
        actor,
        gender="male" if int(actor) % 2 else "female",
        intensity=_INTENSITIES[clip.code("intensity", _INTENSITIES)],
        statement=_STATEMENTS[clip.code("statement", _STATEMENTS)],
    )
