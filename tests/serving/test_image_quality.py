"""Notes on exposure and blur: none on good pictures, one on each kind of bad ones."""

import cv2
import numpy as np
import pytest

from stages.serving.image_quality import blur, exposure


def textured(side: int = 96) -> np.ndarray:
    """Return a gray picture with detail at all scales, as a face has."""
    rng = np.random.default_rng(0)
    noise = sum(cv2.resize(rng.normal(size=(n, n)), (side, side), interpolation=cv2.INTER_CUBIC) for n in (4, 12, 48))
    return np.clip(128 + 30 * noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (textured(), ""),
        (np.stack([textured()] * 3, axis=-1), ""),
        (textured() // 16, "very dark"),
        (np.stack([textured() // 16] * 3, axis=-1), "very dark"),
        (255 - textured() // 16, "very bright"),
        (np.full((48, 48), 130, np.uint8), "almost without contrast"),
        (textured()[:1, :1] // 32, "very dark"),
    ],
)
def test_exposure(image: np.ndarray, expected: str):
    assert exposure(image) == expected


@pytest.mark.parametrize("side", [48, 96, 400])
@pytest.mark.parametrize(("sigma", "expected"), [(0, ""), (2, "blurred"), (4, "blurred")])
def test_blur_is_relative_to_the_size_of_the_face(side: int, sigma: float, expected: str):
    image = cv2.resize(textured(), (side, side), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), sigma * side / 48) if sigma else image
    assert blur(image) == blur(np.stack([image] * 3, axis=-1)) == expected


@pytest.mark.parametrize("image", [np.zeros((48, 48), np.uint8), textured()[:5, :5], textured()[:1]])
def test_a_flat_or_tiny_picture_is_not_called_blurred(image: np.ndarray):
    assert blur(image) == ""
