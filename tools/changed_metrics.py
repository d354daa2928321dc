"""After `make repro`: one sentence if results differ from the committed ones although settings and code do not."""

import json
import subprocess
import sys

import yaml

from tools import lock_order

RESULTS = ("data", "metrics", "plots")  # folders of what stages write; other files they depend on are code


def main() -> None:
    before, now = lock_order.committed(), lock_order.LOCK.read_text(encoding="utf-8")
    if before and before != now and inputs(before) == inputs(now):
        command = [sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--json"]
        print(sentence(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)))


def inputs(lock: str) -> dict[str, tuple]:
    """{stage: its command, params and code} of a dvc.lock: whatever else differs was computed from them."""
    stages = yaml.load(lock, Loader=yaml.CSafeLoader)["stages"]
    code = {
        name: [dep for dep in stage.get("deps", []) if dep["path"].split("/")[0] not in RESULTS]
        for name, stage in stages.items()
    }
    return {name: (stage["cmd"], stage.get("params"), code[name]) for name, stage in stages.items()}


def sentence(metrics: dict[str, dict[str, dict]]) -> str:
    """What `dvc metrics diff --all` found, {file: {metric: {old, new, diff}}}, in one sentence."""
    found = [row for file in metrics.values() for row in file.values()]
    numbers = [row for row in found if isinstance(row.get("new"), int | float)]
    changed = [row for row in numbers if row.get("old") != row["new"]]
    largest = max((abs(row["diff"]) for row in changed if row.get("diff")), default=0)
    return (
        f"{len(changed)} of {len(numbers)} metrics differ from the committed ones, by at most {largest:.3g}: settings "
        "and code are the same, but rounding differs between processors, so git shows changed files."
    )


if __name__ == "__main__":
    main()
