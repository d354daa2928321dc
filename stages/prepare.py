"""prepare@<dataset>: archive → one HDF5 file of features, decoded in parallel straight from the archive."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line, warn
from stages.core.records import Record
from stages.datasets.decoding import Workers, computing, decode, require_few
from stages.datasets.filling import append_all, room_for
from stages.datasets.statistics import normalize_groups
from stages.datasets.store import Description, create
from stages.params.schema import Corpus, Dataset, source_kind


def main() -> None:
    args = arguments(__doc__, "archive", "output")
    params = load(args.params)
    dataset = item(params.datasets, args.key, "datasets")
    corpus = params.corpora[dataset.corpus]
    settings = dataset.feature
    feature = lookup.load("features", settings["name"])
    compute = computing(feature, {key: value for key, value in settings.items() if key != "name"})
    total = sum(1 for _ in chosen(args.archive, corpus))
    workers = Workers(params.machine.workers, feature.WORKERS, feature.samples_per_chunk(settings))
    decoded = decode(chosen(args.archive, corpus), compute, workers)
    with create(args.output) as writer, closing(decoded) as chunks:  # on a failure, closing stops the workers
        shown = tqdm(chunks, args.key, -(-total // workers.samples_per_chunk), unit=" chunks", disable=None)
        count, rejected = append_all(writer, room_for(shown, total, args.output.parent), corpus.classes)
        require_few(rejected, count + len(rejected), params.prepare.max_rejected_fraction, str(args.archive))
        if dataset.normalize_groups != "none":
            normalize_groups(writer, list(feature.LAYOUT), dataset.normalize_groups, f"datasets.{args.key}")
        writer.describe(describe(dataset, corpus, settings, feature, rejected))
    if rejected:
        warn(f"{args.archive}: {len(rejected)} damaged samples left out: {'; '.join(rejected[:3])}")
    print(f"{args.output}: {count:,} samples")


def chosen(archive: Path, corpus: Corpus) -> Iterator[Record]:
    """The records of the classes that `corpora.<corpus>.classes` picks."""
    return (r for r in lookup.load("corpora", corpus.reader).read(archive) if r.label in corpus.classes)


def describe(dataset: Dataset, corpus: Corpus, settings: dict, feature, rejected: list[str]) -> Description:
    """The attributes of the file: whose data, which classes, how the feature was computed and packed."""
    reader = lookup.load("corpora", corpus.reader)
    synthetic = corpus.source == "synthetic"
    return Description(
        classes=corpus.classes,
        corpus=dataset.corpus,
        name="synthetic" if synthetic else corpus.name,
        source=source_kind(corpus.source),
        synthetic=synthetic,
        layout=list(feature.LAYOUT),
        scale_factor=feature.SCALE_FACTOR,
        add_offset=feature.ADD_OFFSET,
        rate_hz=feature.output_rate_hz(settings),
        group_kind=reader.GROUP,
        feature=settings,
        normalize_groups=dataset.normalize_groups,
        rejected=rejected,
    )


if __name__ == "__main__":
    exit_with_one_line(main)
