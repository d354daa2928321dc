"""Completed experiments: which exist, the figures of a run or study in each, and the settings that produced them.

DVC keeps an experiment as a commit under refs/exps/<2 hex digits>/<38>/<name>, whose parent is the commit it started
from. Experiments that are queued, running or failed are not there. They are read with git: `dvc exp show` leaves out
lists, among them the confusion matrix, and takes over a second for each experiment.
"""

import fnmatch
import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml import YAMLError

from stages.core.errors import UserError, did_you_mean, unknown_name, warn
from stages.experiments import ingredients
from stages.params.load import parse
from stages.params.load import resolve as resolve_recipes
from stages.params.schema import IN_PLACE

WORKSPACE = "workspace"
ALL = "*"
ARCHIVES = "data/raw/"
METRICS = ("metrics/runs/", "metrics/ensembles/")
FILES = "metrics, params.yaml or dvc.lock"
_REF = re.compile(r"(\w+) refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")
_FIGURES = ("name", "synthetic", "protocol", "n_train", "n_validation", "n_test", "accuracy", "accuracy_ci95",
            "accuracy_ci95_method", "balanced_accuracy", "f1_macro", "confusion")  # fmt: skip
OLDER_INTERVAL = "bootstrap over test samples"  # the method of metrics that do not name it


@dataclass(frozen=True)
class Experiment:
    """A run or ensemble of an experiment.

    `settings`: all that determines its figures except seed and fold; `code`: md5s of the files in `stages/`.
    """

    name: str
    revision: str
    run: str
    metrics: dict[str, Any]
    params: dict[str, Any]
    settings: dict[str, Any]
    code: dict[str, str]

    @property
    def corpus(self) -> str:
        return self.params["runs"][self.members[0]]["corpus"]

    @property
    def members(self) -> list[str]:
        """Return the runs of an ensemble; of a run, itself."""
        return members_of(self.params, self.run)

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
    """Return the experiments with `run`, by name, shell glob ('fold-*'), revision, or 'workspace'; each once.

    A glob skips experiments without the run or with outdated figures; a name raises `UserError` for them.
    """
    known, selected = experiments(), {}
    for word in words:
        named = [(name, revision) for name, revision in known if fnmatch.fnmatchcase(name, word)]
        if re.search(r"[*?[]", word):  # characters that no name in git contains
            loaded = _load_all(run, word, named)
        else:
            loaded = [load(run, *pair) for pair in named or [(word, resolve(word))]]
        selected |= {experiment.revision: experiment for experiment in loaded}
    return list(selected.values())


def experiments() -> list[tuple[str, str]]:
    """Return (name, commit) of every completed experiment, sorted by name."""
    lines = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return sorted(match.group(2, 1) for match in map(_REF.fullmatch, lines) if match)


def resolve(word: str) -> str:
    """Return the commit of an experiment or revision; 'workspace' stays."""
    known = dict(experiments()) | {WORKSPACE: WORKSPACE}
    try:
        return known.get(word) or git("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}")
    except UserError:
        hint = did_you_mean(word, known)
        what = f"--experiments: {word!r} is neither a completed experiment nor a revision"
        raise UserError(f"{what};{hint} `dvc exp list` shows them") from None


def _load_all(run: str, glob: str, named: list[tuple[str, str]]) -> list[Experiment]:
    runs = {revision: runs_at(revision) for _, revision in named}
    loaded = []
    for name, revision in (pair for pair in named if run in runs[pair[1]]):
        try:
            loaded.append(load(run, name, revision))
        except UserError as error:
            warn(f"{error}; left out")
    if not loaded:
        hint = did_you_mean(run, set().union(*runs.values()) - {run})
        which = "" if glob == ALL else f" of the {len(named)} named {glob}"
        where = f"{METRICS[0]}{run}.json or {METRICS[1]}{run}.json"
        raise UserError(f"{run}: no completed experiment{which} has {where};{hint} see `dvc exp show`")
    return loaded


