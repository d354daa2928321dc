"""Who is recognised how well, drawn for any corpus: with speakers and genders, and with classes alone."""

import numpy as np
import pytest
from PIL import Image

from stages.evaluation import figures
from stages.evaluation.canvas import Caption
from stages.evaluation.group_picture import draw_groups

CAPTION = Caption("speech_adafnn", "RAVDESS", "speaker-disjoint (fold 0 of 6)", 40, False)
CLASSES = ["angry", "happy", "sad"]


def draw(path, groups, n=40):
    random = np.random.default_rng(0)
    labels = random.integers(2, size=n)  # the third class has no sample
    found = figures.compute(labels, random.dirichlet(np.ones(3), size=n), groups, CLASSES, 7)
    draw_groups(path, CAPTION, found)
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("n_speakers", [1, 24])
def test_taller_with_every_group(tmp_path, n_speakers):
    speakers = {"speaker": [f"{number % n_speakers:02}" for number in range(40)], "gender": ["male", "female"] * 20}
    width, height = draw(tmp_path / "a.png", {})
    assert draw(tmp_path / "b.png", speakers)[1] > height + 20 * n_speakers
    assert (tmp_path / "a.png").stat().st_size < 45_000 > (tmp_path / "b.png").stat().st_size
    assert width > 400


def test_same_bytes_twice(tmp_path):
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, {"speaker": ["$x^"] * 40})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
