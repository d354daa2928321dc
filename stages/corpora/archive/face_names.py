"""What the file names of CK+, KDEF and JAFFE hold: the person, and in the last two the emotion."""

import re
from dataclasses import dataclass, field

EMOTIONS = {"AF": "fear", "FE": "fear", "AN": "angry", "DI": "disgust", "HA": "happy"}
EMOTIONS |= {"NE": "neutral", "SA": "sad", "SU": "surprise"}
ANGLES = {"S": "straight", "HL": "half left", "HR": "half right", "FL": "full left", "FR": "full right"}
# Each pattern is at the start of the name, and no letter or digit may follow.
_PATTERNS = (
    r"(?P<person>S\d{3})_\d{3}_\d{8}",  # CK+ and CK+48, S010_004_00000017.png: subject, session, frame
    # KDEF, AF01ANS.JPG: session A or B, then the person, emotion and angle
    r"[AB](?P<person>[FM]\d\d)(?P<emotion>AF|AN|DI|HA|NE|SA|SU)(?P<angle>FL|FR|HL|HR|S)",
    r"(?P<person>[A-Z]{2})\.(?P<emotion>AN|DI|FE|HA|NE|SA|SU)\d\.\d{1,3}",  # JAFFE, KA.AN1.39.tiff
)
_NAMES = [re.compile(rf"{pattern}(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII) for pattern in _PATTERNS]


@dataclass(frozen=True)
class FaceName:
    """The fields of a file name; None where it does not hold them."""

    person: str | None = None
    emotion: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


def parse(member: str) -> FaceName:
    """Return what the file name of a member holds."""
    file = member.rpartition("/")[2]
    match = next(filter(None, (name.match(file) for name in _NAMES)), None)
    fields = {key: value.upper() for key, value in match.groupdict().items()} if match else {}
    extra = {"angle": ANGLES[fields["angle"]]} if "angle" in fields else {}
    return FaceName(fields.get("person"), EMOTIONS.get(fields.get("emotion", "")), extra)
