"""split@<corpus>: assign the samples to train, validation and test, and audit the split for leakage."""

from pathlib import Path

import numpy as np

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import UserError, exit_with_one_line, warn
from stages.core.files import write_json
from stages.datasets import splits
from stages.datasets.protocols import Metadata
from stages.params.schema import Corpus


def main() -> None:
    args = arguments(__doc__, "archive", "output")
    params = load(args.params)
    corpus, split = item(params.corpora, args.key, "corpora"), params.splits[args.key]
    sample_id, hashes, metadata = collect(args.archive, corpus)
    with splits.errors_naming(f"splits.{args.key}"):
        part, protocol = lookup.function("datasets.protocols", split.protocol)(metadata, split)
    duplicates = splits.duplicates_across(part, hashes)
    audit = splits.audit(part, sample_id, metadata.group, duplicates)
    if split.on_duplicate == "drop":
        part = splits.drop_from_train(part, duplicates)
    elif split.protocol == "group_disjoint":
        splits.require_no_duplicates(part, sample_id, duplicates, f"splits.{args.key}")
    if split.train_samples is not None:
        part, limited = splits.limit_train(part, metadata.label, split, f"splits.{args.key}")
        protocol = f"{protocol}; {limited}"
    if audit["groups_on_two_sides"]:
        protocol = f"{metadata.group_kind}-dependent: {protocol}"
    elif metadata.group_kind and "" in metadata.group:
        protocol = f"{metadata.group_kind}s unknown, so perhaps {metadata.group_kind}-dependent: {protocol}"
    splits.require_every_class(metadata.label, part, corpus.classes, f"splits.{args.key}")
    counts = {name: int((part == name).sum()) for name in (*splits.PARTS, "dropped", "unused")}
    ids = np.array(sample_id, dtype=object)
    content = {
        "corpus": args.key,
        "protocol": protocol,
        "settings": split.model_dump(),
        "counts": counts,
        "parts": {name: ids[part == name].tolist() for name in splits.PARTS},
        "dropped": ids[part == "dropped"].tolist(),
        "audit": audit,
    }
    write_json(args.output, content)
    print(f"{args.output}: {protocol}: {', '.join(f'{name} {counts[name]:,}' for name in splits.PARTS)}")
    if duplicates:
        dropped = f"{counts['dropped']} samples removed from train (splits.{args.key}.on_duplicate)"
        warn(f"{args.key}: {len(duplicates)} sets of exact duplicates have samples in several parts; {dropped}")


def collect(archive: Path, corpus: Corpus) -> tuple[list[str], list[str], Metadata]:
    """Return ids and content hashes of the samples of the configured classes, and the metadata for the protocol."""
    reader = lookup.load("corpora", corpus.reader)
    chosen = [record for record in reader.read(archive) if record.label in corpus.classes]
    if not chosen:
        raise UserError(f"{archive}: no sample of the classes {', '.join(corpus.classes)}")
    metadata = Metadata(
        label=np.array([record.label for record in chosen]),
        partition=np.array([record.partition for record in chosen], dtype=object),
        roles=reader.PARTS,
        group=np.array([record.group or "" for record in chosen]),
        group_kind=reader.GROUP,
        gender=np.array([record.extra.get("gender", "") for record in chosen]),
        trial=np.array([-1 if record.trial is None else record.trial for record in chosen]),
    )
    return [record.sample_id for record in chosen], [record.content_hash() for record in chosen], metadata


if __name__ == "__main__":
    exit_with_one_line(main)
