"""Completed experiments (seeds, folds, sweeps) as mean ± sd: a table, also as CSV, Markdown, and a plot over a param.

    python -m stages.apps.experiments speech_adafnn
    python -m stages.apps.experiments speech_adafnn speech_no_adafnn --experiments 'fold-*' --markdown folds.md
    python -m stages.apps.experiments faces_custom_cnn --by optimizer.lr --plot plots/lr.png

Experiments that differ only in `seed` and the split's `fold` form one row. Folds with different test samples are
pooled, seeds are averaged; each row says which.
"""

import argparse
from functools import partial
from pathlib import Path

from stages.core.command import HelpFormatter
from stages.core.errors import UserError, exit_with_one_line
from stages.experiments import table
from stages.experiments.completed_experiments import ALL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--experiments", nargs="+", default=[ALL], metavar="NAME", help="names, globs ('fold-*'), "
                        "revisions, or workspace; default: every completed experiment with the run")  # fmt: skip
    parser.add_argument("--by", metavar="PARAM", help="param to sort by and to plot over, such as optimizer.lr")
    for kind, what in (("csv", "all figures"), ("markdown", "the table"), ("plot", "a PNG of accuracy over --by")):
        parser.add_argument(f"--{kind}", type=Path, metavar="PATH", help=f"write {what} to this file")
    args = parser.parse_args()
    if args.plot and not args.by:
        raise UserError("--plot: allowed: together with --by, the param to plot over")
    rows = [row for run in dict.fromkeys(args.runs) for row in table.rows_of(run, args.experiments)]
    by = table.swept(args.by, rows) if args.by else None
    rows = table.in_order(rows, args.runs, by)
    print(table.as_text(rows))
    writers = {args.csv: table.save_csv, args.markdown: table.save_markdown, args.plot: partial(table.draw, by=by)}
    for path in filter(None, writers):
        writers[path](path, rows)
        print(f"{path}: written")


if __name__ == "__main__":
    exit_with_one_line(main)
