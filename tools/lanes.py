"""Runs batches of stages side by side, each in a DVC process of its own."""

import multiprocessing
import os
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection

from dvc.cli import main as dvc

Batch = tuple[str, ...]  # names of stages, each after those it needs
FORKS = multiprocessing.get_context("forkserver")  # imports DVC once for all processes
FORKS.set_forkserver_preload(["dvc.cli", "dvc.commands.repro", "dvc.repo.reproduce"])


def side_by_side(batches: dict[Batch, set[Batch]], jobs: int) -> list[str]:
    """Run {batch: batches it needs}, `jobs` at once, and return the errors; after an error no other batch starts."""
    order, running, errors = TopologicalSorter(batches), {}, []
    order.prepare()
    with ThreadPoolExecutor(jobs) as executor:
        try:
            while order.is_active() and not errors:
                running |= {executor.submit(reproduce, batch): batch for batch in order.get_ready()}
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    errors += future.result()
                    order.done(running.pop(future))
        finally:
            executor.shutdown(cancel_futures=True)
    return errors


def reproduce(batch: Batch) -> list[str]:
    """Run one batch in a new process, print its lines after its name, and return the error lines if it fails."""
    os.environ["PYTHONUNBUFFERED"] = "1"  # lines of stages appear as they are printed
    reader, writer = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=run_dvc, args=(batch, writer))
    process.start()
    writer.close()  # the process has a copy
    errors = []
    with open(reader.fileno(), encoding="utf-8", errors="replace", newline="\n", closefd=False) as lines:
        for line in lines:
            print(f"{batch[0]} | {line}", end="", flush=True)
            errors += [line.rstrip()] if line.lower().startswith("error") else []
    process.join()
    return (errors or [f"error: {', '.join(batch)} failed"]) if process.exitcode else []


def run_dvc(batch: Batch, output: Connection) -> None:
    """Run `dvc repro` for the stages of a batch, with both output streams sent to `output`; exit with its status."""
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    sys.exit(dvc(["--wait-for-lock", "repro", "--single-item", *batch]))
