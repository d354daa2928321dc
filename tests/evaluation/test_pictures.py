"""Pictures: valid, not blank, small, the same bytes twice, and never stopped by an odd name or an odd case."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from stages.evaluation import canvas, figures, pictures

NAMES = ["confusion_counts.png", "confusion_normalized.png", "per_group.png", "reliability.png", "roc.png"]
LONG = "official (train 90 % / validation 10 % of Training, test = PublicTest; not comparable with PrivateTest)"
TEN = [
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
    "contempt",
    "calm",
    "an emotion at $x^ length",
]


def caption(**changes):
    told = {"run": "faces_cnn", "name": "FER-2013", "protocol": LONG, "n": 400, "synthetic": True}
    return pictures.Caption(**told | changes)


def draw(folder, labels, probabilities, classes, **told):
    found = figures.compute(labels, probabilities, {}, classes, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.draw_all(folder, caption(**told), labels, probabilities, classes, found)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def check(path):
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert not image.info.keys() & {"Software", "Creation Time"}
        assert len(image.convert("RGB").getcolors(1 << 16)) > 5
    assert path.stat().st_size <= canvas.SIZE_LIMIT_BYTES


def drawn(n, n_classes):
    rng = np.random.default_rng(1)
    labels = rng.integers(n_classes, size=n)
    probabilities = rng.dirichlet(np.ones(n_classes), size=n)
    return labels, probabilities


def history(n_epochs):
    keys = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
    return [{"epoch": str(epoch)} | dict.fromkeys(keys, str(0.9 / epoch)) for epoch in range(1, n_epochs + 1)]


def test_ten_classes_with_long_names(tmp_path):
    content = draw(tmp_path, *drawn(400, 10), TEN, run="a_run_$with_" + "long_" * 12 + "name")
    assert sorted(content) == NAMES
    for name in NAMES:
        check(tmp_path / name)


def test_same_bytes_twice(tmp_path):
    first = draw(tmp_path / "1", *drawn(60, 3), TEN[:3])
    second = draw(tmp_path / "2", *drawn(60, 3), TEN[:3])
    assert first == second


def test_two_classes_one_of_them_absent_all_correct(tmp_path):
    draw(tmp_path, np.zeros(4, dtype=int), np.array([[1.0, 0.0]] * 4), ["no", "yes"])
    for name in NAMES:
        check(tmp_path / name)


@pytest.mark.parametrize("n_epochs", [1, 40])
def test_history(tmp_path, n_epochs):
    rows = history(n_epochs)
    rows[0]["validation_accuracy"] = ""
    pictures.draw_history(tmp_path / "history.png", caption(), rows)
    check(tmp_path / "history.png")
    pictures.draw_history(tmp_path / "again.png", caption(), rows)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "history.png").read_bytes()


def test_marked_epoch_can_be_given(tmp_path):
    for name, best in (("a.png", None), ("b.png", 2)):
        pictures.draw_history(tmp_path / name, caption(), history(5), best_epoch=best)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("synthetic", [True, False])
def test_header_says_everything_and_fits(synthetic):
    figure = canvas.titled_figure(caption(synthetic=synthetic), "confusion", 5.3, 2)
    told = " ".join(text.get_text() for text in figure.texts)
    for part in ("faces_cnn", "FER-2013", "n = 400", LONG):
        assert part in told
    assert ("synthetic" in told) == synthetic
    boxes = [text.get_window_extent() for text in figure.texts]
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert all(upper.y0 >= lower.y0 for upper, lower in pairwise(boxes))
