"""Finished experiments (seeds, folds, sweeps) as mean ± sd: a table, as CSV and Markdown too, and a plot over a param.

    python -m stages.apps.experiments speech_adafnn
    python -m stages.apps.experiments speech_adafnn speech_no_adafnn --experiments 'fold-*' --markdown folds.md
    python -m stages.apps.experiments faces_custom_cnn --by optimizer.lr --plot plots/lr.png

Experiments that differ in `seed` and the split's `fold` alone make one row. Folds that test on different samples are
pooled, seeds are averaged; each row says which.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from stages.apps import pooling, sweep_plot
from stages.apps.finished import EVERY, Experiment, select, shown
from stages.core.errors import UserError, exit_with_one_line, unknown_name, warn
from stages.core.files import written_whole
from stages.evaluation.canvas import Caption

ABSENT = "–"
ARCHIVES = "data/raw/"


@dataclass(frozen=True)
class Row:
    """Experiments taken together. `varied`: what tells this row from the others of its run, as shown."""

    run: str
    varied: dict[str, str]
    group: list[Experiment]
    figures: dict[str, Any]

    @property
    def corpus(self) -> str:
        metrics = self.group[0].metrics
        return f"{self.group[0].corpus} (synthetic)" if metrics["synthetic"] else metrics["name"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--experiments", nargs="+", default=[EVERY], metavar="NAME", help="names, globs ('fold-*'), "
                        "revisions, or workspace; default: every finished experiment with the run")  # fmt: skip
    parser.add_argument("--by", metavar="PARAM", help="param to sort by and to draw over, such as optimizer.lr")
    for kind, what in (("csv", "all figures"), ("markdown", "the table"), ("plot", "a PNG of accuracy over --by")):
        parser.add_argument(f"--{kind}", type=Path, metavar="PATH", help=f"write {what} here")
    args = parser.parse_args()
    if args.plot and not args.by:
        raise UserError("--plot: allowed: together with --by, the param to draw over")
    rows = [row for run in dict.fromkeys(args.runs) for row in rows_of(run, args.experiments)]
    by = swept(args.by, rows) if args.by else None
    rows = in_order(rows, args.runs, by)
    print(as_text(rows))
    for path, write in ((args.csv, save_csv), (args.markdown, save_markdown)):
        saved(path, write, rows)
    saved(args.plot, partial(draw, by=by), rows)


def rows_of(run: str, words: Iterable[str]) -> list[Row]:
    """A row for each set of experiments that differ in seed and fold alone."""
    groups = [_taken(pooling.without_repeats(group)) for group in pooling.grouped(select(run, words))]
    figures = map(pooling.summed_up, groups)
    return [Row(run, *found) for found in zip(told_apart(groups), groups, figures, strict=True)]


def _taken(group: list[Experiment]) -> list[Experiment]:
    """What can be summed up in one row; what is left out, or may not belong together, is said."""
    kept = pooling.with_equal_folds(group)
    left_out = [found.name for found in group if found not in kept]
    if left_out:
        warn(f"{group[0].run}: of seeds with fewer folds, so left out (name them to see them): {', '.join(left_out)}")
    pooling.warn_of_other_code(kept)
    return kept


def told_apart(groups: list[list[Experiment]]) -> list[dict[str, str]]:
    """What differs among the groups, as shown; checksums of the corpus only where nothing else tells them apart."""
    found = [_varied(group, groups) for group in groups]
    readable = [{key: value for key, value in values.items() if not key.startswith(ARCHIVES)} for values in found]
    return readable if len({tuple(values.items()) for values in readable}) == len(groups) else found


def _varied(group: list[Experiment], groups: list[list[Experiment]]) -> dict[str, str]:
    """A group's values that differ. All about a corpus differs where its source does, which is then said alone."""
    made_of, source = group[0].made_of, f"corpora.{group[0].corpus}.source"
    same_source = [other for other in groups if other[0].made_of.get(source) == made_of[source]]
    told = (source, *pooling.differing(same_source))
    keys = [key for key in pooling.differing(groups) if key in told or not key.startswith(("corpora.", ARCHIVES))]
    return {key: shown(made_of[key]) if key in made_of else ABSENT for key in keys}


