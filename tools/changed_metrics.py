"""After `make repro`: one sentence if results differ from the committed ones although nothing they depend on does."""

import json
import subprocess
import sys

INPUTS = ("params.yaml", "dvc.yaml", "stages", "requirements.txt")
OUTPUTS = ("dvc.lock", "metrics", "plots")


def main() -> None:
    if differ(OUTPUTS) and not differ(INPUTS):
        command = [sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--json"]
        print(sentence(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)))


def differ(paths: tuple[str, ...]) -> bool:
    """Whether git knows other content of these files; False outside a git repository."""
    return subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *paths], capture_output=True).returncode == 1


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
