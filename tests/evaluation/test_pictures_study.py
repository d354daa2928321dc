"""Pictures of a hyperparameter search, for any outcome of its trials."""

import math

import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.study import draw_all

SPACE = {
    "optimizer.lr": {"type": "log_float", "low": 1e-4, "high": 1.0},
    "model.act": {"type": "categorical", "choices": ["relu", "leaky_relu", None]},
    "batch_size": {"type": "int", "low": 2, "high": 10},
    "schedule.gamma": {"type": "float", "low": -1.0, "high": 1.0},
}
METRICS = {"study": "faces", "name": "synthetic", "protocol": "official", "n_validation": 140, "synthetic": True}


def row(number, end="done", value=0.5, lr=1e-2, act="relu", batch_size=4, gamma=0.0):
    values = {"optimizer.lr": lr, "model.act": act, "batch_size": batch_size, "schedule.gamma": gamma}
    return {"trial": number, "end": end, "value": value, "epochs": 3, "values": values}


ROWS = [row(1), row(2, "failed", None), row(3, "pruned", 0.2, lr=1e-4, act=None), row(4, value=0.75, batch_size=10)]


@pytest.fixture
def figures(monkeypatch):
    """Return {file name: the figure that was saved}."""
    found, original = {}, canvas.save

    def save(figure, path):
        original(figure, path)
        found[path.name] = figure

    monkeypatch.setattr(canvas, "save", save)
    return found


def draw(folder, rows, objective="validation_accuracy", **changes):
    done = sum(trial["end"] == "done" for trial in rows)
    shares = dict.fromkeys(SPACE, 0.25)
    draw_all(folder, METRICS | {"objective": objective, "n_done": done} | changes, rows, shares, SPACE)


def texts(figure: Figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize("synthetic", [True, False])
def test_every_picture_names_study_and_synthetic_corpus(tmp_path, figures, synthetic):
    draw(tmp_path, ROWS, synthetic=synthetic, name="FER-2013")
    assert sorted(figures) == ["history.png", "importance.png", "parallel.png"]
    for figure in figures.values():
        assert all(part in texts(figure) for part in ("study faces", "FER-2013", "n = 140"))
        assert ("synthetic corpus" in texts(figure)) == synthetic


def test_history_shows_outcomes_and_best_so_far(tmp_path, figures):
    draw(tmp_path, [row(0, "pruned", 0.9), *ROWS])
    assert all(word in texts(figures["history.png"]) for word in ("done (2)", "pruned (2)", "failed (1)"))
    [best] = figures["history.png"].axes[0].lines
    assert list(best.get_xdata()) == [0, 1, 2, 3, 4]
    assert list(best.get_ydata()) == pytest.approx([math.nan, 0.5, 0.5, 0.5, 0.75], nan_ok=True)


def test_lowest_loss_is_best(tmp_path, figures):
    draw(tmp_path, [row(1, value=2.0), row(2, value=3.0), row(3, value=1.0)], "validation_loss")
    assert list(figures["history.png"].axes[0].lines[0].get_ydata()) == [2.0, 2.0, 1.0]
    colours = [tuple(line.get_color()) for line in figures["parallel.png"].axes[0].lines[:3]]
    assert colours == [tuple(colormaps["viridis"](share)) for share in (1.0, 0.5, 0.0)]  # the best is dark and on top


def test_parallel_line_is_at_scaled_values(tmp_path, figures):
    """Logarithmic for rates, evenly spaced for choices."""
    draw(tmp_path, [row(1, lr=1e-2, act="leaky_relu", batch_size=10, gamma=-0.5)])
    heights = figures["parallel.png"].axes[0].lines[0].get_ydata()
    assert list(heights) == pytest.approx([0.5, 0.5, 1.0, 0.25])


@pytest.mark.parametrize("rows", [[row(1)], [row(1), row(2)], [row(1), row(2, "pruned", None)]])
def test_few_trials_are_drawn(tmp_path, rows):
    draw(tmp_path, rows)
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 150


@pytest.mark.parametrize(("done", "warned"), [(19, True), (20, False)])
def test_importance_warns_of_few_trials(tmp_path, figures, done, warned):
    draw(tmp_path, ROWS, n_done=done)
    assert ("few trials" in texts(figures["importance.png"])) == warned
