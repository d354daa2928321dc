"""The temperature of a trained run, from its validation batches."""

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


def batches(shares: bool = False):
    """Return four batches of logits, and labels drawn from their softmax."""
    torch.manual_seed(0)
    z = torch.randn(4000, 3)
    labels = torch.multinomial(z.softmax(1), 1)[:, 0]
    labels = 0.6 * nn.functional.one_hot(labels, 3) + 0.4 / 3 if shares else labels
    return [(x, torch.zeros(len(x)), y) for x, y in zip(z.split(1000), labels.split(1000), strict=True)]


@pytest.mark.parametrize("scale", [0.5, 3.0])
@pytest.mark.parametrize("shares", [False, True])
def test_finds_by_how_much_the_weights_exaggerate(scale: float, shares: bool):
    recogniser = Recogniser(Doubled(), torch.zeros(()), torch.ones(()), 1.0, 0.0)
    found = validation_temperature("r", recogniser, {"scale": torch.tensor(scale)}, batches(shares))
    assert found == pytest.approx(scale, rel=0.08)


def test_warns_without_a_fit(capsys: pytest.CaptureFixture[str]):
    recogniser = Recogniser(Doubled(), torch.zeros(()), torch.ones(()), 1.0, 0.0)
    x = torch.eye(3).repeat(20, 1)
    given = [(x, torch.zeros(60), x.argmax(1))]
    assert validation_temperature("r", recogniser, {"scale": torch.tensor(1.0)}, given) == 1.0
    assert "warning: runs.r: the temperature does not converge" in capsys.readouterr().err
