"""Prints one sentence after `make repro` where results differ from the committed ones, but settings and code do not."""

import json
import subprocess
import sys

import yaml

from tools import lock_order

RESULTS = ("data", "metrics", "plots")  # folders that stages write; all other dependencies are code


def main() -> None:
    committed, current = lock_order.committed(), lock_order.LOCK.read_text(encoding="utf-8")
    if committed and committed != current and inputs(committed) == inputs(current):
        command = [sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--json"]
        print(sentence(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)))


def inputs(lock: str) -> dict[str, tuple]:
    """Return {stage: (command, params, code)} of a dvc.lock; everything else in it was computed from them."""
    found = {}
    for name, stage in yaml.load(lock, Loader=yaml.CSafeLoader)["stages"].items():
        code = [dep for dep in stage.get("deps", []) if dep["path"].split("/")[0] not in RESULTS]
        found[name] = stage["cmd"], stage.get("params"), code
    return found


def sentence(metrics: dict[str, dict[str, dict]]) -> str:
    """Return a sentence on the output of `dvc metrics diff --all`: {file: {metric: {old, new, diff}}}."""
    rows = [row for file in metrics.values() for row in file.values()]
    numbers = [row for row in rows if isinstance(row.get("new"), int | float)]
    changed = [row for row in numbers if row.get("old") != row["new"]]
    largest = max((abs(row["diff"]) for row in changed if row.get("diff")), default=0)
    reason = "settings and code are the same, but rounding differs between processors, so git shows changed files"
    return (
        f"{len(changed)} of {len(numbers)} metrics differ from the committed ones, by at most {largest:.3g}: {reason}."
    )


if __name__ == "__main__":
    main()
