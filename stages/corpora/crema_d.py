"""CREMA-D (Cao et al. 2014, IEEE Trans. Affective Computing 5(4)): 91 actors speak 12 sentences in six emotions.

    AudioWAV/1001_DFA_ANG_XX.wav   actor, sentence, emotion, level (LO, MD, HI, or XX for none)

Its repository also holds the clips as AudioMP3/*.mp3; where there are both, the WAV is read. Without Git LFS it holds
only pointers, which count as damaged samples. 1076_MTI_SAD_XX is silent; 1064_IEO_DIS_MD is one minute of all emotions.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stages.core.records import Record
from stages.corpora.archive.clips import Clip, count_mismatch, read_clips

CODES = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
PARTS: dict[str, str] = {}
GROUP = "speaker"

_ACTORS = tuple(str(actor) for actor in range(1001, 1092))
# From the corpus's VideoDemographics.csv: 43 of the 91 actors.
_FEMALE = {
    1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025,
    1028, 1029, 1030, 1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060,
    1061, 1063, 1072, 1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089, 1091,
}  # fmt: skip

missing = partial(count_mismatch, corpus="CREMA-D", expected=7_442)


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all clips, each once, undecoded, sorted by name."""
    return read_clips(archive, "crema_d", _record)


def _record(clip: Clip) -> Record:
    actor, emotion = clip.code("actor", _ACTORS), clip.code("emotion", CODES)
    level = clip.code("level", ("LO", "MD", "HI", "XX", "X"))
    level = "XX" if level == "X" else level  # only 1040_ITH_SAD_X.wav is spelled like this
    sample_id = f"{actor}_{clip.fields['sentence'].upper()}_{emotion}_{level}"
    return clip.record(sample_id, CODES[emotion], actor, gender="female" if int(actor) in _FEMALE else "male")
