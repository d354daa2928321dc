"""Mistakes in recipes and in runs that override them: one line each, at the key where the value is written."""

import pytest
from small_params import MISSING, RECIPE, RUN, SMALL, assert_mistake, changed, mistakes, write

from stages.checks import params

OTHER = "runs.other"


def two_runs(**changes):
    """Return SMALL with two runs of one recipe, and the values at dotted paths replaced."""
    return changed(**{OTHER: SMALL["runs"]["faces_custom_cnn"]} | changes)


@pytest.mark.parametrize(
    ("changes", "place", "parts"),
    [
        ({f"{OTHER}.recipe": "face"}, f"{OTHER}.recipe", ["unknown name", "'faces'"]),
        ({f"{OTHER}.recipe": 3}, f"{OTHER}.recipe", ["text", "3"]),
        ({"recipes.faces.model": {"name": "x"}}, "recipes.faces.model", ["unknown key", "loading, ema_decay"]),
        ({"recipes.faces.recipe": "faces"}, "recipes.faces.recipe", ["unknown key"]),
        ({"recipes.faces": 3}, "recipes.faces", ["a mapping", "3"]),
        ({f"{OTHER}.batch_size": "big"}, f"{OTHER}.batch_size", ["a whole number", "'big'"]),
        ({f"{OTHER}.optimizer": 0.1}, f"{OTHER}.optimizer", ["a mapping {name: …, <option>: …}", "0.1"]),
        ({f"{OTHER}.optimizer": {"lr": "x"}}, f"{OTHER}.optimizer.lr", ["a number", "'x'"]),
        ({f"{OTHER}.optimizer": {"name": "rmsprop"}}, f"{OTHER}.optimizer.lr", ["missing"]),
        ({"recipes.faces.optimizer.lr": "x"}, "recipes.faces.optimizer.lr", ["a number", "'x'"]),
        (
            {f"{OTHER}.monitor": "last_epoch", f"{OTHER}.early_stopping": 3},
            f"{OTHER}.early_stopping",
            ["last_epoch", "3"],
        ),
        ({f"{OTHER}.recipe": MISSING}, f"{OTHER}.recipe", ["missing"]),
        (
            {"recipes.spare": SMALL["recipes"]["faces"], "recipes.spare.batch_size": MISSING},
            "recipes.spare.batch_size",
            ["missing"],
        ),
        ({"recipes.Faces": SMALL["recipes"]["faces"]}, "recipes.Faces", ["a key (text)", "'Faces'"]),
    ],
)
def test_one_mistake_gives_one_line_for_all_its_runs(tmp_path, changes, place, parts):
    assert_mistake(tmp_path, two_runs(**changes), place, *parts)


@pytest.mark.parametrize("key", ["batch_size", "optimizer.lr", "optimizer.name", "schedule.gamma"])
def test_missing_key_is_reported_at_the_recipe(tmp_path, key):
    assert_mistake(tmp_path, two_runs(**{f"{RECIPE}.{key}": MISSING}), f"{RECIPE}.{key}", "missing")


def test_run_may_override_a_bad_value_of_its_recipe(tmp_path):
    content = two_runs(**{f"{RUN}.batch_size": 8, f"{OTHER}.batch_size": 4, "recipes.faces.batch_size": "wrong"})
    assert_mistake(tmp_path, content, "recipes.faces.batch_size", "a whole number", "'wrong'")


def test_all_mistakes_at_once(tmp_path):
    changes = {"recipes.faces.max_epochs": 0, f"{OTHER}.batch_size": 1, f"{RUN}.recipe": "x", "seed": -1}
    assert {line.partition(": ")[0] for line in mistakes(tmp_path, two_runs(**changes))} == changes.keys()


def test_recipe_changes_all_its_runs_and_a_run_only_itself(tmp_path):
    changes = {"recipes.faces.optimizer.lr": 0.5, f"{OTHER}.optimizer": {"lr": 0.25}}
    runs = params.load(write(tmp_path, two_runs(**changes))).runs
    assert runs["faces_custom_cnn"].optimizer == {"name": "adam", "lr": 0.5}
    assert runs["other"].optimizer == {"name": "adam", "lr": 0.25}


def test_warns_of_unused_recipes(tmp_path, capsys, monkeypatch):
    spare = {"recipes.spare": SMALL["recipes"]["faces"], "recipes.faces_published": SMALL["recipes"]["faces"]}
    path = write(tmp_path, two_runs(**spare))
    monkeypatch.setattr("sys.argv", ["check", str(path)])
    params.main()
    output = capsys.readouterr()
    assert output.err == f"warning: {path}: recipes.spare: no run uses it\n"
    assert output.out.startswith(f"{path} is valid")
