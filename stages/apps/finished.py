"""Finished experiments as git keeps them: which there are, the figures of a run in each, and what made those.

DVC keeps an experiment as a commit under refs/exps/<2 hex digits>/<38>/<name>, one level above the commit it started
from. Those that wait in the queue, run or failed are not there.
"""

import fnmatch
import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml import YAMLError

from stages.core.errors import UserError, did_you_mean, warn
from stages.params.load import parse
from stages.params.load import resolve as resolve_recipes

WORKSPACE = "workspace"
EVERY = "*"
_REF = re.compile(r"(\w+) refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")
_FIGURES = (
    *("name", "synthetic", "protocol", "n_train", "n_validation", "n_test"),
    *("accuracy", "accuracy_ci95", "accuracy_ci95_method", "balanced_accuracy", "f1_macro", "confusion"),
)
OLDER_INTERVAL = "bootstrap over test samples"  # how it was made before the metrics said so


@dataclass(frozen=True)
class Experiment:
    """One run in one experiment. `made_of`: all that makes its figures but seed and fold; `code`: md5s of `stages/`."""

    name: str
    revision: str
    run: str
    metrics: dict[str, Any]
    params: dict[str, Any]
    made_of: dict[str, Any]
    code: dict[str, str]

    @property
    def corpus(self) -> str:
        return self.params["runs"][self.run]["corpus"]

    @property
    def split(self) -> dict[str, Any]:
        return self.params["splits"][self.corpus]

    @property
    def seed(self) -> int:
        return self.params["seed"]

    @property
    def fold(self) -> int:
        return self.split["fold"]


def select(run: str, words: Iterable[str]) -> list[Experiment]:
    """Experiments that hold `run`, by name, shell glob ('fold-*'), revision, or 'workspace'; each once.

    A glob passes over experiments without the run, or with figures older than their params; a name insists.
    """
    known, found = experiments(), {}
    for word in words:
        named = [(name, revision) for name, revision in known if fnmatch.fnmatchcase(name, word)]
        if re.search(r"[*?[]", word):  # git takes none of these in a name
            loaded = _holding(run, word, named)
        else:
            loaded = [load(run, *pair) for pair in named or [(word, resolve(word, known))]]
        found |= {experiment.revision: experiment for experiment in loaded}
    return list(found.values())


def experiments() -> list[tuple[str, str]]:
    """(name, commit) of every finished experiment, by name."""
    listed = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return sorted(match.group(2, 1) for match in map(_REF.fullmatch, listed) if match)


def resolve(word: str, known: list[tuple[str, str]]) -> str:
    """The commit of a revision that is no experiment's name; the workspace stands for itself."""
    if word == WORKSPACE:
        return word
    try:
        return git("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}")
    except UserError:
        hint = did_you_mean(word, [name for name, _ in known])
        raise UserError(
            f"--experiments: {word!r} is no finished experiment and no revision;{hint} `dvc exp list` shows them"
        ) from None


def _holding(run: str, glob: str, named: list[tuple[str, str]]) -> list[Experiment]:
    held = {revision: runs_at(revision) for _, revision in named}
    loaded = [_load_or_warn(run, *pair) for pair in named if run in held[pair[1]]]
    if not any(loaded):
        hint = did_you_mean(run, set().union(*held.values()) - {run})
        which = "" if glob == EVERY else f" of the {len(named)} named {glob}"
        raise UserError(f"{run}: no finished experiment{which} holds metrics/runs/{run}.json;{hint} see `dvc exp show`")
    return [experiment for experiment in loaded if experiment]


def _load_or_warn(run: str, name: str, revision: str) -> Experiment | None:
    try:
        return load(run, name, revision)
    except UserError as error:
        warn(f"{error}; left out")
        return None


def runs_at(revision: str) -> set[str]:
    """Names of the runs with figures at a revision."""
    if revision == WORKSPACE:
        return {path.stem for path in Path("metrics/runs").glob("*.json")}
    return {Path(line).stem for line in git("ls-tree", "--name-only", revision, "metrics/runs/").splitlines()}


