"""Names in params.yaml refer to files and functions; their options are read from the source without import."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from stages.core import lookup
from stages.core.errors import UserError
from stages.core.labels import EMOTIONS
from stages.params.options import options_of

ROOT = Path(__file__).parents[2]
EVERY = [(room, name) for room in (*lookup.ENTRY, *lookup.FUNCTIONS) for name in lookup.names(room)]


def test_choices_are_public_entry_functions_and_files_with_one():
    assert {"keras_cnn", "custom_cnn"} <= set(lookup.names("models"))
    assert {"adam", "adamw", "sgd_nesterov", "rmsprop"} <= set(lookup.names("training.optimizers"))
    assert not any(name.startswith("_") for _, name in EVERY)
    assert "derive" not in lookup.names("datasets.protocols")  # imported there


@pytest.mark.parametrize(("room", "name"), EVERY)
def test_options_equal_imported_signature(room, name):
    is_function = room in lookup.FUNCTIONS
    entry = lookup.function(room, name) if is_function else getattr(lookup.load(room, name), lookup.ENTRY[room])
    parameters = inspect.signature(entry).parameters.values()
    keywords = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    options = options_of(room, name)
    assert {key: inspect.Parameter.empty if value is ... else value for key, (_, value) in options.items()} == keywords
    for key, (kind, default) in options.items():
        assert kind is not None, f"{room}.{name}.{key} has no type"
        if default is not ...:
            TypeAdapter(kind).validate_python(default, strict=True)


def test_constants_are_read_from_source():
    assert lookup.constants("models", "keras_cnn")["HALVINGS"] == {"height": 3, "width": 3}
    assert lookup.constants("corpora", "speech_folder")["CODES"] == EMOTIONS  # by its name in core.labels
    assert "ACTIVATIONS" not in lookup.constants("models", "custom_cnn")  # not a literal


@pytest.mark.parametrize("value", [1.0, -0.1, "0.5", True])
def test_option_type_rejects_invalid_values(value):
    kind, _ = options_of("models", "custom_cnn")["dropout"]
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value, strict=True)


def test_build_passes_options_to_entry_function():
    weights = [torch.nn.Parameter(torch.zeros(2))]
    made = lookup.build("training.optimizers", {"name": "adam", "lr": 0.5, "beta_1": 0.8}, weights)
    assert (made.defaults["lr"], made.defaults["betas"]) == (0.5, (0.8, 0.999))


@pytest.mark.parametrize("name", ["nosuch", "__init__", "archive.fetch", "../core/files", "images", ""])
def test_load_rejects_other_modules(name):
    """A name may come from an untrusted file."""
    with pytest.raises(UserError, match="unknown name"):
        lookup.load("corpora", name)


def test_checking_params_imports_no_heavy_library():
    program = (
        "import sys\nfrom pathlib import Path\nfrom stages.checks.params import load\nload(Path('params.yaml'))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'lightning', 'cv2', 'sklearn')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