def runs_at(revision: str) -> set[str]:
    """Return the names of the runs and ensembles with metrics at a revision."""
    if revision == WORKSPACE:
        return {path.stem for folder in METRICS for path in Path(folder).glob("*.json")}
    return {Path(line).stem for line in git("ls-tree", "--name-only", revision, *METRICS).splitlines()} - {".gitkeep"}


def load(run: str, name: str, revision: str) -> Experiment:
    """Return a run or ensemble at a revision. Raises `UserError` for metrics that are missing or older than params."""
    if run not in (known := runs_at(revision)):
        raise UserError(f"{name}: no {METRICS[0]}{run}.json;{did_you_mean(run, known)} `dvc repro` makes it")
    with readable(f"{name}: {FILES} are"):
        params = parse(show(revision, "params.yaml"))
        members = members_of(params, run)
        own, folder = [f"evaluate@{member}" for member in members], METRICS[0]
        if members != [run]:
            own, folder = [*own, f"ensemble@{run}"], METRICS[1]
        metrics = {"accuracy_ci95_method": OLDER_INTERVAL, **json.loads(show(revision, f"{folder}{run}.json"))}
        mixed = {row["run"]: row["predictions_md5"] for row in metrics.get("members", ())}
        metrics = {key: metrics[key] for key in _FIGURES}
        corpus = params["runs"][members[0]]["corpus"]
        parts = ingredients.of_runs(params, members)
        made = (f"download@{corpus}", f"split@{corpus}", *stages_of(parts))
        entries = list(locked(show(revision, "dvc.lock"), (*made, *own)))
        require_up_to_date(name, run, params, entries, mixed)
        # the md5 of the packed corpus, since a source of the same name may have other content
        archive = {
            out["path"]: out["md5"] for entry in entries for out in entry["outs"] if out["path"].startswith(ARCHIVES)
        }
        settings = dict(_settings(params, run, members)) | archive
    deps = [dep for entry in entries for dep in entry.get("deps", ())]
    code = {dep["path"]: dep["md5"] for dep in deps if dep["path"].startswith("stages/")}
    return Experiment(name, revision, run, metrics, params, settings, code)


def stages_of(parts: Iterable[tuple[str, str]]) -> list[str]:
    """Return the stages that make these items (section, key), such as train@speech_adafnn."""
    return [f"{ingredients.STAGES[section]}@{key}" for section, key in parts]


def members_of(params: dict[str, Any], run: str) -> list[str]:
    """Return the runs of the ensemble called `run`; of a run, itself."""
    ensembles = params.get("ensembles", {})
    if run not in params["runs"] and run not in ensembles:
        raise UserError(unknown_name(run, run, [*params["runs"], *ensembles], "neither a run nor an ensemble"))
    return [run] if run in params["runs"] else ensembles[run]["members"]


