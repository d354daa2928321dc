"""Mistakes in `params.yaml` that no single section shows: names that point nowhere, settings that contradict."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.checks import did_you_mean, shorten

SOURCES = "synthetic, an absolute path, https://…, kaggle:<owner>/<slug>"


def contradictions(content: dict[str, Any]) -> Iterator[str]:
    """One line per contradiction; tolerant of whatever else is wrong, so that all mistakes are told at once."""
    corpora, datasets = _section(content, "corpora"), _section(content, "datasets")
    for key, corpus in corpora.items():
        yield from _source_mistakes(f"corpora.{key}", corpus)
        yield from _duplicate_classes(f"corpora.{key}.classes", corpus.get("classes"))
    yield from _split_mistakes(corpora, _section(content, "splits"))
    for key, dataset in datasets.items():
        yield from _reference(f"datasets.{key}.corpus", dataset.get("corpus"), corpora)
    for key, run in _section(content, "runs").items():
        yield from _run_mistakes(f"runs.{key}", run, corpora, datasets)


def source_kind(source: str) -> str | None:
    """`synthetic`, `url`, `kaggle`, the kind of a local path (`zip`, `csv`, `folder`, …), or None if it is none."""
    if source == "synthetic":
        return source
    if source.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        return "url"
    if source.startswith("kaggle:"):
        return "kaggle" if source.count("/") == 1 and source[7:].strip("/").count("/") == 1 else None
    if not Path(source).is_absolute():
        return None
    return Path(source).suffix.lstrip(".").lower() or "folder"


def _section(content: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    found = content.get(name)
    return {key: item for key, item in found.items() if isinstance(item, dict)} if isinstance(found, dict) else {}


def _source_mistakes(where: str, corpus: dict[str, Any]) -> Iterator[str]:
    source = corpus.get("source")
    if not isinstance(source, str):
        return
    kind = source_kind(source)
    if kind is None:
        yield f"{where}.source: allowed: {SOURCES}; received: {shorten(source)}"
    if kind == "url" and not corpus.get("checksum"):
        yield f"{where}.checksum: missing; a URL needs 'sha256:<hex>' or 'md5:<hex>'"
    if kind != "synthetic" and not corpus.get("name"):
        yield f"{where}.name: missing; a real source needs the corpus's name (such as FER-2013), shown with every figure"


def _duplicate_classes(where: str, classes: Any) -> Iterator[str]:
    if isinstance(classes, list) and len({str(name) for name in classes}) < len(classes):
        yield f"{where}: a class stands twice; received: {shorten(classes)}"


def _split_mistakes(corpora: dict[str, Any], splits: dict[str, Any]) -> Iterator[str]:
    for key in corpora.keys() - splits.keys():
        yield f"splits.{key}: missing; every corpus needs a split"
    for key in splits.keys() - corpora.keys():
        yield f"splits.{key}: no such corpus;{did_you_mean(key, corpora)} allowed: {', '.join(corpora)}"


def _reference(where: str, name: Any, known: dict[str, Any]) -> Iterator[str]:
    if isinstance(name, str) and name not in known:
        yield f"{where}: unknown name;{did_you_mean(name, known)} allowed: {', '.join(known)}; received: {shorten(name)}"


def _run_mistakes(where: str, run: dict[str, Any], corpora: dict[str, Any], datasets: dict[str, Any]) -> Iterator[str]:
    yield from _reference(f"{where}.dataset", run.get("dataset"), datasets)
    dataset = datasets.get(str(run.get("dataset")), {})
    if dataset and run.get("corpus") != dataset.get("corpus"):
        yield f"{where}.corpus: allowed: {dataset.get('corpus')!r}, its dataset's; received: {shorten(run.get('corpus'))}"
    loss = run.get("loss")
    weights = loss.get("class_weights") if isinstance(loss, dict) else None
    classes = corpora.get(str(run.get("corpus")), {}).get("classes")
    if isinstance(weights, dict) and isinstance(classes, list) and set(weights) != set(classes):
        yield f"{where}.loss.class_weights: allowed: one weight for each of {', '.join(classes)}; received: {shorten(weights)}"
