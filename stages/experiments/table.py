"""Completed experiments as mean ± sd: rows over seeds and folds, as text, Markdown, CSV and a plot over a param.

Experiments that differ only in `seed` and the split's `fold` form one row. Folds with different test samples are
pooled, seeds are averaged; each row says which.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import UserError, unknown_name, warn
from stages.core.files import written_whole
from stages.evaluation.pictures.canvas import Caption
from stages.experiments import pooling, sweep_plot
from stages.experiments.completed_experiments import ARCHIVES, Experiment, as_setting, select

ABSENT = "–"


@dataclass(frozen=True)
class Row:
    """Experiments in one row. `varied`: the settings in which the row differs from the others of its run, as text."""

    run: str
    varied: dict[str, str]
    group: list[Experiment]
    figures: dict[str, Any]

    @property
    def corpus(self) -> str:
        metrics = self.group[0].metrics
        return f"{self.group[0].corpus} (synthetic)" if metrics["synthetic"] else metrics["name"]


def rows_of(run: str, words: Iterable[str]) -> list[Row]:
    """Return a row for each set of experiments of a run that differ only in seed and fold."""
    groups = [_comparable(pooling.without_repeats(group)) for group in pooling.grouped(select(run, words))]
    figures = map(pooling.summary, groups)
    return [Row(run, *row) for row in zip(distinguishing(groups), groups, figures, strict=True)]


def _comparable(group: list[Experiment]) -> list[Experiment]:
    """Return the experiments that one row can summarise; warn about those left out and about different code."""
    kept = pooling.with_equal_folds(group)
    left_out = [one.name for one in group if one not in kept]
    if left_out:
        warn(f"{group[0].run}: left out, since their seeds have fewer folds: {', '.join(left_out)}")
    pooling.warn_of_other_code(kept)
    return kept


def distinguishing(groups: list[list[Experiment]]) -> list[dict[str, str]]:
    """Return the settings that differ among the groups, as text; checksums only where nothing else differs."""
    varied = [_varied(group, groups) for group in groups]
    readable = [{key: value for key, value in values.items() if not key.startswith(ARCHIVES)} for values in varied]
    return readable if len({tuple(values.items()) for values in readable}) == len(groups) else varied


def _varied(group: list[Experiment], groups: list[list[Experiment]]) -> dict[str, str]:
    """Return the settings of a group that differ; of another corpus only its source, since all of it differs then."""
    settings, source = group[0].settings, f"corpora.{group[0].corpus}.source"
    same_source = [other for other in groups if other[0].settings.get(source) == settings[source]]
    shown = (source, *pooling.differing(same_source))
    keys = [key for key in pooling.differing(groups) if key in shown or not key.startswith(("corpora.", ARCHIVES))]
    return {key: as_setting(settings[key]) if key in settings else ABSENT for key in keys}


def swept(by: str, rows: list[Row]) -> str:
    """Return the key that `by` names, whole or by its unambiguous end. Raises `UserError` unless its values vary."""
    if by in ("seed", "fold"):
        raise UserError(f"--by {by}: allowed: a swept param; a row summarises seeds and folds")
    for row in rows:
        recipe = row.group[0].params["runs"].get(row.run, {}).get("recipe")  # missing in experiments of older versions
        by = by.removeprefix(f"runs.{row.run}.").removeprefix(f"recipes.{recipe}.")
    known = sorted({key for row in rows for key in row.group[0].settings})
    varying = pooling.differing([row.group for row in rows])
    if not varying:
        raise UserError(f"--by {by}: no param but seed and fold differs in these experiments")
    matches = [by] if by in known else [key for key in known if key.endswith(f".{by}")]
    chosen = [key for key in matches if key in varying]
    if len(chosen) > 1:
        raise UserError(f"--by {by}: allowed: one of {', '.join(chosen)}; received: the end of all of them")
    if not chosen:
        what = "the same in all these experiments" if matches else "no such param"
        raise UserError(unknown_name("--by", by, varying, what))
    return chosen[0]


def in_order(rows: list[Row], runs: list[str], by: str | None) -> list[Row]:
    """Sort rows by run in the given order, then by the value of `by`, then by the other settings."""

    def key(row: Row) -> tuple:
        values = [row.group[0].settings.get(name) for name in ([by] if by else []) + list(row.varied)]
        return runs.index(row.run), [sweep_plot.sort_key(value) for value in values]

    return sorted(rows, key=key)


def cells(row: Row) -> dict[str, str]:
    """Return the cells of a row as text; figures in percent."""
    figures, group = row.figures, row.group
    return {
        "run": row.run,
        "params": " ".join(f"{key}={value}" for key, value in row.varied.items()) or ABSENT,
        "n": str(len(group)),
        "seeds": pooling.span(one.seed for one in group),
        "folds": pooling.span(one.fold for one in group),
        "accuracy %": _mean_and_sd(figures, "accuracy"),
        "balanced %": _mean_and_sd(figures, "balanced_accuracy"),
        "macro-F1 %": _mean_and_sd(figures, "f1_macro"),
        "n test": f"{figures['n_test']:,}",
        "corpus": row.corpus,
        "figures": pooling.how(group),
        "protocol": pooling.protocol(group),
    }


def _mean_and_sd(figures: dict[str, Any], name: str) -> str:
    sd = figures[f"{name}_sd"]
    return f"{100 * figures[name]:.1f} ± {ABSENT if sd is None else f'{100 * sd:.1f}'}"


def as_text(rows: list[Row]) -> str:
    """Return aligned columns for a terminal, with long texts as numbered notes below."""
    table, notes = [], {}
    for row in map(cells, rows):
        note = "; ".join(row.pop(name) for name in ("corpus", "figures", "protocol"))
        table.append(row | {"": f"[{notes.setdefault(note, len(notes) + 1)}]"})
    text = pd.DataFrame(table).to_markdown(index=False, tablefmt="plain", disable_numparse=True)
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join([*lines, "", *(f"[{number}] {note}" for note, number in notes.items())])


def save_markdown(path: Path, rows: list[Row]) -> None:
    """Write a Markdown table with all columns."""
    table = pd.DataFrame(map(cells, rows)).map(lambda cell: cell.replace("|", r"\|"))
    with written_whole(path) as temporary:
        temporary.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n", encoding="utf-8")


def save_csv(path: Path, rows: list[Row]) -> None:
    """Write a CSV file with figures as fractions and a column for each setting that differs."""
    keys = list(dict.fromkeys(key for row in rows for key in row.varied))
    with written_whole(path) as temporary:
        pd.DataFrame([_csv_cells(row, keys) for row in rows]).to_csv(temporary, index=False, float_format="%.6f")


def _csv_cells(row: Row, keys: list[str]) -> dict[str, Any]:
    names = [column for name in pooling.FIGURES for column in (name, f"{name}_sd")]
    experiments = {name: " ".join(str(getattr(one, name)) for one in row.group) for name in ("seed", "fold", "name")}
    return {
        "run": row.run,
        **{key: row.varied.get(key) for key in keys},
        "experiments": len(row.group),
        **{name: row.figures[name] for name in (*names, "n_test")},
        "corpus": row.corpus, "synthetic": row.group[0].metrics["synthetic"],
        "figures": pooling.how(row.group), "protocol": pooling.protocol(row.group),
        **{f"{name}s": text for name, text in experiments.items()},
    }  # fmt: skip


def draw(path: Path, rows: list[Row], by: str) -> None:
    """Draw the plot over `by`; rows without this param are left out with a warning."""
    rows_with_param = [row for row in rows if by in row.group[0].settings]
    left_out = {row.run for row in rows} - {row.run for row in rows_with_param}
    if left_out:
        warn(f"not in the plot, since they have no {by}: {', '.join(sorted(left_out))}")
    points = []
    for row in rows_with_param:
        line = ", ".join([row.run, *(f"{key}={value}" for key, value in row.varied.items() if key != by)])
        accuracy, sd = row.figures["accuracy"], row.figures["accuracy_sd"]
        points.append(sweep_plot.Point(line, row.group[0].settings[by], accuracy, sd))
    sweep_plot.draw(path, _caption(rows_with_param), points, by)


def _caption(rows: list[Row]) -> Caption:
    """Return the caption of all rows. Raises `UserError` for synthetic and real corpora in one picture."""
    synthetic = {row.group[0].metrics["synthetic"] for row in rows}
    if len(synthetic) > 1:
        raise UserError("--plot: synthetic and real corpora cannot share a picture; choose some with --experiments")
    runs, corpora = (", ".join(dict.fromkeys(names)) for names in ([r.run for r in rows], [r.corpus for r in rows]))
    protocol = pooling.merged(pooling.protocol(row.group) for row in rows)
    figures = pooling.merged(pooling.how(row.group) for row in rows)
    return Caption(runs, corpora, f"{protocol}; {figures}", min(row.figures["n_test"] for row in rows), *synthetic)
