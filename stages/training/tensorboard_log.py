"""TensorBoard logs: the metrics of every epoch and an image of the confusion matrix."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL_PX, MARGIN_PX, FONT_PX = 44, 8, 13


class TensorBoardLog:
    """A log in `folder`/version_<n>, a new version for each training that is started; without a folder, no log."""

    def __init__(self, folder: Path | None, classes: list[str]) -> None:
        self.folder, self.classes, self._writer = folder, classes, None

    def add(self, row: dict[str, float], counts: np.ndarray) -> None:
        """Log a history row and the validation part's counts (true class, predicted class) (C, C)."""
        if self.folder is None:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # here because it is slow to import

            self._writer = SummaryWriter(str(self.folder / f"version_{len(list(self.folder.glob('version_*')))}"))
        epoch = int(row["epoch"])
        for name, value in row.items():
            self._writer.add_scalar(name, value, epoch)
        image = confusion_image(counts, self.classes)
        self._writer.add_image("validation_confusion", image, epoch, dataformats="HWC")
        self._writer.flush()


def confusion_image(counts: np.ndarray, classes: list[str]) -> np.ndarray:
    """Return the image (height, width, 3) uint8 of a confusion matrix (C, C): shares of the true class, in rows."""
    font = ImageFont.load_default(FONT_PX)
    vertical = ImageFont.TransposedFont(font, Image.Transpose.ROTATE_90)
    left_px = int(max(font.getlength(name) for name in classes)) + 2 * MARGIN_PX
    side_px = left_px + CELL_PX * len(classes) + MARGIN_PX
    image = Image.new("RGB", (side_px, side_px), "white")
    draw = ImageDraw.Draw(image)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), share in np.ndenumerate(shares):
        x, y = left_px + CELL_PX * column, left_px + CELL_PX * row
        colour = tuple(round(255 - share * (255 - full)) for full in (8, 48, 107))
        draw.rectangle((x, y, x + CELL_PX - 2, y + CELL_PX - 2), fill=colour)
        centre = (x + CELL_PX // 2, y + CELL_PX // 2)
        draw.text(centre, f"{share:.2f}", "white" if share > 0.5 else "#1b1f24", font, anchor="mm")
    for number, name in enumerate(classes):
        draw.text((left_px - MARGIN_PX, left_px + CELL_PX * (number + 0.5)), name, "black", font, anchor="rm")
        # The columns are narrower than the names, which therefore run upwards.
        corner = (left_px + CELL_PX * number + (CELL_PX - FONT_PX) // 2, left_px - MARGIN_PX - font.getlength(name))
        draw.text(corner, name, "black", vertical)
    draw.text((MARGIN_PX, left_px - MARGIN_PX), "true", "#59636e", font, anchor="ls")
    draw.text((left_px - MARGIN_PX, MARGIN_PX), "predicted", "#59636e", font, anchor="rt")
    return np.asarray(image)
