"""Reference records, `metrics/reference/<name>.json`: real results read from completed experiments, and their table."""

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import UserError
from stages.core.files import read_json, written_whole
from stages.experiments import completed_experiments as completed
from stages.experiments import ingredients, pooling, provenance
from stages.experiments.completed_experiments import Experiment
from stages.params.load import parse

FOLDER = Path("metrics/reference")
FIGURES = ("accuracy", "accuracy_sd", "accuracy_ci95", "accuracy_ci95_method", "balanced_accuracy", "f1_macro")
README, RESULTS = Path("README.md"), Path("docs/results.md")
BEGIN, END = "<!-- reference table: begin -->", "<!-- reference table: end -->"


def record(run: str, words: list[str], note: str) -> dict[str, Any]:
    """Return one record over the selected experiments. Raises `UserError` where they cannot be summarised in one."""
    group = pooling.without_repeats(require_one_kind(run, completed.select(run, words)))
    require_every_fold(group)
    pooling.warn_of_other_code(group)
    first, figures = group[0], pooling.summary(group)
    baseline = completed.baseline_of(first.revision)
    command = provenance.command(params_at(baseline), group)
    return {
        "run": run,
        "corpus": first.corpus,
        "name": first.metrics["name"],
        "data": pooling.merged(provenance.data_read(one) for one in group),
        "protocol": pooling.protocol(group) + (f"; {pooling.how(group)}" if len(group) > 1 else ""),
        "seeds": sorted({one.seed for one in group}),
        "folds": sorted({one.fold for one in group}),
        "n_test": figures["n_test"],
        **{key: first.metrics[key] for key in ("teachers",) if key in first.metrics},
        **{key: figures[key] for key in FIGURES},
        "confusion": figures["confusion"],
        **provenance.origin(command, baseline, first.params, *(one.revision for one in group)),
        "note": note,
    }


def record_of_study(key: str, word: str, note: str) -> dict[str, Any]:
    """Return the record of a study on a real corpus: its result, its space, and the command that repeats it."""
    revision = completed.resolve(word)
    result, params = completed.load_study(key, word, revision)
    corpus, baseline = result["corpus"], completed.baseline_of(revision)
    provenance.require_real(key, corpus, result["synthetic"])
    own = ingredients.keys([("runs", result["run"]), *ingredients.of_dataset(params, result["dataset"])])
    own |= {"studies": {key}, "ensembles": set(), "corpora": {corpus}, "splits": {corpus}}
    before, after = (provenance.restricted_to(own, tree) for tree in (params_at(baseline), params))
    command = " ".join(["dvc exp run", *provenance.changes(before, after, {}), f"tune@{key}"])
    return {
        **result,
        "data": completed.source_name(params["corpora"][corpus]["source"]),
        "seed": params["seed"],
        "space": params["studies"][key]["space"],
        **provenance.origin(command, baseline, params, revision),
        "note": note,
    }


def params_at(revision: str) -> dict[str, Any]:
    """Return the params at a revision, without their recipes resolved."""
    return parse(completed.show(revision, "params.yaml"))


def require_one_kind(run: str, experiments: list[Experiment]) -> list[Experiment]:
    """Return the experiments. Raises `UserError` for a synthetic corpus or different settings."""
    provenance.require_real(run, experiments[0].corpus, any(one.metrics["synthetic"] for one in experiments))
    groups = pooling.grouped(experiments)
    if len(groups) > 1:
        keys = ", ".join(pooling.differing(groups))
        raise UserError(f"{run}: experiments of one record may differ only in seed and fold; they differ in: {keys}")
    return groups[0]


def require_every_fold(group: list[Experiment]) -> None:
    """Raise `UserError` unless every seed has the same folds."""
    if len(pooling.with_equal_folds(group)) < len(group):
        listed = ", ".join(f"{one.name} (seed {one.seed}, fold {one.fold})" for one in group)
        raise UserError(f"{group[0].run}: allowed: the same folds of every seed; received: {listed}")


def render_tables() -> None:
    """Write the table of all records to docs/results.md, and the best of each corpus to README.md.

    Figures whose test speakers or subjects were in training are no candidates for the best.
    """
    records = sorted_records()
    best = records[~records["protocol"].str.contains("-dependent")].groupby("name", sort=False).head(1)
    for path, content in {path: page(path, rows) for path, rows in ((README, best), (RESULTS, records))}.items():
        with written_whole(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        print(f"{path}: table written")


def page(path: Path, rows: pd.DataFrame) -> str:
    """Return the text of a page with a new table. Raises `UserError` where the page does not mark its place."""
    text = path.read_text(encoding="utf-8")
    if re.findall(f"{BEGIN}|{END}", text) != [BEGIN, END]:
        raise UserError(f"{path}: allowed: the lines {BEGIN} and {END}, in this order, once each")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{table(rows, os.path.relpath(FOLDER, path.parent))}\n{END}{after}"


def sorted_records() -> pd.DataFrame:
    """Return all records with an accuracy, sorted by corpus and descending accuracy."""
    records = [read_json(path) | {"record": path.stem} for path in sorted(FOLDER.glob("*.json"))]
    columns = ["record", "run", "name", "n_test", "protocol", *FIGURES]
    frame = pd.DataFrame([record for record in records if "accuracy" in record], columns=columns)
    return frame.sort_values(["name", "accuracy", "record"], ascending=[True, False, True])


def table(records: pd.DataFrame, folder: str) -> str:
    """Return records as a Markdown table with links into `folder`."""
    rows = [cells(record, folder) for record in records.to_dict("records")]
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return re.sub(":-+", "---", re.sub(" {2,}", " ", text))  # without padding a new record is one line of a diff


def cells(record: dict[str, Any], folder: str) -> dict[str, str]:
    """Return the cells of a record, figures in percent."""
    low, high = (100 * bound for bound in record["accuracy_ci95"])
    sd = "" if pd.isna(record["accuracy_sd"]) else f" ± {100 * record['accuracy_sd']:.1f}"
    return {
        "run": f"`{record['run']}`",
        "corpus": record["name"],
        "accuracy [95 %]": f"**{100 * record['accuracy']:.1f}**{sd} [{low:.1f}, {high:.1f}]",
        "balanced": f"{100 * record['balanced_accuracy']:.1f}",
        "macro-F1": f"{100 * record['f1_macro']:.1f}",
        "n test": f"{record['n_test']:,.0f}",
        "protocol": record["protocol"],
        "record": f"[{record['record']}]({folder}/{record['record']}.json)",
    }
