"""What holds the project together: rooms, declared dependencies, params, sizes, start-up, the README's promises."""

import ast
import itertools
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from datetime import date
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import h5py
import pytest

from stages.checks.params import load
from stages.params.load import parse
from stages.params.schema import Params, Recipe, Run, Section

ROOT = Path(__file__).parents[1]
STAGES = ROOT / "stages"
# What each room may import beside itself; stage scripts and apps join rooms.
ROOMS = {"core": (), "params": ("core",), "checks": ("core", "params"), "apps": None}
ROOMS |= dict.fromkeys(
    ("corpora", "features", "datasets", "models", "training", "tuning", "evaluation"), ("core", "params", "checks")
)
# A check refuses or lets pass, and never alters a result: no stage depends on its code.
CHECKS = "stages/checks/"
SCRIPTS = sorted(path.stem for path in STAGES.glob("[a-z]*.py"))
FILES = sorted(path.relative_to(ROOT).as_posix() for path in STAGES.rglob("*.py"))

PIPELINE = parse((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = load(ROOT / "params.yaml")


# ---- imports ---------------------------------------------------------------------------------------------------------


@cache
def tree(file):
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def file_of(module):
    """The file of a dotted module of ours, or None where there is none."""
    path = ROOT / Path(*module.split("."))
    for found in (path.with_suffix(".py"), path / "__init__.py"):
        if found.is_file():
            return found.relative_to(ROOT).as_posix()
    return None


def nodes(node, without):
    """All nodes of the tree, but those of functions of that name."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.FunctionDef) and child.name == without):
            yield from nodes(child, without)


@cache
def imported_modules(file, without=None):
    """Every module that `file` imports anywhere, also inside functions; `from package import module` gives both."""
    found = set()
    for node in nodes(tree(file), without):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the room"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def imports_of_ours(file, without=None):
    """Files of ours that `file` imports. An `__init__.py` runs too, but holds nothing (tested below)."""
    files = {file_of(module) for module in imported_modules(file, without) if module.split(".")[0] == "stages"}
    return {found for found in files if found and not found.endswith("__init__.py")}


def room(file):
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else None


@pytest.mark.parametrize("file", FILES)
def test_rooms_import_what_they_may(file):
    own = room(file)
    for found in imports_of_ours(file):
        assert room(found) is not None, f"{file} imports the stage script {found}"
        if own not in (None, "apps"):
            assert room(found) in (own, *ROOMS[own]), f"{file} imports {found}"
        assert room(found) != "apps" or own == "apps", f"{file} imports the app {found}"


def test_there_is_no_other_room():
    folders = {path.name for path in STAGES.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= set(ROOMS)


def test_packages_hold_nothing():
    """What an `__init__.py` did would run for everyone who imports anything beside it."""
    for file in FILES:
        if file.endswith("__init__.py"):
            assert all(isinstance(node, ast.Expr) for node in tree(file).body), file


def test_sizes():
    lines = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {file: count for file, count in lines.items() if count > (80 if room(file) is None else 250)} == {}


def test_no_drawers():
    assert [file for file in FILES if Path(file).stem in ("utils", "util", "helpers", "misc", "common")] == []


# ---- declared dependencies -------------------------------------------------------------------------------------------


def closure(files, without=None):
    """`files` and everything of ours they import, directly or not; functions named `without` import nothing."""
    found, waiting = set(), set(files)
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= {other for other in imports_of_ours(file, without) if not other.startswith(CHECKS)} - found
    return found


def rooms_looked_up(files):
    """Rooms from which these files import by name: the first argument of lookup.load, build and function."""
    calls = (node for file in files for node in ast.walk(tree(file)) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr in ("load", "build", "function")) == ("lookup", True)
        and isinstance(call.args[0], ast.Constant)
    }


def choices(section, key):
    """{room: name} of what params choose for one item, following run → dataset → corpus."""
    found = {}
    if section == "studies":
        found |= {"tuning.samplers": None, "tuning.pruners": None}
        section, key = "runs", PARAMS.studies[key].run
    if section == "runs":
        run = PARAMS.runs[key]
        found |= {"models": run.model["name"], "training.optimizers": None, "training.schedules": None}
        if run.augmentation:
            found["datasets.augmentation"] = run.augmentation["name"]
        section, key = "datasets", run.dataset
    if section == "datasets":
        found["features"] = PARAMS.datasets[key].feature["name"]
        section, key = "corpora", PARAMS.datasets[key].corpus
    if section == "corpora":
        found |= {"corpora": PARAMS.corpora[key].reader, "datasets.protocols": None}
    return found


def needed(name, section, key):
    """Files of code that a stage runs or reads: its script's closure, what params choose by name, and their closure."""
    without = None if name == "download" else "synthesise"  # which download alone calls
    files, chosen = closure({f"stages/{name}.py"}, without), choices(section, key)
    while True:
        rooms = [found for found in rooms_looked_up(files) if found in chosen]
        modules = [found if chosen[found] is None else f"{found}.{chosen[found]}" for found in rooms]
        grown = closure(files | {file_of(f"stages.{module}") for module in modules}, without)
        if grown == files:
            return files | data_files(files)
        files = grown


def data_files(files):
    """Templates and the like, which code beside them names, and what those include."""
    others = {path for path in STAGES.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    readers, found = {ROOT / file for file in files}, set()
    while readers:
        named = {other for other in others - found for reader in readers if _names(reader, other)}
        readers, found = named, found | named
    return {path.relative_to(ROOT).as_posix() for path in found}


def _names(reader, other):
    return reader.parent == other.parent and other.name in reader.read_text(encoding="utf-8")


@cache
def stages_of_dvc():
    """Every concrete stage as DVC itself resolves it: (template's name, section, key, stage)."""
    from dvc.repo import Repo

    found = []
    for stage in Repo(str(ROOT)).index.stages:
        name, _, key = stage.addressing.partition("@")
        section = PIPELINE["stages"][name].get("foreach", "").strip("${}") or None
        found.append((name, section, key or None, stage))
    return found


def code_deps(stage):
    return [dep.def_path for dep in stage.deps if not dep.def_path.endswith(".yaml") and dep.def_path[:7] == "stages/"]


def covers(dep, file):
    return file == dep or file.startswith(f"{dep}/")


def declared_params(stage):
    return [name for dep in stage.params for name in dep.params]


EXEMPT = ("checks",)  # may refuse a setting, never alters a result: no stage's dep
STAGE_NAMES = [stage.addressing for *_, stage in stages_of_dvc()]


def test_every_script_is_a_stage():
    assert {name for name, *_ in stages_of_dvc()} == set(SCRIPTS)


@pytest.mark.parametrize("found", stages_of_dvc(), ids=STAGE_NAMES)
def test_deps_cover_the_code_that_runs(found):
    name, section, key, stage = found
    deps = code_deps(stage)
    files = {file for file in needed(name, section, key) if room(file) not in EXEMPT}
    assert [file for file in sorted(files) if not any(covers(dep, file) for dep in deps)] == []


@pytest.mark.parametrize("found", stages_of_dvc(), ids=STAGE_NAMES)
def test_no_dep_is_superfluous(found):
    name, section, key, stage = found
    files = {file for file in needed(name, section, key) if room(file) not in EXEMPT}
    assert [dep for dep in code_deps(stage) if not any(covers(dep, file) for file in files)] == []


def test_templates_are_some_stages_deps():
    others = {path.relative_to(ROOT).as_posix() for path in STAGES.rglob("*") if path.is_file()}
    others = {name for name in others if not name.endswith((".py", ".pyc"))}
    read = set().union(*(needed(name, section, key) for name, section, key, _ in stages_of_dvc()))
    apps = {name for name in others if name.startswith("stages/apps/")}
    assert others - read - apps == set()


def test_only_keys_reach_a_command():
    """A value in a command is run by the shell: `name: x; rm -r ~`."""
    for name, stage in PIPELINE["stages"].items():
        command = stage.get("do", stage)["cmd"]
        inserted = set(re.findall(r"\$\{([^}]*)\}", command))
        assert inserted <= {"key", "item.corpus", "item.dataset", "item.run"}, name


def test_machine_invalidates_nothing():
    for *_, stage in stages_of_dvc():
        assert [name for name in declared_params(stage) if name.split(".")[0] == "machine"] == []


def test_paddings_share_their_split():
    """`eeg_zero` and `eeg_average` are trained and judged on the same trials, which no setting of theirs can move."""
    stages = {stage.addressing: stage for *_, stage in stages_of_dvc()}
    for verb in ("train", "evaluate"):
        for run in ("eeg_lstm_zero", "eeg_lstm_average"):
            deps = [dep.def_path for dep in stages[f"{verb}@{run}"].deps]
            assert f"data/prepared/{run.replace('lstm_', '')}.h5" in deps
            assert [dep for dep in deps if dep.startswith("data/splits/")] == ["data/splits/eeg.json"]
    split = stages["split@eeg"]
    assert not [name for name in declared_params(split) if name.startswith("datasets")]
    assert [dep.def_path for dep in split.deps if dep.def_path.startswith("data/")] == ["data/raw/eeg.zip"]


# ---- params that are read --------------------------------------------------------------------------------------------


class Reads:
    """Dotted paths of params that a stage looked at (`read`), or wrote out whole (`dumped`)."""

    def __init__(self):
        self.read, self.dumped, self._paths, self._kept, self._recipes = set(), set(), {}, [], {}

    def watch(self, params):
        self._kept.append(params)  # alive, so that no other object gets its id
        self._register(params, ())
        return params

    def _register(self, value, path):
        if isinstance(value, Run):  # what it does not state itself is its recipe's
            self._recipes[path] = ("recipes", value.recipe)
        if isinstance(value, Section):
            self._paths[id(value)] = path
            for name in type(value).model_fields:
                self._register(value.__dict__[name], (*path, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                self._register(item, (*path, key))

    def copied(self, section, copy):
        """Reads of a copy count as those of what it was copied from."""
        if id(section) in self._paths:
            self._paths[id(copy)] = self._paths[id(section)]
            self._kept.append(copy)

    def note(self, section, name, into):
        path = self._paths.get(id(section))
        value = section.__dict__[name]
        holds_sections = isinstance(value, dict) and any(isinstance(item, Section) for item in value.values())
        if path is not None and not isinstance(value, Section) and not holds_sections:
            into.add(".".join((*path, name)))
            inherited = (*path, name)[2:]
            if path[:2] in self._recipes and inherited and inherited[0] in Recipe.model_fields:
                into.add(".".join((*self._recipes[path[:2]], *inherited)))
        elif into is self.dumped and isinstance(value, Section):
            for inner in type(value).model_fields:
                self.note(value, inner, into)


@pytest.fixture(scope="module")
def reads(make_clone, tmp_path_factory):
    """{stage: Reads} of every stage run in this process, on drawn faces, on the same faces as real data, on voices."""
    from conftest import as_real_folder, only_speech, shrink

    clone = make_clone()
    clone.edit_params(shrink)
    clone.edit_params(lambda params: [params["runs"].pop(key) for key in list(params["runs"])[1:]])
    clone.edit_params(lambda params: params["splits"]["faces"].update(validation_fraction=0.25))  # of few faces
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone.root)
        _run_stages(clone, found, patch)
        archive = as_real_folder(clone, tmp_path_factory.mktemp("real") / "faces.zip")
        real = {"source": str(archive), "name": "FER-2013"}
        clone.edit_params(lambda params: params["corpora"]["faces"].update(real))
        _run_stages(clone, found, patch)
        clone.edit_params(only_speech)
        _run_stages(clone, found, patch)
    return found


def _run_stages(clone, found, patch):
    from dvc.repo import Repo

    stages = {stage.addressing: stage for stage in Repo(str(clone.root)).index.stages}
    for script in ("download", "prepare", "split", "train", "evaluate", "tune", "report"):
        for name, stage in stages.items():
            if name.split("@")[0] == script:
                reads, _ = found.setdefault(name, (Reads(), stage))
                _run_stage(script, shlex.split(stage.cmd), reads, patch)


def _run_stage(script, command, reads, patch):
    module = import_module(f"stages.{script}")

    def attribute(section, name, original=Section.__getattribute__):
        if name in type(section).model_fields:
            reads.note(section, name, reads.read)
        return original(section, name)

    def dump(section, *args, exclude=frozenset(), original=Section.model_dump, **more):
        for name in set(type(section).model_fields) - set(exclude):
            reads.note(section, name, reads.dumped)
        return original(section, *args, exclude=set(exclude), **more)

    def model_copy(section, original=Section.model_copy, **more):
        copy = original(section, **more)
        reads.copied(section, copy)
        return copy

    with patch.context() as inner:
        inner.setattr(Section, "model_copy", model_copy)
        inner.setattr(sys, "argv", command[2:])
        inner.setattr(module, "load", lambda path: reads.watch(load(path)))
        inner.setattr(Section, "__getattribute__", attribute)
        inner.setattr(Section, "model_dump", dump)
        module.main()


def under(path, declared):
    return path == declared or path.startswith(f"{declared}.")


def test_what_a_stage_reads_is_among_its_params(reads):
    unknown = {
        name: sorted(
            path
            for path in found.read | found.dumped
            if not path.startswith("machine.") and not any(under(path, declared) for declared in declared_params(stage))
        )
        for name, (found, stage) in reads.items()
    }
    assert {name: paths for name, paths in unknown.items() if paths} == {}


def starred(path):
    """Of any item of a section: corpora.faces.name → corpora.*.name."""
    return re.sub(r"^(corpora|datasets|splits|recipes|runs|studies)\.[^.]+", r"\1.*", path)


def test_what_is_among_its_params_a_stage_reads(reads):
    """Of one item or another: voices are run as drawn ones alone, faces as real ones, too."""
    declared, read = {}, {}
    for name, (found, stage) in reads.items():
        script = name.split("@")[0]
        declared.setdefault(script, set()).update(map(starred, declared_params(stage)))
        read.setdefault(script, set()).update(map(starred, found.read | found.dumped))
    unread = {
        script: [path for path in paths if not any(under(other, path) for other in read[script])]
        for script, paths in declared.items()
    }
    assert {script: paths for script, paths in unread.items() if paths} == {}


def leaves(schema, path=()):
    """Dotted paths of all settings, items of dicts as *."""
    for name, field in schema.model_fields.items():
        inner = list(_sections_in(field.annotation))
        if not inner:
            yield ".".join((*path, name))
        for is_item, kind in inner:
            yield from leaves(kind, (*path, name, *(("*",) if is_item else ())))


def _sections_in(annotation, is_item=False):
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield is_item, annotation
    else:
        for inner in getattr(annotation, "__args__", ()):
            yield from _sections_in(inner, is_item or getattr(annotation, "__origin__", None) is dict)


def read_by_dvc():
    """What the templates of dvc.yaml take from an item, such as `recipes.${item.recipe}`."""
    for stage in PIPELINE["stages"].values():
        section = stage.get("foreach", "").strip("${}")
        yield from (f"{section}.*.{name}" for name in re.findall(r"item\.(\w+)", str(stage)))


def test_every_param_is_read_by_a_stage(reads):
    """Writing a section out whole does not count: a setting must do something."""
    read = set().union(*(found.read for found, _ in reads.values()))
    assert set(leaves(Params)) - set(map(starred, read)) - set(read_by_dvc()) == set()


# ---- outputs ---------------------------------------------------------------------------------------------------------

VOLATILE_KEYS = re.compile(r"(^|_)(time|duration|elapsed|seconds|date|timestamp|commit|host|hostname|latency)(_|$)")


def keys_of_json(value):
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_of_json(inner)


def keys_of_hdf5(path):
    found = set()
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name, *node.attrs}))
        return found | set(file.attrs)


def test_outputs_hold_nothing_that_changes_by_itself(reproduced):
    """No path of this machine, no host, no date: two runs from nothing give the same bytes."""
    clone, _ = reproduced
    told = [str(clone.root), str(Path.home()), socket.gethostname(), date.today().isoformat()]
    pattern = re.compile("|".join(rf"(?<![\w.]){re.escape(word)}(?![\w.])" for word in told if len(word) > 4).encode())
    for name, content in clone.outputs().items():
        assert not pattern.search(content), f"{name}: {pattern.search(content)}"
        keys = set()
        if name.endswith(".json"):
            keys = set(keys_of_json(json.loads(content)))
        elif name.endswith(".h5"):
            keys = keys_of_hdf5(clone.root / name)
        elif name.endswith(".csv"):
            keys = set(content.decode().splitlines()[0].split(","))
        assert [key for key in keys if VOLATILE_KEYS.search(key)] == [], name


# ---- start-up --------------------------------------------------------------------------------------------------------

HEAVY = {
    "download": ("torch", "sklearn", "matplotlib", "pandas"),
    "split": ("torch", "matplotlib", "cv2", "sklearn", "scipy"),
    "prepare": ("torch", "matplotlib"),
    "evaluate": ("kornia", "cv2", "sklearn", "scipy", "matplotlib", "PIL", "captum"),
    "tune": ("tensorboard", "cv2", "plotly"),
    "report": ("torch", "cv2", "sklearn", "scipy", "matplotlib", "PIL"),
}


@pytest.mark.parametrize("script", HEAVY)
def test_start_up_brings_in_no_more_than_it_uses(script):
    program = f"import sys, stages.{script}\nprint([name for name in {HEAVY[script]!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- requirements ----------------------------------------------------------------------------------------------------

# Pinned though nothing imports them, and why.
TOOLS = {
    "dvc": "the command that runs the pipeline",
    "ruamel.yaml.clib": "what DVC reads YAML with, where it is installed",
    "tabulate": "lays out the tables that pandas writes as text",
    "psycopg": "speaks to the PostgreSQL database that machine.storage_url names",
    "tensorboard": "written through PyTorch's SummaryWriter, and the command that shows it",
}
# Among the development requirements, since only `make bench` imports it.
FOR_THE_BENCH = ("librosa",)


def pinned():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return {re.split(r"[=<>!~\[ ]", line)[0].lower(): line for line in lines if line}


def test_every_requirement_is_pinned():
    assert [line for line in pinned().values() if "==" not in line] == []


def test_requirements_are_what_is_imported():
    tops = {module.split(".")[0] for file in FILES for module in imported_modules(file)}
    foreign = {top for top in tops if top != "stages" and top not in sys.stdlib_module_names}
    owners = packages_distributions()
    # a module such as `cv2` may be in several distributions: one that is pinned
    used = {top: {name.lower() for name in owners.get(top, [])} for top in foreign}
    known = set(pinned())
    assert {top: names for top, names in used.items() if not names & (known | set(FOR_THE_BENCH))} == {}
    assert known - set().union(*used.values()) - set(TOOLS) == set()


# ---- README ----------------------------------------------------------------------------------------------------------

# Names with a slash are ours below these; a bare name is ours with these endings (`fer2013.csv` is somebody's corpus).
TOP = ("stages", "data", "metrics", "plots", "tests", "notebooks", ".dvc")
NAME = re.compile(r"(?<![\w./:<>{}*…-])\.?\w[\w./-]*(?![\w./<{*…$-])")
OUR_ENDINGS = (".py", ".yaml", ".toml", ".md", ".txt", ".lock", ".ipynb")


FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)((?:(?: {4}.*|[ ]*)\n)+)")  # after an empty line, as Markdown has it


