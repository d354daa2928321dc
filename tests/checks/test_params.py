"""Validation of params.yaml: each mistake gives one line with its place, what is allowed and what was received."""

import contextlib
import copy
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_params import FEATURE, GROUPED, MEL, MISSING, RECIPE, RUN, SMALL, assert_mistake, changed, mistakes, write

from stages.checks import params
from stages.core import lookup
from stages.core.errors import UserError

ROOT = Path(__file__).parents[2]
COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")


# The run becomes one of `dual_attention`, whose images are in colour.
PORTRAITS = {f"{RUN}.model": {"name": "dual_attention", "backbone": "resnet18"}, f"{FEATURE}.color": "rgb"}


def test_committed_file_is_valid_and_offline():
    loaded = params.load(ROOT / "params.yaml")
    assert {corpus.source for corpus in loaded.corpora.values()} == {"synthetic"}


def test_small_file_is_valid(tmp_path):
    assert params.load(write(tmp_path, SMALL)).runs["faces_custom_cnn"].optimizer["lr"] == 0.001


# (path, value, what the message contains): the mistake is reported at the same path.
ONE_VALUE = [
    # unknown keys
    ("sead", 7, "unknown key", "'seed'", "allowed: seed, machine"),
    ("machine.treads", 2, "unknown key", "'threads'"),
    (f"{RUN}.wibble", 2, "unknown key", "ema_decay, corpus, dataset, model, recipe"),
    ("corpora.faces.synthetic.sise", 2, "unknown key", "'size'", "allowed: seed, size, size_px"),
    (f"{RECIPE}.schedule.gama", 0.5, "unknown key", "'gamma'", "allowed: step_epochs, gamma"),
    # wrong types
    (f"{RECIPE}.optimizer.lr", True, "a number", "received: true"),
    (f"{RECIPE}.batch_size", 3.5, "a whole number", "3.5"),
    (f"{RECIPE}.batch_size", None, "a whole number", "null"),
    (f"{RUN}.model.residual", 1, "true or false", "1"),
    (f"{RUN}.model.widths", 32, "a list", "32"),
    (f"{RECIPE}.gradient_clip_norm", "x", "a number or null", "'x'"),
    ("corpora.faces.name", 2013, "text or null", "2013"),
    ("seed", date(2024, 1, 1), "a whole number", "datetime.date(2024, 1, 1)"),
    # ranges
    (f"{RECIPE}.optimizer.lr", -1, "more than 0", "-1"),
    (f"{RECIPE}.optimizer.lr", float("inf"), "a finite number", "inf"),
    (f"{RUN}.model.dropout", 1.0, "less than 1", "1.0"),
    (f"{RECIPE}.gradient_clip_norm", 0, "more than 0 or null", "0"),
    (f"{RECIPE}.ema_decay", 1, "less than 1 or null", "1"),
    (f"{RECIPE}.loss.mixup", 0, "0.01 or more or null", "0"),
    (f"{RECIPE}.batch_size", 1, "2 or more", "1"),
    ("seed", -1, "0 or more", "-1"),
    ("splits.faces.validation_fraction", 0.7, "0.5 or less", "0.7"),
    ("machine.devices", 0, "more than 0 or 'auto'", "0"),
    ("machine.devices", "aut", "a whole number or 'auto'", "Did you mean 'auto'?"),
    # words from a fixed list
    (f"{RECIPE}.precision", "32", "'32-true', 'bf16-mixed', '16-mixed' or 'auto'", "'32'"),
    (f"{RECIPE}.monitor", "validation_acuracy", "Did you mean 'validation_accuracy'?"),
    (f"{RECIPE}.loss.class_weights", "blanced", "'none' or 'balanced' or a mapping", "Did you mean 'balanced'?"),
    # unknown and missing names
    (f"{RUN}.model.name", "custom_cn", "unknown name", "'custom_cnn'", "MODELS"),
    (f"{RUN}.model.name", MISSING, "missing", "MODELS"),
    (f"{RUN}.model.name", ["x"], "unknown name", "['x']"),
    ("corpora.faces.reader", "fer2031", "unknown name", "'fer2013'"),
    ("splits.faces.protocol", "oficial", "unknown name", "'official'"),
    # missing keys
    ("prepare", MISSING, "missing"),
    ("splits.faces", MISSING, "missing"),
    ("corpora", MISSING, "missing"),
    # a scalar, or nothing, in place of a section
    ("machine", None, "a mapping", "null"),
    ("corpora.faces", "synthetic", "a mapping", "'synthetic'"),
    ("runs", {}, "1 or more", "{}"),
    (f"{RECIPE}.loss", "none", "a mapping", "'none'"),
    (f"{RUN}.model", "custom_cnn", "a mapping {name: …, <option>: …}", "'custom_cnn'"),
    (f"{RECIPE}.augmentation", "faces", "a mapping {name: …, <option>: …} or null", "'faces'"),
    ("corpora.faces.classes", ["happy"], "2 or more", "['happy']"),
    # keys that cannot form stage names and paths
    ("runs.Faces", SMALL["runs"]["faces_custom_cnn"], "a key (text)", "'Faces'"),
]

