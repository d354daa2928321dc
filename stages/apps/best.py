"""From a study to a run: the `dvc exp run` line that trains a study's run with the best values it found.

    python -m stages.apps.best faces_custom_cnn             # prints it
    python -m stages.apps.best faces_custom_cnn --apply     # runs it

The search stays as it is: its name does not depend on the values it varies.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.checks.params import load
from stages.core.command import item
from stages.core.errors import UserError, exit_with_one_line, warn
from stages.core.files import read_json
from stages.params.load import parse
from stages.params.schema import Params, Study
from stages.params.space import at, dimensions, replaced

METRICS = Path("metrics/tune")
# Words that `-S` takes as they are, for text.
PLAIN = re.compile(r"(?!(?:true|false|null|inf|nan)$)[a-z_]\w*", re.IGNORECASE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--apply", action="store_true", help="run the line instead of printing it")
    args = parser.parse_args()
    params = load(Path("params.yaml"))
    study = item(params.studies, args.study, "studies")
    found = read_json(METRICS / f"{args.study}.json")
    require_of(study, found, args.study)
    own = parse(Path("params.yaml").read_text(encoding="utf-8"))["runs"][found["run"]]
    words = command(found, params, own)
    print(shlex.join(words), flush=True)
    if found["synthetic"]:
        warn(f"{args.study}: searched on a synthetic corpus, so these values say nothing about people")
    if args.apply and (status := subprocess.run(words, check=False).returncode):
        sys.exit(status)


def require_of(study: Study, found: dict[str, Any], key: str) -> None:
    """Refuse metrics that another study left under the same key."""
    expected = {path for path, _ in dimensions(study.space)}
    if found.get("run") != study.run or set(found.get("best_params", {})) != expected:
        raise UserError(
            f"{METRICS / f'{key}.json'}: of another run or space than studies.{key}; `dvc repro tune@{key}` renews it"
        )


def command(found: dict[str, Any], params: Params, own: dict[str, Any]) -> list[str]:
    """The words of the line; a key that the run does not state itself (`own`) is added with `+`."""
    run, values = params.runs[found["run"]].model_dump(), dict(found["best_params"])
    for path in found["best_params"]:  # a block of another name takes nothing from the recipe's
        block, _, option = path.rpartition(".")
        if option == "name":
            values |= {f"{block}.{key}": value for key, value in at(replaced(run, values), block).items()}
    settings = [
        f"{'+' if at(own, path) is ... else ''}runs.{found['run']}.{path}={shown(value)}"
        for path, value in values.items()
    ]
    return ["dvc", "exp", "run", *(word for setting in settings for word in ("-S", setting))]


def shown(value: Any) -> str:
    """A value as `-S` takes it, exactly."""
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else json.dumps(value)


if __name__ == "__main__":
    exit_with_one_line(main)
