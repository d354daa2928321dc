"""Rules for the whole project: imports between rooms, declared dependencies, params, file sizes, documentation."""

import ast
import io
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from stages.checks.params import load
from stages.params.load import parse
from stages.params.schema import Params, Recipe, Run, Section

ROOT = Path(__file__).parents[1]
STAGES = ROOT / "stages"
# {room: the other rooms that it may import}. Stage scripts and `apps` may import any room, as may `benchmarks/` and
# `tools/`, which are outside `stages/`.
BASE = ("core", "params", "checks")
PIPELINE_ROOMS = ("synthetic", "corpora", "features", "datasets", "models", "training", "tuning", "evaluation")
ROOMS = {
    "core": (),
    "params": ("core",),
    "checks": ("core", "params"),
    **dict.fromkeys(PIPELINE_ROOMS, BASE),
    "corpora": (*BASE, "synthetic"),  # writes synthetic signals in its own file layout
    "serving": (*BASE, *PIPELINE_ROOMS),
    **dict.fromkeys(("faces", "explain", "export", "experiments"), (*BASE, *PIPELINE_ROOMS, "serving")),
    "live": (*BASE, *PIPELINE_ROOMS, "serving", "faces"),
    "web": (*BASE, *PIPELINE_ROOMS, "serving", "faces", "explain"),
    "apps": None,
}
# A check accepts or refuses and never alters a result, so no stage depends on its code.
CHECKS = "stages/checks/"
SCRIPTS = sorted(path.stem for path in STAGES.glob("[a-z]*.py"))
FILES = sorted(path.relative_to(ROOT).as_posix() for path in STAGES.rglob("*.py"))

