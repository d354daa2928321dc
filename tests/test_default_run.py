"""The committed results of `make repro` on synthetic corpora: complete, of the committed params, and plausible."""

import json

import pytest
from conftest import ROOT

from stages.params.load import parse

METRICS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "metrics/runs").glob("*.json")}
LOCK = parse((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
PARAMS = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))


def setting(path):
    value = PARAMS
    for key in path.split("."):
        value = value[key]
    return value


def test_every_run_has_metrics():
    assert sorted(METRICS) == sorted(PARAMS["runs"])


def test_results_are_of_the_committed_params():
    """Every setting in dvc.lock equals the one in params.yaml."""
    locked = {
        (stage, path): value
        for stage, entry in LOCK.items()
        for path, value in entry.get("params", {}).get("params.yaml", {}).items()
    }
    assert [place for place, value in locked.items() if setting(place[1]) != value] == []


@pytest.mark.parametrize("run", sorted(METRICS))
def test_every_run_is_well_above_chance(run: str):
    """Balanced accuracy is 1 / n_classes for a network that predicts one class for everything."""
    metrics = METRICS[run]
    n_classes = len(metrics["per_class"])
    assert metrics["synthetic"]
    assert metrics["balanced_accuracy"] > 1.5 / n_classes
    low, high = metrics["accuracy_ci95"]
    assert low > 1.2 / n_classes
    assert high - low < 0.2


def test_the_shipped_network_is_the_best_on_faces():
    """The weights of `faces_compact` ship with the project."""
    accuracy = {run: metrics["accuracy"] for run, metrics in METRICS.items() if metrics["corpus"] == "faces"}
    assert max(accuracy, key=accuracy.get) == "faces_compact"


def test_every_arm_of_dual_attention_learns():
    """Six epochs are few for the BiLSTM, which has no pretrained weights: it stays below the arms without it."""
    arms = {run: metrics["balanced_accuracy"] for run, metrics in METRICS.items() if metrics["corpus"] == "portraits"}
    assert len(arms) == 4
    assert min(arms.values()) > 0.35  # chance: 1 of 8
    assert max(arms.values()) > 0.55


@pytest.mark.parametrize("corpus", ["portraits", "speech"])
def test_all_runs_of_an_ablation_are_compared(corpus: str):
    """The report compares only runs whose settings differ in the parts of the model alone."""
    steps = json.loads((ROOT / "metrics/ablation.json").read_text())["steps"]
    compared = {step[which] for step in steps if step["corpus"] == corpus for which in ("run", "before")}
    others = {"speech_ge2e"}  # another network, on another feature
    assert compared == {run for run, metrics in METRICS.items() if metrics["corpus"] == corpus} - others
