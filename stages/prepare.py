"""prepare@<dataset>: archive → one HDF5 file of features, decoded in parallel straight from the archive."""

from functools import partial

from tqdm import tqdm

from stages.core import lookup
from stages.core.checks import UserError, exit_with_one_line, warn
from stages.core.command import arguments, item
from stages.core.cross_checks import source_kind
from stages.core.params import load
from stages.core.schema import Corpus
from stages.datasets.decoding import Chunk, decode, require_few
from stages.datasets.store import Description, Writer, create


def main() -> None:
    args = arguments(__doc__, "archive", "output")
    params = load(args.params)
    dataset = item(params.datasets, args.key, "datasets")
    corpus = params.corpora[dataset.corpus]
    options = {key: value for key, value in dataset.feature.items() if key != "name"}
    feature = lookup.load("features", dataset.feature["name"])
    records = (r for r in lookup.load("corpora", corpus.reader).read(args.archive) if r.label in corpus.classes)
    with create(args.output) as writer:
        chunks = decode(records, partial(feature.compute, **options), params.machine.workers)
        count, rejected = append_all(writer, tqdm(chunks, args.key, unit=" chunks", disable=None), corpus.classes)
        require_few(rejected, count + len(rejected), params.prepare.max_rejected_fraction, str(args.archive))
        writer.describe(describe(dataset.corpus, corpus, dataset.feature, feature, rejected))
    if rejected:
        warn(f"{args.archive}: {len(rejected)} damaged samples left out: {'; '.join(rejected[:3])}")
    print(f"{args.output}: {count:,} samples")


def append_all(writer: Writer, chunks: list[Chunk], classes: list[str]) -> tuple[int, list[str]]:
    """Write every chunk; the number of samples written, and 'id: reason' of each damaged one."""
    count, rejected = 0, []
    for chunk in chunks:
        rejected += chunk.rejected
        if chunk.records:
            writer.append(
                chunk.x,
                length=chunk.length,
                label=[classes.index(record.label) for record in chunk.records],
                group=[record.group or "" for record in chunk.records],
                sample_id=[record.sample_id for record in chunk.records],
            )
        count += len(chunk.records)
    if not count:
        raise UserError(f"no sample could be decoded; the first: {'; '.join(rejected[:3])}")
    return count, rejected


def describe(key: str, corpus: Corpus, settings: dict, feature, rejected: list[str]) -> Description:
    """The attributes of the file: whose data, which classes, how the feature was computed and packed."""
    synthetic = corpus.source == "synthetic"
    return Description(
        classes=corpus.classes,
        corpus=key,
        name="synthetic" if synthetic else corpus.name,
        source=source_kind(corpus.source),
        synthetic=synthetic,
        layout=list(feature.LAYOUT),
        scale_factor=feature.SCALE_FACTOR,
        add_offset=feature.ADD_OFFSET,
        rate_hz=None,
        feature=settings,
        rejected=rejected,
    )


if __name__ == "__main__":
    exit_with_one_line(main)
