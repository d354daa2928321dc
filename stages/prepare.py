"""prepare@<dataset>: decode the samples of an archive in parallel and write their features to one HDF5 file."""

from collections.abc import Iterator
from contextlib import closing

from tqdm import tqdm

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line, warn
from stages.core.records import Record
from stages.datasets.decoding import Workers, append_all, compute_function, decode, note_cut, require_few, require_space
from stages.datasets.levels import Levels
from stages.datasets.statistics import normalize_groups
from stages.datasets.store import Description, create
from stages.params.schema import Corpus, Dataset, source_kind


def main() -> None:
    args = arguments(__doc__, "archive", "output")
    params = load(args.params)
    dataset, machine = item(params.datasets, args.key, "datasets"), params.machine
    corpus = params.corpora[dataset.corpus]
    settings, reader = dataset.feature, lookup.load("corpora", corpus.reader)
    feature = lookup.load("features", settings["name"])
    compute = compute_function(feature, {key: value for key, value in settings.items() if key != "name"})

    def chosen() -> Iterator[Record]:
        records = lookup.read(corpus.reader, args.archive, class_names=corpus.class_names, labels=corpus.labels)
        return (record for record in records if record.label in corpus.classes)

    total = sum(1 for _ in chosen())
    workers = Workers(machine.workers, feature.WORKERS, feature.samples_per_chunk(settings), machine.cluster)
    levels = Levels(getattr(feature, "MIXED_UNITS", None))
    decoded = decode(chosen(), compute, workers, args.archive)
    with create(args.output) as writer, closing(decoded) as chunks:  # closing stops the workers after an error
        progress = tqdm(chunks, args.key, -(-total // workers.samples_per_chunk), unit=" chunks", disable=None)
        progress = note_cut(levels.watch(progress), cut := [])
        count, rejected = append_all(writer, require_space(progress, total, args.output.parent), corpus.classes)
        require_few(rejected, count + len(rejected), params.prepare.max_rejected_fraction, str(args.archive))
        levels.require_one_unit(str(args.archive))
        if dataset.normalize_groups != "none":
            normalize_groups(writer, list(feature.LAYOUT), dataset.normalize_groups, f"datasets.{args.key}")
        steps = writer.sample_shape[0]
        writer.describe(describe(dataset, corpus, feature, reader.GROUP, rejected, cut))
    if cut:
        kept = f"cut to the {steps} time steps of datasets.{args.key}.feature; the longest has {max(cut)}"
        warn(f"{args.archive}: {len(cut)} of {count} samples {kept}")
    if rejected:
        warn(f"{args.archive}: {len(rejected)} damaged samples left out: {'; '.join(rejected[:3])}")
    print(f"{args.output}: {count:,} samples")


def describe(
    dataset: Dataset, corpus: Corpus, feature, group_kind: str | None, rejected: list[str], cut: list[int]
) -> Description:
    """Return the attributes of the file: the corpus, the classes, how the feature was computed and packed."""
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
        rate_hz=feature.output_rate_hz(dataset.feature),
        group_kind=group_kind,
        feature=dataset.feature,
        normalize_groups=dataset.normalize_groups,
        rejected=rejected,
        cut=len(cut),
        longest=max(cut, default=0),
    )


if __name__ == "__main__":
    exit_with_one_line(main)
