"""Keep real results for the record: `metrics/reference/<name>.json` from finished experiments, and README's table.

    python -m stages.apps.reference add faces_keras_cnn --name fer2013_keras_cnn --experiments my-exp
    python -m stages.apps.reference table

`add` types no figure: it reads metrics, params and dvc.lock of each experiment (or of the workspace) out of git. Run it
on the machine that trained, since `hardware` is read there. Several experiments (seeds, folds) become one record.
"""

import argparse
import datetime
import json
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ruamel.yaml import YAML
from scipy import stats

from stages.core.checks import UserError, exit_with_one_line
from stages.core.files import read_json, write_json, written_whole

FOLDER = Path("metrics/reference")
README = Path("README.md")
BEGIN, END = "<!-- reference table: begin -->", "<!-- reference table: end -->"
WORKSPACE = "workspace"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="action", required=True)
    add = commands.add_parser("add", help="write a record from finished experiments")
    add.add_argument("run")
    add.add_argument("--name", required=True, help="of the record: metrics/reference/<name>.json")
    add.add_argument("--experiments", nargs="+", default=[WORKSPACE], help="names or revisions; default: the workspace")
    add.add_argument("--note", default="", help="what a reader must know beside the figures")
    commands.add_parser("table", help="render README's table anew from all records")
    args = parser.parse_args()
    if args.action == "add":
        path = FOLDER / f"{args.name}.json"
        write_json(path, record(args.run, [resolve(name) for name in args.experiments], args.note))
        print(f"{path}: written")
    render_readme()


def record(run: str, revisions: list[str], note: str) -> dict[str, Any]:
    """One record over the experiments `revisions`. Raises `UserError` where they cannot be summed up in one."""
    metrics = [json.loads(show(revision, f"metrics/runs/{run}.json")) for revision in revisions]
    params = [parse(show(revision, "params.yaml")) for revision in revisions]
    first, corpus = metrics[0], metrics[0]["corpus"]
    if any(found["synthetic"] for found in metrics):
        raise UserError(f"{run}: a synthetic corpus gives no reference; set corpora.{corpus}.source to a real one")
    folds = sorted({found["splits"][corpus]["fold"] for found in params})
    require_one(run, [found["name"] for found in metrics])
    require_one(run, [settings(found, run, corpus) for found in params])
    require_one(run, [packed_md5(revision, corpus) for revision in revisions])
    baseline = baseline_of(revisions[0])
    return {
        "run": run,
        "corpus": corpus,
        "name": first["name"],
        "data": data_read(revisions[0], corpus, params[0], first),
        "protocol": first["protocol"],
        "seeds": sorted({found["seed"] for found in params}),
        "folds": folds,
        "n_test": sum(found["n_test"] for found in metrics) if len(folds) > 1 else first["n_test"],
        **summed_up(metrics),
        "command": command(parse(show(baseline, "params.yaml")), params[0]),
        "commit": git("rev-parse", baseline),
        "hardware": hardware(params[0]["machine"]),
        "date": date_of(revisions[0]),
        "note": note,
    }