def load_study(key: str, name: str, revision: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the result of a study and the params at a revision. Raises `UserError` where it is older than they are."""
    with readable(f"{name}: {FILES} are"):
        result = json.loads(show(revision, f"metrics/tune/{key}.json"))
        params = parse(show(revision, "params.yaml"))
        corpus, dataset = params["studies"][key]["corpus"], params["studies"][key]["dataset"]
        made = stages_of(ingredients.of_dataset(params, dataset))
        stages = (f"download@{corpus}", f"split@{corpus}", *made, f"tune@{key}")
        require_up_to_date(name, f"studies.{key}", params, list(locked(show(revision, "dvc.lock"), stages)))
    return result, params


@contextmanager
def readable(files: str) -> Iterator[None]:
    """Raise `UserError` for files ("name: metrics are") in whose content a key is missing or of another type."""
    try:
        yield
    except (KeyError, TypeError, ValueError, YAMLError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{files} not as this version writes them ({reason})") from None


def _settings(params: dict[str, Any], run: str, members: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of the settings of a run except seed and fold; keys of the run itself have no prefix.

    Those of an ensemble are its own and, with the names of its `members` before them, theirs.
    """
    runs, is_run = resolve_recipes(params)["runs"], members == [run]
    if not is_run:
        yield from leaves(params["ensembles"][run])
    corpus, parts = runs[members[0]]["corpus"], ingredients.of_runs(params, members)
    for key in (key for section, key in parts if section == "runs"):
        own = {name: value for name, value in runs[key].items() if name != "recipe"}
        yield from leaves(own, "" if is_run and key == run else f"runs.{key}.")
    is_synthetic = params["corpora"][corpus]["source"] == "synthetic"
    others = [pair for pair in parts if pair[0] != "runs"]
    for section, key in (("corpora", corpus), *others, ("splits", corpus)):
        for name, value in leaves(params[section][key], f"{section}.{key}."):
            is_used = is_synthetic or not name.startswith(f"corpora.{corpus}.synthetic.")
            if name != f"splits.{corpus}.fold" and is_used:
                yield name, value


def locked(text: str, stages: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of stages in dvc.lock, found by pattern: parsing the whole file takes far longer."""
    for stage in stages:
        match = re.search(rf"^  {re.escape(stage)}:\n((?:    .*(?:\n|$))+)", text, re.MULTILINE)
        if not match:
            raise KeyError(f"{stage} in dvc.lock")
        yield parse(match[1])


def require_up_to_date(
    name: str, run: str, params: dict[str, Any], entries: list[dict], mixed: dict[str, str] | None = None
) -> None:
    """Raise `UserError` for outdated figures, as `dvc exp run <stage>` or an edited workspace leave them.

    `mixed`: md5 of the predictions of each member that an ensemble has read. dvc.lock has only that of their folder.
    """
    made = {out["path"]: out["md5"] for entry in entries for out in entry["outs"]}
    for member, read in (mixed or {}).items():
        if made[path := f"data/predictions/{member}.h5"] != read:
            raise UserError(f"{name}: the figures of {run} are older than its {path}; `dvc repro` renews them")
    for entry in entries:
        used = entry.get("params", {}).get("params.yaml", {})
        changed = [key for key, value in used.items() if value != _value_at(params, key)]
        changed += [dep["path"] for dep in entry.get("deps", ()) if made.get(dep["path"], dep["md5"]) != dep["md5"]]
        if changed:
            raise UserError(f"{name}: the figures of {run} are older than its {changed[0]}; `dvc repro` renews them")


def _value_at(tree: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every leaf, without `machine`, which changes no result."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif not prefix.startswith("machine."):
            yield f"{prefix}{key}", value


def as_setting(value: Any) -> str:
    """Return a value as `-S` accepts it; of a path only the last part, which alone means something elsewhere."""
    if isinstance(value, str) and value.startswith(("/", f"{IN_PLACE}/")):
        prefix = IN_PLACE if value.startswith(IN_PLACE) else ""
        return f"{prefix}…/{source_name(value)}"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{as_setting(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(as_setting, value))}]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).strip('"')


def source_name(source: str) -> str:
    """Return a URL or Kaggle handle unchanged, and the last part of a path."""
    return source.rsplit("/", 1)[-1] if source.startswith(("/", f"{IN_PLACE}/")) else source


def baseline_of(revision: str) -> str:
    """Return the commit that an experiment started from: its parent, or HEAD for the workspace."""
    return "HEAD" if revision == WORKSPACE else f"{revision}^"


def finished_s(revision: str) -> int:
    """Return when an experiment was completed, in seconds since 1970; for the workspace, now."""
    return int(time.time()) if revision == WORKSPACE else int(git("show", "-s", "--format=%ct", revision))


def show(revision: str, path: str) -> str:
    """Return the text of a file at a revision."""
    try:
        return Path(path).read_text(encoding="utf-8") if revision == WORKSPACE else git("show", f"{revision}:{path}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None


def git(*arguments: str) -> str:
    """Return the standard output of git. Raises `UserError` with its message."""
    done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
