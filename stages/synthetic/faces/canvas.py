"""Drawing on a head, in gray or in colour.

The head is an ellipsoid. Shapes on its front are rotated with the pose and filled at four times the final resolution.
Bumps (nose, cheeks, eye sockets) form a height map, from which the shading is computed.
"""

from dataclasses import dataclass

import cv2
import numpy as np

_SUPERSAMPLING = 4
_FRACTION_BITS = 4  # cv2 draws with fixed-point coordinates
_HALF_WIDTH, _HALF_HEIGHT, _DEPTH = 0.86, 1.15, 0.75  # half axes of the ellipsoid that the head is


# A gray level, or red, green and blue (3,), 0 to 255 each; for some traits of a person, a factor of another tone.
Tone = float | np.ndarray


@dataclass(frozen=True)
class Pose:
    """Position and orientation of the head. Lengths are fractions of the side of the picture."""

    roll_rad: float
    yaw_rad: float
    pitch_rad: float
    unit: float  # length of a face unit
    x: float
    y: float


class Canvas:
    """A picture, gray (size_px, size_px) or RGB (size_px, size_px, 3) like its background, with the pose of a head.

    Shapes are collected first; `render` transforms all of them at once, five times faster than one by one.
    """

    def __init__(self, background: np.ndarray, pose: Pose):
        self._background = background
        self._shapes: list[tuple[np.ndarray, Tone, bool]] = []
        self.size_px = background.shape[0]
        self.pose = pose
        cos, sin = np.cos(pose.roll_rad), np.sin(pose.roll_rad)
        self._roll = np.array([[cos, sin], [-sin, cos]])  # for row vectors
        self._centre = np.array([pose.x, pose.y])

    def fill(self, points: np.ndarray, tone: Tone, *, rotates: bool = True) -> None:
        """Fill the polygon `points` (n, 2) with a tone. Only shapes on the front of the head rotate with it."""
        self._shapes.append((points, tone, rotates))

    def stroke(self, path: np.ndarray, width: float, tone: Tone, *, taper: float = 1.0, rotates: bool = True) -> None:
        """Draw a line with `width` in the middle; with `taper` 1 it ends in points, with 0 the width is constant."""
        slope = np.empty_like(path)
        slope[1:-1], slope[0], slope[-1] = path[2:] - path[:-2], path[1] - path[0], path[-1] - path[-2]
        half = 0.5 * width * (1.0 - taper * np.linspace(-1.0, 1.0, len(path)) ** 2) / np.hypot(slope[:, 0], slope[:, 1])
        offset = slope[:, ::-1] * (-1.0, 1.0) * half[:, None]
        self.fill(np.concatenate([path + offset, (path - offset)[::-1]]), tone, rotates=rotates)

    def render(self) -> np.ndarray:
        """Return the picture at its final resolution, float32 (size_px, size_px) or (size_px, size_px, 3)."""
        side_px = self.size_px * _SUPERSAMPLING
        picture = cv2.resize(self._background, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
        outlines, tones, rotates = zip(*self._shapes, strict=True)
        lengths = [len(outline) for outline in outlines]
        placed = self._place(np.concatenate(outlines), np.repeat(rotates, lengths))
        corners = np.rint(placed * (side_px * 2**_FRACTION_BITS)).astype(np.int32)
        for polygon, tone in zip(np.split(corners, np.cumsum(lengths)[:-1]), tones, strict=True):
            color = np.broadcast_to(tone, 3).tolist()
            cv2.fillPoly(picture, [polygon], color, cv2.LINE_8, _FRACTION_BITS)
        return cv2.resize(picture, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA).astype(np.float32)

    def shade(self, edge: np.ndarray, bumps: np.ndarray, light: np.ndarray, ambient: float) -> np.ndarray:
        """Return Lambertian shading (size_px, size_px) within `edge`, 1 facing the camera. `bumps`: see `relief`."""
        height = self._height(bumps)
        down, right = np.gradient(height, 1.0 / (self.size_px * self.pose.unit))
        facing = light[2] - light[0] * right - light[1] * down
        diffuse = np.maximum(facing, 0.0) / np.sqrt(1.0 + right**2 + down**2) / light[2]
        mask = np.zeros(height.shape, np.uint8)
        corners = np.rint(self._place(edge, False) * (self.size_px * 2**_FRACTION_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, _FRACTION_BITS)
        return 1.0 + (1.0 - ambient) * (diffuse - 1.0) * (mask / 255.0)

    def _place(self, points: np.ndarray, rotates: np.ndarray | bool) -> np.ndarray:
        """Convert face units to fractions of the side of the picture."""
        inside = 1.0 - (points[:, 0] / _HALF_WIDTH) ** 2 - (points[:, 1] / _HALF_HEIGHT) ** 2
        depth = _DEPTH * np.sqrt(np.maximum(inside, 0.0))
        angles = np.array([self.pose.yaw_rad, self.pose.pitch_rad])
        rotated = points * np.cos(angles) + depth[:, None] * np.sin(angles)
        points = np.where(np.reshape(rotates, (-1, 1)), rotated, points)
        return points @ self._roll * self.pose.unit + self._centre

    def _height(self, bumps: np.ndarray) -> np.ndarray:
        """Return the ellipsoid with its bumps, (size_px, size_px) in face units."""
        centres = (np.arange(self.size_px) + 0.5) / self.size_px
        grid = np.stack(np.meshgrid(centres, centres), -1) - self._centre  # (size_px, size_px, xy)
        x, y = np.moveaxis(grid @ self._roll.T / self.pose.unit, -1, 0)
        # Limited near the rim, where the slope of an ellipsoid is infinite.
        dome = _DEPTH * np.sqrt(np.maximum(1.0 - (x / _HALF_WIDTH) ** 2 - (y / _HALF_HEIGHT) ** 2, 0.08))
        offset = (centres - self._place(bumps[:, :2], True)[..., None]) / self.pose.unit  # (K, xy, size_px)
        gauss = np.exp(-0.5 * (offset / bumps[:, 3:, None]) ** 2)
        return dome + (gauss[:, 1] * bumps[:, 2, None]).T @ gauss[:, 0]  # sum over K of separable bumps