def summed_up(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the experiments; of several, the interval is Student's t over them and `accuracy_sd` theirs."""
    accuracy = np.array([found["accuracy"] for found in metrics])
    means = {
        name: round(float(np.mean([found[name] for found in metrics])), 6)
        for name in ("accuracy", "balanced_accuracy", "f1_macro")
    }
    sd, interval = None, metrics[0]["accuracy_ci95"]
    if len(metrics) > 1:
        sd = round(float(accuracy.std(ddof=1)), 6)
        half = stats.t.ppf(0.975, len(metrics) - 1) * sd / np.sqrt(len(metrics))
        interval = [round(means["accuracy"] - half, 6), round(means["accuracy"] + half, 6)]
    return {
        "accuracy": means["accuracy"],
        "accuracy_sd": sd,
        "accuracy_ci95": interval,
        "balanced_accuracy": means["balanced_accuracy"],
        "f1_macro": means["f1_macro"],
        "confusion": np.sum([found["confusion"] for found in metrics], axis=0).tolist(),
    }


def settings(params: dict, run: str, corpus: str) -> dict[str, Any]:
    """What must be equal among experiments that are averaged: all that makes the run, but seed and fold."""
    made_of = {"run": params["runs"][run], "corpus": params["corpora"][corpus]}
    chosen = dict(leaves(made_of | {"dataset": params["datasets"][params["runs"][run]["dataset"]]}))
    return chosen | {f"split.{key}": value for key, value in params["splits"][corpus].items() if key != "fold"}


def require_one(run: str, found: list) -> None:
    """Refuse to average over what is not the same."""
    if any(other != found[0] for other in found):
        raise UserError(f"{run}: experiments that differ in more than seed and fold are not averaged")


def data_read(revision: str, corpus: str, params: dict, metrics: dict) -> str:
    """The file the user named, its packed form's md5, and how many samples each part holds."""
    sizes = ", ".join(f"{metrics[f'n_{part}']:,} {part}" for part in ("train", "validation", "test"))
    return f"{source_name(params['corpora'][corpus]['source'])}, packed md5 {packed_md5(revision, corpus)} ({sizes})"


def packed_md5(revision: str, corpus: str) -> str:
    """Of data/raw/<corpus>.zip, as dvc.lock has it."""
    return parse(show(revision, "dvc.lock"))["stages"][f"download@{corpus}"]["outs"][0]["md5"]


def source_name(source: str) -> str:
    """A URL or Kaggle handle as it is; of a path only the last part, since the rest says nothing elsewhere."""
    return source.rsplit("/", 1)[-1] if source.startswith("/") else source


def command(before: dict, after: dict) -> str:
    """The `dvc exp run` line that turns one params.yaml into the other; paths are cut to their name."""
    old, new = dict(leaves(before)), dict(leaves(after))
    changed = [f"-S {key}={shown(new[key])}" for key in new if key in old and new[key] != old[key]]
    added = [f"-S '+{key}={shown(new[key])}'" for key in new if key not in old]
    return " ".join(["dvc exp run", *changed, *added, *(f"-S '~{key}'" for key in old if key not in new)])


def shown(value: Any) -> str:
    """A value as `-S` takes it."""
    return (
        f"…/{source_name(value)}" if isinstance(value, str) and value.startswith("/") else json.dumps(value).strip('"')
    )


def leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; `machine` stays out, which changes no result."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif not prefix.startswith("machine."):
            yield f"{prefix}{key}", value


def resolve(name: str) -> str:
    """The commit an experiment's name or a revision stands for; the workspace stands for itself."""
    if name == WORKSPACE:
        return name
    experiments = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    named = [line.split()[0] for line in experiments if line.endswith(f"/{name}") and "/exec/" not in line]
    return named[0] if named else git("rev-parse", "--verify", f"{name}^{{commit}}")


def baseline_of(revision: str) -> str:
    """The commit an experiment started from: its parent, or HEAD for the workspace."""
    return "HEAD" if revision == WORKSPACE else f"{revision}^"


def date_of(revision: str) -> str:
    """The day an experiment was finished."""
    if revision == WORKSPACE:
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    return git("show", "-s", "--format=%cs", revision)


def show(revision: str, path: str) -> str:
    """A file's text at a revision."""
    try:
        return Path(path).read_text(encoding="utf-8") if revision == WORKSPACE else git("show", f"{revision}:{path}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None


def git(*arguments: str) -> str:
    """Standard output of git, or its complaint as the user's mistake."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def parse(text: str) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(text)


def hardware(machine: dict[str, Any]) -> str:
    """Processor, the threads the experiment had, and the GPU where it could take one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    has_gpu = machine["accelerator"] != "cpu" and torch.cuda.is_available()
    return f"{name}, {machine['threads']} threads{f', {torch.cuda.get_device_name()}' if has_gpu else ''}"


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
    records = [(path, read_json(path)) for path in sorted(FOLDER.glob("*.json"))]
    rows = sorted((r for r in records if "accuracy" in r[1]), key=lambda r: (r[1]["name"], -r[1]["accuracy"]))
    columns = ("run", "corpus", "accuracy [95 %]", "balanced", "macro-F1", "n test", "protocol", "record")
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    return "\n".join([head, *(row(path, found) for path, found in rows)])


def row(path: Path, found: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in found["accuracy_ci95"])
    sd = f" ± {100 * found['accuracy_sd']:.1f}" if found["accuracy_sd"] is not None else ""
    figures = f"**{100 * found['accuracy']:.1f}**{sd} [{low:.1f}, {high:.1f}] | {100 * found['balanced_accuracy']:.1f}"
    figures += f" | {100 * found['f1_macro']:.1f} | {found['n_test']:,} | {found['protocol']}"
    return f"| `{found['run']}` | {found['name']} | {figures} | [{path.stem}]({path.as_posix()}) |"


if __name__ == "__main__":
    exit_with_one_line(main)
