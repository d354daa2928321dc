"""download@<corpus>: fetch or synthesise the corpus that `corpora.<corpus>.source` names, as one archive."""

import tempfile
from collections import Counter
from pathlib import Path

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import UserError, exit_with_one_line, warn
from stages.corpora.archive.fetch import fetch, without_secrets
from stages.corpora.archive.image_files import count_by_suffix
from stages.corpora.archive.pack import pack
from stages.corpora.archive.unread import GROUPS, unread_files
from stages.params.schema import IN_PLACE, Corpus


def main() -> None:
    args = arguments(__doc__, "archive")
    corpus = item(load(args.params).corpora, args.key, "corpora")
    reader = lookup.load("corpora", corpus.reader)
    if corpus.source == "synthetic":
        with tempfile.TemporaryDirectory() as folder:
            size_px, synthetic = corpus.synthetic.size_px, corpus.synthetic
            options = {} if size_px is None else {"size_px": size_px}
            reader.synthesise(Path(folder), size=synthetic.size, seed=synthetic.seed, **options)
            pack(Path(folder), args.archive)
    else:
        is_listed = corpus.source.startswith(IN_PLACE)
        pack(fetch(corpus.source, corpus.checksum), args.archive, in_place=is_listed)
    try:
        check(args.archive, corpus)
    except UserError as error:
        args.archive.unlink()
        # The message names the source, since the archive has been deleted.
        raise UserError(str(error).replace(str(args.archive), without_secrets(corpus.source))) from None


def check(archive: Path, corpus: Corpus) -> None:
    """Read all labels, so that a wrong layout is reported now, and print the numbers of samples."""
    labels, parts, reader = Counter(), Counter(), lookup.load("corpora", corpus.reader)
    for record in lookup.read(corpus.reader, archive, class_names=corpus.class_names, labels=corpus.labels, note=warn):
        labels[record.label] += 1
        parts[record.partition] += 1
    for name in corpus.classes:
        if not labels[name]:
            found = ", ".join(sorted(labels))
            raise UserError(f"{archive}: class {name!r} has no samples; found: {found}; remove it from classes")
    if corpus.source != "synthetic" and reader.GROUP in GROUPS and (others := unread_files(archive, reader.GROUP)):
        warn(f"{archive}: passed over {len(others):,} files: {count_by_suffix(others)}")
    # votes without a clear answer leave samples out; the reader has counted them
    if corpus.source != "synthetic" and corpus.labels is None and (missing := reader.missing(parts)):
        warn(f"{archive}: {missing}; it is used as it is")
    counts = parts if set(parts) - {None} else labels
    print(f"{archive}: {labels.total():,} samples ({', '.join(f'{name} {n:,}' for name, n in counts.items())})")


if __name__ == "__main__":
    exit_with_one_line(main)
