"""`dvc repro` with several stages at once: python -m tools.repro --jobs 2

DVC runs one stage after the other, but lets several processes run stages in one workspace where none needs another.
Here each process is DVC's own `repro` of a few stages; a plain `dvc repro` at the end runs the report and checks all.
"""

import argparse
import os
import sys
from pathlib import Path

import yaml
from dvc.cli import main as dvc
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro

from tools import lanes, lock_order
from tools.lanes import Batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="stages at once; default: cores / machine.threads, at most 8")
    jobs = parser.parse_args().jobs or default_jobs()
    if jobs > 1 and not several(jobs):
        print("Data and pipelines are up to date.")
    else:
        sys.exit(dvc(["repro"]))


def default_jobs() -> int:
    """At most 8: more would wait for each other to write dvc.lock."""
    threads = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["machine"]["threads"]
    return max(1, min(8, (os.cpu_count() or 1) // threads))


def several(jobs: int) -> bool:
    """Run what is out of date but the report, `jobs` batches at once. Whether there was anything."""
    repo = Repo()
    plan = [stage.addressing for stage in plan_repro(repo.index.graph)]
    needs = stale(repo, plan)
    batches = batched({name: needs[name] for name in plan[:-1] if name in needs})
    if len(batches) > 1:
        try:
            errors = lanes.side_by_side(batches, jobs)
        except KeyboardInterrupt:
            errors = ["error: interrupted; the same command goes on from here"]
        lock_order.order(plan)
        if errors:
            sys.exit("\n".join(errors))
    return bool(needs)


def stale(repo: Repo, plan: list[str]) -> dict[str, set[str]]:
    """{stage of `plan` that changed or needs one that did: those of them that it needs}."""
    graph, changed, needs = repo.index.graph, repo.status(), {}
    known = {stage.addressing: {other.addressing for other in graph.successors(stage)} for stage in graph}
    for name in plan:  # a stage comes after those it needs
        if name in changed or known[name] & needs.keys():
            needs[name] = known[name] & needs.keys()
    return needs


def batched(needs: dict[str, set[str]]) -> dict[Batch, set[Batch]]:
    """{batch: batches it needs}. A stage joins the one before it where no other stage could, as evaluate joins train.

    Each process reads dvc.yaml and dvc.lock anew, so fewer are faster; stages that could run side by side stay apart.
    """
    followers = {
        name: [other for other in needs if name in needs[other] and needs[other] <= needs[name] | {name}]
        for name in needs
    }
    found: dict[str, list[str]] = {}
    for name in needs:
        before = next((other for other in needs[name] if followers[other] == [name]), None)
        found[name] = found[before] if before else []
        found[name].append(name)
    batch = {name: tuple(names) for name, names in found.items()}
    return {own: {batch[other] for name in own for other in needs[name]} - {own} for own in batch.values()}


if __name__ == "__main__":
    main()
