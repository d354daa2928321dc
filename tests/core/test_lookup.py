"""Names in params.yaml stand for files and functions; their options are read off the source, unimported."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from stages.core import lookup
from stages.core.errors import UserError
from stages.core.labels import EMOTIONS
from stages.params.options import options_of
from stages.params.schema import Section

ROOT = Path(__file__).parents[2]
ROOMS = (*lookup.ENTRY, *lookup.FUNCTIONS)
EVERY = [(room, name) for room in ROOMS for name in lookup.names(room)]


def entry(room, name):
    if room in lookup.FUNCTIONS:
        return lookup.function(room, name)
    return getattr(lookup.load(room, name), lookup.ENTRY[room])


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_offers_something(room):
    assert lookup.names(room)


def test_known_names():
    assert {"keras_cnn", "custom_cnn"} <= set(lookup.names("models"))
    assert {"adam", "adamw", "sgd_nesterov", "rmsprop"} <= set(lookup.names("training.optimizers"))
    assert "fer2013" in lookup.names("corpora")


def test_helpers_of_a_room_are_no_choice():
    """A file without the entry function, a private function and an imported name are not offered."""
    assert "images" not in lookup.names("corpora")
    assert not any(name.startswith("_") for _, name in EVERY)
    assert "derive" not in lookup.names("datasets.protocols")


@pytest.mark.parametrize(("room", "name"), EVERY)
def test_every_name_imports_and_its_options_are_those_of_its_signature(room, name):
    signature = inspect.signature(entry(room, name))
    keywords = {key: p for key, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}
    options = options_of(room, name)
    assert options.keys() == keywords.keys()
    for key, (_, default) in options.items():
        declared = keywords[key].default
        assert default == (... if declared is inspect.Parameter.empty else declared)


@pytest.mark.parametrize(("room", "name"), EVERY)
def test_defaults_are_of_the_declared_type(room, name):
    for key, (kind, default) in options_of(room, name).items():
        if default is not ...:
            TypeAdapter(kind, config=None).validate_python(default, strict=True)
        assert kind is not None, f"{room}.{name}.{key} has no type"


def test_constants_are_read_off_the_source():
    assert lookup.constants("models", "keras_cnn")["HALVINGS"] == {"height": 3, "width": 3}
    assert lookup.constants("corpora", "speech_folder")["CODES"] == EMOTIONS  # by its name in core.labels
    assert "ACTIVATIONS" not in lookup.constants("models", "custom_cnn")  # no literal


def test_options_are_checked_as_declared():
    kind, _ = options_of("models", "custom_cnn")["dropout"]
    for wrong in (1.0, -0.1, "0.5", True):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(wrong, strict=True)


def test_build_calls_the_entry_with_the_options():
    import torch

    weights = [torch.nn.Parameter(torch.zeros(2))]
    made = lookup.build("training.optimizers", {"name": "adam", "lr": 0.5, "beta_1": 0.8}, weights)
    assert made.defaults["lr"] == 0.5
    assert made.defaults["betas"] == (0.8, 0.999)


@pytest.mark.parametrize("name", ["nosuch", "__init__", "archive.fetch", "../core/files", "images", ""])
def test_only_choices_are_loaded(name):
    """A name may come from a file: nothing else is imported."""
    with pytest.raises(UserError, match="unknown name"):
        lookup.load("corpora", name)


def test_checking_params_imports_no_model():
    program = (
        "import sys\nfrom pathlib import Path\nfrom stages.checks.params import load\nload(Path('params.yaml'))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'lightning', 'cv2', 'sklearn')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sections_refuse_what_they_do_not_know():
    assert Section.model_config["extra"] == "forbid"
