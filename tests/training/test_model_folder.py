"""A model folder rebuilds what was trained, and a hostile or broken one is refused in one line."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.core import lookup
from stages.core.errors import UserError
from stages.training import model_folder

INFO = {
    "run": "faces_custom_cnn",
    "model": {"name": "custom_cnn", "widths": [4, 6], "hidden": 8, "activation": "elu"},
    "input": {
        "shape": [1, 16, 16],
        "layout": ["channel", "height", "width"],
        "scale_factor": 1 / 255,
        "add_offset": 0.0,
        "rate_hz": None,
        "group_kind": None,
        "normalize_groups": "none",
    },
    "normaliser": {"mean": [[[0.5]]], "sd": [[[0.25]]]},
    "classes": ["angry", "happy", "sad"],
}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, torch.Tensor, torch.Tensor]:
    """A folder, packed pictures, and their probabilities worked out here from the recogniser that was saved."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    recogniser = model_folder.build(INFO)
    recogniser.train()
    for _ in range(3):
        recogniser(torch.rand(8, 1, 16, 16))
    recogniser.eval()
    packed = torch.randint(0, 256, (300, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        logits = recogniser.architecture((packed.double() / 255).float().sub(0.5).div(0.25))
    state = recogniser.architecture.state_dict()
    final = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
    model_folder.save(tmp_path / "model", INFO, {"best": state, "final": final})
    return tmp_path / "model", packed, torch.softmax(logits, 1)


def test_same_probabilities_after_loading(saved: tuple[Path, torch.Tensor, torch.Tensor]):
    folder, packed, expected = saved
    model = model_folder.load(folder)
    assert model.info == INFO
    found = model.probabilities(packed)  # more than one batch of 256
    assert found.shape == (300, 3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.sum(1), torch.ones(300))
    torch.testing.assert_close(model.probabilities(packed, torch.zeros(300, dtype=torch.long)), found)
    assert not torch.allclose(model_folder.load(folder, "final").probabilities(packed), found, atol=1e-3)


def test_loaded_model_is_in_evaluation_mode(saved: tuple[Path, torch.Tensor, torch.Tensor]):
    folder, packed, _ = saved
    model = model_folder.load(folder)
    assert not model.recogniser.training
    assert torch.equal(model.probabilities(packed), model.probabilities(packed))


def edited(folder: Path, change: dict[str, object]) -> None:
    info = json.loads((folder / "model.json").read_text())
    for path, value in change.items():
        *outer, last = path.split(".")
        at = info
        for key in outer:
            at = at[key]
        if value is None:
            del at[last]
        else:
            at[last] = value
    (folder / "model.json").write_text(json.dumps(info))


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        model_folder.load(folder)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


@pytest.mark.parametrize("name", ["../x", "os", "..training.fit", "__init__", "custom_cnn.torch.os", "", "a\nb", 7, []])
def test_no_module_but_a_model_is_imported(saved: tuple[Path, torch.Tensor, torch.Tensor], name: object):
    folder, *_ = saved
    edited(folder, {"model.name": name})
    before = set(sys.modules)
    line = refused(folder)
    assert f"allowed: {', '.join(lookup.names('models'))}" in line
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": None}, ["model.json", "'model' is missing"]),
        ({"input.shape": None}, ["'shape' is missing"]),
        ({"normaliser.sd": None}, ["'sd' is missing"]),
        ({"model.widths": [4, 8]}, ["best.safetensors", "does not fit model.json"]),
        ({"model.widths": [4, 6, 8]}, ["does not fit model.json"]),
        ({"model.widths": [4] * 9}, ["custom_cnn", "allows fewer"]),
        ({"model.widths": "wide"}, ["model.json", "not a model this project wrote"]),
        ({"model.colour": "red"}, ["model.json", "colour"]),
        ({"model.activation": "swish"}, ["model.json", "swish"]),
        ({"classes": ["angry", "happy"]}, ["does not fit model.json"]),
        ({"input.shape": [1, 16]}, ["custom_cnn"]),
        ({"input.shape": "big"}, ["model.json"]),
        ({"normaliser.mean": "half"}, ["model.json", "not a model this project wrote"]),
        ({"normaliser.mean": [[1], [1, 2]]}, ["model.json", "not a model this project wrote"]),
        ({"model": "custom_cnn"}, ["model.json", "not a model this project wrote"]),
    ],
)
def test_broken_model_json(saved: tuple[Path, torch.Tensor, torch.Tensor], change: dict[str, object], words: list[str]):
    folder, *_ = saved
    edited(folder, change)
    line = refused(folder)
    for word in words:
        assert word in line


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lacks_a_key(path: Path) -> None:
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path)


def other_shape(path: Path) -> None:
    weights = load_file(path)
    key = next(name for name in weights if name.endswith("weight"))
    save_file({**weights, key: weights[key][:1].clone()}, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "does not fit"),
        (lambda path: path.write_bytes(b""), "does not fit"),
        (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n" * 9), "does not fit"),
        (lacks_a_key, "Missing key"),
        (other_shape, "size mismatch"),
        (Path.unlink, "no such file"),
    ],
)
def test_broken_weights(saved: tuple[Path, torch.Tensor, torch.Tensor], damage, words: str):
    folder, *_ = saved
    damage(folder / "best.safetensors")
    line = refused(folder)
    assert words in line
    assert "best.safetensors" in line


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"', "\x00"])
def test_model_json_that_is_none(saved: tuple[Path, torch.Tensor, torch.Tensor], content: str):
    folder, *_ = saved
    (folder / "model.json").write_text(content)
    assert "model.json" in refused(folder)


def test_no_folder(tmp_path: Path):
    assert "no such file" in refused(tmp_path / "nothing")
