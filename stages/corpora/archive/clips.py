"""Speech clips in whatever wrapping a corpus comes in: further folders, doubled copies, hidden files, letter case."""

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

# How each corpus names its clips, all in one place so that a reader can say whose clips it found. Matched at the end
# of the member's name without its suffix, since SAVEE's speaker may be a folder.
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


@dataclass(frozen=True)
class Clip:
    """One audio file whose name fits the corpus, and what the parts of that name are."""

    archive: Path
    name: str
    fields: dict[str, str]

    def code(self, field: str, codes: Iterable[str]) -> str:
        """The one of `codes` that stands in the name, in the corpus's own letter case. Raises `UserError`."""
        received, codes = self.fields[field], tuple(codes)
        for code in codes:
            if code.lower() == received.lower():
                return code
        allowed = ", ".join(codes)
        return refuse(f"unknown {field} code", where=f"{self.archive}: {self.name}", allowed=allowed, received=received)

    def record(self, sample_id: str, label: str, speaker: str, **extra: str) -> Record:
        """The clip, undecoded."""
        content = partial(members.read, self.archive, self.name)
        return Record(sample_id, label, content, decode_audio, group=speaker, extra=extra)


def read_clips(archive: Path, reader: str, to_record: Callable[[Clip], Record | None]) -> Iterator[Record]:
    """Every clip once, ordered by its id: neither doubled copies nor the wrapping change what is read, or its order.

    `to_record` gives None for what is no speech. Raises `UserError` if a name does not fit, or none does.
    """
    found: dict[str, Record] = {}
    for clip in _clips(archive, reader):
        record = to_record(clip)
        if record:
            found.setdefault(record.sample_id, record)
    if not found:
        refuse("holds no speech clips", where=str(archive), allowed=EXAMPLES[reader], received="other clips alone")
    return iter([found[sample_id] for sample_id in sorted(found)])


def audio_names(archive: Path) -> list[str]:
    """Members that are audio by their suffix, the least compressed first, then by name; hidden ones left out."""
    names = [name for name in members.names(archive) if _suffix(name) in SUFFIXES and not is_hidden(name)]
    return sorted(names, key=lambda name: (SUFFIXES.index(_suffix(name)), name))


def lacking(found: dict[str | None, int], corpus: str, expected: int) -> str:
    """How the number of clips (per part, of which there are none) differs from the whole corpus; '' if it does not."""
    count = sum(found.values())
    if count > expected:
        return f"more than the whole of {corpus} ({count:,} clips, not {expected:,})"
    return f"not the whole of {corpus} ({count:,} of {expected:,} clips)" if count < expected else ""


def refuse_layout(archive: Path, reader: str, audio: list[str]) -> NoReturn:
    """Say that nothing fits, and whose clips these are."""
    received = (audio or members.names(archive))[:4]
    raise UserError(
        f"{archive}: not the layout of reader {reader!r}{_other_reader(reader, audio)}; allowed: {EXAMPLES[reader]}; "
        f"received: {shorten(', '.join(received)) if received else 'an empty archive'}"
    )


def refuse_name(archive: Path, reader: str, name: str) -> NoReturn:
    """Say that one clip among others does not fit."""
    what = f"not a clip of reader {reader!r}{_other_reader(reader, [name])}"
    received = PurePosixPath(name).name
    return refuse(what, where=f"{archive}: {name}", allowed=EXAMPLES[reader], received=received)


def _clips(archive: Path, reader: str) -> Iterator[Clip]:
    audio = audio_names(archive)
    fitting = {name: fields for name in audio if (fields := _fields(reader, name)) is not None}
    if not fitting:
        refuse_layout(archive, reader, audio)
    for name in audio:
        if name not in fitting:
            refuse_name(archive, reader, name)
        yield Clip(archive, name, fitting[name])


def _fields(reader: str, name: str) -> dict[str, str] | None:
    found = _PATTERNS[reader].search(name[: -len(_suffix(name))])
    return found.groupdict() if found else None


def _other_reader(reader: str, audio: list[str]) -> str:
    """The reader that most of these clips fit, in words; a corpus's own names say more than folders of emotions."""
    counts = {other: sum(_fields(other, name) is not None for name in audio) for other in NAMES if other != reader}
    if reader != "speech_folder":
        counts["speech_folder"] = sum(canonical(PurePosixPath(name).parent.name) is not None for name in audio)
    best = max(counts, key=lambda other: counts[other])
    return f", but of reader {best!r}" if counts[best] else ""


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def is_hidden(name: str) -> bool:
    """Whether a member or a folder around it is what desktop systems hide."""
    return any(part.startswith(".") or part.lower() == "__macosx" for part in name.split("/"))