PIPELINE = parse((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = load(ROOT / "params.yaml")
TAUGHT = {"corpus": "faces", "dataset": "faces", "teacher": "faces_compact", "teacher_dataset": "faces"}
TAUGHT |= {"weight": 0.5, "temperature": 2.0}


# ---- imports ---------------------------------------------------------------------------------------------------------


@cache
def tree(file):
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def file_of(module):
    """Return the file of a dotted module of this project, or None."""
    path = ROOT / Path(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file.relative_to(ROOT).as_posix()
    return None


def nodes(node, without):
    """Yield all nodes of the tree except functions called `without`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.FunctionDef) and child.name == without):
            yield from nodes(child, without)


@cache
def imported_modules(file, without=None):
    """Return the modules that `file` imports, also inside functions; `from package import module` gives both."""
    modules = set()
    for node in nodes(tree(file), without):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the room"
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(modules)


def imported_files(file, without=None):
    """Return the project's files that `file` imports, without `__init__.py`, which hold no code (tested below)."""
    files = {file_of(module) for module in imported_modules(file, without) if module.split(".")[0] == "stages"}
    return {name for name in files if name and not name.endswith("__init__.py")}


def room(file):
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else None


@pytest.mark.parametrize("file", FILES)
def test_rooms_import_only_allowed_rooms(file):
    own = room(file)
    for other in imported_files(file):
        assert room(other) is not None, f"{file} imports the stage script {other}"
        if own not in (None, "apps"):
            assert room(other) in (own, *ROOMS[own]), f"{file} imports {other}"
        assert room(other) != "apps" or own == "apps", f"{file} imports the app {other}"


def test_every_room_is_in_the_table():
    folders = {path.name for path in STAGES.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders == set(ROOMS)


def test_packages_hold_only_a_docstring():
    """Code in an `__init__.py` would run with every import. The docstring of a room states its input and output."""
    folders = [path for path in STAGES.rglob("*") if path.is_dir() and any(path.glob("*.py"))]
    for folder in [*folders, ROOT / "benchmarks", ROOT / "tools"]:
        body = ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body
        assert len(body) == 1, folder
        assert isinstance(body[0], ast.Expr), folder
        if folder.parent == STAGES:
            assert re.search(r"\bIn(put)?: .*Out(put)?: ", body[0].value.value, re.DOTALL), folder


PACKAGES = sorted({path.parent for path in STAGES.rglob("*.py")} - {STAGES})


@pytest.mark.parametrize("folder", PACKAGES, ids=[path.relative_to(STAGES).as_posix() for path in PACKAGES])
def test_packages_name_their_files(folder):
    """Except where all files are of one kind: 'one file each', 'one file per feature', 'one module with `build`'."""
    text = ast.get_docstring(tree((folder / "__init__.py").relative_to(ROOT).as_posix()))
    names = {path.stem for path in folder.glob("[a-z]*.py")}
    if not re.search(r"\bone (self-contained )?(file each|file per|module with)\b", text):
        assert names - set(re.findall(r"`(\w+)", text)) == set()


def test_files_are_short():
    lines = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in FILES}
    limits = {file: 80 if room(file) in (None, "apps") else 400 for file in FILES}
    assert {file: count for file, count in lines.items() if count > limits[file]} == {}


def test_no_file_is_a_collection_of_utilities():
    assert [file for file in FILES if Path(file).stem in ("utils", "util", "helpers", "misc", "common")] == []


# ---- declared dependencies -------------------------------------------------------------------------------------------


def closure(files, without=None):
    """Return `files` and all that they import, directly or not, without the imports of functions called `without`."""
    visited, waiting = set(), set(files)
    while waiting:
        file = waiting.pop()
        visited.add(file)
        waiting |= {other for other in imported_files(file, without) if not other.startswith(CHECKS)} - visited
    return visited


def rooms_looked_up(files):
    """Return the rooms from which these files import by name: the first argument of lookup.load, build, function."""
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
    """Return {room: name} of the modules that params choose for one item, along run → dataset → corpus."""
    chosen = {"models": None} if section == "distillations" else {}
    if section == "studies":
        chosen |= {"tuning.samplers": None, "tuning.pruners": None}
        section, key = "runs", PARAMS.studies[key].run
    if section == "runs":
        run = PARAMS.runs[key]
        chosen |= {"models": run.model["name"], "training.optimizers": None, "training.schedules": None}
        if run.augmentation:
            chosen["datasets.augmentation"] = run.augmentation["name"]
        section, key = "datasets", run.dataset
    if section == "datasets":
        chosen["features"] = PARAMS.datasets[key].feature["name"]
        section, key = "corpora", PARAMS.datasets[key].corpus
    if section == "corpora":
        chosen |= {"corpora": PARAMS.corpora[key].reader, "datasets.protocols": None}
    return chosen


@cache
def needed(name, section, key):
    """Return the files that a stage runs or reads: those that its script and the modules chosen by params import."""
    without = None if name == "download" else "synthesise"  # only `download` calls it
    files, chosen = closure({f"stages/{name}.py"}, without), choices(section, key)
    while True:
        rooms = [name for name in rooms_looked_up(files) if name in chosen]
        modules = [name if chosen[name] is None else f"{name}.{chosen[name]}" for name in rooms]
        grown = closure(files | {file_of(f"stages.{module}") for module in modules}, without)
        if grown == files:
            return files | data_files(files)
        files = grown


def data_files(files):
    """Return the templates and other files that code in the same folder names, and those that they include."""
    others = {path for path in STAGES.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    readers, visited = {ROOT / file for file in files}, set()
    while readers:
        named = {other for other in others - visited for reader in readers if _names(reader, other)}
        readers, visited = named, visited | named
    return {path.relative_to(ROOT).as_posix() for path in visited}


def _names(reader, other):
    return reader.parent == other.parent and other.name in text_of(reader)


@cache
def text_of(path):
    return path.read_text(encoding="utf-8")


@cache
def stages_of_dvc():
    """Return all stages as DVC resolves them: (name of the template, section of params, key, stage).

    The params have a distillation, which the committed ones lack.
    """
    from dvc.repo import Repo

    stages = []
    with TemporaryDirectory() as folder:
        Repo.init(folder, no_scm=True)
        shutil.copyfile(ROOT / "dvc.yaml", Path(folder, "dvc.yaml"))
        params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
        Path(folder, "params.yaml").write_text(yaml.safe_dump(params | {"distillations": {"taught": TAUGHT}}))
        every = Repo(folder).index.stages
    for stage in every:
        name, _, key = stage.name.partition("@")
        section = PIPELINE["stages"][name].get("foreach", "").strip("${}") or None
        stages.append((name, section, key or None, stage))
    return stages


def code_deps(stage):
    return [dep.def_path for dep in stage.deps if not dep.def_path.endswith(".yaml") and dep.def_path[:7] == "stages/"]


def covers(dep, file):
    return file == dep or file.startswith(f"{dep}/")


def declared_params(stage):
    return [name for dep in stage.params for name in dep.params]


STAGE_NAMES = [stage.name for *_, stage in stages_of_dvc()]


def test_every_script_is_a_stage():
    assert {name for name, *_ in stages_of_dvc()} == set(SCRIPTS)


@pytest.mark.parametrize("resolved", stages_of_dvc(), ids=STAGE_NAMES)
def test_deps_cover_the_code_that_runs(resolved):
    name, section, key, stage = resolved
    deps = code_deps(stage)
    files = {file for file in needed(name, section, key) if room(file) != "checks"}
    assert [file for file in sorted(files) if not any(covers(dep, file) for dep in deps)] == []


@pytest.mark.parametrize("resolved", stages_of_dvc(), ids=STAGE_NAMES)
def test_no_dep_is_unnecessary(resolved):
    name, section, key, stage = resolved
    files = {file for file in needed(name, section, key) if room(file) != "checks"}
    assert [dep for dep in code_deps(stage) if not any(covers(dep, file) for file in files)] == []


def test_every_template_is_a_dep():
    others = {path.relative_to(ROOT).as_posix() for path in STAGES.rglob("*") if path.is_file()}
    others = {name for name in others if not name.endswith((".py", ".pyc"))}
    read = set().union(*(needed(name, section, key) for name, section, key, _ in stages_of_dvc()))
    assert {name for name in others - read if not name.startswith(("stages/serving/", "stages/export/"))} == set()


KEYS = {"key", *(f"item.{name}" for name in ("corpus", "dataset", "run", "teacher", "teacher_dataset"))}


def test_commands_contain_only_keys_of_params():
    """The shell would run a value such as `x; rm -r ~`."""
    for name, stage in PIPELINE["stages"].items():
        command = stage.get("do", stage)["cmd"]
        inserted = set(re.findall(r"\$\{([^}]*)\}", command))
        assert inserted <= {"key", "item.corpus", "item.dataset", "item.run", "item.teacher", "item.teacher_dataset"}, (
            name
        )


def test_no_stage_depends_on_the_machine():
    for *_, stage in stages_of_dvc():
        assert [name for name in declared_params(stage) if name.split(".")[0] == "machine"] == []


def test_runs_with_different_paddings_share_their_split():
    """`eeg_zero` and `eeg_average` use the same trials, whatever their settings."""
    stages = {stage.name: stage for *_, stage in stages_of_dvc()}
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
    """Dotted paths of the params whose values a stage has read (`read`), or dumped with their section (`dumped`)."""

    def __init__(self):
        self.read, self.dumped, self._paths, self._kept, self._recipes = set(), set(), {}, [], {}

    def watch(self, params):
        self._kept.append(params)  # kept alive, so that no other object gets its id
        self._register(params, ())
        return params

    def _register(self, value, path):
        if isinstance(value, Run):  # keys that it lacks come from its recipe
            self._recipes[path] = ("recipes", value.recipe)
        if isinstance(value, Section):
            self._paths[id(value)] = path
            for name in type(value).model_fields:
                self._register(value.__dict__[name], (*path, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                self._register(item, (*path, key))

    def add_copy(self, section, copy):
        """Count reads of the copy as reads of the section."""
        if id(section) in self._paths:
            self._paths[id(copy)] = self._paths[id(section)]
            self._kept.append(copy)

    def add(self, section, name, into):
        """Add the path of a setting to `into`, which is `read` or `dumped`."""
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
                self.add(value, inner, into)


@pytest.fixture(scope="module")
def reads(make_clone, tmp_path_factory):
    """Return {stage: Reads} of all stages, run in this process on faces, synthetic and as real data, and on speech."""
    from conftest import as_real_folder, only_speech, shrink

    clone = make_clone()
    clone.edit_params(shrink)
    clone.edit_params(lambda params: [params["runs"].pop(key) for key in list(params["runs"])[1:]])
    clone.edit_params(lambda params: params["splits"]["faces"].update(validation_fraction=0.25))
    clone.edit_params(add_ensemble_and_distillation)
    reads_of = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone.root)
        _run_stages(clone, reads_of, patch)
        archive = as_real_folder(clone, tmp_path_factory.mktemp("real") / "faces.zip")
        real = {"source": str(archive), "name": "FER-2013"}
        clone.edit_params(lambda params: params["corpora"]["faces"].update(real))
        _run_stages(clone, reads_of, patch)
        clone.edit_params(only_speech)
        _run_stages(clone, reads_of, patch)
    return reads_of


def add_ensemble_and_distillation(params):
    """Add a second run that equals the first, without its comments, an ensemble of both, and a distillation."""
    own_loss = {"loss": {"label_smoothing": 0.0}}  # the default one is an object that all runs share
    params["runs"]["twin"] = json.loads(json.dumps(next(iter(params["runs"].values())))) | own_loss
    members = {"corpus": "faces", "members": list(params["runs"]), "weights": "validation"}
    params["ensembles"] = {"both": members}
    params["distillations"] = {"taught": TAUGHT | {"teacher": "twin"}}


def _run_stages(clone, reads_of, patch):
    from dvc.repo import Repo

    stages = {stage.addressing: stage for stage in Repo(str(clone.root)).index.stages}
    for script in ("download", "prepare", "split", "train", "evaluate", "distil", "tune", "ensemble", "report"):
        for name, stage in stages.items():
            if name.split("@")[0] == script:
                reads, _ = reads_of.setdefault(name, (Reads(), stage))
                _run_stage(script, shlex.split(stage.cmd), reads, patch)


def _run_stage(script, command, reads, patch):
    module = import_module(f"stages.{script}")

    def attribute(section, name, original=Section.__getattribute__):
        if name in type(section).model_fields:
            reads.add(section, name, reads.read)
        return original(section, name)

    def dump(section, *args, exclude=frozenset(), original=Section.model_dump, **more):
        for name in set(type(section).model_fields) - set(exclude):
            reads.add(section, name, reads.dumped)
        return original(section, *args, exclude=set(exclude), **more)

    def model_copy(section, original=Section.model_copy, **more):
        copy = original(section, **more)
        reads.add_copy(section, copy)
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


def test_stages_declare_the_params_that_they_read(reads):
    unknown = {
        name: sorted(
            path
            for path in used.read | used.dumped
            if not path.startswith("machine.") and not any(under(path, declared) for declared in declared_params(stage))
        )
        for name, (used, stage) in reads.items()
    }
    assert {name: paths for name, paths in unknown.items() if paths} == {}


def starred(path):
    """Replace the key of an item by a star: corpora.faces.name → corpora.*.name."""
    return re.sub(r"^(corpora|datasets|splits|recipes|runs|studies|ensembles|distillations)\.[^.]+", r"\1.*", path)


def test_stages_read_the_params_that_they_declare(reads):
    """For at least one item of a section: only faces are also read as a real corpus."""
    declared, read = {}, {}
    for name, (used, stage) in reads.items():
        script = name.split("@")[0]
        declared.setdefault(script, set()).update(map(starred, declared_params(stage)))
        read.setdefault(script, set()).update(map(starred, used.read | used.dumped))
    unread = {
        script: [path for path in paths if not any(under(other, path) for other in read[script])]
        for script, paths in declared.items()
    }
    assert {script: paths for script, paths in unread.items() if paths} == {}


def leaves(schema, path=()):
    """Yield the dotted paths of all settings, with * for the items of a section."""
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
    """Yield the settings that dvc.yaml itself reads, such as `recipes.${item.recipe}`."""
    for stage in PIPELINE["stages"].values():
        section = stage.get("foreach", "").strip("${}")
        yield from (f"{section}.*.{name}" for name in re.findall(r"item\.(\w+)", str(stage)))


def test_every_param_is_read_by_a_stage(reads):
    """Dumping a whole section does not count, since it does not show that a setting has an effect."""
    read = set().union(*(used.read for used, _ in reads.values()))
    assert set(leaves(Params)) - set(map(starred, read)) - set(read_by_dvc()) == set()


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
def test_importing_a_stage_loads_no_unused_library(script):
    program = f"import sys, stages.{script}\nprint([name for name in {HEAVY[script]!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- requirements ----------------------------------------------------------------------------------------------------

# Pinned although no file imports them: the reason.
TOOLS = {
    "dvc": "the command that runs the pipeline",
    "ruamel.yaml.clib": "makes DVC read YAML faster",
    "tabulate": "pandas needs it for tables as text",
    "psycopg": "driver of PostgreSQL, for machine.storage_url",
    "tensorboard": "PyTorch's SummaryWriter needs it, and `make tensorboard` runs it",
}
# Development requirements, which only `make bench` imports.
BENCHMARK_ONLY = ("librosa",)


def pinned():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return {re.split(r"[=<>!~\[ ]", line)[0].lower(): line for line in lines if line}


def test_every_requirement_is_pinned():
    assert [line for line in pinned().values() if "==" not in line] == []


def test_requirements_are_the_imported_packages():
    outside = [
        path.relative_to(ROOT).as_posix() for place in ("benchmarks", "tools") for path in (ROOT / place).glob("*.py")
    ]
    tops = {module.split(".")[0] for file in (*FILES, *outside) for module in imported_modules(file)}
    foreign = {
        top for top in tops if top not in ("stages", "benchmarks", "tools") and top not in sys.stdlib_module_names
    }
    owners = packages_distributions()
    # a module such as `cv2` may belong to several distributions; one must be pinned
    used = {top: {name.lower() for name in owners.get(top, [])} for top in foreign}
    known = set(pinned())
    assert {top: names for top, names in used.items() if not names & (known | set(BENCHMARK_ONLY))} == {}
    assert known - set().union(*used.values()) - set(TOOLS) == set()


# ---- documentation ---------------------------------------------------------------------------------------------------

# Names in the documentation that must exist: paths below these folders, and names without a folder that have one of
# these endings (`fer2013.csv` is a user's file).
TOP = ("stages", "data", "metrics", "plots", "tests", "docs", "benchmarks", "tools", "notebooks", ".dvc")
NAME = re.compile(r"(?<![\w./:<>{}*…-])\.?\w[\w./-]*(?![\w./<{*…$-])")
ENDINGS = (".py", ".yaml", ".toml", ".md", ".txt", ".lock", ".ipynb")


FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)((?:(?: {4}.*|[ ]*)\n)+)")  # Markdown requires an empty line before


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def documentation():
    """Return the text of README.md, CONTRIBUTING.md and docs/."""
    return "\n\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS) + "\n"


@cache
def code_blocks():
    """Return the lines of all code blocks, fenced or indented; a command on several lines is one line."""
    text = documentation()
    blocks = FENCED.findall(text) + INDENTED.findall(FENCED.sub("", text))
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line]


@cache
def documented_code():
    """Return the lines of code blocks, and inline code."""
    text = FENCED.sub("", documentation())
    return code_blocks() + re.findall(r"`([^`\n]+)`", INDENTED.sub("", text))


def settings_of(line):
    """Return the settings after -S in the command of an experiment."""
    words = shlex.split(line) if "dvc exp run" in line else []
    return [value for option, value in itertools.pairwise(words) if option in ("-S", "--set-param")]


def test_documents_have_commands():
    """Otherwise the tests below would pass without testing anything."""
    blocks = code_blocks()
    assert {"make repro", "make test", "dvc repro"} <= set(blocks)
    assert len([line for line in blocks if line.startswith("dvc ")]) >= 5
    assert len([value for line in blocks for value in settings_of(line)]) >= 4
    assert any(value.startswith("+runs.") for line in blocks for value in settings_of(line))


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_links_are_valid(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_readme_links_every_document():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in DOCUMENTS[1:] if path.name not in text] == []


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for line in documented_code() for target in re.findall(r"(?:^|[;&|] *)make ([a-z][\w-]*)", line)}
    assert named - targets == set()


def test_documented_modules_exist():
    named = {
        module for line in documented_code() for module in re.findall(r"-m ((?:stages|benchmarks|tools)[\w.]*)", line)
    }
    assert {module for module in named if file_of(module) is None} == set()


COMMAND = re.compile(r"-m ((?:stages|benchmarks|tools)\.[\w.]+)([^|;&]*)")
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
# Options of `dvc exp run` that the documentation names without it.
FOREIGN = {"--queue", "--temp"}


@cache
def options_of(module, *subcommand):
    """Return the options in the usage line of a command, or of its subcommand."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr(sys, "argv", [module, *subcommand, "--help"])
        with pytest.raises(SystemExit):
            import_module(module).main()
    return set(OPTION.findall(printed.getvalue().split("\n\n")[0]))


def documented_options():
    """Yield (module, subcommand, option) of the commands in the documentation, each once."""
    found = {}
    for line in documented_code():
        for module, rest in COMMAND.findall(line):
            words = rest.split()
            subcommand = words[:1] if module == "stages.apps.reference" and words else []
            for option in OPTION.findall(rest):
                found[module, *subcommand, option] = None
    return list(found)


@pytest.mark.parametrize("command", documented_options(), ids=" ".join)
def test_documented_options_exist(command):
    *words, option = command
    assert option in options_of(*words), f"documentation: {' '.join(words)} has no option {option}"


def test_options_documented_alone_exist():
    """`--explain` in a sentence belongs to one of the apps."""
    alone = {o for line in documented_code() if line.startswith("-") for o in OPTION.findall(line.split()[0])}
    apps = [path.stem for path in (STAGES / "apps").glob("[a-z]*.py")]
    known = set().union(*(options_of(f"stages.apps.{name}") for name in apps))
    assert len(alone) > 4
    assert alone - known - FOREIGN == set()


def test_documented_params_exist():
    """`-S a.b=1` is for a key that exists, `+a.b` for a new one. <…> and {…} are placeholders."""
    for line in documented_code():
        for sign, key in re.findall(r"(?:-S|--set-param)[ =]['\"]?([+~]*)([\w.]+)=", line):
            block = PARAMS.model_dump()
            *folders, last = key.split(".")
            for part in folders:
                assert part in block, f"documentation: -S {key}: {part} is no key of params.yaml"
                block = block[part]
            assert "+" in sign or last in block, f"documentation: -S {key}: {last} is no key of params.yaml"


@pytest.mark.parametrize("command", [line for line in code_blocks() if settings_of(line)])
def test_documented_settings_are_valid(command, tmp_path):
    """DVC applies them to the committed params; a queue with a list of values gives one file for each."""
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    path, changed = tmp_path / "params.yaml", []
    for sweep in get_hydra_sweeps({"params.yaml": settings_of(command)}):
        shutil.copyfile(ROOT / "params.yaml", path)
        apply_overrides(path, sweep["params.yaml"])
        changed.append(load(path))
    assert any(params != PARAMS for params in changed), "no setting changes"


def test_documented_files_exist():
    """Outputs of stages need not exist yet. <…>, {…} and * are placeholders."""
    outputs = [Path(out.def_path) for *_, stage in stages_of_dvc() for out in stage.outs]
    outputs += [Path("data/checkpoints/x"), Path("data/logs/x")]
    outputs += [Path(f"data/studies/{study}.journal") for study in PARAMS.studies]
    made = {folder.as_posix() for out in outputs for folder in (out, *out.parents)}
    names = {path.name for path in ROOT.iterdir()} | {Path(file).name for file in FILES}
    words = {word for line in documented_code() for word in NAME.findall(line)}
    missing = {word for word in words if word.split("/")[0] in TOP and "/" in word and not (ROOT / word).exists()}
    missing = {word for word in missing if word.rstrip("/.") not in made and not _within(word, made)}
    assert missing == set()
    assert {word for word in words if "/" not in word and word.endswith(ENDINGS)} - names == set()


def _within(word, made):
    """Return whether a path is in a folder that is the output of a stage."""
    return any(word.startswith(f"{folder}/") for folder in made if folder.count("/") >= 2)