def load(run: str, name: str, revision: str) -> Experiment:
    """A run's figures at a revision with all that made them; refused where params were changed after the figures."""
    if run not in (held := runs_at(revision)):
        raise UserError(f"{name}: no metrics/runs/{run}.json;{did_you_mean(run, held)} `dvc repro` makes it")
    try:
        metrics = json.loads(show(revision, f"metrics/runs/{run}.json"))
        metrics = {"accuracy_ci95_method": OLDER_INTERVAL, **metrics}
        metrics = {name: metrics[name] for name in _FIGURES}
        params = parse(show(revision, "params.yaml"))
        entries = list(locked(show(revision, "dvc.lock"), _stages_of(run, params)))
        require_up_to_date(name, run, params, entries)
        made_of = dict(_made_of(params, run)) | _archive(entries)
    except (KeyError, TypeError, ValueError, YAMLError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{name}: metrics, params.yaml or dvc.lock are not what this version writes ({why})") from None
    code = {dep["path"]: dep["md5"] for entry in entries for dep in entry.get("deps", ()) if _is_code(dep["path"])}
    return Experiment(name, revision, run, metrics, params, made_of, code)


def _made_of(params: dict[str, Any], run: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of all that makes a run's figures, but seed and fold; the run's own keys go without `runs.<run>`."""
    made_by = {key: value for key, value in resolve_recipes(params)["runs"][run].items() if key != "recipe"}
    corpus, dataset = made_by["corpus"], made_by["dataset"]
    sections = (("corpora", corpus), ("datasets", dataset), ("splits", corpus))
    yield from leaves(made_by)
    drawn = params["corpora"][corpus]["source"] == "synthetic"
    for section, key in sections:
        for name, value in leaves(params[section][key], f"{section}.{key}."):
            if name != f"splits.{corpus}.fold" and (drawn or not name.startswith(f"corpora.{corpus}.synthetic.")):
                yield name, value


def _archive(entries: list[dict]) -> dict[str, str]:
    """{path: md5} of the packed corpus, so that other bytes under the same name are not taken for the same."""
    return {
        out["path"]: out["md5"] for entry in entries for out in entry["outs"] if out["path"].startswith("data/raw/")
    }


def _stages_of(run: str, params: dict[str, Any]) -> tuple[str, ...]:
    corpus, dataset = params["runs"][run]["corpus"], params["runs"][run]["dataset"]
    return f"download@{corpus}", f"split@{corpus}", f"prepare@{dataset}", f"train@{run}", f"evaluate@{run}"


def locked(text: str, stages: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Their entries of dvc.lock. Cut out first: parsing the whole file takes as long as all the rest."""
    for stage in stages:
        found = re.search(rf"^  {re.escape(stage)}:\n((?:    .*(?:\n|$))+)", text, re.MULTILINE)
        if not found:
            raise KeyError(f"{stage} in dvc.lock")
        yield parse(found[1])


def require_up_to_date(name: str, run: str, params: dict[str, Any], entries: list[dict]) -> None:
    """`dvc exp run <stage>`, or an edited workspace, leaves figures that are not of the params beside them."""
    made = {out["path"]: out["md5"] for entry in entries for out in entry["outs"]}
    for entry in entries:
        used = entry.get("params", {}).get("params.yaml", {})
        changed = [key for key, value in used.items() if value != _at(params, key)]
        changed += [dep["path"] for dep in entry.get("deps", ()) if made.get(dep["path"], dep["md5"]) != dep["md5"]]
        if changed:
            raise UserError(f"{name}: the figures of {run} are older than its {changed[0]}; `dvc repro` renews them")


def _at(tree: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _is_code(path: str) -> bool:
    return path.startswith("stages/")


def leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; `machine` stays out, which changes no result."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif not prefix.startswith("machine."):
            yield f"{prefix}{key}", value


def shown(value: Any) -> str:
    """A value as `-S` takes it; of a path only the last part, since the rest says nothing elsewhere."""
    if isinstance(value, str) and value.startswith("/"):
        return f"…/{source_name(value)}"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).strip('"')


def source_name(source: str) -> str:
    """A URL or Kaggle handle as it is; of a path only the last part."""
    return source.rsplit("/", 1)[-1] if source.startswith("/") else source


def baseline_of(revision: str) -> str:
    """The commit an experiment started from: its parent, or HEAD for the workspace."""
    return "HEAD" if revision == WORKSPACE else f"{revision}^"


def finished_s(revision: str) -> int:
    """When an experiment was finished, in seconds since 1970; the workspace is newer than all."""
    return int(time.time()) if revision == WORKSPACE else int(git("show", "-s", "--format=%ct", revision))


def show(revision: str, path: str) -> str:
    """A file's text at a revision."""
    try:
        return Path(path).read_text(encoding="utf-8") if revision == WORKSPACE else git("show", f"{revision}:{path}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None


def git(*arguments: str) -> str:
    """Standard output of git, or its complaint as the user's mistake."""
    done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
