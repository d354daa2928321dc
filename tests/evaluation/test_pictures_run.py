"""Pictures of a run: valid, not blank, small and reproducible, for odd names and edge cases too."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from stages.evaluation.metrics import compute_metrics
from stages.evaluation.pictures import canvas
from stages.evaluation.pictures import run as pictures

NAMES = ["confusion_counts.png", "confusion_normalized.png", "coverage.png", "per_group.png", "reliability.png"]
NAMES += ["roc.png"]
LONG = "official (train 90 % / validation 10 % of Training, test = PublicTest; not comparable with PrivateTest)"
TEN = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt", "calm", "a name at $x^ length"]


def caption(**changes):
    facts = {"run": "faces_cnn", "name": "FER-2013", "protocol": LONG, "n": 400, "synthetic": True}
    return canvas.Caption(**facts | changes)


def draw(folder, n, classes, groups=None, labels=None, **changes):
    """Draw all pictures of random predictions, check them and return {name: size}."""
    rng = np.random.default_rng(1)
    labels = rng.integers(len(classes), size=n) if labels is None else labels
    probabilities = rng.dirichlet(np.ones(len(classes)), size=n)
    metrics = compute_metrics(labels, probabilities, groups or {}, classes, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.draw_all(folder, caption(**changes), labels, probabilities, classes, metrics)
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    return {path.name: check(path) for path in folder.iterdir()}


def check(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert not image.info.keys() & {"Software", "Creation Time"}
        assert len(image.convert("RGB").getcolors(1 << 16)) > 5
        assert path.stat().st_size < 60_000
        return image.size


def test_ten_classes_with_long_names(tmp_path):
    draw(tmp_path, 400, TEN, run="a_run_$with_" + "long_" * 12 + "name")


def test_pictures_are_reproducible(tmp_path):
    for folder in ("1", "2"):
        draw(tmp_path / folder, 60, TEN[:3], {"speaker": ["$x^"] * 60})
    assert all((tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes() for name in NAMES)


def test_two_classes_with_one_absent(tmp_path):
    draw(tmp_path, 4, ["no", "yes"], labels=np.zeros(4, dtype=int))


def test_height_grows_with_groups(tmp_path):
    groups = {"speaker": [f"{number % 24:02}" for number in range(48)], "gender": ["male", "female"] * 24}
    _, without = draw(tmp_path / "1", 48, TEN[:3])["per_group.png"]
    assert draw(tmp_path / "2", 48, TEN[:3], groups)["per_group.png"][1] > without + 20 * 24


@pytest.mark.parametrize("n_epochs", [1, 40])
def test_history_with_empty_cell(tmp_path, n_epochs):
    keys = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
    rows = [{"epoch": str(epoch)} | dict.fromkeys(keys, str(0.9 / epoch)) for epoch in range(1, n_epochs + 1)]
    rows[0]["validation_accuracy"] = ""
    pictures.draw_history(tmp_path / "history.png", caption(), rows, 1)
    check(tmp_path / "history.png")


@pytest.mark.parametrize("synthetic", [True, False])
def test_header_is_complete_and_fits(synthetic):
    figure = canvas.titled_figure(caption(synthetic=synthetic), "confusion", 5.3, 2)
    header = " ".join(text.get_text() for text in figure.texts)
    assert [part for part in ("faces_cnn", "FER-2013", "n = 400", LONG) if part not in header] == []
    assert ("synthetic" in header) == synthetic
    boxes = [text.get_window_extent() for text in figure.texts]
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert all(upper.y0 >= lower.y0 for upper, lower in pairwise(boxes))
