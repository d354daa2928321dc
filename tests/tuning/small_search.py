"""Searches whose trainings are formulas: milliseconds a trial."""

from pathlib import Path

from stages.params.schema import Study
from stages.tuning import search, storage

SPACE = {
    "optimizer": {"lr": {"type": "log_float", "low": 1e-4, "high": 1.0}},
    "schedule": {
        "gamma": {"type": "float", "low": 0.1, "high": 0.9},
        "step_epochs": {"type": "int", "low": 1, "high": 5},
    },
    "model": {"activation": {"type": "categorical", "choices": ["relu", "elu"]}},
}
PATHS = ["optimizer.lr", "schedule.gamma", "schedule.step_epochs", "model.activation"]
EPOCHS = 6


def study(**changes) -> Study:
    told = {
        "run": "r", "corpus": "faces", "dataset": "faces", "model": "custom_cnn", "recipe": "c", "space": SPACE,
        "objective": "validation_accuracy", "n_trials": 12, "train_samples": None,
        "sampler": {"name": "tpe", "startup_trials": 4}, "pruner": {"name": "none"}, "timeout_s": None,
    }  # fmt: skip
    return Study.model_validate(told | changes)


def formula(values, report):
    """Best near lr 0.01 and gamma 0.5, reached over six epochs."""
    goal = 1 / (1 + abs(values["optimizer.lr"] - 0.01) * 10 + abs(values["schedule.gamma"] - 0.5))
    for epoch in range(1, EPOCHS + 1):
        report(epoch, goal * epoch / EPOCHS)
    return goal


def searched(journal: Path, chosen: Study | None = None, train=formula, *, n_trials=None, name="faces/0", seed=7):
    """The study after `search.run`, with the journal closed again."""
    chosen = chosen or study()
    with storage.opened(journal, None) as kept:
        found = search.open_study(kept, name, chosen, EPOCHS, seed)
        search.run(found, chosen, n_trials or chosen.n_trials, train, alone=True)
        return found


def tried(found, n_trials=12):
    """What outputs are made of: place, end, value, values."""
    kept = search.by_place(found.get_trials(), n_trials)
    return [(place, trial.state.name, trial.value, trial.params) for place, trial in kept.items()]
