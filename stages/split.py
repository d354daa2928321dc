"""split@<corpus>: assign the samples to train, validation and test, and audit the split for leakage."""

from pathlib import Path

import numpy as np

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import UserError, exit_with_one_line, warn
from stages.core.files import write_json
from stages.core.records import Record
from stages.corpora.archive import labels
from stages.corpora.archive.unread import unread_files
from stages.datasets import splits
from stages.datasets.groups import merge_similar
from stages.datasets.near_duplicates import hash_records, near_duplicates
from stages.datasets.protocols import Metadata
from stages.params.schema import Corpus


def main() -> None:
    args = arguments(__doc__, "archive", "output")
    params = load(args.params)
    corpus, split, where = item(params.corpora, args.key, "corpora"), params.splits[args.key], f"splits.{args.key}"
    reader = lookup.load("corpora", corpus.reader)
    shows_faces = reader.GROUP in (None, "person")  # recordings have speakers or subjects as groups
    records, passed_over = select(args.archive, corpus, reader.GROUP, shows_faces)
    metadata, split, similar = merge_similar(Metadata.of(records, reader.PARTS, reader.GROUP), split, where)
    with splits.errors_naming(where):
        part, protocol = lookup.function("datasets.protocols", split.protocol)(metadata, split)
    content, sample_id = zip(*[(record.content_hash(), record.sample_id) for record in records], strict=True)
    near = near_duplicates(content, hash_records(records)) if shows_faces else []
    found = splits.overlaps(part, metadata.label, content, near)
    audit = splits.audit(part, metadata.label, sample_id, metadata.group, found)
    audit |= {"similar_groups": similar, "passed_over": passed_over}
    if split.on_duplicate == "drop":
        part = splits.drop_from_train(part, found.all())
    elif split.protocol == "group_disjoint":
        splits.require_no_duplicates(part, sample_id, found.duplicates, where)
    if split.train_samples is not None:
        part, limited = splits.limit_train(part, metadata.label, split, where)
        protocol = f"{protocol}; {limited}"
    if corpus.labels is not None:
        protocol = f"{protocol}; labels: {corpus.labels} of the votes"
    protocol = splits.dependence(metadata.group_kind, metadata.group, audit) + protocol
    splits.require_every_class(metadata.label, part, corpus.classes, where)
    counts = {name: int((part == name).sum()) for name in (*splits.PARTS, "dropped", "unused")}
    ids = np.array(sample_id, dtype=object)
    output = {
        "corpus": args.key,
        "protocol": protocol,
        "settings": params.splits[args.key].model_dump(),
        "counts": counts,
        "parts": {name: ids[part == name].tolist() for name in splits.PARTS},
        "dropped": ids[part == "dropped"].tolist(),
        "audit": audit,
    }
    write_json(args.output, output)
    print(f"{args.output}: {protocol}: {', '.join(f'{name} {counts[name]:,}' for name in counts if counts[name])}")
    for line in splits.audit_lines(audit, split.on_duplicate, where):
        warn(line)


def select(
    archive: Path, corpus: Corpus, group: str | None, shows_faces: bool
) -> tuple[list[Record], dict[str, int] | None]:
    """Return the samples of the configured classes, and {suffix: number of files} passed over; None for a table."""
    records = list(lookup.read(corpus.reader, archive, class_names=corpus.class_names, labels=corpus.labels))
    chosen = [record for record in records if record.label in corpus.classes]
    if not chosen:
        raise UserError(f"{archive}: no sample of the classes {', '.join(corpus.classes)}")
    used = {record.sample_id for record in records}
    if shows_faces:
        return chosen, labels.passed_over(archive, used)
    return chosen, labels.suffixes(unread_files(archive, group))


if __name__ == "__main__":
    exit_with_one_line(main)
