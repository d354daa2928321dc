"""download@<corpus>: the corpus, from wherever `corpora.<corpus>.source` says, as one archive."""

import tempfile
from collections import Counter
from pathlib import Path
from types import ModuleType

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import UserError, exit_with_one_line, warn
from stages.corpora.archive.fetch import fetch, without_secrets
from stages.corpora.archive.pack import pack
from stages.params.schema import Corpus


def main() -> None:
    args = arguments(__doc__, "archive")
    corpus = item(load(args.params).corpora, args.key, "corpora")
    reader = lookup.load("corpora", corpus.reader)
    if corpus.source == "synthetic":
        with tempfile.TemporaryDirectory() as folder:
            described = corpus.synthetic
            size_px = {} if described.size_px is None else {"size_px": described.size_px}
            reader.synthesise(Path(folder), size=described.size, seed=described.seed, **size_px)
            pack(Path(folder), args.archive)
    else:
        pack(fetch(corpus.source, corpus.checksum), args.archive)
    try:
        check(args.archive, reader, corpus)
    except UserError as error:
        args.archive.unlink()
        # The user knows the source, not the archive that is no more.
        raise UserError(str(error).replace(str(args.archive), without_secrets(corpus.source))) from None


def check(archive: Path, reader: ModuleType, corpus: Corpus) -> None:
    """Read all labels now, so that a wrong layout shows before anything is prepared; say what was found."""
    labels, parts = Counter(), Counter()
    for record in reader.read(archive):
        labels[record.label] += 1
        parts[record.partition] += 1
    for name in corpus.classes:
        if not labels[name]:
            found = ", ".join(sorted(labels))
            raise UserError(f"{archive}: class {name!r} has no samples; found: {found}; leave it out of classes")
    lacks = reader.missing(parts) if corpus.source != "synthetic" else ""
    if lacks:
        warn(f"{archive}: {lacks}; it is used as it is")
    found = parts if set(parts) - {None} else labels
    print(f"{archive}: {labels.total():,} samples ({', '.join(f'{name} {n:,}' for name, n in found.items())})")


if __name__ == "__main__":
    exit_with_one_line(main)
