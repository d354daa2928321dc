"""Settings of `params.yaml` that have valid types but do not fit each other.

What a reader, feature or model can handle is read from the constants of its file (CODES, GROUP, LAYOUT, SIZES, …)
without importing it.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from stages.checks.distillations import distillation_mistakes, original
from stages.core import lookup
from stages.core.errors import did_you_mean, duplicate_names, shorten, unknown_name
from stages.core.labels import CLASSES
from stages.params.options import options_of
from stages.params.schema import source_kind

Item = dict[str, Any]

SOURCES = "synthetic, an absolute path, in_place:/absolute/folder, https://…, kaggle:<owner>/<slug>"
CHECKSUM = re.compile(r"(sha256:)?[0-9a-f]{64}|md5:[0-9a-f]{32}", re.IGNORECASE)
# Excludes SQLite in memory (no path, or `:memory:`), which two workers cannot share.
STORAGE_URL = re.compile(r"(?!sqlite(\+\w+)?:///?($|:memory:|\?))\w+(\+\w+)?://.+")
STORAGES = "sqlite:////<path>.db, postgresql://<user>@<host>/<database>, or null (a file, for one worker)"
CLUSTER = re.compile(r"dask://([\w.-]+|\[[\da-f:]+\]):\d{1,5}")
MAX_RATE_HZ = 384_000  # the highest rate at which clips are read
MAX_VALUES = 1 << 27  # largest number of values in a sample: half a GiB of float32
# Items that name an item of another section: section, key in each of its items, the other section.
REFERENCES = [("datasets", "corpus", "corpora"), ("runs", "corpus", "corpora"), ("runs", "recipe", "recipes")]
REFERENCES += [("studies", "run", "runs"), ("ensembles", "corpus", "corpora"), ("distillations", "teacher", "runs")]


def consistency_mistakes(content: Item, valid: dict[str, Item]) -> Iterator[str]:
    """Yield one line for each mistake in the content of params.yaml, runs merged with their recipes.

    `valid` are the entries of each section without mistakes of their own; the others count as known names only.
    """
    corpora, datasets = valid.get("corpora", {}), valid.get("datasets", {})
    yield from _machine_mistakes(valid.get("machine", {}))
    yield from _reference_mistakes(content)
    for key, corpus in corpora.items():
        yield from _corpus_mistakes(f"corpora.{key}", corpus)
    for key, split in valid.get("splits", {}).items():
        yield from _fold_mistakes(f"splits.{key}", split)
    for key, dataset in datasets.items():
        yield from _dataset_mistakes(f"datasets.{key}", dataset, corpora.get(dataset["corpus"]))
    for key, ensemble in valid.get("ensembles", {}).items():
        yield from _ensemble_mistakes(content, key, ensemble)
    distillations = section(content, "distillations")
    yield from distillation_mistakes(distillations, section(content, "datasets"), section(content, "runs"))
    for key, run in valid.get("runs", {}).items():
        yield from _training_mistakes(f"runs.{key}", run, corpora.get(run["corpus"]))
        name = original(distillations, run["dataset"])
        if name in datasets:
            yield from _run_mistakes(f"runs.{key}", run | {"dataset": name}, datasets[name], _keys(content, "corpora"))


def _machine_mistakes(machine: Item) -> Iterator[str]:
    url, cluster = machine.get("storage_url"), machine.get("cluster")
    if url is not None and not STORAGE_URL.fullmatch(url):  # not shown, since it may contain a password
        yield f"machine.storage_url: not the address of a database; allowed: {STORAGES}"
    if cluster is not None and not CLUSTER.fullmatch(cluster):
        yield f"machine.cluster: allowed: dask://<host>:<port>, or null; received: {shorten(cluster)}"


def _ensemble_mistakes(content: Item, key: str, ensemble: Item) -> Iterator[str]:
    """Yield mistakes of the members: unknown, of another corpus, twice; and of a name that a run has, too."""
    where, runs, corpus = f"ensembles.{key}", section(content, "runs"), ensemble["corpus"]
    if key in runs:
        yield f"{where}: allowed: a name that no run has, since one report shows both; received: {key!r}"
    for number, name in enumerate(ensemble["members"]):
        other = runs.get(name, {}).get("corpus", corpus)
        if name not in runs:
            yield unknown_name(f"{where}.members.{number}", name, list(runs))
        elif other != corpus and corpus in _keys(content, "corpora"):
            yield f"{where}.members.{number}: allowed: runs on {corpus!r}; received: {name!r}, on {other!r}"
    yield from duplicate_names(f"{where}.members", ensemble["members"], "run")


def _reference_mistakes(content: Item) -> Iterator[str]:
    for name, field, other in REFERENCES:
        known = _keys(content, other)
        for key, item in section(content, name).items():
            if isinstance(item.get(field), str) and isinstance(content.get(other), dict) and item[field] not in known:
                yield unknown_name(f"{name}.{key}.{field}", item[field], known)
    corpora, splits = _keys(content, "corpora"), _keys(content, "splits")
    for key in corpora if isinstance(content.get("splits"), dict) else ():
        if key not in splits:
            yield f"splits.{key}: missing; every corpus needs a split"
    for key in splits if corpora else ():
        if key not in corpora:
            yield f"splits.{key}: no such corpus;{did_you_mean(key, corpora)} allowed: {', '.join(corpora)}"


def section(content: Item, name: str) -> dict[str, Item]:
    """Return the well-formed items of a section; the schema reports malformed ones."""
    items = content.get(name)
    return {str(key): item for key, item in items.items() if isinstance(item, dict)} if isinstance(items, dict) else {}


def _keys(content: Item, name: str) -> list[str]:
    items = content.get(name)
    return list(map(str, items)) if isinstance(items, dict) else []


def _corpus_mistakes(where: str, corpus: Item) -> Iterator[str]:
    reader, checksum = corpus["reader"], corpus.get("checksum")
    if checksum is not None and not CHECKSUM.fullmatch(checksum):
        yield f"{where}.checksum: allowed: sha256:<64 hex digits> or md5:<32 hex digits>; received: {shorten(checksum)}"
    yield from (_synthetic_mistakes if corpus["source"] == "synthetic" else _source_mistakes)(where, corpus)
    yield from duplicate_names(f"{where}.classes", corpus["classes"], "class")
    codes = lookup.constants("corpora", reader)["CODES"]
    known = tuple(codes.values()) if isinstance(codes, dict) else codes
    voted = lookup.constants("corpora", reader).get("VOTED_CODES", known)
    if corpus.get("labels") is not None:
        yield from _votes_mistakes(where, corpus)
        known = voted
    for number, name in enumerate(corpus["classes"]):
        if name not in known:
            what = f"not a class of reader {reader!r}{' without labels' if name in voted else ''}"
            yield unknown_name(f"{where}.classes.{number}", name, known, what)
    yield from _class_name_mistakes(f"{where}.class_names", reader, corpus.get("class_names") or {}, known)


def _votes_mistakes(where: str, corpus: Item) -> Iterator[str]:
    """Yield mistakes about votes, which few readers read, from real files, without names of folders."""
    reader, readers = corpus["reader"], [name for name in lookup.names("corpora") if _has_votes(name)]
    if reader not in readers:
        yield f"{where}.labels: allowed: null, or the reader {', '.join(readers)}; received: reader {reader!r}"
    elif corpus["source"] == "synthetic":
        allowed = "null with source 'synthetic', which has no votes"
        yield f"{where}.labels: allowed: {allowed}; received: {corpus['labels']!r}"
    elif corpus.get("class_names"):
        received = shorten(corpus["class_names"])
        yield f"{where}.class_names: allowed: null with labels, which a table of votes gives; received: {received}"


def _has_votes(reader: str) -> bool:
    return "labels" in lookup.reader_options(reader)


def _class_name_mistakes(where: str, reader: str, meanings: dict[str, str], known: tuple[str, ...]) -> Iterator[str]:
    if meanings and "class_names" not in lookup.reader_options(reader):
        readers = ", ".join(name for name in lookup.names("corpora") if "class_names" in lookup.reader_options(name))
        yield f"{where}: allowed: null, or one of the readers {readers}; received: reader {reader!r}"
    folders = [str(name).strip().casefold() for name in meanings]
    yield from duplicate_names(where, folders, "folder, in any letter case,")
    for folder, meaning in meanings.items():
        if meaning in CLASSES and meaning not in known:
            yield unknown_name(f"{where}.{folder}", meaning, known, f"not a class of reader {reader!r}")


def _synthetic_mistakes(where: str, corpus: Item) -> Iterator[str]:
    reader, size_px = corpus["reader"], corpus["synthetic"].get("size_px")
    options = lookup.synthetic_options(reader)
    if options is None:
        readers = ", ".join(name for name in lookup.names("corpora") if lookup.synthetic_options(name) is not None)
        yield f"{where}.source: 'synthetic' is for the readers {readers}; received: reader {reader!r}"
    elif "size_px" in options and size_px is None:
        yield f"{where}.synthetic.size_px: missing; reader {reader!r} needs the size of its synthetic images"
    elif "size_px" not in options and size_px is not None:
        yield f"{where}.synthetic.size_px: allowed: null with reader {reader!r}; received: {size_px}"


def _source_mistakes(where: str, corpus: Item) -> Iterator[str]:
    kind = source_kind(corpus["source"])
    if kind is None:
        yield f"{where}.source: allowed: {SOURCES}; received: {shorten(corpus['source'])}"
    if kind == "url" and not corpus.get("checksum"):
        yield f"{where}.checksum: missing; a URL needs 'sha256:<hex>' or 'md5:<hex>'"
    if kind and not corpus["name"]:
        yield f"{where}.name: missing; a real source needs a name (such as FER-2013), shown with every figure"
    if kind and corpus["name"] == "synthetic":
        yield f"{where}.name: allowed: anything but 'synthetic', since the source is real; received: 'synthetic'"


def _fold_mistakes(where: str, split: Item) -> Iterator[str]:
    protocol, fraction = split["protocol"], split["validation_fraction"]
    given = {name: split[name] for name in ("folds", "test_groups") if split.get(name) is not None}
    if protocol == "group_disjoint" and len(given) != 1:
        received = " and ".join(given) or "neither"
        yield f"{where}: allowed: one of folds and test_groups, with protocol group_disjoint; received: {received}"
    for name, value in given.items():
        if protocol != "group_disjoint" and (name, protocol) != ("folds", "stratified"):
            yield f"{where}.{name}: allowed: null with this protocol; received: {shorten(value)}"
    groups = given.get("test_groups", [])
    yield from duplicate_names(f"{where}.test_groups", [group for fold in groups for group in fold], "group")
    draws = round(1 / fraction)
    if protocol == "stratified" and "folds" not in given and draws < 3:
        yield f"{where}.validation_fraction: allowed: less than 0.4, since test takes as much; received: {fraction}"
    folds = {"test_halves": 2, "trial_blocks": 3, "group_disjoint": len(groups)}.get(protocol, 0)
    folds = folds or given.get("folds", draws)
    if split["fold"] >= folds and (given or protocol != "group_disjoint"):
        yield f"{where}.fold: allowed: 0 to {folds - 1}; received: {split['fold']}"


def _dataset_mistakes(where: str, dataset: Item, corpus: Item | None) -> Iterator[str]:
    feature, kind = dataset["feature"], dataset.get("normalize_groups", "none")
    yield from feature_mistakes(f"{where}.feature", feature)
    yield from duplicate_names(f"{where}.feature.speeds", feature.get("speeds"), "speed")
    lengths = axis_lengths(where, dataset).items()
    yield from too_large(f"{where}.feature", {axis: length for axis, (_, length) in lengths})
    where, name = f"{where}.normalize_groups", feature["name"]
    if kind != "none" and not lookup.constants("features", name)["DTYPE"].startswith("float"):
        yield f"{where}: allowed: none with the feature {name!r}, which is stored as integers; received: {kind!r}"
    elif kind != "none" and corpus and lookup.constants("corpora", corpus["reader"])["GROUP"] is None:
        reader = corpus["reader"]
        yield f"{where}: allowed: none with reader {reader!r}, which has no speakers or subjects; received: {kind!r}"


def feature_mistakes(where: str, feature: Any) -> Iterator[str]:
    """Yield one line for each setting of a feature that does not fit the others; the schema checks their types."""
    if isinstance(feature, dict):
        yield from _spectrogram_mistakes(where, feature)
        yield from _band_power_mistakes(where, feature)


def too_large(where: str, shape: dict[str, int]) -> Iterator[str]:
    """Yield a line if a sample with axes {name: length} has more than `MAX_VALUES` values."""
    count = math.prod(shape.values())
    if count > MAX_VALUES:
        lengths = " x ".join(f"{axis} {length:,}" for axis, length in shape.items())
        yield f"{where}: allowed: {MAX_VALUES:,} values a sample or fewer; received: {count:,} ({lengths})"


def frames(feature: Item) -> int | None:
    """Return the number of frames of a spectrogram, one per hop from the start; None if a setting is not valid."""
    values = _numbers(feature, ("sample_rate_hz", "hop_ms", "duration_s"))
    hop = round(values[0] * values[1] / 1000) if values else 0
    return round(values[0] * values[2]) // hop + 1 if hop else None


def axis_lengths(where: str, dataset: Item) -> dict[str, tuple[str, int]]:
    """Return {axis: (setting that determines its length, length)} of the prepared samples, as far as it is known.

    `where` is the path of the dataset. A feature with a mistake of its own gives no lengths, so that the mistake is not
    reported again for each model.
    """
    options, lengths = options_of("features", dataset["feature"]["name"]), {}
    feature = {option: default for option, (_, default) in options.items()} | dataset["feature"]
    if any(feature_mistakes("", dataset["feature"])):
        return lengths
    for axis, setting in lookup.constants("features", feature["name"])["SIZES"].items():
        length = frames(feature) if setting == "duration_s" else feature[setting]
        length = len(length) if isinstance(length, list) else length
        if length and length < 1e18:
            lengths[axis] = f"{where}.feature.{setting}", length
    return lengths


def _numbers(feature: Item, names: tuple[str, ...]) -> list[float]:
    """Return these settings, or an empty list if one of them is missing, not a number or absurdly large."""
    values = [feature.get(name) for name in names]
    return values if all(isinstance(value, int | float) and 0 <= value < 1e12 for value in values) else []


def _spectrogram_mistakes(where: str, feature: Item) -> Iterator[str]:
    names = ("sample_rate_hz", "window_ms", "hop_ms", "f_min_hz", "f_max_hz", "duration_s")
    values = _numbers(feature, names)
    if not values:
        return
    rate, window, hop, lowest, highest, duration = values
    if rate > MAX_RATE_HZ:
        yield f"{where}.sample_rate_hz: allowed: {MAX_RATE_HZ} or less; received: {rate}"
    if 2 * highest > rate:
        yield f"{where}.f_max_hz: allowed: half of sample_rate_hz ({rate}) or less; received: {highest}"
    if lowest >= highest:
        yield f"{where}.f_min_hz: allowed: less than f_max_hz ({highest}); received: {lowest}"
    if rate and hop <= 500 / rate:  # rounds to 0 samples
        yield f"{where}.hop_ms: allowed: one sample or more, of {rate} a second; received: {hop}"
    if hop > window:
        yield f"{where}.hop_ms: allowed: window_ms ({window}) or less; received: {hop}"
    if window > 1000 * duration:
        yield f"{where}.window_ms: allowed: duration_s ({duration}) or less; received: {window}"


def _band_power_mistakes(where: str, feature: Item) -> Iterator[str]:
    """Yield mistakes of a filter or sampling rate that removes frequencies of the EEG bands."""
    feature = feature if feature.get("name") == "eeg_de" else {}
    low, high, rate = (feature.get(name) for name in ("low_hz", "high_hz", "resample_hz"))
    if isinstance(low, int | float) and low > 1:
        yield f"{where}.low_hz: allowed: 1 or less, where the delta band begins; received: {low}"
    if isinstance(high, int | float) and high < 50:
        yield f"{where}.high_hz: allowed: 50 or more, where the gamma band ends; received: {high}"
    if isinstance(rate, int | float) and isinstance(high, int | float) and rate <= 2 * high:
        yield f"{where}.resample_hz: allowed: more than twice high_hz ({high}), or null; received: {rate}"
    yield from duplicate_names(f"{where}.channels", feature.get("channels"), "channel")


def _training_mistakes(where: str, run: Item, corpus: Item | None) -> Iterator[str]:
    """Yield mistakes of class weights, and of early stopping and schedules that lack a monitored metric."""
    weights = run.get("loss", {}).get("class_weights")
    if corpus and isinstance(weights, dict) and weights.keys() != set(corpus["classes"]):
        allowed, received = ", ".join(corpus["classes"]), ", ".join(weights) or "none"
        yield f"{where}.loss.class_weights: allowed: one weight for each of {allowed}; received: {received}"
    if run["monitor"] == "last_epoch" and run.get("early_stopping") is not None:
        yield f"{where}.early_stopping: allowed: null with monitor last_epoch; received: {run['early_stopping']}"
    if run["monitor"] == "last_epoch" and run["schedule"]["name"] == "plateau":
        yield f"{where}.schedule.name: allowed: any but plateau with monitor last_epoch; received: 'plateau'"


def _run_mistakes(where: str, run: Item, dataset: Item, corpora: list[str]) -> Iterator[str]:
    """Yield mistakes of a model or an augmentation that does not fit the samples of the dataset."""
    feature, model, corpus = dataset["feature"], run["model"]["name"], dataset["corpus"]
    layout, constants = lookup.constants("features", feature["name"])["LAYOUT"], lookup.constants("models", model)
    if run["corpus"] in corpora and corpus in corpora and run["corpus"] != corpus:
        yield f"{where}.corpus: allowed: {corpus!r}, its dataset's; received: {run['corpus']!r}"
    # Models of one kind read each other's features, such as bands of sound as bands of EEG.
    if (len(layout), layout[0]) != (len(constants["LAYOUT"]), constants["LAYOUT"][0]):
        yield _layout_mistake(f"{where}.model.name", feature["name"], layout, model, constants["LAYOUT"])
    if run.get("augmentation"):
        yield from _augmentation_mistakes(f"{where}.augmentation", run["augmentation"], dataset, layout)
    if constants.get("COLOR") and feature.get("color", constants["COLOR"]) != constants["COLOR"]:
        place, allowed = f"datasets.{run['dataset']}.feature.color", f"{constants['COLOR']} for {where}.model ({model})"
        yield f"{place}: allowed: {allowed}; received: {feature['color']!r}"
    yield from _size_mistakes(f"{where}.model", run["model"], axis_lengths(f"datasets.{run['dataset']}", dataset))


def _layout_mistake(where: str, feature: str, layout: tuple[str, ...], name: str, other: tuple[str, ...]) -> str:
    allowed, received = f"one for the feature {feature!r}, ({', '.join(layout)})", f"{name!r}, for ({', '.join(other)})"
    return f"{where}: allowed: {allowed}; received: {received}"


def _augmentation_mistakes(where: str, augmentation: Item, dataset: Item, layout: tuple[str, ...]) -> Iterator[str]:
    """Yield mistakes of an augmentation for another layout, or for EEG padded in another way."""
    feature, name = dataset["feature"], augmentation["name"]
    expected, received = feature.get("padding"), augmentation.get("padding")
    other = lookup.constants("datasets.augmentation", name)["LAYOUT"]
    if other != layout:
        yield _layout_mistake(f"{where}.name", feature["name"], layout, name, other)
    if received == "zero" and dataset.get("normalize_groups", "none") != "none":
        why = "average, since its dataset's normalize_groups changes the padded zeros"
        yield f"{where}.padding: allowed: {why}; received: 'zero'"
    if expected and received and received != expected:
        yield f"{where}.padding: allowed: {expected!r}, its dataset's; received: {received!r}"


def _size_mistakes(where: str, model: Item, lengths: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Yield mistakes of axes too short for the model, and of widths not divisible by the number of heads."""
    for axis, halvings in lookup.constants("models", model["name"]).get("HALVINGS", {}).items():
        if axis not in lengths:
            continue
        setting, length = lengths[axis]
        # how often the model halves the axis, or the list option that has one entry per halving
        if isinstance(halvings, int) and length < 2**halvings:
            yield f"{setting}: allowed: {2**halvings} or more for {where} ({model['name']}); received: {length}"
        elif isinstance(halvings, str) and len(model[halvings]) >= length.bit_length():
            allowed = f"{length.bit_length() - 1} entries or fewer, each halving {setting} ({length})"
            yield f"{where}.{halvings}: allowed: {allowed}; received: {len(model[halvings])}"
    for option, value in model.items():
        if option.endswith("_frames") and "time" in lengths and value > lengths["time"][1]:
            n_frames = lengths["time"][1]
            yield f"{where}.{option}: allowed: {n_frames} or less, the frames of its dataset; received: {value}"
        width = option.removesuffix("heads") + "width"
        if option.endswith("heads") and model[width] % value:
            yield f"{where}.{width}: allowed: a multiple of {option} ({value}); received: {model[width]}"
