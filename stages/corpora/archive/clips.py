"""Speech clips in any wrapping: inside further folders, in several copies, beside hidden files, in any letter case."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NoReturn

from stages.core.errors import UserError, refuse, shorten
from stages.core.labels import canonical
from stages.core.records import Record
from stages.corpora.archive import members
from stages.corpora.decoding.audio import SUFFIXES, decode_audio

# The clip names of all corpora, so that the message for a wrong reader can name the right one. A pattern matches at the
# end of the member's path without suffix: SAVEE's speaker may be a folder.
NAMES = {
    "ravdess": r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<statement>\d\d)"
    r"-(?P<repetition>\d\d)-(?P<actor>\d\d)",
    "emodb": r"(?P<speaker>\d\d)(?P<text>[a-z]\d\d)(?P<emotion>[a-z])(?P<version>[a-z]?)",
    "crema_d": r"(?P<actor>\d{4})_(?P<sentence>[a-z]{3})_(?P<emotion>[a-z]{3})_(?P<level>[a-z]{1,2})",
    "savee": r"(?P<speaker>[a-z]{2})[_/](?P<emotion>[a-z]{1,2})(?P<sentence>\d\d)",
    "tess": r"(?P<speaker>[oy]af?)_(?P<word>[a-z]+)_(?P<emotion>[a-z]+(?:_[a-z]+)?)",
}
EXAMPLES = {
    "ravdess": "Actor_07/03-01-05-01-02-01-07.wav",
    "emodb": "wav/03a01Fa.wav",
    "crema_d": "AudioWAV/1001_DFA_ANG_XX.wav",
    "savee": "ALL/DC_a01.wav or DC/a01.wav",
    "tess": "OAF_angry/OAF_back_angry.wav",
    "speech_folder": "<emotion>/<name>.wav|flac|mp3",
    "seed_v": "EEG_DE_features/7_123.npz",
}

_PATTERNS = {reader: re.compile(rf"(?:^|/){name}$", re.IGNORECASE | re.ASCII) for reader, name in NAMES.items()}
_HIDDEN = re.compile(r"(?:^|/)(?:\.|(?:__macosx|thumbs\.db|desktop\.ini)(?:/|$))", re.IGNORECASE)


@dataclass(frozen=True)
class Clip:
    """An audio file whose name fits the corpus, with the fields of that name."""

    archive: Path
    name: str
    fields: dict[str, str]

    def code(self, field: str, codes: Iterable[str]) -> str:
        """Return the field as it is written in `codes`, ignoring letter case. Raises `UserError` for other codes."""
        received, codes = self.fields[field], tuple(codes)
        for code in codes:
            if code.lower() == received.lower():
                return code
        allowed = ", ".join(codes)
        return refuse(f"unknown {field} code", where=f"{self.archive}: {self.name}", allowed=allowed, received=received)

    def record(self, sample_id: str, label: str, speaker: str, **extra: str) -> Record:
        """Return the undecoded record of this clip."""
        content = partial(members.read, self.archive, self.name)
        return Record(sample_id, label, content, decode_audio, group=speaker, extra=extra)


def read_clips(archive: Path, reader: str, to_record: Callable[[Clip], Record | None]) -> Iterator[Record]:
    """Return an iterator over all clips, each once, sorted by sample id. `to_record` returns None for other sounds.

    Of several formats of a clip, the least compressed is read. Raises `UserError` for a name that does not fit the
    corpus, for one clip that is there twice with different bytes, and if there is no clip.
    """
    found: dict[str, tuple[str, Record]] = {}
    for clip in _clips(archive, reader):
        record = to_record(clip)
        if record:
            name, _ = found.setdefault(record.sample_id, (clip.name, record))
            if _suffix(name) == _suffix(clip.name):
                _refuse_other_bytes(archive, name, clip.name)
    if not found:
        refuse("holds no speech clips", where=str(archive), allowed=EXAMPLES[reader], received="only other clips")
    return iter([found[sample_id][1] for sample_id in sorted(found)])


def _refuse_other_bytes(archive: Path, name: str, other: str) -> None:
    """Raise `UserError` unless two members, which are the same clip by their names, are exact copies."""
    if name != other and members.fingerprint(archive, name) != members.fingerprint(archive, other):
        what, allowed = "one clip twice, with different bytes", "each clip once, or exact copies"
        refuse(what, where=str(archive), allowed=allowed, received=f"{name} and {other}")


def audio_names(archive: Path) -> list[str]:
    """Return the members with an audio suffix, least compressed formats first, then by name, without hidden ones."""
    names = [name for name in members.names(archive) if _suffix(name) in SUFFIXES and not is_hidden(name)]
    return sorted(names, key=lambda name: (SUFFIXES.index(_suffix(name)), name))


def count_mismatch(counts: dict[str | None, int], expected: int | None, corpus: str = "", unit: str = "clips") -> str:
    """Return how the total of `counts` (samples per part) differs from `expected`, '' if it does not or for None."""
    count = sum(counts.values())
    if expected is None or count == expected:
        return ""
    if count > expected:
        return f"more than the whole of {corpus} ({count:,} {unit}, not {expected:,})"
    return f"not the whole of {corpus} ({count:,} of {expected:,} {unit})"


def refuse_layout(archive: Path, reader: str, audio: list[str]) -> NoReturn:
    """Raise `UserError`: no file fits the reader. The message names the reader that fits, if there is one."""
    received = (audio or members.names(archive))[:4]
    raise UserError(
        f"{archive}: not the layout of reader {reader!r}{_other_reader(reader, audio)}; allowed: {EXAMPLES[reader]}; "
        f"received: {shorten(', '.join(received)) if received else 'an empty archive'}"
    )


def is_hidden(name: str) -> bool:
    """Return whether a member, or a folder around it, is hidden or was added by a desktop system."""
    return _HIDDEN.search(name) is not None


def _clips(archive: Path, reader: str) -> Iterator[Clip]:
    fields = {name: _fields(reader, name) for name in audio_names(archive)}
    if not any(fields.values()):
        refuse_layout(archive, reader, list(fields))
    for name, found in fields.items():
        if not found:
            what = f"not a clip of reader {reader!r}{_other_reader(reader, [name])}"
            received = PurePosixPath(name).name
            refuse(what, where=f"{archive}: {name}", allowed=EXAMPLES[reader], received=received)
        yield Clip(archive, name, found)


def _fields(reader: str, name: str) -> dict[str, str]:
    match = _PATTERNS[reader].search(name[: -len(_suffix(name))])
    return match.groupdict() if match else {}


def _other_reader(reader: str, audio: list[str]) -> str:
    """Return ', but of reader …' for the reader that fits most clips, '' if none does."""
    # A corpus's own names come first: emotions as folders may surround any of them.
    counts = {other: sum(bool(_fields(other, name)) for name in audio) for other in NAMES if other != reader}
    if reader != "speech_folder":
        counts["speech_folder"] = sum(canonical(PurePosixPath(name).parent.name) is not None for name in audio)
    best = max(counts, key=lambda other: counts[other])
    return f", but of reader {best!r}" if counts[best] else ""


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