@cache
def readme_blocks():
    """Lines of the README's blocks of code, fenced or indented; a command on several lines is one."""
    text = (ROOT / "README.md").read_text(encoding="utf-8") + "\n"
    blocks = FENCED.findall(text) + INDENTED.findall(FENCED.sub("", text))
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line]


@cache
def readme_code():
    """What blocks and inline code of the README say."""
    text = FENCED.sub("", (ROOT / "README.md").read_text(encoding="utf-8") + "\n")
    return readme_blocks() + re.findall(r"`([^`\n]+)`", INDENTED.sub("", text))


def settings_of(line):
    """What follows -S, if the line is an experiment's command."""
    words = shlex.split(line) if "dvc exp run" in line else []
    return [value for option, value in itertools.pairwise(words) if option in ("-S", "--set-param")]


def test_readme_has_commands():
    """What the other tests look at is there, so that none of them passes on an empty list."""
    blocks = readme_blocks()
    assert {"make repro", "make test", "dvc repro"} <= set(blocks)
    assert len([line for line in blocks if line.startswith("dvc ")]) >= 5
    assert len([value for line in blocks for value in settings_of(line)]) >= 4
    assert any(value.startswith("+runs.") for line in blocks for value in settings_of(line))


def test_readme_names_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for line in readme_code() for target in re.findall(r"(?:^|[;&|] *)make ([a-z][\w-]*)", line)}
    assert named - targets == set()