def swept(by: str, rows: list[Row]) -> str:
    """The key that `by` names, whole or by its unambiguous end; it must have several values."""
    if by in ("seed", "fold"):
        raise UserError(f"--by {by}: allowed: a param that is swept; seeds and folds are what a row sums up")
    for row in rows:
        recipe = row.group[0].params["runs"][row.run].get("recipe")  # experiments of older versions have none
        by = by.removeprefix(f"runs.{row.run}.").removeprefix(f"recipes.{recipe}.")
    known = sorted({key for row in rows for key in row.group[0].made_of})
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
    """Runs as they were named; then by the value of `by`, then by all other values, numbers by size."""

    def key(row: Row) -> tuple:
        values = [row.group[0].made_of.get(name) for name in ([by] if by else []) + list(row.varied)]
        return runs.index(row.run), [sweep_plot.sort_key(value) for value in values]

    return sorted(rows, key=key)


def cells(row: Row) -> dict[str, str]:
    """What a person reads of a row; figures in per cent."""
    figures, group = row.figures, row.group
    return {
        "run": row.run,
        "params": " ".join(f"{key}={value}" for key, value in row.varied.items()) or ABSENT,
        "n": str(len(group)),
        "seeds": pooling.span(found.seed for found in group),
        "folds": pooling.span(found.fold for found in group),
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
    """Aligned columns for a terminal; what is long stands below, once."""
    table, notes = [], {}
    for found in map(cells, rows):
        note = "; ".join(found.pop(name) for name in ("corpus", "figures", "protocol"))
        table.append(found | {"": f"[{notes.setdefault(note, len(notes) + 1)}]"})
    text = pd.DataFrame(table).to_markdown(index=False, tablefmt="plain", disable_numparse=True)
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join([*lines, "", *(f"[{number}] {note}" for note, number in notes.items())])


def save_markdown(path: Path, rows: list[Row]) -> None:
    """The same with a column for everything."""
    table = pd.DataFrame(map(cells, rows)).map(lambda cell: cell.replace("|", r"\|"))
    with written_whole(path) as temporary:
        temporary.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n", encoding="utf-8")


def save_csv(path: Path, rows: list[Row]) -> None:
    """Figures as fractions, and a column for each param that differs."""
    keys = list(dict.fromkeys(key for row in rows for key in row.varied))
    with written_whole(path) as temporary:
        pd.DataFrame([_csv_cells(row, keys) for row in rows]).to_csv(temporary, index=False, float_format="%.6f")


def _csv_cells(row: Row, keys: list[str]) -> dict[str, Any]:
    names = [found for name in pooling.FIGURES for found in (name, f"{name}_sd")]
    experiments = {
        name: " ".join(str(getattr(found, name)) for found in row.group) for name in ("seed", "fold", "name")
    }
    return {
        "run": row.run,
        **{key: row.varied.get(key) for key in keys},
        "experiments": len(row.group),
        **{name: row.figures[name] for name in (*names, "n_test")},
        "corpus": row.corpus, "synthetic": row.group[0].metrics["synthetic"],
        "figures": pooling.how(row.group), "protocol": pooling.protocol(row.group),
        **{f"{name}s": found for name, found in experiments.items()},
    }  # fmt: skip


def draw(path: Path, rows: list[Row], by: str) -> None:
    """The plot over `by`; a row that has no such param has no place in it."""
    placed = [row for row in rows if by in row.group[0].made_of]
    left_out = {row.run for row in rows} - {row.run for row in placed}
    if left_out:
        warn(f"without {by}, so not in the plot: {', '.join(sorted(left_out))}")
    points = [
        sweep_plot.Point(_line(row, by), row.group[0].made_of[by], row.figures["accuracy"], row.figures["accuracy_sd"])
        for row in placed
    ]
    sweep_plot.draw(path, _caption(placed), points, by)


def _line(row: Row, by: str) -> str:
    """The run, and what else differs among its rows."""
    return ", ".join([row.run, *(f"{key}={value}" for key, value in row.varied.items() if key != by)])


def _caption(rows: list[Row]) -> Caption:
    """What the rows have in common, or all of it; a picture is of drawn corpora or of real ones."""
    synthetic = {row.group[0].metrics["synthetic"] for row in rows}
    if len(synthetic) > 1:
        raise UserError(
            "--plot: synthetic and real corpora do not go into one picture; --experiments can tell them apart"
        )
    runs, corpora = (", ".join(dict.fromkeys(found)) for found in ([r.run for r in rows], [r.corpus for r in rows]))
    protocol = pooling.merged(pooling.protocol(row.group) for row in rows)
    figures = pooling.merged(pooling.how(row.group) for row in rows)
    return Caption(runs, corpora, f"{protocol}; {figures}", min(row.figures["n_test"] for row in rows), *synthetic)


def saved(path: Path | None, write: Callable, rows: list[Row]) -> None:
    """Write to `path` where one was given."""
    if path:
        write(path, rows)
        print(f"{path}: written")


if __name__ == "__main__":
    exit_with_one_line(main)
