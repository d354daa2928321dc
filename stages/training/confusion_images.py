"""For TensorBoard: which classes are taken for which, a picture of the validation part after every epoch."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image, ImageDraw, ImageFont

CELL_PX, MARGIN_PX = 44, 8
FONT_PX = 13


class ConfusionImages(Callback):
    """Counts what `validation_step` returns, the predicted classes (B,), and hands the logger an image of them.

    On several devices it is of the first one's share of the samples.
    """

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.counts = torch.zeros(len(classes), len(classes), dtype=torch.long)  # (true, predicted)

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: torch.Tensor, batch: Any, *_: Any
    ) -> None:
        pairs = batch[2].cpu() * len(self.classes) + outputs.cpu()  # (B,) labels and predictions as one number
        self.counts += torch.bincount(pairs, minlength=self.counts.numel()).view_as(self.counts)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.is_global_zero:
            image = drawn(self.counts.numpy(), self.classes)
            trainer.logger.experiment.add_image("validation_confusion", image, trainer.global_step, dataformats="HWC")
        self.counts.zero_()


def drawn(counts: np.ndarray, classes: list[str]) -> np.ndarray:
    """(C, C) counts → (height, width, 3) uint8: shares of each true class (row), white to blue, with names."""
    font = ImageFont.load_default(FONT_PX)
    left_px = int(max(font.getlength(name) for name in classes)) + 2 * MARGIN_PX
    side_px = CELL_PX * len(classes)
    image = Image.new("RGB", (left_px + side_px + MARGIN_PX, left_px + side_px + MARGIN_PX), "white")
    draw = ImageDraw.Draw(image)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), share in np.ndenumerate(shares):
        x, y = left_px + CELL_PX * column, left_px + CELL_PX * row
        blue = tuple(round(255 - share * (255 - full)) for full in (8, 48, 107))
        draw.rectangle((x, y, x + CELL_PX - 2, y + CELL_PX - 2), fill=blue)
        middle = (x + CELL_PX // 2, y + CELL_PX // 2)
        draw.text(middle, f"{share:.2f}", "white" if share > 0.5 else "#1b1f24", font, anchor="mm")
    for number, name in enumerate(classes):
        draw.text((left_px - MARGIN_PX, left_px + CELL_PX * (number + 0.5)), name, "black", font, anchor="rm")
        _write_upwards(image, name, left_px + CELL_PX * number, left_px - MARGIN_PX, font)
    draw.text((MARGIN_PX, left_px - MARGIN_PX), "true", "#59636e", font, anchor="ls")
    draw.text((left_px - MARGIN_PX, MARGIN_PX), "predicted", "#59636e", font, anchor="rt")
    return np.asarray(image)


def _write_upwards(image: Image.Image, name: str, x: int, bottom: int, font: ImageFont.FreeTypeFont) -> None:
    """Above a column, since its cells are narrower than names."""
    text = Image.new("RGB", (int(font.getlength(name)) + 2, FONT_PX + 5), "white")
    ImageDraw.Draw(text).text((0, 0), name, "black", font)
    turned = text.rotate(90, expand=True)
    image.paste(turned, (x + (CELL_PX - turned.width) // 2, bottom - turned.height))