# (changes, place, what the message contains)
OTHER_PLACE = [
    ({f"{RUN}.model.widths": [32, "a"]}, f"{RUN}.model.widths.1", "a whole number", "'a'"),
    ({f"{RECIPE}.schedule": {"name": "constant", "lr": 1.0}}, f"{RECIPE}.schedule.lr", "unknown key", "allowed: none"),
    ({**PORTRAITS, f"{RUN}.model.spatial_kernel": 4}, f"{RUN}.model.spatial_kernel", "an odd number", "4"),
    ({**PORTRAITS, f"{RUN}.model.pretrained": "imagnet"}, f"{RUN}.model.pretrained", "a state dict", "'imagenet'?"),
    ({"corpora.faces.classes": ["angry", "hapy"]}, "corpora.faces.classes.1", "'arithmetic'", "Did you mean 'happy'?"),
    ({f"{RECIPE}.loss.class_weights": {"angry": 1.0, "happy": 1.0, "sad": -1.0}},
     f"{RECIPE}.loss.class_weights.sad", "more than 0", "-1.0"),
    ({"corpora.faces.class_names": {"0": "hapy"}}, "corpora.faces.class_names.0", "'ignore'", "Did you mean 'happy'?"),
    ({"corpora.faces.class_names": ["angry"]}, "corpora.faces.class_names", "a mapping or null", "['angry']"),
    ({"corpora.faces.labels": "majorty"}, "corpora.faces.labels", "'distribution'", "Did you mean 'majority'?"),
    ({"runs": {3: SMALL["runs"]["faces_custom_cnn"]}}, "runs.3", "a key (text)", "3"),
    ({"splits.faces": {**GROUPED, "folds": 1}}, "splits.faces.folds", "2 or more or null", "1"),
    ({"splits.faces": {**GROUPED, "test_groups": [[1], ["b"]]}}, "splits.faces.test_groups.0.0", "text", "1"),
    ({"splits.faces": {**GROUPED, "test_groups": [["a"], []]}}, "splits.faces.test_groups.1", "1 or more", "[]"),
    ({FEATURE: {**MEL, "n_mels": 0}}, f"{FEATURE}.n_mels", "more than 0", "0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "place", "parts"),
    [*(({path: value}, path, parts) for path, value, *parts in ONE_VALUE), *((c, p, ps) for c, p, *ps in OTHER_PLACE)],
)
def test_one_mistake_gives_one_line(tmp_path, changes, place, parts):
    parts = [part.replace("MODELS", ", ".join(lookup.names("models"))) for part in parts]
    assert_mistake(tmp_path, changed(**changes), place, *parts)


def test_all_mistakes_at_once(tmp_path):
    wrong = {"sead": 1, f"{RECIPE}.batch_size": 0, f"{RECIPE}.optimizer.lr": "x", "splits.faces": MISSING}
    content = changed(**wrong)
    assert {line.split(":")[0] for line in mistakes(tmp_path, content)} == wrong.keys()


def test_reports_the_recipe_of_a_run_where_there_are_none(tmp_path):
    assert_mistake(tmp_path, changed(recipes={}), f"{RUN}.recipe", "unknown name")


@pytest.mark.parametrize(
    "where",
    ["", "machine.", "runs.", "corpora.", "datasets.", "splits.", f"{RUN}.", f"{RUN}.model.", f"{RECIPE}.optimizer."],
)
@pytest.mark.parametrize("value", [1, {"name": "x"}], ids=["scalar", "mapping"])
def test_key_may_look_like_pydantics_marker(tmp_path, where, value):
    """Pydantic writes "[key]" where a key itself is wrong; a user's key may have that name."""
    assert any("[key]" in line for line in mistakes(tmp_path, changed(**{f"{where}[key]": value})))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["allowed: a mapping with seed, machine", "an empty file"]),
        ("- seed\n- 7\n", ["received: ['seed', 7]"]),
        ("seed: 7\nseed: 8\n", ["line 2: not valid YAML", "duplicate key 'seed'"]),
        ("seed: [7\n", ["line 2: not valid YAML", "expected ',' or ']'"]),
        ("seed: 7\n\tmachine: 3\n", ["line 2: not valid YAML", "tab"]),
        ("seed: !!python/object:os.system 7\n", ["line 1: not valid YAML", "python/object:os.system"]),
        ("seed: 2024-13-45\n", ["not valid YAML", "month"]),
    ],
)
def test_rejects_text_that_is_not_a_mapping(tmp_path, text, parts):
    (line,) = mistakes(tmp_path, text)
    assert [part for part in parts if part not in line] == [], line


