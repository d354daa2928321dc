"""Parsing `params.yaml` as DVC does, and merging runs with their recipes."""

import difflib
import math
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from yaml import YAMLError

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
def test_scalars_are_parsed_as_by_dvc(text: str):
    try:
        expected = parse_yaml(f"a: {text}\n", "params.yaml")["a"]
    except Exception:
        with pytest.raises((YAMLError, ValueError)):
            parse(f"a: {text}\n")
    else:
        assert same(parse(f"a: {text}\n")["a"], expected)


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"[-+]?[0-9_.]{1,4}([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_numbers_are_parsed_as_by_dvc(text: str):
    try:
        expected = parse_yaml(f"a: {text}\n", "params.yaml")["a"]
    except Exception:
        return
    assert same(parse(f"a: {text}\n")["a"], expected)


def test_committed_file_is_parsed_as_by_dvc():
    assert parse(COMMITTED) == parse_yaml(COMMITTED, "params.yaml")


@pytest.mark.parametrize(
    "setting",
    [
        "seed=8",
        "recipes.eeg.optimizer.lr=0.01",
        "corpora.speech.checksum=md5:bc696df654c87fed845eb13823edef8a",
        "studies.faces_custom_cnn.space.optimizer.lr.low=1e-6",
        "+runs.eeg_lstm_mask.batch_size=64",
    ],
)
def test_one_setting_changes_one_line(tmp_path: Path, setting: str):
    """The committed file is in the form that DVC writes back."""
    (tmp_path / "params.yaml").write_text(COMMITTED, encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", [setting])
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8").splitlines()
    marks = [line[0] for line in difflib.ndiff(COMMITTED.splitlines(), after) if line[0] in "+-"]
    assert marks in (["-", "+"], ["+"])
    assert parse("\n".join(after)) != parse(COMMITTED)


def test_committed_file_stays_short():
    lines = COMMITTED.splitlines()
    assert len(lines) <= 600
    assert lines.index("studies:") - next(n for n, line in enumerate(lines) if line.startswith("runs:")) <= 200


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: {b: 1, b: 2}\n", "x: !!python/object:os.system 7\n", "a: [1\n"])
def test_rejects_invalid_yaml(text: str):
    with pytest.raises(YAMLError):
        parse(text)


ADAM = {"name": "adam", "lr": 0.1, "weight_decay": 0.3}


@pytest.mark.parametrize(
    ("block", "own", "expected"),
    [
        (ADAM, {"lr": 0.5}, {"name": "adam", "lr": 0.5, "weight_decay": 0.3}),
        (ADAM, {"name": "adam", "lr": 0.2}, {"name": "adam", "lr": 0.2, "weight_decay": 0.3}),
        (ADAM, {"name": "sgd_nesterov", "lr": 0.2}, {"name": "sgd_nesterov", "lr": 0.2}),  # without adam's weight_decay
        (ADAM, None, None),
        (ADAM, 3, 3),  # the checks reject it
        (None, {"name": "faces", "shift": 0.1}, {"name": "faces", "shift": 0.1}),
    ],
)
def test_run_overrides_key_by_key_or_by_name(block: object, own: object, expected: object):
    assert merged({"block": block, "batch_size": 16}, {"block": own}) == {"block": expected, "batch_size": 16}


def test_resolved_run_has_recipe_settings_and_model_defaults():
    content = {
        "recipes": {"r": {"batch_size": 8, "model": "ignored", "recipe": "ignored"}},
        "runs": {"a": {"recipe": "r", "model": {"name": "keras_cnn"}}, "b": {"recipe": "absent"}, "c": 3},
    }
    assert resolve(content)["runs"] == {
        "a": {"recipe": "r", "batch_size": 8, "model": {"name": "keras_cnn", "dropout": 0.25}},
        "b": {"recipe": "absent"},
        "c": 3,
    }


def test_resolve_leaves_malformed_sections_unchanged():
    for content in ({}, {"runs": 3}, {"runs": {"a": {"recipe": "r"}}, "recipes": [1]}, {"runs": {"a": {"recipe": []}}}):
        assert resolve(content) == content
