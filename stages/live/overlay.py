"""Draws boxes, labels, probability bars and the frame rate on a frame.

All sizes scale with the height of the frame. Rendered text is cached, so that a label costs microseconds.
"""

import math
import time
from collections import deque
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from stages.core.errors import printable
from stages.evaluation.pictures.canvas import INK, PALETTE, QUIET
from stages.live.recognition import LabeledFace, LabeledFrame
from stages.serving.boxes import Box

FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
MAX_PANELS = 4  # the largest faces of a frame have bars
MAX_LETTERS = 14  # longest class name that is shown
RATE_FRAMES = 48  # number of frames over which the frame rate is averaged
WHITE = "#ffffff"


class Overlay:
    """Draws on frames of any size. `note` is shown at the bottom of each."""

    def __init__(self, classes: list[str], note: str = "") -> None:
        names = map(printable, classes)
        self._names = [name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…" for name in names]
        self._colours = [PALETTE[index % len(PALETTE)] for index in range(len(classes))]
        self._note = note
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)

    def __call__(self, labeled: LabeledFrame) -> None:
        """Draw on the image of the frame."""
        image = labeled.frame.image
        row_px = min(max(image.shape[0] // 26, 10), 44)
        faces = sorted(labeled.faces, key=lambda face: -face.box.width * face.box.height)
        for rank, face in reversed(list(enumerate(faces))):  # draws the largest face last, on top of the others
            if rank < MAX_PANELS:
                self._draw_panel(image, face, row_px)
            self._draw_box(image, face, row_px)
        self._draw_rate(image, labeled.frame.time_s, row_px)
        if self._note:
            write(image, self._note, (row_px // 2, image.shape[0] - round(1.3 * row_px)), row_px, WHITE, INK)

    def _draw_box(self, image: np.ndarray, face: LabeledFace, row_px: int) -> None:
        box, colour, line_px = face.box, self._colours[face.shown], max(2, row_px // 7)
        sides = box.width - 1, box.height - 1
        center = box.left + sides[0] / 2, box.top + sides[1] / 2
        corners = cv2.boxPoints((center, sides, box.tilt_deg)).round().astype(np.int32)  # (4, 2), tilted as the face
        cv2.polylines(image, [corners], True, bgr(WHITE), line_px + 2, cv2.LINE_AA)
        cv2.polylines(image, [corners], True, bgr(colour), line_px, cv2.LINE_AA)
        label = f"{face.number}  {self._names[face.shown]} {face.smoothed[face.shown]:.2f}"
        label += "  unlike the training data" if face.unlike else ""
        text_px = round(1.2 * row_px)
        above = box.top - rendered(label, text_px, True).shape[0] - 2 * (text_px // 4)
        corner = box.left, above if above >= 0 else box.top + line_px
        write(image, label, corner, text_px, text_colour(colour), colour, True)

    def _draw_panel(self, image: np.ndarray, face: LabeledFace, row_px: int) -> None:
        """Draw a bar for each class beside the box."""
        names_px = max(rendered(name, row_px, True).shape[1] for name in self._names)
        pad, bar_px = row_px // 3, 4 * row_px
        size = names_px + 7 * row_px, (row_px + 1) * len(self._names) + 2 * pad
        x, y = panel_corner(face.box, image.shape[1::-1], size, row_px // 2 + 2)
        panel = image[y : y + size[1], x : x + size[0]]
        panel[:] = cv2.addWeighted(panel, 0.22, np.full_like(panel, 255), 0.78, 0)
        for index, (name, value) in enumerate(zip(self._names, face.smoothed, strict=True)):
            top, leads = y + pad + index * (row_px + 1), index == face.shown
            write(image, name, (x + pad, top), row_px, INK if leads else QUIET, bold=leads)
            left = x + 2 * pad + names_px
            right, gap = left + max(1, round(bar_px * float(value))), max(2, row_px // 5)
            bar = (left, top + gap), (right, top + row_px - gap)
            cv2.rectangle(image, *bar, bgr(self._colours[index]), cv2.FILLED)
            write(image, f"{value:.2f}", (right + pad, top), row_px, INK if leads else QUIET, bold=leads)

    def _draw_rate(self, image: np.ndarray, time_s: float, row_px: int) -> None:
        """Draw the recent frame rate and the time of this frame in the corner."""
        self._times.append(time.monotonic())
        passed_s = self._times[-1] - self._times[0]
        rate = f"{(len(self._times) - 1) / passed_s:3.0f} FPS  " if passed_s else ""
        write(image, f"{rate}{time_s:.1f} s", (row_px // 2, row_px // 2), row_px, WHITE, INK)


def panel_corner(box: Box, picture: tuple[int, int], size: tuple[int, int], gap: int) -> tuple[int, int]:
    """Return the upper left corner of a panel: right of the face where it fits, else left, always inside the picture.

    `picture` and `size`, of the panel: width, height in pixels.
    """
    turn = math.radians(box.tilt_deg)
    extra = (abs(math.sin(turn)) + math.cos(turn) - 1) / 2 * box.width  # a rotated square is wider on each side
    right, left = box.left + box.width + extra + gap, box.left - extra - gap - size[0]
    x = right if right + size[0] <= picture[0] or left < 0 else left
    return max(min(round(x), picture[0] - size[0]), 0), max(min(box.top, picture[1] - size[1]), 0)


def bgr(colour: str) -> tuple[int, int, int]:
    """Return the blue, green and red of '#rrggbb'."""
    return ImageColor.getrgb(colour)[::-1]


def text_colour(background: str) -> str:
    """Return white or ink, whichever is more legible on '#rrggbb'."""
    red, green, blue = ImageColor.getrgb(background)
    return WHITE if 0.299 * red + 0.587 * green + 0.114 * blue < 150 else INK


def write(
    image: np.ndarray, text: str, corner: tuple[int, int], px: int, colour: str, back: str = "", bold: bool = False
) -> None:
    """Write text `px` high at its upper left `corner`, cut off at the edge of the image. Colours are '#rrggbb'."""
    mask = rendered(text, px, bold)
    pad = px // 4 if back else 0
    x, y = min(max(corner[0], 0), image.shape[1] - 1), min(max(corner[1], 0), image.shape[0] - 1)
    if back:
        end = x + mask.shape[1] + 2 * pad - 1, y + mask.shape[0] + 2 * pad - 1
        cv2.rectangle(image, (x, y), end, bgr(back), cv2.FILLED)
    part = image[y + pad : y + pad + mask.shape[0], x + pad : x + pad + mask.shape[1]]
    alpha = mask[: part.shape[0], : part.shape[1], None] / np.float32(255)
    part[:] = part + alpha * (np.array(bgr(colour), np.float32) - part)


@lru_cache(maxsize=512)  # as many as class names with two digits; the changing time evicts the others
def rendered(text: str, height_px: int, bold: bool) -> np.ndarray:
    """Return the text as (height, width) uint8 opacity; all texts of one size have one height."""
    font = _font(height_px, bold)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(1, round(font.getlength(text))), ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image)


@lru_cache(maxsize=16)
def _font(height_px: int, bold: bool) -> ImageFont.FreeTypeFont:
    path, size = FONTS / f"DejaVuSans{'-Bold' if bold else ''}.ttf", max(6, round(0.8 * height_px))
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
