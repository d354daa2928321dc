"""Mistakes in `params.yaml` that no single section shows: names that point nowhere, settings that contradict."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from stages.checks.features import feature_mistakes
from stages.core.errors import did_you_mean, duplicate_names, shorten, unknown_name
from stages.params.schema import source_kind

SOURCES = "synthetic, an absolute path, https://…, kaggle:<owner>/<slug>"
CHECKSUM = re.compile(r"(sha256:)?[0-9a-f]{64}|md5:[0-9a-f]{32}", re.IGNORECASE)
# Not SQLite in memory, which no two workers share: without a path, or called so.
STORAGE_URL = re.compile(r"(?!sqlite(\+\w+)?:///?($|:memory:|\?))\w+(\+\w+)?://.+")
STORAGES = "sqlite:////<path>.db, postgresql://<user>@<host>/<database>, or null (a file, for one worker)"


def contradictions(content: dict[str, Any]) -> Iterator[str]:
    """One line per contradiction; tolerant of whatever else is wrong, so that all mistakes are told at once."""
    corpora, datasets = section(content, "corpora"), section(content, "datasets")
    yield from _storage_mistakes(content.get("machine"))
    for key, corpus in corpora.items():
        yield from _source_mistakes(f"corpora.{key}", corpus)
        yield from duplicate_names(f"corpora.{key}.classes", corpus.get("classes"), "class")
    if isinstance(content.get("corpora"), dict) and isinstance(content.get("splits"), dict):
        yield from _split_mistakes(_keys(content, "corpora"), _keys(content, "splits"))
    for key, split in section(content, "splits").items():
        yield from _fold_mistakes(f"splits.{key}", split)
    for key, dataset in datasets.items():
        yield from _reference(f"datasets.{key}.corpus", dataset.get("corpus"), _keys(content, "corpora"))
        yield from feature_mistakes(f"datasets.{key}.feature", dataset.get("feature"))
    for key, run in section(content, "runs").items():
        where = f"runs.{key}"
        yield from _reference(f"{where}.recipe", run.get("recipe"), _keys(content, "recipes"))
        yield from _reference(f"{where}.dataset", run.get("dataset"), _keys(content, "datasets"))
        yield from _corpus_mistakes(where, run, datasets, _keys(content, "corpora"))
        yield from _weights_mistakes(f"{where}.loss.class_weights", run, corpora)
        yield from _monitor_mistakes(where, run)
        yield from _padding_mistakes(f"{where}.augmentation.padding", run, datasets)


def _keys(content: dict[str, Any], name: str) -> list[str]:
    """The keys of a section, also of items that are malformed: those exist, and the schema says what ails them."""
    found = content.get(name)
    return [str(key) for key in found] if isinstance(found, dict) else []


def section(content: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The well-formed items of a section; malformed ones are the schema's to report."""
    found = content.get(name)
    return {str(key): item for key, item in found.items() if isinstance(item, dict)} if isinstance(found, dict) else {}


def _storage_mistakes(machine: Any) -> Iterator[str]:
    """Without what was received, which may hold a password."""
    url = machine.get("storage_url") if isinstance(machine, dict) else None
    if isinstance(url, str) and not STORAGE_URL.fullmatch(url):
        yield f"machine.storage_url: not the address of a database; allowed: {STORAGES}"


def _source_mistakes(where: str, corpus: dict[str, Any]) -> Iterator[str]:
    source = corpus.get("source")
    if not isinstance(source, str):
        return
    kind = source_kind(source)
    if kind is None:
        yield f"{where}.source: allowed: {SOURCES}; received: {shorten(source)}"
    if kind == "url" and not corpus.get("checksum"):
        yield f"{where}.checksum: missing; a URL needs 'sha256:<hex>' or 'md5:<hex>'"
    checksum = corpus.get("checksum")
    if isinstance(checksum, str) and not CHECKSUM.fullmatch(checksum):
        yield f"{where}.checksum: allowed: sha256:<64 hex digits> or md5:<32 hex digits>; received: {shorten(checksum)}"
    if kind not in ("synthetic", None) and not corpus.get("name"):
        yield f"{where}.name: missing; a real source needs a name (such as FER-2013), shown with every figure"
    if kind not in ("synthetic", None) and corpus.get("name") == "synthetic":
        yield f"{where}.name: allowed: anything but 'synthetic', since its source is real; received: 'synthetic'"


def _fold_mistakes(where: str, split: dict[str, Any]) -> Iterator[str]:
    fraction, fold, protocol = (split.get(name) for name in ("validation_fraction", "fold", "protocol"))
    yield from _group_mistakes(where, split)
    if not isinstance(fraction, float) or not 0 < fraction <= 0.5 or not isinstance(fold, int):
        return
    if protocol == "stratified" and split.get("folds") is None and round(1 / fraction) < 3:
        yield f"{where}.validation_fraction: allowed: less than 0.4, since test takes as much; received: {fraction}"
    folds = _folds(split, fraction)
    if isinstance(folds, int) and fold >= folds:
        yield f"{where}.fold: allowed: 0 to {folds - 1}; received: {fold}"