@pytest.mark.parametrize("content", [b"seed: \xff\n", b"\x00\x01", b"[" * 700, b"seed: " + b"9" * 5000])
def test_rejects_hostile_bytes(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError):
        params.load(path)


def test_nested_aliases_stay_short(tmp_path):
    """Ten levels of ten aliases are 10^10 entries when written out."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert len(mistakes(tmp_path, "\n".join(levels) + "\nseed: *a9\n")) > 10


def test_control_characters_in_keys_are_escaped(tmp_path):
    (line,) = mistakes(tmp_path, changed(**{"a\nb\x1b[2J": 1}))
    assert line.startswith(r"a\nb\x1b[2J: unknown key")


@pytest.mark.parametrize("number", ["3e-4", "1e-3", "5.0E-4", "1e-07"])
def test_accepts_numbers_as_dvc_writes_them(tmp_path, number):
    text = COMMITTED.replace("lr: 0.001", f"lr: {number}", 1)
    assert text != COMMITTED
    assert params.load(write(tmp_path, text)).runs["faces_keras_cnn"].optimizer["lr"] == float(number)


def check(path):
    command = [sys.executable, "-m", "stages.checks.params", path]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_command_reports_counts_or_each_mistake(tmp_path):
    path = write(tmp_path, SMALL)
    done = check(path)
    counts = "1 corpora, 1 datasets, 1 recipes, 1 runs, 0 studies, 0 ensembles, 0 distillations"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path} is valid ({counts})\n", "")
    done = check(write(tmp_path, changed(seed=-1, sead=7)))
    assert (done.returncode, done.stdout) == (1, "")
    places = [line.split(": ")[:3] for line in done.stderr.splitlines()]
    assert places == [["error", str(path), "seed"], ["error", str(path), "sead"]]


def places(content, path=()):
    """Yield the path of every leaf and subtree."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.binary(max_size=4),
    st.sampled_from(["name", "none", "int", "faces", "custom_cnn", "dict[str,x]", "[key]", ".", "a.b"]),
)  # fmt: skip
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars.filter(lambda k: k == k), inner, max_size=3),
    max_leaves=6,
)
FORMS = [{}, {FEATURE: MEL, "splits.faces": {**GROUPED, "test_groups": [["a"], ["b", "c"]]}}]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_junk_anywhere_raises_user_error_only(monkeypatch, data):
    content = copy.deepcopy(changed(**data.draw(st.sampled_from(FORMS))))
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(list(places(content))))
        parent = content
        for key in parents:
            parent = parent[key]
        if isinstance(parent, dict) and data.draw(st.booleans()):
            parent[data.draw(scalars)] = data.draw(junk)
        else:
            parent[last] = data.draw(junk)
    lines = []
    with monkeypatch.context() as patch:
        patch.setattr(params, "_read", lambda _: content)
        try:
            params.load(Path("params.yaml"))
        except UserError as error:
            lines = str(error).splitlines()
    assert all(line.startswith("params.yaml: ") for line in lines)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_text_raises_user_error_only(tmp_path, data):
    start = data.draw(st.integers(0, len(COMMITTED)))
    length = data.draw(st.integers(0, 20))
    inserted = data.draw(st.text(alphabet="abz019 \n\t:-[]{}&*!|>'\"%@`#?,.~\\\x00é", max_size=6))
    with contextlib.suppress(UserError):
        params.load(write(tmp_path, COMMITTED[:start] + inserted + COMMITTED[start + length :]))
