"""Names of EEG electrodes as recorders write them: 'FP1', 'EEG Fp1-Ref', 'Fp1-A2' and 'Fp1.' are one electrode."""

import re
from collections.abc import Sequence

# What a name may add to that of the electrode: the kind of channel before it, the reference after it.
_BEFORE = re.compile(r"^(eeg|pol|chan)[\s_:-]+")
_REFERENCE = re.compile(r"[\s_:-]+(ref\d?|le|re|ar|av|avg|cle|a[12]|m[12]|a1\+?a2|m1\+?m2|\(?a1\+a2\)?/2)$")
# The four positions that the 10-20 and the 10-10 system name differently.
_OLD_NAMES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
_REFERENCES = ("a1", "a2", "m1", "m2")  # 'A2-A1' is the difference of two references and no electrode
_POSITION = re.compile(
    r"(fp|af|aff|f|ft|ftt|fc|fcc|c|cc|ccp|t|tt|ttp|tp|tpp|cp|cpp|p|pp|ppo|po|poo|o|oi|i|cb)(z|h|\d{1,2}h?)"
)


def electrode(name: str) -> str:
    """Return the electrode of a channel in lower case, by its 10-10 name; the name itself if it is another channel."""
    plain = _BEFORE.sub("", name.strip().lower()).rstrip(".").strip()
    without = _REFERENCE.sub("", plain)
    base = plain if without in _REFERENCES else without.rstrip(".")
    return _OLD_NAMES.get(base, base)


def is_position(name: str) -> bool:
    """Return whether a channel has the name of a position of the 10-20, 10-10 or 10-5 system."""
    return _POSITION.fullmatch(electrode(name)) is not None


def matches(name: str, channels: Sequence[str]) -> list[str]:
    """Return those of `channels` that are the channel `name`: its exact name, else all names of the same electrode."""
    return [name] if name in channels else [other for other in channels if electrode(other) == electrode(name)]