def _folds(split: dict[str, Any], fraction: float) -> Any:
    if split.get("protocol") == "group_disjoint":
        listed = split.get("test_groups")
        return len(listed) if isinstance(listed, list) else split.get("folds")
    if split.get("protocol") == "stratified" and split.get("folds") is not None:
        return split["folds"]
    return {"test_halves": 2, "trial_blocks": 3}.get(str(split.get("protocol")), round(1 / fraction))


def _group_mistakes(where: str, split: dict[str, Any]) -> Iterator[str]:
    given = [name for name in ("folds", "test_groups") if split.get(name) is not None]
    if split.get("protocol") == "group_disjoint":
        if len(given) != 1:
            received = " and ".join(given) or "neither"
            yield f"{where}: allowed: one of folds and test_groups, with protocol group_disjoint; received: {received}"
    else:
        for name in given:
            if name != "folds" or split.get("protocol") != "stratified":
                yield f"{where}.{name}: allowed: null with this protocol; received: {shorten(split[name])}"
    lists = split.get("test_groups")
    groups = (g for found in lists if isinstance(found, list) for g in found) if isinstance(lists, list) else ()
    for group, count in Counter(group for group in groups if isinstance(group, str)).items():
        if count > 1:
            yield f"{where}.test_groups: {shorten(group)} stands {count} times; allowed: each group once"


def _split_mistakes(corpora: list[str], splits: list[str]) -> Iterator[str]:
    for key in corpora:
        if key not in splits:
            yield f"splits.{key}: missing; every corpus needs a split"
    for key in splits:
        if key not in corpora:
            yield f"splits.{key}: no such corpus;{did_you_mean(key, corpora)} allowed: {', '.join(corpora)}"


def _reference(where: str, name: Any, known: list[str]) -> Iterator[str]:
    if isinstance(name, str) and known and name not in known:
        yield unknown_name(where, name, known)


def _corpus_mistakes(
    where: str, run: dict[str, Any], datasets: dict[str, dict[str, Any]], corpora: list[str]
) -> Iterator[str]:
    corpus, dataset = run.get("corpus"), datasets.get(str(run.get("dataset")), {})
    expected = dataset.get("corpus")
    if not isinstance(corpus, str):
        return
    if expected not in corpora:  # nothing to compare with
        yield from _reference(f"{where}.corpus", corpus, corpora)
    elif corpus != expected:
        yield f"{where}.corpus: allowed: {shorten(expected)}, its dataset's; received: {shorten(corpus)}"


def _padding_mistakes(where: str, run: dict[str, Any], datasets: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Of EEG: augmentation that pads its trials in another way than the dataset."""
    dataset = datasets.get(str(run.get("dataset")), {})
    choices = run.get("augmentation"), dataset.get("feature")
    received, expected = (choice.get("padding") if isinstance(choice, dict) else None for choice in choices)
    if received == "zero" and dataset.get("normalize_groups", "none") != "none":  # which has moved the zeros
        why = "average, since its dataset's normalize_groups moves the zeros that trials were padded with"
        yield f"{where}: allowed: {why}; received: 'zero'"
    if isinstance(received, str) and isinstance(expected, str) and received != expected:
        yield f"{where}: allowed: {shorten(expected)}, its dataset's; received: {shorten(received)}"


def _monitor_mistakes(where: str, run: dict[str, Any]) -> Iterator[str]:
    """What waits for a figure to improve needs one."""
    if run.get("monitor") != "last_epoch":
        return
    if run.get("early_stopping") is not None:
        received = shorten(run["early_stopping"])
        yield f"{where}.early_stopping: allowed: null with monitor last_epoch; received: {received}"
    schedule = run.get("schedule")
    if isinstance(schedule, dict) and schedule.get("name") == "plateau":
        yield f"{where}.schedule.name: allowed: any but plateau with monitor last_epoch; received: 'plateau'"


def _weights_mistakes(where: str, run: dict[str, Any], corpora: dict[str, dict[str, Any]]) -> Iterator[str]:
    loss = run.get("loss")
    weights = loss.get("class_weights") if isinstance(loss, dict) else None
    classes = corpora.get(str(run.get("corpus")), {}).get("classes")
    if not isinstance(weights, dict) or not isinstance(classes, list):
        return
    expected, received = list(map(str, classes)), list(map(str, weights))
    if set(expected) != set(received):
        allowed = f"one weight for each of {', '.join(expected)}"
        yield f"{where}: allowed: {allowed}; received: {', '.join(received) or 'none'}"
