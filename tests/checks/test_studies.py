"""Mistakes in `studies:`: one line each, all at once."""

import pytest
from small_params import RECIPE, RUN, SMALL, assert_mistake, changed, mistakes, write

from stages.checks import params
from stages.checks.studies import candidates
from stages.params.space import at, dimensions, replaced

LR = {"type": "log_float", "low": 1e-4, "high": 1e-1}
SPACE = {"optimizer": {"lr": LR}, "batch_size": {"type": "categorical", "choices": [16, 32]}}
STUDY = {
    "run": "faces_custom_cnn", "corpus": "faces", "dataset": "faces", "model": "custom_cnn", "recipe": "faces",
    "space": SPACE,
    "objective": "validation_accuracy", "n_trials": 10, "train_samples": None,
    "sampler": {"name": "tpe", "startup_trials": 4}, "pruner": {"name": "median", "warmup_epochs": 2},
    "timeout_s": None,
}  # fmt: skip
NAMES = {"type": "categorical", "choices": ["adam", "sgd_nesterov"]}


def choices(*values):
    return {"type": "categorical", "choices": list(values)}


def with_study(**changes):
    """Return SMALL with a study and the values at dotted paths replaced, of the study or of other sections."""
    paths = {path if path.split(".")[0] in SMALL else f"studies.faces.{path}": path for path in changes}
    return changed(**{"studies.faces": STUDY} | {path: changes[given] for path, given in paths.items()})


def test_valid_study(tmp_path):
    study = params.load(write(tmp_path, with_study())).studies["faces"]
    assert dict(dimensions(study.space)) == {"optimizer.lr": LR, "batch_size": SPACE["batch_size"]}


# (path, value, what the message contains): the mistake is reported at the same path.
ONE_VALUE = [
    ("run", "faces_custom_cn", "unknown name", "'faces_custom_cnn'?"),
    ("corpus", "voices", "'faces', its run's", "'voices'"),
    ("model", "keras_cnn", "'custom_cnn', its run's", "'keras_cnn'"),
    ("n_trials", 0, "more than 0", "0"),
    ("objective", "test_accuracy", "'validation_accuracy' or 'validation_loss'", "'test_accuracy'"),
    ("timeout_s", 0.0, "more than 0 or null", "0.0"),
    ("sampler.name", "tpa", "unknown name", "'tpe'?"),
    # the form of the space
    ("space", {}, "1 or more", "{}"),
    ("space.optimizer.lrr", LR, "unknown key", "'lr'?"),
    ("space.optimizer.lr.low", 0.0, "more than 0 with type log_float", "0.0"),
    ("space.optimizer.lr.low", float("nan"), "a finite number", "nan"),
    ("space.optimizer.lr.hi", 1.0, "unknown key", "'high'?"),
    ("space.optimizer.lr", 0.1, "a mapping with type float, log_float, int, categorical", "0.1"),
    ("space.batch_size.choices", [16], "2 or more", "[16]"),
    ("space.batch_size.choices", [16, "all"], "all of one type", "a number and text"),
    ("space.batch_size.choices", [16, 16], "each choice once", "[16, 16]"),
    # values that the run does not accept
    ("space.batch_size", {"type": "float", "low": 16, "high": 32}, "a whole number", "16.0"),
    ("space.optimizer.lr", {"type": "float", "low": -0.1, "high": 0.1}, "more than 0", "-0.1"),
    ("space.model.activation", choices("relu", "gelu"), "'relu', 'leaky_relu' or 'elu'", "'gelu'"),
    ("space.optimizer.name", choices("adam", "sdg"), "unknown name", "'sdg'"),
    # values that all trials share
    ("space.model.name", choices("custom_cnn", "keras_cnn"), "all trials share it", "model.name, recipe, loading"),
]  # fmt: skip

