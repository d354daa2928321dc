"""Mistakes in `studies:`, all at once, each one line that says where, what is allowed and what was received."""

import copy

import pytest
from test_params import SMALL, mistakes, write

from stages.checks import params
from stages.checks.studies import candidates
from stages.params.space import at, dimensions, replaced

STUDY = "studies.faces"
RUN = "runs.faces_custom_cnn"
RECIPE = "recipes.faces"
LR = {"type": "log_float", "low": 1e-4, "high": 1e-1}
SPACE = {"optimizer": {"lr": LR}, "batch_size": {"type": "categorical", "choices": [16, 32]}}
TOLD = {
    "run": "faces_custom_cnn", "corpus": "faces", "dataset": "faces", "model": "custom_cnn", "recipe": "faces",
    "space": SPACE,
    "objective": "validation_accuracy", "n_trials": 10, "train_samples": None,
    "sampler": {"name": "tpe", "startup_trials": 4}, "pruner": {"name": "median", "warmup_epochs": 2},
    "timeout_s": None,
}  # fmt: skip
NAMES = {"type": "categorical", "choices": ["adam", "sgd_nesterov"]}


def with_study(**changes):
    """SMALL with a study in it, the values at dotted paths of the study replaced, or those of other sections."""
    content = copy.deepcopy(SMALL)
    content["studies"] = {"faces": TOLD}
    for path, value in changes.items():
        whole = path if path.split(".")[0] in content else f"{STUDY}.{path}"
        content = replaced(content, {whole: value})
    return content


def test_a_study_is_in_order(tmp_path):
    study = params.load(write(tmp_path, with_study())).studies["faces"]
    assert dict(dimensions(study.space)) == {"optimizer.lr": LR, "batch_size": SPACE["batch_size"]}


