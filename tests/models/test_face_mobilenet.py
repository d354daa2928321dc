"""MobileNetV1 for faces: sizes by hand, the published file, calibration, and what it does to its input."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stages.core import weights
from stages.core.errors import UserError
from stages.models.face_mobilenet import SEPARABLE, Unit, build

SMALL = {"size_px": 32, "dropout": 0.0, "tta_views": 1}
MEAN = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of small random numbers in the layout of faceres-deep.bin, which passes for the published one."""
    rng = np.random.default_rng(7)

    parts = [rng.normal(size=257 * 100 + 1025 * 256 + 257), rng.normal(0, 0.002, 3 * 3 * 3 * 32), rng.normal(size=34)]
    n_in = 32
    for n_out, _ in SEPARABLE:
        parts += [rng.normal(0, 0.5, 9 * n_in), rng.uniform(0.5, 1, n_in), rng.normal(size=n_in + 2)]
        parts += [rng.normal(0, n_in**-0.5, n_in * n_out), rng.normal(size=n_out + 2)]
        n_in = n_out
    file = tmp_path / "faceres-deep.bin"
    file.write_bytes(np.concatenate(parts).astype("<f4").tobytes())
    entry = replace(weights.WEIGHTS["faceres-deep"], sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setitem(weights.WEIGHTS, "faceres-deep", entry)
    return file


def loaded(file: Path, **options: object) -> nn.Module:
    model = build((1, 48, 48), 7, pretrained=str(file), **SMALL | options)
    model.load_pretrained()
    return model.eval()


def as_published(file: Path, x: torch.Tensor, blocks: int) -> torch.Tensor:
    """Return the last map for `x` (B, 3, H, W) by the published operations, with the numbers of the file."""
    numbers, n_in = iter(np.fromfile(file, "<f4")[257 * 100 + 1025 * 256 + 257 :]), 32

    def take(*shape: int) -> torch.Tensor:
        return torch.tensor([next(numbers) for _ in range(int(np.prod(shape)))]).reshape(shape)

    x = F.conv2d(F.pad(x, (0, 1, 0, 1)), take(3, 3, 3, 32).permute(3, 2, 0, 1), take(32), 2).clamp(0, 6)
    take(2)
    for n_out, stride in SEPARABLE[:blocks]:
        padded = F.pad(x, (0, 1, 0, 1) if stride == 2 and x.shape[3] % 2 == 0 else (1, 1, 1, 1))
        depthwise = F.conv2d(padded, take(3, 3, n_in, 1).permute(2, 3, 0, 1), None, stride, groups=n_in)
        x = (depthwise * take(n_in).view(-1, 1, 1) + take(n_in).view(-1, 1, 1)).clamp(0, 6)
        take(2)
        pointwise = torch.einsum("bchw,co->bohw", x, take(1, 1, n_in, n_out)[0, 0])
        x = (pointwise + take(n_out).view(-1, 1, 1)).clamp(0, 6)
        take(2)
        n_in = n_out
    return x


def test_weights_by_hand():
    model = build((1, 48, 48), 7, blocks=2)
    stem = 3 * 9 * 32 + 2 * 32
    first = 9 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    second = 9 * 64 + 2 * 64 + 64 * 128 + 2 * 128
    assert sum(value.numel() for value in model.parameters()) == stem + first + second + 128 * 7 + 7


def test_the_published_file_gives_the_published_network(published: Path):
    x = 255 * torch.rand(2, 3, 32, 32) - MEAN
    torch.testing.assert_close(
        loaded(published, blocks=7).layers(x), as_published(published, x, 7), atol=1e-4, rtol=1e-4
    )


def test_faces_are_enlarged_and_shown_in_the_published_scale(published: Path):
    model, seen = loaded(published, blocks=1), []
    model.set_input_scale(torch.tensor(0.5), torch.tensor(0.25))
    model.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((2, 1, 48, 48), 1.2))  # 1.2 standard deviations above the mean: 0.8 of 1
    torch.testing.assert_close(seen[0], (255 * 0.8 - MEAN).expand(2, 3, 32, 32))


def test_calibration_keeps_the_network_and_makes_training_start_from_it(published: Path):
    model, x = loaded(published, blocks=6), torch.randn(16, 1, 48, 48)
    model.set_input_scale(torch.tensor(0.5), torch.tensor(0.25))
    expected = model(x)
    assert not torch.allclose(loaded(published, blocks=6).train()(x), expected, atol=1e-2)
    model.calibrate(x)
    torch.testing.assert_close(model(x), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.train()(x), expected, atol=1e-4, rtol=1e-4)


def test_ten_views_are_crops_that_are_enlarged(published: Path):
    plain, augmented = loaded(published, blocks=3), loaded(published, blocks=3, tta_views=10)
    augmented.load_state_dict(plain.state_dict())
    x = torch.rand(3, 1, 48, 48)
    crops = [x[..., margin : 48 - margin, margin : 48 - margin] for margin in range(5)]
    expected = sum(plain(view).softmax(1) for crop in crops for view in (crop, crop.flip(3))) / 10
    torch.testing.assert_close(augmented(x).softmax(1), expected)


@pytest.mark.parametrize("side", [8, 7])
def test_padding_is_tensorflows(side: int):
    unit, x = Unit(1, 1, 3, 2).eval(), torch.rand(1, 1, side, side)
    nn.init.ones_(unit.convolution.weight)
    padded = F.pad(x, (0, 1, 0, 1) if side == 8 else (1, 1, 1, 1))
    expected = (9 * F.avg_pool2d(padded, 3, 2) / (1 + unit.norm.eps) ** 0.5).clamp(max=6)
    torch.testing.assert_close(unit(x), expected)


def test_feature_map_layer_outputs_the_last_map(published: Path):
    model, maps = loaded(published, blocks=4), []
    model.feature_map_layer().register_forward_hook(lambda *args: maps.append(args[-1]))
    logits = model(torch.rand(2, 1, 48, 48))
    assert maps[0].shape == (2, 256, 4, 4)
    torch.testing.assert_close(model.head(maps[0].mean((2, 3))), logits)


def test_without_pretrained_the_weights_are_random():
    model = build((1, 48, 48), 7, blocks=1)
    before = [value.clone() for value in model.parameters()]
    model.load_pretrained()
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_bad_input(tmp_path: Path):
    with pytest.raises(ValueError, match=r"pretrained is imagenet; allowed: none, or the path of faceres-deep\.bin"):
        build((1, 48, 48), 7, pretrained="imagenet")
    absent = tmp_path / "faceres-deep.bin"
    with pytest.raises(UserError, match=r"weights faceres-deep: .*faceres-deep\.bin: no such file; allowed: .*npm"):
        loaded(absent)
    absent.write_bytes(b"another")
    with pytest.raises(UserError, match=r"another file; allowed: sha256 b0ea2c.*; received: "):
        loaded(absent)
