"""A saved model has the same probabilities after loading; damaged weights and unsuitable models are one-line errors."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.core.errors import UserError
from stages.training import model_folder

INFO = {
    "run": "faces_custom_cnn",
    "model": {"name": "custom_cnn", "widths": [4, 6], "hidden": 8, "activation": "elu"},
    "input": {"shape": [1, 16, 16], "scale_factor": 1 / 255, "add_offset": 0.0},
    "normaliser": {"mean": [[[0.5]]], "sd": [[[0.25]]]},
    "classes": ["angry", "happy", "sad"],
}

Saved = tuple[Path, torch.Tensor, torch.Tensor]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """The folder of a saved model, packed images, and their probabilities computed without `model_folder`."""
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


def test_same_probabilities_after_loading(saved: Saved):
    folder, packed, expected = saved
    model = model_folder.load(folder)
    assert model.info == INFO
    assert not model.recogniser.training
    probabilities = model.probabilities(packed)
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.probabilities(packed, torch.zeros(300, dtype=torch.long)), probabilities)
    assert not torch.allclose(model_folder.load(folder, "final").probabilities(packed), probabilities, atol=1e-3)


def test_a_network_of_large_maps_answers_few_samples_at_once(saved: Saved):
    folder, packed, expected = saved
    model, sizes = model_folder.load(folder), []
    model.recogniser.architecture.samples_at_once = 128
    model.recogniser.register_forward_pre_hook(lambda _, inputs: sizes.append((len(inputs[0]), inputs[1])))
    torch.testing.assert_close(model.probabilities(packed), expected, atol=1e-5, rtol=1e-4)
    assert sizes == [(128, None), (128, None), (44, None)]
    sizes.clear()
    model.probabilities(packed, torch.arange(300))
    assert [length.tolist() for _, length in sizes] == [[*range(128)], [*range(128, 256)], [*range(256, 300)]]


@pytest.mark.parametrize(
    ("shape", "model", "words"),
    [
        ([1, 16], {}, r"custom_cnn\): input is \(1, 16\); allowed: \(channel, height, width\)"),
        ([1, 16, 16], {"widths": [4] * 9}, r"custom_cnn\): .* allowed: fewer"),
        ([1, 16, 16], {"name": "os"}, "allowed: adafnn, "),
    ],
)
def test_rejects_a_model_that_does_not_fit(shape: list[int], model: dict, words: str):
    info = INFO | {"input": INFO["input"] | {"shape": shape}, "model": INFO["model"] | model}
    with pytest.raises(UserError, match=words):
        model_folder.build(info)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def remove_a_key(path: Path) -> None:
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path)


@pytest.mark.parametrize("damage", [truncate, remove_a_key, Path.unlink])
def test_damaged_weights_are_a_one_line_error(saved: Saved, damage):
    damage(saved[0] / "best.safetensors")
    with pytest.raises(UserError, match=r"^.*best\.safetensors: not the weights of model\.json; .*\)$"):
        model_folder.load(saved[0])
