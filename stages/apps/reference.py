"""Keep real results for the record: `metrics/reference/<name>.json` from finished experiments, and README's table.

    python -m stages.apps.reference add faces_keras_cnn --name fer2013_keras_cnn --experiments my-exp
    python -m stages.apps.reference add speech_adafnn --name ravdess_adafnn --experiments 'fold-*'
    python -m stages.apps.reference study faces_custom_cnn --name fer2013_search --experiment search
    python -m stages.apps.reference ablation portraits --name fer2013_portraits_steps --experiment my-exp
    python -m stages.apps.reference table

`add` types no figure: it reads metrics, params and dvc.lock of each experiment (or of the workspace) out of git. Run it
on the machine that trained, since `hardware` is read there. Several experiments (seeds, folds) become one record, as
`stages.apps.experiments` sums them up.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import pandas as pd

from stages.apps import pooling
from stages.apps.finished import (
    WORKSPACE,
    Experiment,
    baseline_of,
    experiments,
    finished_s,
    git,
    resolve,
    select,
    show,
    source_name,
)
from stages.apps.finished_studies import load_study
from stages.apps.provenance import changes, command, concerning, data_read, date_of, day, hardware, require_real
from stages.apps.reference_ablation import record_of_ablation
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import read_json, write_json, written_whole
from stages.params.load import parse

FOLDER = Path("metrics/reference")
FIGURES = ("accuracy", "accuracy_sd", "accuracy_ci95", "accuracy_ci95_method", "balanced_accuracy", "f1_macro")
README = Path("README.md")
BEGIN, END = "<!-- reference table: begin -->", "<!-- reference table: end -->"

COLUMNS = (
    "run",
    "name",
    "accuracy",
    "accuracy_sd",
    "accuracy_ci95",
    "balanced_accuracy",
    "f1_macro",
    "n_test",
    "protocol",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="action", required=True)
    add = commands.add_parser("add", help="write a record from finished experiments")
    add.add_argument("run")
    add.add_argument("--experiments", nargs="+", default=[WORKSPACE], metavar="NAME",
                     help="names, globs ('fold-*') or revisions; default: the workspace")  # fmt: skip
    study = commands.add_parser("study", help="write a record of a search for hyperparameters")
    study.add_argument("study")
    ablation = commands.add_parser("ablation", help="write a record of what each part added to the runs of a corpus")
    ablation.add_argument("corpus")
    for one in (study, ablation):
        one.add_argument("--experiment", default=WORKSPACE, metavar="NAME",
                         help="name or revision; default: the workspace")  # fmt: skip
    for writes in (add, study, ablation):
        writes.add_argument("--name", required=True, help="of the record: metrics/reference/<name>.json")
        writes.add_argument("--note", default="", help="what a reader must know beside the figures")
    commands.add_parser("table", help="render README's table anew from all records")
    args = parser.parse_args()
    if args.action != "table":
        path = FOLDER / f"{args.name}.json"
        write_json(path, asked_for(args))
        print(f"{path}: written")
    render_readme()


def asked_for(args: argparse.Namespace) -> dict[str, Any]:
    """The record that the command line asks for."""
    if args.action == "add":
        return record(args.run, args.experiments, args.note)
    if args.action == "study":
        return record_of_study(args.study, args.experiment, args.note)
    return record_of_ablation(args.corpus, args.experiment, args.note)


def record(run: str, words: list[str], note: str) -> dict[str, Any]:
    """One record over the experiments that `words` select. Raises `UserError` where they cannot be summed up in one."""
    group = pooling.without_repeats(require_one_kind(run, select(run, words)))
    require_every_fold(group)
    pooling.warn_of_other_code(group)
    first, figures = group[0], pooling.summed_up(group)
    baseline = baseline_of(first.revision)
    return {
        "run": run,
        "corpus": first.corpus,
        "name": first.metrics["name"],
        "data": pooling.merged(data_read(found) for found in group),
        "protocol": pooling.protocol(group) + (f"; {pooling.how(group)}" if len(group) > 1 else ""),
        "seeds": sorted({found.seed for found in group}),
        "folds": sorted({found.fold for found in group}),
        "n_test": figures["n_test"],
        **{key: figures[key] for key in FIGURES},
        "confusion": figures["confusion"],
        "command": command(parse(show(baseline, "params.yaml")), group),
        "commit": git("rev-parse", baseline),
        "hardware": hardware(first.params["machine"]),
        "date": date_of(group),
        "note": note,
    }


def record_of_study(key: str, word: str, note: str) -> dict[str, Any]:
    """What a search on a real corpus found, its space, and how to search again."""
    known = experiments()
    revision = dict(known).get(word) or resolve(word, known)
    found, params = load_study(key, word, revision)
    corpus, baseline = found["corpus"], baseline_of(revision)
    require_real(key, corpus, found["synthetic"])
    own = {"studies": {key}, "runs": {found["run"]}, "datasets": {found["dataset"]}}
    own |= {"corpora": {corpus}, "splits": {corpus}}
    settings = changes(concerning(parse(show(baseline, "params.yaml")), own), concerning(params, own), {})
    return {
        **found,
        "data": source_name(params["corpora"][corpus]["source"]),
        "seed": params["seed"],
        "space": params["studies"][key]["space"],
        "command": " ".join(["dvc exp run", *settings, f"tune@{key}"]),
        "commit": git("rev-parse", baseline),
        "hardware": hardware(params["machine"]),
        "date": day(finished_s(revision)),
        "note": note,
    }


def require_one_kind(run: str, experiments: list[Experiment]) -> list[Experiment]:
    """Refuse to average over what is not the same, and to keep what is not real."""
    require_real(run, experiments[0].corpus, any(found.metrics["synthetic"] for found in experiments))
    groups = pooling.grouped(experiments)
    if len(groups) > 1:
        keys = ", ".join(pooling.differing(groups))
        raise UserError(f"{run}: experiments that differ in more than seed and fold are not averaged; in: {keys}")
    return groups[0]


def require_every_fold(group: list[Experiment]) -> None:
    """A record pools the same folds of every seed."""
    if len(pooling.with_equal_folds(group)) < len(group):
        listed = ", ".join(f"{found.name} (seed {found.seed}, fold {found.fold})" for found in group)
        raise UserError(f"{group[0].run}: allowed: the same folds of every seed; received: {listed}")


def render_readme() -> None:
    """Put the table of all records between the two markers in README.md."""
    text = README.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UserError(f"{README}: allowed: the lines {BEGIN} and {END}, once each")
    before, rest = text.split(BEGIN)
    with written_whole(README) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(f"{README}: table rendered")


def table() -> str:
    """All records as a Markdown table, by corpus and falling accuracy."""
    records = [read_json(path) | {"path": path} for path in FOLDER.glob("*.json")]
    found = pd.DataFrame([record for record in records if "accuracy" in record], columns=[*COLUMNS, "path"])
    found = found.sort_values(["name", "accuracy", "path"], ascending=[True, False, True])
    text = pd.DataFrame(map(cells, found.to_dict("records"))).to_markdown(index=False, disable_numparse=True)
    return re.sub(":-+", "---", re.sub(" {2,}", " ", text))  # unpadded, so that one record is one line of a diff


def cells(found: dict[str, Any]) -> dict[str, str]:
    """A record as the table shows it, figures in per cent."""
    low, high = (100 * bound for bound in found["accuracy_ci95"])
    sd = "" if pd.isna(found["accuracy_sd"]) else f" ± {100 * found['accuracy_sd']:.1f}"
    return {
        "run": f"`{found['run']}`",
        "corpus": found["name"],
        "accuracy [95 %]": f"**{100 * found['accuracy']:.1f}**{sd} [{low:.1f}, {high:.1f}]",
        "balanced": f"{100 * found['balanced_accuracy']:.1f}",
        "macro-F1": f"{100 * found['f1_macro']:.1f}",
        "n test": f"{found['n_test']:,.0f}",
        "protocol": found["protocol"],
        "record": f"[{found['path'].stem}]({found['path'].as_posix()})",
    }


if __name__ == "__main__":
    exit_with_one_line(main)
