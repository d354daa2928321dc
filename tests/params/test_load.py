"""Reading `params.yaml` as DVC does, and resolving runs with their recipes."""

import difflib
import math
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.params.load import merged, parse, resolve

COMMITTED = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
NUMBERS = "3e-4 1e3 1.0e-07 1e+3 .5 5. -.5e-3 +.5 .5e3 0e0 1E5 12e03 0x1F 0o17 017 08 0b11 1_000 1_0.5 +1 -0 1e5_0"
WORDS = "1.5e 0.1.2 yes no on off Yes y n true True TRUE tRue null ~ Null NULL nan .nan .NaN .inf -.Inf infinity"
OTHERS = "01 32-true 1:30 1:30:00 2024-01-01 '1' \"3e-4\" e5 1e _1 0x 0o8 - . + ._5"
SCALARS = [text for line in (NUMBERS, WORDS, OTHERS) for text in line.split()]


def same(one: object, other: object) -> bool:
    """Equal, of the same type, with NaN equal to NaN."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_read_as_dvc_reads_them(text: str):
    try:
        expected = parse_yaml(f"a: {text}\n", "params.yaml")["a"]
    except Exception:
        with pytest.raises((yaml.YAMLError, ValueError)):
            parse(f"a: {text}\n")
    else:
        found = parse(f"a: {text}\n")["a"]
        assert same(found, expected), (found, expected)


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"[-+]?[0-9_.]{1,4}([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_numbers_are_read_as_dvc_reads_them(text: str):
    try:
        expected = parse_yaml(f"a: {text}\n", "params.yaml")["a"]
    except Exception:
        return
    assert same(parse(f"a: {text}\n")["a"], expected)


def test_the_committed_file_is_read_as_dvc_reads_it():
    assert parse(COMMITTED) == parse_yaml(COMMITTED, "params.yaml")


@pytest.mark.parametrize(
    "setting",
    [
        "seed=8",
        "recipes.eeg.optimizer.lr=0.01",
        "recipes.faces_keras.ema_decay=0.99",
        "corpora.faces.name=FER-2013",
        "corpora.speech.checksum=md5:bc696df654c87fed845eb13823edef8a",
        "machine.storage_url=sqlite:////shared/studies.db",
        "runs.portraits_cnn.model.use_bilstm=true",
        "studies.faces_custom_cnn.space.optimizer.lr.low=1e-6",
        "+runs.eeg_lstm_mask.batch_size=64",
    ],
)
def test_one_setting_is_one_line_of_the_file(tmp_path: Path, setting: str):
    """The committed file is in the form that DVC writes."""
    (tmp_path / "params.yaml").write_text(COMMITTED, encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", [setting])
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8").splitlines()
    marks = [line[0] for line in difflib.ndiff(COMMITTED.splitlines(), after) if line[0] in "+-"]
    assert marks in (["-", "+"], ["+"])
    assert parse("\n".join(after)) != parse(COMMITTED)


def test_the_file_is_short_enough_to_read():
    lines = COMMITTED.splitlines()
    assert len(lines) <= 600
    assert lines.index("studies:") - next(n for n, line in enumerate(lines) if line.startswith("runs:")) <= 200


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: {b: 1, b: 2}\n", "x: !!python/object:os.system 7\n", "a: [1\n"])
def test_what_dvc_refuses_is_refused(text: str):
    with pytest.raises(yaml.YAMLError):
        parse(text)


def test_a_run_wins_over_its_recipe_key_by_key():
    recipe = {"optimizer": {"name": "adam", "lr": 0.1, "weight_decay": 0.2}, "batch_size": 16, "augmentation": None}
    own = {"optimizer": {"lr": 0.5}, "augmentation": {"name": "faces", "shift": 0.1}}
    assert merged(recipe, own) == {
        "optimizer": {"name": "adam", "lr": 0.5, "weight_decay": 0.2},
        "batch_size": 16,
        "augmentation": {"name": "faces", "shift": 0.1},
    }
    assert recipe["optimizer"] == {"name": "adam", "lr": 0.1, "weight_decay": 0.2}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"name": "sgd_nesterov", "lr": 0.2}, {"name": "sgd_nesterov", "lr": 0.2}),  # no weight_decay of adam's
        ({"name": "adam", "lr": 0.2}, {"name": "adam", "lr": 0.2, "weight_decay": 0.3}),
        (None, None),
        (3, 3),  # for the checks to refuse
    ],
)
def test_a_block_of_another_name_replaces_the_whole_block(own: object, expected: object):
    recipe = {"optimizer": {"name": "adam", "lr": 0.1, "weight_decay": 0.3}}
    assert merged(recipe, {"optimizer": own}) == {"optimizer": expected}


def test_resolved_runs_hold_their_recipes_settings_and_their_models_options():
    content = {
        "recipes": {"r": {"batch_size": 8, "model": "not its to hold", "recipe": "nor this"}},
        "runs": {"a": {"recipe": "r", "model": {"name": "keras_cnn"}}, "b": {"recipe": "absent"}, "c": 3},
    }
    assert resolve(content)["runs"] == {
        "a": {"recipe": "r", "batch_size": 8, "model": {"name": "keras_cnn", "dropout": 0.25}},
        "b": {"recipe": "absent"},
        "c": 3,
    }


def test_malformed_sections_are_left_to_the_checks():
    for content in ({}, {"runs": 3}, {"runs": {"a": {"recipe": "r"}}, "recipes": [1]}, {"runs": {"a": {"recipe": []}}}):
        assert resolve(content) == content
