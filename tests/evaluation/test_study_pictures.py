"""The pictures of a search: that they are drawn whatever its trials came to, and say what they must."""

import math

import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from stages.evaluation import study_pictures
from stages.evaluation.study_pictures import draw_all

SPACE = {
    "optimizer.lr": {"type": "log_float", "low": 1e-4, "high": 1.0},
    "model.act": {"type": "categorical", "choices": ["relu", "leaky_relu", None]},
    "batch_size": {"type": "int", "low": 2, "high": 10},
    "schedule.gamma": {"type": "float", "low": -1.0, "high": 1.0},
}
TOLD = {"study": "faces", "name": "synthetic", "protocol": "official", "n_validation": 140, "synthetic": True}


def row(number, end="done", value=0.5, lr=1e-2, act="relu", batch_size=4, gamma=0.0):
    values = {"optimizer.lr": lr, "model.act": act, "batch_size": batch_size, "schedule.gamma": gamma}
    return {"trial": number, "end": end, "value": value, "epochs": 3, "values": values}


ROWS = [row(1), row(2, "failed", None), row(3, "pruned", 0.2, lr=1e-4, act=None), row(4, value=0.75, batch_size=10)]


@pytest.fixture
def figures(monkeypatch):
    """{file name: the figure that was saved}."""
    found = {}
    original = study_pictures.save

    def save(figure, path):
        original(figure, path)
        found[path.name] = figure

    monkeypatch.setattr(study_pictures, "save", save)
    return found


def draw(folder, rows, objective="validation_accuracy", **told):
    done = sum(found["end"] == "done" for found in rows)
    shares = dict.fromkeys(SPACE, 0.25)
    draw_all(folder, TOLD | {"objective": objective, "n_done": done} | told, rows, shares, SPACE)


def texts(figure: Figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_every_picture_names_study_corpus_and_that_it_is_drawn(tmp_path, figures):
    draw(tmp_path, ROWS)
    assert sorted(figures) == ["history.png", "importance.png", "parallel.png"]
    for figure in figures.values():
        said = texts(figure)
        assert "study faces" in said
        assert "n = 140" in said
        assert "synthetic corpus: this figure says nothing about people" in said


def test_a_real_corpus_is_not_called_synthetic(tmp_path, figures):
    draw(tmp_path, ROWS, synthetic=False, name="FER-2013")
    assert all("FER-2013" in texts(figure) and "synthetic" not in texts(figure) for figure in figures.values())


def test_history_shows_each_end_and_the_best_so_far(tmp_path, figures):
    draw(tmp_path, [*ROWS, row(5, "pruned", 0.9)])
    assert all(word in texts(figures["history.png"]) for word in ("done (2)", "pruned (2)", "failed (1)"))
    [axes] = figures["history.png"].axes
    [best] = axes.lines
    assert (list(best.get_xdata()), list(best.get_ydata())) == ([1, 2, 3, 4, 5], [0.5, 0.5, 0.5, 0.75, 0.75])


def test_before_a_trial_is_done_there_is_no_best(tmp_path, figures):
    draw(tmp_path, [row(1, "failed", None), row(2, "pruned", 0.9), row(3, value=0.5)])
    [best] = figures["history.png"].axes[0].lines
    assert list(best.get_ydata()) == pytest.approx([math.nan, math.nan, 0.5], nan_ok=True)


def test_of_losses_the_lowest_is_the_best(tmp_path, figures):
    draw(tmp_path, [row(1, value=2.0), row(2, value=3.0), row(3, value=1.0)], "validation_loss")
    assert list(figures["history.png"].axes[0].lines[0].get_ydata()) == [2.0, 2.0, 1.0]
    colours = [tuple(line.get_color()) for line in figures["parallel.png"].axes[0].lines[:3]]
    assert colours == [
        tuple(colormaps["viridis"].resampled(9)(share)) for share in (1.0, 0.5, 0.0)
    ]  # the best dark, and on top


def test_a_line_stands_at_its_values(tmp_path, figures):
    """Rates on a scale of powers, choices evenly, from the lower end to the upper."""
    draw(tmp_path, [row(1, lr=1e-2, act="leaky_relu", batch_size=10, gamma=-0.5)])
    heights = figures["parallel.png"].axes[0].lines[0].get_ydata()
    assert list(heights) == pytest.approx([0.5, 0.5, 1.0, 0.25])


@pytest.mark.parametrize("rows", [[row(1)], [row(1), row(2)], [row(1), row(2, "pruned", None)]])
def test_drawn_of_few_trials_too(tmp_path, rows):
    draw(tmp_path, rows)
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 150


@pytest.mark.parametrize(("done", "warned"), [(19, True), (20, False)])
def test_importance_of_few_trials_says_so(tmp_path, figures, done, warned):
    draw(tmp_path, ROWS, n_done=done)
    assert ("too few to tell" in texts(figures["importance.png"])) == warned
