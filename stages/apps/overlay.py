"""What is drawn on a frame: a box and a label for each face, bars of its probabilities, how many frames a second.

All sizes follow the height of the frame. Letters are drawn once and kept: a label costs microseconds.
"""

import time
from collections import deque
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.apps.live_faces import Face, Seen
from stages.apps.panel_places import Marked, PanelPlaces
from stages.core.errors import printable
from stages.evaluation.canvas import INK, PALETTE, QUIET

FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
PANELS = 4  # faces of one frame that get bars, the largest
LONGEST = 14  # letters of a class
RATE_OVER = 48  # frames
Colour = tuple[int, int, int]  # BGR


def bgr(colour: str) -> Colour:
    """Of '#rrggbb'."""
    return tuple(int(colour[start : start + 2], 16) for start in (5, 3, 1))


class Overlay:
    """Draws on frames, whatever their size. `note` stands at the bottom of each."""

    def __init__(self, classes: list[str], note: str = "") -> None:
        names = map(printable, classes)
        self._names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
        self._colours = [bgr(PALETTE[index % len(PALETTE)]) for index in range(len(classes))]
        self._note = note
        self._places = PanelPlaces()
        self._arrived: deque[float] = deque(maxlen=RATE_OVER)

    def __call__(self, seen: Seen) -> None:
        """Draws on the frame itself."""
        image = seen.frame.image
        row_px = min(max(image.shape[0] // 26, 10), 44)
        faces = sorted(seen.faces, key=lambda face: -face.box.width * face.box.height)
        corners = self._panel_corners(image, faces, row_px)
        for rank, face in reversed(list(enumerate(faces))):  # the largest last, over the others
            if rank < PANELS:
                self._panel(image, face, corners[rank], row_px)
            self._box(image, face, row_px)
        self._corner(image, seen.frame.time_s, row_px)
        if self._note:
            write(image, self._note, (row_px // 2, image.shape[0] - round(1.3 * row_px)), row_px, (255, 255, 255), INK)

    def _box(self, image: np.ndarray, face: Face, row_px: int) -> None:
        box, colour = face.box, self._colours[face.shown]
        sides = box.width - 1, box.height - 1
        middle = box.left + sides[0] / 2, box.top + sides[1] / 2
        corners = cv2.boxPoints((middle, sides, box.tilt_deg)).round().astype(np.int32)  # (4, 2), leaning as the face
        thick = max(2, row_px // 7)
        cv2.polylines(image, [corners], True, (255, 255, 255), thick + 2, cv2.LINE_AA)
        cv2.polylines(image, [corners], True, colour, thick, cv2.LINE_AA)
        corner = self._label(face, row_px)[:2]
        write(image, self._told(face), corner, round(1.2 * row_px), readable(colour), colour, True)

    def _told(self, face: Face) -> str:
        return f"{face.number}  {self._names[face.shown]} {face.smoothed[face.shown]:.2f}"

    def _label(self, face: Face, row_px: int) -> tuple[int, int, int, int]:
        """Left, top, width, height of the label of a face: above the box, or in it where there is no room."""
        large = round(1.2 * row_px)
        height, width = (side + 2 * (large // 4) for side in letters(self._told(face), large, True).shape)
        above = face.box.top - height
        return face.box.left, above if above >= 0 else face.box.top + max(2, row_px // 7), width, height

    def _panel_corners(self, image: np.ndarray, faces: list[Face], row_px: int) -> list[tuple[int, int]]:
        marked = [Marked(face.number, face.box, self._label(face, row_px)) for face in faces]
        return self._places(marked, PANELS, image.shape[1::-1], self._panel_size(row_px), row_px // 2 + 2)

    def _panel_size(self, row_px: int) -> tuple[int, int]:
        """Width, height."""
        rows = len(self._names)
        return self._names_px(row_px) + 7 * row_px, (row_px + 1) * rows + 2 * (row_px // 3)

    def _names_px(self, row_px: int) -> int:
        return max(letters(name, row_px, True).shape[1] for name in self._names)

    def _panel(self, image: np.ndarray, face: Face, corner: tuple[int, int], row_px: int) -> None:
        """Bars beside the box."""
        (x, y), (width, height) = corner, self._panel_size(row_px)
        names_px, bar_px, pad = self._names_px(row_px), 4 * row_px, row_px // 3
        fade(image, x, y, width, height)
        for index, (name, value) in enumerate(zip(self._names, face.smoothed, strict=True)):
            top, leads = y + pad + index * (row_px + 1), index == face.shown
            write(image, name, (x + pad, top), row_px, bgr(INK if leads else QUIET), bold=leads)
            left = x + 2 * pad + names_px
            right, bottom = left + max(1, round(bar_px * float(value))), top + row_px - max(2, row_px // 5)
            cv2.rectangle(image, (left, top + max(2, row_px // 5)), (right, bottom), self._colours[index], cv2.FILLED)
            write(image, f"{value:.2f}", (right + pad, top), row_px, bgr(INK if leads else QUIET), bold=leads)

    def _corner(self, image: np.ndarray, time_s: float, row_px: int) -> None:
        """How many frames a second pass here, of late, and the time of this one."""
        self._arrived.append(time.monotonic())
        passed_s = self._arrived[-1] - self._arrived[0]
        rate = f"{(len(self._arrived) - 1) / passed_s:3.0f} FPS  " if passed_s else ""
        write(image, f"{rate}{time_s:.1f} s", (row_px // 2, row_px // 2), row_px, (255, 255, 255), INK)


def readable(colour: Colour) -> Colour:
    """White or ink, whichever is told better from it."""
    blue, green, red = colour
    return (255, 255, 255) if 0.114 * blue + 0.587 * green + 0.299 * red < 150 else bgr(INK)


def fade(image: np.ndarray, x: int, y: int, width: int, height: int) -> None:
    """Towards white, so that dark letters are read on it."""
    part = image[y : y + height, x : x + width]
    part[:] = cv2.addWeighted(part, 0.22, np.full_like(part, 255), 0.78, 0)


def write(
    image: np.ndarray,
    text: str,
    corner: tuple[int, int],
    height_px: int,
    colour: Colour,
    ground: Colour | str | None = None,
    bold: bool = False,
) -> None:
    """`corner` is the upper left one, inside the picture; what does not fit is cut off. `ground` is put behind it."""
    covered = letters(text, height_px, bold)
    pad = height_px // 4 if ground else 0
    x, y = min(max(corner[0], 0), image.shape[1] - 1), min(max(corner[1], 0), image.shape[0] - 1)
    if ground:
        end = x + covered.shape[1] + 2 * pad - 1, y + covered.shape[0] + 2 * pad - 1
        cv2.rectangle(image, (x, y), end, bgr(ground) if isinstance(ground, str) else ground, cv2.FILLED)
    part = image[y + pad : y + pad + covered.shape[0], x + pad : x + pad + covered.shape[1]]
    share = covered[: part.shape[0], : part.shape[1], None] / np.float32(255)
    part[:] = part + share * (np.array(colour, np.float32) - part)


@lru_cache(maxsize=512)  # classes and two digits; in uint8, since clocks fill what is left of it
def letters(text: str, height_px: int, bold: bool) -> np.ndarray:
    """(height, width) uint8: how much of each pixel they cover. All of one size are equally high."""
    font = _font(height_px, bold)
    ascent, descent = font.getmetrics()
    drawn = Image.new("L", (max(1, round(font.getlength(text))), ascent + descent))
    ImageDraw.Draw(drawn).text((0, 0), text, fill=255, font=font)
    return np.asarray(drawn)


@lru_cache(maxsize=16)
def _font(height_px: int, bold: bool) -> ImageFont.FreeTypeFont:
    size = max(6, round(0.8 * height_px))
    return ImageFont.truetype(
        FONTS / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size, layout_engine=ImageFont.Layout.BASIC
    )