def test_readme_names_modules_that_exist():
    named = {module for line in readme_code() for module in re.findall(r"-m (stages[\w.]*)", line)}
    assert {module for module in named if file_of(module) is None} == set()


def test_readme_sets_params_that_exist():
    """`-S a.b=1` for a key that is there; `+a.b` for one that is not yet. <…> and {…} stand for any item."""
    for line in readme_code():
        for sign, key in re.findall(r"(?:-S|--set-param)[ =]['\"]?([+~]*)([\w.]+)=", line):
            at = PARAMS.model_dump()
            *folders, last = key.split(".")
            for part in folders:
                assert part in at, f"README: -S {key}: {part} is no key of params.yaml"
                at = at[part]
            assert "+" in sign or last in at, f"README: -S {key}: {last} is no key of params.yaml"


@pytest.mark.parametrize("command", [line for line in readme_blocks() if settings_of(line)])
def test_readme_sets_what_make_check_accepts(command, tmp_path):
    """Applied to the committed params by DVC itself; a queue's list of values is as many files."""
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    path, found = tmp_path / "params.yaml", []
    for sweep in get_hydra_sweeps({"params.yaml": settings_of(command)}):
        shutil.copyfile(ROOT / "params.yaml", path)
        apply_overrides(path, sweep["params.yaml"])
        found.append(load(path))
    assert any(params != PARAMS for params in found), "it changes nothing"


def test_readme_names_files_that_exist():
    """What DVC makes need not be there yet: the outputs of its stages count. <…>, {…}, * stand for any name."""
    outputs = [Path(out.def_path) for *_, stage in stages_of_dvc() for out in stage.outs]
    outputs += [Path("data/checkpoints/x"), Path("data/logs/x")]
    outputs += [Path(f"data/studies/{study}.journal") for study in PARAMS.studies]
    made = {place.as_posix() for out in outputs for place in (out, *out.parents)}
    names = {path.name for path in ROOT.iterdir()} | {Path(file).name for file in FILES}
    words = {word for line in readme_code() for word in NAME.findall(line)}
    missing = {word for word in words if word.split("/")[0] in TOP and "/" in word and not (ROOT / word).exists()}
    missing = {word for word in missing if word.rstrip("/.") not in made and not _within(word, made)}
    assert missing == set()
    assert {word for word in words if "/" not in word and word.endswith(OUR_ENDINGS)} - names == set()


def _within(word, made):
    """A file in a folder that is one stage's output as a whole."""
    return any(word.startswith(f"{place}/") for place in made if place.count("/") >= 2)
