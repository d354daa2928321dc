"""`dvc repro` with several stages at once: python -m tools.repro --jobs 2

DVC runs one stage after the other, but several of its processes may run independent stages in one workspace. Here each
process is DVC's own `repro` of a few stages; a plain `dvc repro` at the end runs the report and checks everything.
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
    if jobs > 1 and not run_outdated(jobs):
        print("Data and pipelines are up to date.")
    else:
        sys.exit(dvc(["repro"]))


def default_jobs() -> int:
    """Return cores / machine.threads, at most 8: more would wait for each other to write dvc.lock."""
    threads = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["machine"]["threads"]
    return max(1, min(8, (os.cpu_count() or 1) // threads))


def run_outdated(jobs: int) -> bool:
    """Run the outdated stages except the report, `jobs` batches at once; return whether any stage was outdated."""
    repo = Repo()
    plan = [stage.addressing for stage in plan_repro(repo.index.graph)]
    needs = outdated(repo, plan)
    batches = batched({name: needs[name] for name in plan[:-1] if name in needs})
    if len(batches) > 1:
        try:
            errors = lanes.side_by_side(batches, jobs)
        except KeyboardInterrupt:
            errors = ["error: interrupted; the same command continues from here"]
        lock_order.order(plan)
        if errors:
            sys.exit("\n".join(errors))
    return bool(needs)


def outdated(repo: Repo, plan: list[str]) -> dict[str, set[str]]:
    """Return {outdated stage of `plan`: the outdated stages that it needs}; a stage that needs one is itself one."""
    graph, changed, needs = repo.index.graph, repo.status(), {}
    known = {stage.addressing: {other.addressing for other in graph.successors(stage)} for stage in graph}
    for name in plan:  # a stage comes after those it needs
        if name in changed or known[name] & needs.keys():
            needs[name] = known[name] & needs.keys()
    return needs


def batched(needs: dict[str, set[str]]) -> dict[Batch, set[Batch]]:
    """Return {batch: batches it needs} for {stage: stages it needs}.

    A stage joins the batch of the one before it where no other stage could follow that one, as evaluate joins train.
    Each process reads dvc.yaml and dvc.lock again, so fewer are faster; stages that can run side by side stay apart.
    """
    followers = {name: [other for other in needs if name in needs[other] <= needs[name] | {name}] for name in needs}
    names_of: dict[str, list[str]] = {}  # {stage: the batch that it is in}
    for name in needs:
        before = next((other for other in needs[name] if followers[other] == [name]), None)
        names_of[name] = names_of[before] if before else []
        names_of[name].append(name)
    batch = {name: tuple(names) for name, names in names_of.items()}
    return {own: {batch[other] for name in own for other in needs[name]} - {own} for own in batch.values()}


if __name__ == "__main__":
    main()