# (changes, place, what the message contains)
OTHER_PLACE = [
    ({"space.optimizer.lr.low": 0.5}, "space.optimizer.lr", "an empty range", "0.5 to 0.1"),
    ({"space.optimizer.lr.type": "loguniform"}, "space.optimizer.lr", "a mapping with type", "'loguniform'"),
    ({"space.model.widths": choices([8], None)}, "space.model.widths.choices.0", "text or null", "[8]"),
    ({"space.batch_size": {"type": "int", "low": 16, "high": 32.5}}, "space.batch_size.high", "a whole number", "32.5"),
    ({"space.batch_size.choices": [1, 16]}, "space.batch_size", "2 or more", "1"),
    ({"space.optimizer.name": NAMES, f"{RECIPE}.optimizer.beta_1": 0.8},
     "space", "with optimizer.name=sgd_nesterov", f"{RUN}.optimizer.beta_1: unknown key"),
    ({"space.optimizer": {"name": NAMES, "beta_1": {"type": "float", "low": 0.5, "high": 0.9}}},
     "space.optimizer.beta_1", "unknown key", "lr, momentum, weight_decay"),
    ({"space.augmentation.horizontal_flip": {"type": "float", "low": 0.0, "high": 0.5}, f"{RECIPE}.augmentation": None},
     "space", f"{RUN}.augmentation.name: missing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "place", "parts"),
    [*(({path: value}, path, parts) for path, value, *parts in ONE_VALUE), *((c, p, ps) for c, p, *ps in OTHER_PLACE)],
)
def test_one_mistake_gives_one_line(tmp_path, changes, place, parts):
    assert_mistake(tmp_path, with_study(**changes), f"studies.faces.{place}", *parts)


@pytest.mark.parametrize(
    "url",
    ["studies.db", "sqlite:///", "sqlite://", "sqlite:///:memory:", "sqlite+pysqlite:///?timeout=3", "me:secret@host"],
)
def test_rejects_storage_that_workers_cannot_share(tmp_path, url):
    (line,) = mistakes(tmp_path, with_study(**{"machine.storage_url": url}))
    assert line.startswith("machine.storage_url: not the address of a database")
    assert "secret" not in line


def test_all_mistakes_at_once(tmp_path):
    changes = {"n_trials": 0, "space.optimizer.lr.low": 0.0, "space.batch_size.choices": [16], "seed": -1}
    lines = mistakes(tmp_path, with_study(**changes))
    assert {line.partition(": ")[0].removeprefix("studies.faces.") for line in lines} == changes.keys()


def test_mistake_of_the_run_is_reported_once(tmp_path):
    assert len(mistakes(tmp_path, with_study(**{f"{RECIPE}.schedule.gamma": "half"}))) == 1


@pytest.mark.parametrize("space", [None, 3, [LR], {"optimizer": None}, {"optimizer": {"lr": []}}, {3: LR}])
def test_rejects_malformed_space(tmp_path, space):
    lines = mistakes(tmp_path, with_study(space=space))
    assert all(line.startswith("studies.faces.space") for line in lines)


def test_candidates_cover_all_ends_and_choices_with_each_name():
    space = {
        "optimizer.name": choices("adam", "rmsprop"),
        "optimizer.lr": {"type": "float", "low": 0.1, "high": 0.2},
        "batch_size": choices(16, 32, 64),
    }
    trials = list(candidates(space))
    for path, values in (("batch_size", (16, 32, 64)), ("optimizer.lr", (0.1, 0.2))):
        pairs = {(name, value) for name in ("adam", "rmsprop") for value in values}
        assert {(trial["optimizer.name"], trial[path]) for trial in trials} == pairs


def test_replaced_returns_a_changed_copy():
    run = {"optimizer": {"name": "adam", "lr": 0.1}, "augmentation": None}
    changed_run = replaced(run, {"optimizer.lr": 0.2, "augmentation.flip": 0.5, "a.b": 1})
    assert changed_run == {"optimizer": {"name": "adam", "lr": 0.2}, "augmentation": {"flip": 0.5}, "a": {"b": 1}}
    assert run == {"optimizer": {"name": "adam", "lr": 0.1}, "augmentation": None}


@pytest.mark.parametrize(
    ("path", "value"), [("optimizer.lr", 0.1), ("augmentation", None), ("augmentation.flip", ...), ("x", ...)]
)
def test_at_returns_value_or_ellipsis(path, value):
    assert at({"optimizer": {"name": "adam", "lr": 0.1}, "augmentation": None}, path) == value