# (changes, the one line)
ONE_LINE = [
    ({"run": "faces_custom_cn"}, f"{STUDY}.run: unknown name; Did you mean 'faces_custom_cnn'? "
     "allowed: faces_custom_cnn; received: 'faces_custom_cn'"),
    ({"corpus": "voices"}, f"{STUDY}.corpus: allowed: 'faces', its run's; received: 'voices'"),
    ({"dataset": "mel"}, f"{STUDY}.dataset: allowed: 'faces', its run's; received: 'mel'"),
    ({"model": "keras_cnn"}, f"{STUDY}.model: allowed: 'custom_cnn', its run's; received: 'keras_cnn'"),
    ({"n_trials": 0}, f"{STUDY}.n_trials: allowed: more than 0; received: 0"),
    ({"n_trial": 3}, f"{STUDY}.n_trial: unknown key; Did you mean 'n_trials'? allowed: run, corpus, dataset, model, "
     "recipe, space, objective, n_trials, max_epochs, train_samples, sampler, pruner, timeout_s"),
    ({"objective": "test_accuracy"}, f"{STUDY}.objective: allowed: 'validation_accuracy' or 'validation_loss'; "
     "received: 'test_accuracy'. Did you mean 'validation_accuracy'?"),
    ({"timeout_s": 0.0}, f"{STUDY}.timeout_s: allowed: more than 0 or null; received: 0.0"),
    ({"sampler.name": "tpa"}, f"{STUDY}.sampler.name: unknown name; Did you mean 'tpe'? allowed: tpe, random; "
     "received: 'tpa'"),
    ({"pruner.warmup": 3}, f"{STUDY}.pruner.warmup: unknown key; Did you mean 'warmup_epochs'? "
     "allowed: startup_trials, warmup_epochs"),
    # the space
    ({"space": {}}, f"{STUDY}.space: allowed: 1 or more of them; received: {{}}"),
    ({"space.optimizer.lrr": LR}, f"{STUDY}.space.optimizer.lrr: unknown key; Did you mean 'lr'? "
     "allowed: lr, beta_1, beta_2, epsilon, weight_decay"),
    ({"space.batch_sise": {"type": "int", "low": 2, "high": 8}}, f"{STUDY}.space.batch_sise: unknown key; "
     "Did you mean 'batch_size'? allowed: loss, optimizer, gradient_clip_norm, schedule, batch_size, max_epochs, "
     "early_stopping, monitor, augmentation, precision, loading, ema_decay, corpus, dataset, model, recipe"),
    ({"space.optimizer.lr.low": 1e-1}, f"{STUDY}.space.optimizer.lr: an empty range; allowed: low less than high; "
     "received: 0.1 to 0.1"),
    ({"space.optimizer.lr.low": 0.5}, f"{STUDY}.space.optimizer.lr: an empty range; allowed: low less than high; "
     "received: 0.5 to 0.1"),
    ({"space.optimizer.lr.low": 0.0}, f"{STUDY}.space.optimizer.lr.low: allowed: more than 0 with type log_float; "
     "received: 0.0"),
    ({"space.optimizer.lr.low": float("nan")},
     f"{STUDY}.space.optimizer.lr.low: allowed: a finite number; received: nan"),
    ({"space.optimizer.lr.type": "loguniform"},
     f"{STUDY}.space.optimizer.lr: allowed: a mapping with type float, log_float, "
     "int, categorical; received: 'loguniform'"),
    ({"space.optimizer.lr.hi": 1.0},
     f"{STUDY}.space.optimizer.lr.hi: unknown key; Did you mean 'high'? allowed: type, low, high"),
    ({"space.optimizer.lr": 0.1}, f"{STUDY}.space.optimizer.lr: allowed: a mapping with type float, log_float, int, "
     "categorical; received: 0.1"),
    ({"space.batch_size.choices": [16]},
     f"{STUDY}.space.batch_size.choices: allowed: 2 or more of them; received: [16]"),
    ({"space.batch_size.choices": [16, "all"]}, f"{STUDY}.space.batch_size.choices: allowed: all of one type; "
     "received: a number and text, [16, 'all']"),
    ({"space.batch_size.choices": [True, 16]}, f"{STUDY}.space.batch_size.choices: allowed: all of one type; "
     "received: true or false and a number, [True, 16]"),
    ({"space.batch_size.choices": [16, 16]}, f"{STUDY}.space.batch_size.choices: allowed: each choice once; "
     "received: [16, 16]"),
    ({"space.model.widths": {"type": "categorical", "choices": [[8], [16]]}},
     f"{STUDY}.space.model.widths.choices: allowed: text, numbers, true, false or null; received: [8]"),
    ({"space.batch_size": {"type": "int", "low": 16, "high": 32.5}},
     f"{STUDY}.space.batch_size.high: allowed: a whole number; received: 32.5"),
    # what its run could not have
    ({"space.batch_size.choices": [1, 16]}, f"{STUDY}.space.batch_size: allowed: 2 or more; received: 1"),
    ({"space.batch_size": {"type": "float", "low": 16, "high": 32}},
     f"{STUDY}.space.batch_size: allowed: a whole number; received: 16.0"),
    ({"space.optimizer.lr": {"type": "float", "low": -0.1, "high": 0.1}},
     f"{STUDY}.space.optimizer.lr: allowed: more than 0; received: -0.1"),
    ({"space.model.activation": {"type": "categorical", "choices": ["relu", "gelu"]}},
     f"{STUDY}.space.model.activation: allowed: 'relu', 'leaky_relu' or 'elu'; received: 'gelu'. Did you mean 'elu'?"),
    ({"space.optimizer.name": {"type": "categorical", "choices": ["adam", "sdg"]}},
     f"{STUDY}.space.optimizer.name: unknown name; allowed: adam, adamw, sgd_nesterov, rmsprop; received: 'sdg'"),
    ({"space.optimizer.name": NAMES, f"{RECIPE}.optimizer.beta_1": 0.8},
     f"{STUDY}.space: with optimizer.name=sgd_nesterov: {RUN}.optimizer.beta_1: unknown key; "
     "allowed: lr, momentum, weight_decay"),
    ({"space.optimizer": {"name": NAMES, "beta_1": {"type": "float", "low": 0.5, "high": 0.9}}},
     f"{STUDY}.space.optimizer.beta_1: unknown key; allowed: lr, momentum, weight_decay"),
    ({"space.augmentation.horizontal_flip": {"type": "float", "low": 0.0, "high": 0.5}, f"{RECIPE}.augmentation": None},
     f"{STUDY}.space: {RUN}.augmentation.name: missing; allowed: eeg, faces, portraits, speech"),
    # what trials share
    ({"space.model.name": {"type": "categorical", "choices": ["custom_cnn", "keras_cnn"]}},
     f"{STUDY}.space.model.name: all trials share it; allowed: any key of the run but corpus, dataset, "
     "model.name, recipe, loading"),
    # elsewhere
    ({"machine.storage_url": "studies.db"}, "machine.storage_url: not the address of a database; allowed: "
     "sqlite:////<path>.db, postgresql://<user>@<host>/<database>, or null (a file, for one worker)"),
    *(({"machine.storage_url": url}, "machine.storage_url: not the address of a database; allowed: "
       "sqlite:////<path>.db, postgresql://<user>@<host>/<database>, or null (a file, for one worker)")
      for url in ("sqlite:///", "sqlite://", "sqlite:///:memory:", "sqlite+pysqlite:///?timeout=3")),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "line"), ONE_LINE, ids=[line.partition(": ")[0] for _, line in ONE_LINE])
