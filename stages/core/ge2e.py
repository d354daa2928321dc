"""The GE2E speaker encoder: three LSTMs that learnt from thousands of speakers how voices differ.

Wan, Wang, Papir, Lopez Moreno, "Generalized end-to-end loss for speaker verification", ICASSP 2018, as trained by
Resemblyzer. Emotion is read from the states of its second and third layer; the speaker embedding itself is not used.
"""

import torch
from torch import nn

from stages.core import weights

# What the published weights expect: power (not dB) in Slaney's mel bands, librosa's default, at an RMS of -30 dBFS.
SAMPLE_RATE_HZ, WINDOW, HOP, N_MELS = 16_000, 400, 160, 40  # window and hop in samples
LAYERS, HIDDEN, POOLED = 3, 256, ("layer 2 mean", "layer 2 sd", "layer 3 mean", "layer 3 sd")


class SpeakerEncoder(nn.Module):
    """The LSTMs. Shapes in comments: B clips of T frames, of which each clip's first `length` are true."""

    def __init__(self) -> None:
        super().__init__()
        widths = (N_MELS, *[HIDDEN] * (LAYERS - 1))
        self.layers = nn.ModuleList(nn.LSTM(width, HIDDEN, batch_first=True) for width in widths)
        self.register_buffer("mean", torch.zeros(N_MELS), persistent=False)
        self.register_buffer("sd", torch.ones(N_MELS), persistent=False)

    def set_input_scale(self, mean: torch.Tensor, sd: torch.Tensor) -> None:
        """Set mean and standard deviation (40,) of the standardised values that `power` reads."""
        self.mean, self.sd = mean.to(self.mean), sd.to(self.sd)

    def power(self, standardised_db: torch.Tensor) -> torch.Tensor:
        """Return power (B, T, 40) for standardised values in dB (B, T, 40)."""
        return 10 ** ((standardised_db * self.sd + self.mean) / 10)

    def states(self, power: torch.Tensor) -> list[torch.Tensor]:
        """Return each layer's states (B, T, 256) for mel power (B, T, 40)."""
        states = [power]
        for layer in self.layers:
            states.append(layer(states[-1])[0])
        return states[1:]

    def forward(self, power: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return mean and sd over the valid frames of layers 2 and 3: (B, T, 40), (B, T) → (B, 4, 256)."""
        weight = valid.to(power.dtype)[:, :, None] / valid.sum(1)[:, None, None]  # (B, T, 1)
        pooled = []
        for states in self.states(power)[1:]:
            mean = (states * weight).sum(1, keepdim=True)  # (B, 1, 256)
            pooled += [mean[:, 0], (((states - mean).square() * weight).sum(1) + 1e-6).sqrt()]
        return torch.stack(pooled, dim=1)

    def load_pretrained(self) -> None:
        """Load the published weights. Raises `UserError` if their package is absent."""
        state = torch.load(weights.path("ge2e"), map_location="cpu", weights_only=True)["model_state"]
        for number, layer in enumerate(self.layers):  # lstm.weight_ih_l2 is layer 3's weight_ih_l0
            layer.load_state_dict(
                {
                    name.removeprefix("lstm.").replace(f"_l{number}", "_l0"): value
                    for name, value in state.items()
                    if name.startswith("lstm.") and name.endswith(f"_l{number}")
                }
            )
