"""The temperature of a trained run, from its validation batches."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.training.recogniser import Recogniser
from stages.training.temperature import validation_temperature


class Doubled(nn.Module):
    """Returns its weight times x as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.scale * x


def drawn(n: int = 4000) -> tuple[list, np.ndarray]:
    """Return blocks of logits, and labels drawn from their softmax."""
    torch.manual_seed(0)
    z = torch.randn(n, 3)
    labels = torch.multinomial(z.softmax(1), 1)[:, 0]
    return [(x, torch.zeros(len(x))) for x in z.split(1000)], labels.numpy()


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_finds_by_how_much_the_weights_exaggerate(scale: float):
    recogniser = Recogniser(Doubled(), torch.zeros(()), torch.ones(()), 1.0, 0.0)
    found = validation_temperature("r", recogniser, {"scale": torch.tensor(scale)}, *drawn())
    assert found == pytest.approx(scale, rel=0.08)


def test_warns_without_a_fit(capsys: pytest.CaptureFixture[str]):
    recogniser = Recogniser(Doubled(), torch.zeros(()), torch.ones(()), 1.0, 0.0)
    x = 10 * torch.eye(3).repeat(20_000, 1)
    given = [(x, torch.zeros(len(x)))], (x.argmax(1) + 1).numpy() % 3
    assert validation_temperature("r", recogniser, {"scale": torch.tensor(1.0)}, *given) == 1.0
    assert "warning: runs.r: the temperature does not converge" in capsys.readouterr().err
