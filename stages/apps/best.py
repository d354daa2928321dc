"""Train a run with the best values of a study: prints the `dvc exp run` line.

    python -m stages.apps.best faces_custom_cnn             # prints it
    python -m stages.apps.best faces_custom_cnn --apply     # runs it

The study stays up to date: it does not depend on the values that it searches.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from stages.checks.params import load
from stages.core.command import HelpFormatter, item
from stages.core.errors import exit_with_one_line, warn
from stages.core.files import read_json
from stages.experiments.best_values import METRICS, command, require_current
from stages.params.load import parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--apply", action="store_true", help="run the line instead of printing it")
    args = parser.parse_args()
    params = load(Path("params.yaml"))
    study = item(params.studies, args.study, "studies")
    result = read_json(METRICS / f"{args.study}.json")
    require_current(study, result, args.study)
    words = command(result, params, parse(Path("params.yaml").read_text(encoding="utf-8"))["runs"][result["run"]])
    print(shlex.join(words), flush=True)
    if result["synthetic"]:
        warn(f"{args.study}: searched on a synthetic corpus, so these values say nothing about people")
    if args.apply and (status := subprocess.run(words, check=False).returncode):
        sys.exit(status)


if __name__ == "__main__":
    exit_with_one_line(main)
