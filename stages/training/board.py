"""For TensorBoard: the figures of every epoch, and a picture of which classes are taken for which."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL_PX, MARGIN_PX = 44, 8
FONT_PX = 13


class Board:
    """Writes into `folder`/version_<n>, a new one for each call of a training; nothing without a folder."""

    def __init__(self, folder: Path | None, classes: list[str]) -> None:
        self.folder, self.classes, self._writer = folder, classes, None

    def add(self, row: dict[str, float], counts: np.ndarray) -> None:
        """A history row, and the counts (true class, predicted class) (C, C) of the validation part."""
        if self.folder is None:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder / f"version_{len(list(self.folder.glob('version_*')))}"))
        epoch = int(row["epoch"])
        for name, value in row.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.add_image("validation_confusion", drawn(counts, self.classes), epoch, dataformats="HWC")
        self._writer.flush()


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
