"""Choices by name that do not go together, as the files they stand for say of themselves: CODES, LAYOUT, SIZES, …"""

from collections.abc import Iterator
from typing import Any

from stages.checks.contradictions import section
from stages.checks.features import feature_mistakes, frames, too_large
from stages.core import lookup
from stages.core.errors import shorten, unknown_name
from stages.core.labels import CLASSES
from stages.params.options import options_of

Item = dict[str, Any]


def misfits(content: Item) -> Iterator[str]:
    """One line for each; a name that stands for nothing is told elsewhere."""
    corpora, datasets = section(content, "corpora"), section(content, "datasets")
    for key, corpus in corpora.items():
        yield from _synthetic_mistakes(f"corpora.{key}", corpus)
        yield from _class_mistakes(f"corpora.{key}.classes", corpus)
    for key, dataset in datasets.items():
        corpus = corpora.get(str(dataset.get("corpus")), {})
        yield from _normalising_mistakes(f"datasets.{key}.normalize_groups", dataset, corpus)
        lengths = lengths_of(key, dataset).items()
        yield from too_large(f"datasets.{key}.feature", {axis: length for axis, (_, length) in lengths})
    for key, run in section(content, "runs").items():
        dataset = str(run.get("dataset"))
        feature = _chosen("features", datasets.get(dataset, {}), "feature")
        for field, room in (("model", "models"), ("augmentation", "datasets.augmentation")):
            yield from _layout_mistakes(f"runs.{key}.{field}.name", feature, _chosen(room, run, field), room)
        yield from _color_mistakes(
            f"datasets.{dataset}.feature.color", f"runs.{key}.model", run, datasets.get(dataset, {})
        )
        yield from _size_mistakes(f"runs.{key}.model", run, lengths_of(dataset, datasets.get(dataset, {})))


def lengths_of(key: str, dataset: Item) -> dict[str, tuple[str, int]]:
    """{axis: (the setting that tells how long it is, that length)} of what the dataset prepares, where it is known."""
    name, found = _chosen("features", dataset, "feature"), {}
    if not name or any(feature_mistakes("", dataset["feature"])):  # what is wrong by itself fits nothing
        return found
    for axis, setting in lookup.constants("features", name)["SIZES"].items():
        where, value = f"datasets.{key}.feature.{setting}", dataset["feature"].get(setting)
        length = frames(dataset["feature"]) if setting == "duration_s" else value
        length = len(length) if isinstance(length, list) else length
        if _whole(length):
            found[axis] = where, length
    return found


def _chosen(room: str, item: Item, field: str) -> str:
    """The name of a choice, or an empty string where it stands for nothing."""
    choice = item.get(field)
    name = choice.get("name") if isinstance(choice, dict) else None
    return name if name in lookup.names(room) else ""


def _synthetic_mistakes(where: str, corpus: Item) -> Iterator[str]:
    """A corpus can be synthetic only where its reader makes one, and of a size only where that can be chosen."""
    known, reader = lookup.names("corpora"), corpus.get("reader")
    if corpus.get("source") != "synthetic" or reader not in known:
        return
    options = lookup.synthetic_options(reader)
    if options is None:
        makers = ", ".join(name for name in known if lookup.synthetic_options(name) is not None)
        yield f"{where}.source: 'synthetic' is for the readers {makers}; received: reader {shorten(reader)}"
    synthetic = corpus.get("synthetic")
    given = synthetic.get("size_px") if isinstance(synthetic, dict) else None
    if options and "size_px" in options and given is None:
        yield f"{where}.synthetic.size_px: missing; reader {reader!r} needs the size of its synthetic images"
    elif options and "size_px" not in options and given is not None:
        yield f"{where}.synthetic.size_px: allowed: null with reader {reader!r}; received: {shorten(given)}"