def test_one_mistake_is_one_line(tmp_path, changes, line):
    assert mistakes(tmp_path, with_study(**changes)) == [line]


def test_a_password_is_not_told(tmp_path):
    [line] = mistakes(tmp_path, with_study(**{"machine.storage_url": "me:secret@host"}))
    assert "secret" not in line


def test_all_mistakes_at_once(tmp_path):
    content = with_study(**{"n_trials": 0, "space.optimizer.lr.low": 0.0, "space.batch_size.choices": [16], "seed": -1})
    assert {line.partition(": ")[0] for line in mistakes(tmp_path, content)} == {
        "seed", f"{STUDY}.n_trials", f"{STUDY}.space.optimizer.lr.low", f"{STUDY}.space.batch_size.choices"
    }  # fmt: skip


def test_a_mistake_of_the_run_is_not_told_again_for_each_value(tmp_path):
    assert len(mistakes(tmp_path, with_study(**{f"{RECIPE}.schedule.gamma": "half"}))) == 1


@pytest.mark.parametrize("space", [None, 3, [LR], {"optimizer": None}, {"optimizer": {"lr": []}}, {3: LR}])
def test_a_space_that_is_none_is_told(tmp_path, space):
    assert all(line.startswith(f"{STUDY}.space") for line in mistakes(tmp_path, with_study(space=space)))


def test_candidates_try_every_end_and_choice_with_every_name():
    space = {
        "optimizer.name": {"type": "categorical", "choices": ["adam", "rmsprop"]},
        "optimizer.lr": {"type": "float", "low": 0.1, "high": 0.2},
        "batch_size": {"type": "categorical", "choices": [16, 32, 64]},
    }
    found = list(candidates(space))
    assert {(found["optimizer.name"], found["batch_size"]) for found in found} == {
        (name, size) for name in ("adam", "rmsprop") for size in (16, 32, 64)
    }
    assert {(found["optimizer.name"], found["optimizer.lr"]) for found in found} == {
        (name, rate) for name in ("adam", "rmsprop") for rate in (0.1, 0.2)
    }


def test_a_run_with_other_values():
    run = {"optimizer": {"name": "adam", "lr": 0.1}, "batch_size": 16, "augmentation": None}
    values = {"optimizer.lr": 0.2, "batch_size": 32, "augmentation.flip": 0.5, "model.a.b": 1}
    assert replaced(run, values) == {
        "optimizer": {"name": "adam", "lr": 0.2}, "batch_size": 32,
        "augmentation": {"flip": 0.5}, "model": {"a": {"b": 1}},
    }  # fmt: skip
    assert run == {"optimizer": {"name": "adam", "lr": 0.1}, "batch_size": 16, "augmentation": None}
    assert [at(run, path) for path in ("optimizer.lr", "augmentation", "augmentation.flip", "x")] == [
        0.1,
        None,
        ...,
        ...,
    ]
