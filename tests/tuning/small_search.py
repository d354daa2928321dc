"""Searches in which a formula replaces the training, so that a trial takes milliseconds."""

from pathlib import Path

from stages.params.schema import Study
from stages.tuning import search, storage

STEPS = {"type": "int", "low": 1, "high": 5}
SPACE = {
    "optimizer": {"lr": {"type": "log_float", "low": 1e-4, "high": 1.0}},
    "schedule": {"gamma": {"type": "float", "low": 0.1, "high": 0.9}, "step_epochs": STEPS},
    "model": {"activation": {"type": "categorical", "choices": ["relu", "elu"]}},
}
PATHS = ["optimizer.lr", "schedule.gamma", "schedule.step_epochs", "model.activation"]
EPOCHS = 6


def make_study(**changes) -> Study:
    settings = {
        "run": "r", "corpus": "faces", "dataset": "faces", "model": "custom_cnn", "recipe": "c", "space": SPACE,
        "objective": "validation_accuracy", "n_trials": 12, "train_samples": None,
        "sampler": {"name": "tpe", "startup_trials": 4}, "pruner": {"name": "none"}, "timeout_s": None,
    }  # fmt: skip
    return Study.model_validate(settings | changes)


def formula(values, report):
    """A metric that is best near lr 0.01 and gamma 0.5, and that grows over six epochs."""
    goal = 1 / (1 + abs(values["optimizer.lr"] - 0.01) * 10 + abs(values["schedule.gamma"] - 0.5))
    for epoch in range(1, EPOCHS + 1):
        report(epoch, goal * epoch / EPOCHS)
    return goal


def run_search(journal: Path, study: Study | None = None, train=formula, *, name="faces/0", seed=7):
    """Return the Optuna study after `search.run`, with the journal closed."""
    study = study or make_study()
    with storage.opened(journal, None) as opened:
        optuna_study = search.open_study(opened, name, study, EPOCHS, seed)
        search.run(optuna_study, study, study.n_trials, train, alone=True)
        return optuna_study


def trials_of(optuna_study, n_trials=12):
    """Return (place, end, value, values) of the trials, from which all outputs are made."""
    trials = search.by_place(optuna_study.get_trials(), n_trials)
    return [(place, trial.state.name, trial.value, trial.params) for place, trial in trials.items()]