def _class_mistakes(where: str, corpus: Item) -> Iterator[str]:
    """A class that the reader has no code for would have no sample."""
    reader, classes = corpus.get("reader"), corpus.get("classes")
    if reader not in lookup.names("corpora") or not isinstance(classes, list):
        return
    codes = lookup.constants("corpora", reader)["CODES"]
    known = tuple(codes.values()) if isinstance(codes, dict) else codes
    for number, name in enumerate(classes):
        if name in CLASSES and name not in known:
            yield unknown_name(f"{where}.{number}", name, known, f"no class of reader {reader!r}")


def _normalising_mistakes(where: str, dataset: Item, corpus: Item) -> Iterator[str]:
    kind, feature, reader = (
        dataset.get("normalize_groups"),
        _chosen("features", dataset, "feature"),
        corpus.get("reader"),
    )
    if kind not in ("mean", "mean_sd"):
        return
    if feature and not lookup.constants("features", feature)["DTYPE"].startswith("float"):
        yield f"{where}: allowed: none with the feature {feature!r}, which is kept in whole numbers; received: {kind!r}"
    elif reader in lookup.names("corpora") and lookup.constants("corpora", reader)["GROUP"] is None:
        yield f"{where}: allowed: none with reader {reader!r}, which knows no speakers or subjects; received: {kind!r}"


def _layout_mistakes(where: str, feature: str, chosen: str, room: str) -> Iterator[str]:
    """An augmentation is for features of one layout, a model for those of as many axes."""
    if not feature or not chosen:
        return
    expected, received = lookup.constants("features", feature)["LAYOUT"], lookup.constants(room, chosen)["LAYOUT"]
    if len(expected) != len(received) or (room != "models" and expected != received):
        yield (
            f"{where}: allowed: one for the feature {feature!r}, ({', '.join(expected)}); "
            f"received: {chosen!r}, for ({', '.join(received)})"
        )


def _color_mistakes(where: str, of: str, run: Item, dataset: Item) -> Iterator[str]:
    """A model that takes images of one kind only."""
    name = _chosen("models", run, "model")
    expected = lookup.constants("models", name).get("COLOR") if name else None
    received = dataset["feature"].get("color") if _chosen("features", dataset, "feature") else None
    if expected and isinstance(received, str) and received != expected:
        yield f"{where}: allowed: {expected} for {of} ({name}); received: {shorten(received)}"


def _size_mistakes(where: str, run: Item, lengths: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Of a model: an axis halved until nothing is left, steps longer than the sample, heads that share unequally."""
    name = _chosen("models", run, "model")
    if not name:
        return
    given = {option: default for option, (_, default) in options_of("models", name).items()}
    given |= {option: value for option, value in run["model"].items() if option in given}
    for axis, halvings in lookup.constants("models", name).get("HALVINGS", {}).items():
        if axis in lengths:
            yield from _halving_mistakes(where, name, given, halvings, *lengths[axis])
    for option, value in given.items():
        if option.endswith("_frames") and "time" in lengths and _whole(value) > lengths["time"][1]:
            n_frames = lengths["time"][1]
            yield f"{where}.{option}: allowed: {n_frames} or less, the frames of its dataset; received: {value}"
        width = option.removesuffix("heads") + "width"
        if option.endswith("heads") and _whole(value) and _whole(given.get(width)) % value:
            yield f"{where}.{width}: allowed: a multiple of {option} ({value}); received: {given[width]}"


def _halving_mistakes(where: str, name: str, given: Item, halvings: Any, setting: str, length: int) -> Iterator[str]:
    """`halvings`: how often, or the option that has an entry for each."""
    if isinstance(halvings, int) and length < 2**halvings:
        yield f"{setting}: allowed: {2**halvings} or more for {where} ({name}); received: {length}"
    elif isinstance(halvings, str) and isinstance(given.get(halvings), list):
        count, most = len(given[halvings]), length.bit_length() - 1
        if count > most:
            allowed = f"{most} entries or fewer, each halving {setting} ({length})"
            yield f"{where}.{halvings}: allowed: {allowed}; received: {count}"


def _whole(value: Any) -> int:
    """A size, or 0 for what is none."""
    return value if isinstance(value, int) and 0 < value < 1e18 else 0
