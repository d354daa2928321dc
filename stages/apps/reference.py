"""Keep real results: `metrics/reference/<name>.json` from completed experiments, and the tables of results.

    python -m stages.apps.reference add faces_keras_cnn --name fer2013_keras_cnn --experiments my-exp
    python -m stages.apps.reference add speech_adafnn --name ravdess_adafnn --experiments 'fold-*'
    python -m stages.apps.reference study faces_custom_cnn --name fer2013_search --experiment search
    python -m stages.apps.reference ablation portraits --name fer2013_portraits_steps --experiment my-exp
    python -m stages.apps.reference table

No figure is typed: metrics, params and dvc.lock of each experiment (or of the workspace) are read from git. Run it on
the machine that trained, since `hardware` is read there. Several experiments (seeds, folds) form one record, as in
`stages.apps.experiments`.
"""

import argparse

from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line
from stages.core.files import write_json
from stages.experiments import records
from stages.experiments.ablation_record import record_of_ablation
from stages.experiments.completed_experiments import WORKSPACE


def main() -> None:
    args = parser().parse_args()
    if args.action != "table":
        path = records.FOLDER / f"{args.name}.json"
        write_json(path, args.record(args))
        print(f"{path}: written")
    records.render_tables()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    commands = made.add_subparsers(dest="action", required=True)
    add = commands.add_parser("add", help="write a record from completed experiments")
    add.add_argument("run")
    add.add_argument("--experiments", nargs="+", default=[WORKSPACE], metavar="NAME",
                     help="names, globs ('fold-*') or revisions; default: the workspace")  # fmt: skip
    add.set_defaults(record=lambda args: records.record(args.run, args.experiments, args.note))
    study = commands.add_parser("study", help="write a record of a hyperparameter search")
    study.add_argument("study")
    study.set_defaults(record=lambda args: records.record_of_study(args.study, args.experiment, args.note))
    ablation = commands.add_parser("ablation", help="write a record of what each part added to the runs of a corpus")
    ablation.add_argument("corpus")
    ablation.set_defaults(record=lambda args: record_of_ablation(args.corpus, args.experiment, args.note))
    for one in (study, ablation):
        one.add_argument("--experiment", default=WORKSPACE, metavar="NAME",
                         help="name or revision; default: the workspace")  # fmt: skip
    for writes in (add, study, ablation):
        writes.add_argument("--name", required=True, help="of the record: metrics/reference/<name>.json")
        writes.add_argument("--note", default="", help="what a reader must know beside the figures")
    commands.add_parser("table", help="write the tables of results from all records")
    return made


if __name__ == "__main__":
    exit_with_one_line(main)
