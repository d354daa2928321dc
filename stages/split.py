"""split@<corpus>: which sample is trained on, chosen with, tested on; and the leakage audit."""

import numpy as np

from stages.core import lookup
from stages.core.checks import UserError, exit_with_one_line, warn
from stages.core.command import arguments, item
from stages.core.files import write_json
from stages.core.params import load
from stages.core.schema import Split
from stages.datasets.protocols import Metadata
from stages.datasets.splits import PARTS, audit, drop_from_train, duplicates_across


def main() -> None:
    args = arguments(__doc__, "archive", "output")
    params = load(args.params)
    corpus, split = item(params.corpora, args.key, "corpora"), params.splits[args.key]
    reader = lookup.load("corpora", corpus.reader)
    chosen = (record for record in reader.read(args.archive) if record.label in corpus.classes)
    columns = [(r.sample_id, r.label, r.partition, r.group, r.content_hash()) for r in chosen]
    if not columns:
        raise UserError(f"{args.archive}: no sample of the classes {', '.join(corpus.classes)}")
    sample_id, label, partition, group, content = (list(column) for column in zip(*columns, strict=True))
    metadata = Metadata(np.array(label), np.array(partition, dtype=object), reader.PARTS)
    part, protocol = lookup.function("datasets.protocols", split.protocol)(metadata, split)
    duplicates = duplicates_across(part, content)
    found = audit(part, sample_id, group, duplicates)
    if split.on_duplicate == "drop":
        part = drop_from_train(part, duplicates)
    require_every_class(np.array(label), part, corpus.classes, args.key)
    write_json(args.output, describe(args.key, split, protocol, part, sample_id, found))
    sizes = ", ".join(f"{name} {(part == name).sum():,}" for name in PARTS)
    print(f"{args.output}: {protocol}: {sizes}")
    if duplicates:
        dropped = f"{(part == 'dropped').sum()} samples taken out of train (splits.{args.key}.on_duplicate)"
        warn(f"{args.key}: {len(duplicates)} sets of exact duplicates reach over several parts; {dropped}")


def describe(corpus: str, split: Split, protocol: str, part: np.ndarray, sample_id: list[str], found: dict) -> dict:
    """The content of data/splits/<corpus>.json."""
    ids = np.array(sample_id, dtype=object)
    return {
        "corpus": corpus,
        "protocol": protocol,
        "settings": split.model_dump(),
        "counts": {name: int((part == name).sum()) for name in (*PARTS, "dropped")},
        "parts": {name: ids[part == name].tolist() for name in PARTS},
        "dropped": ids[part == "dropped"].tolist(),
        "audit": found,
    }


def require_every_class(label: np.ndarray, part: np.ndarray, classes: list[str], corpus: str) -> None:
    """Every class must be in the training part: a class never seen cannot be recognised."""
    absent = set(classes) - set(label[part == "train"])
    if absent:
        raise UserError(f"splits.{corpus}: no training sample of class {', '.join(sorted(absent))}")


if __name__ == "__main__":
    exit_with_one_line(main)
