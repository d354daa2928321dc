"""Mistakes around recipes: each in one line, at the key where the value is written, all at once with the others."""

import copy

import pytest
from test_params import RECIPE_KEYS, SMALL, mistakes, write

from stages.checks import params
from stages.params.space import replaced

RUN, OTHER = "runs.faces_custom_cnn", "runs.other"


def two_runs(**changes):
    """SMALL with two runs of one recipe, and the values at dotted paths replaced."""
    content = copy.deepcopy(SMALL)
    content["runs"]["other"] = copy.deepcopy(content["runs"]["faces_custom_cnn"])
    return replaced(content, changes)


def without(content, path):
    *folders, last = path.split(".")
    at = content
    for key in folders:
        at = at[key]
    del at[last]
    return content


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {f"{OTHER}.recipe": "face"},
            f"{OTHER}.recipe: unknown name; Did you mean 'faces'? allowed: faces; received: 'face'",
        ),
        ({f"{OTHER}.recipe": 3}, f"{OTHER}.recipe: allowed: text; received: 3"),
        ({"recipes.faces.model": {"name": "x"}}, f"recipes.faces.model: unknown key; allowed: {RECIPE_KEYS}"),
        ({"recipes.faces.recipe": "faces"}, f"recipes.faces.recipe: unknown key; allowed: {RECIPE_KEYS}"),
        ({"recipes.faces": 3}, "recipes.faces: allowed: a mapping; received: 3"),
        ({f"{OTHER}.batch_size": "big"}, f"{OTHER}.batch_size: allowed: a whole number; received: 'big'"),
        ({f"{OTHER}.optimizer": 0.1}, f"{OTHER}.optimizer: allowed: a mapping {{name: …, <option>: …}}; received: 0.1"),
        ({f"{OTHER}.optimizer": {"lr": "x"}}, f"{OTHER}.optimizer.lr: allowed: a number; received: 'x'"),
        ({f"{OTHER}.optimizer": {"name": "rmsprop"}}, f"{OTHER}.optimizer.lr: missing"),
        ({"recipes.faces.optimizer.lr": "x"}, "recipes.faces.optimizer.lr: allowed: a number; received: 'x'"),
        (
            {"recipes.faces.optimizer": {"name": "sgd_nesterov", "lr": 0.1, "beta_1": 0.9}},
            "recipes.faces.optimizer.beta_1: unknown key; allowed: lr, momentum, weight_decay",
        ),
        (
            {"recipes.faces.monitor": "last_epoch", "recipes.faces.schedule": {"name": "constant"}},
            "recipes.faces.early_stopping: allowed: null with monitor last_epoch; received: 8",
        ),
        (
            {f"{OTHER}.monitor": "last_epoch", f"{OTHER}.early_stopping": 3},
            f"{OTHER}.early_stopping: allowed: null with monitor last_epoch; received: 3",
        ),
        ({"recipes.Faces": SMALL["recipes"]["faces"]}, "recipes.Faces: allowed: a key (text) of a-z, 0-9, _ and -; "
         "received: 'Faces'"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_line_however_many_runs_share_it(tmp_path, changes, line):
    assert mistakes(tmp_path, two_runs(**changes)) == [line]


@pytest.mark.parametrize("key", ["batch_size", "optimizer.lr", "optimizer.name", "loss", "schedule.gamma"])
def test_a_key_that_the_recipe_lacks(tmp_path, key):
    found = mistakes(tmp_path, without(two_runs(), f"recipes.faces.{key}"))
    assert [line.split("; ")[0] for line in found] == [f"recipes.faces.{key}: missing"]


def test_a_run_may_state_what_its_recipe_lacks_or_has_wrong(tmp_path):
    content = two_runs(**{f"{RUN}.batch_size": 8, f"{OTHER}.batch_size": 4, "recipes.faces.batch_size": "wrong"})
    assert mistakes(tmp_path, content) == ["recipes.faces.batch_size: allowed: a whole number; received: 'wrong'"]


def test_a_run_without_a_recipe(tmp_path):
    assert mistakes(tmp_path, without(two_runs(), f"{OTHER}.recipe")) == [f"{OTHER}.recipe: missing"]


def test_all_mistakes_at_once(tmp_path):
    changes = {"recipes.faces.max_epochs": 0, f"{OTHER}.batch_size": 1, f"{RUN}.recipe": "x", "seed": -1}
    places = {line.partition(": ")[0] for line in mistakes(tmp_path, two_runs(**changes))}
    assert places == {"recipes.faces.max_epochs", f"{OTHER}.batch_size", f"{RUN}.recipe", "seed"}


def test_a_recipe_changes_every_run_of_it_and_a_run_itself_alone(tmp_path):
    changes = {"recipes.faces.optimizer.lr": 0.5, f"{OTHER}.optimizer": {"lr": 0.25}}
    runs = params.load(write(tmp_path, two_runs(**changes))).runs
    assert runs["faces_custom_cnn"].optimizer == {"name": "adam", "lr": 0.5}
    assert runs["other"].optimizer == {"name": "adam", "lr": 0.25}


def test_recipes_that_no_run_names_are_warned_of(tmp_path, capsys, monkeypatch):
    spare = {"recipes.spare": SMALL["recipes"]["faces"], "recipes.faces_published": SMALL["recipes"]["faces"]}
    path = write(tmp_path, two_runs(**spare))
    monkeypatch.setattr("sys.argv", ["check", str(path)])
    params.main()
    said = capsys.readouterr()
    assert said.err == f"warning: {path}: recipes.spare: no run uses it\n"
    assert said.out == f"{path} is valid (1 corpora, 1 datasets, 3 recipes, 2 runs, 0 studies)\n"
