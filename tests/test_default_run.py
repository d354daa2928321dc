"""What `make repro` last gave, as it is committed: figures on synthetic corpora, which must tell a sensible story."""

import json
from pathlib import Path

import pytest

from stages.params.load import parse

ROOT = Path(__file__).parents[1]
METRICS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "metrics/runs").glob("*.json")}
LOCK = parse((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def test_every_run_has_its_figures():
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert sorted(METRICS) == sorted(params["runs"])


def test_figures_are_of_the_committed_params():
    """Every setting in dvc.lock is the one in params.yaml."""
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for stage, entry in LOCK.items():
        for path, value in entry.get("params", {}).get("params.yaml", {}).items():
            at = params
            for key in path.split("."):
                at = at[key]
            assert at == value, f"{stage}: {path}"


@pytest.mark.parametrize("run", sorted(METRICS))
def test_every_run_is_well_above_chance(run: str):
    """Its recall, the mean over classes, is chance for a network that gives one answer to everything."""
    n_classes = len(METRICS[run]["per_class"])
    assert METRICS[run]["synthetic"]
    assert METRICS[run]["balanced_accuracy"] > 1.5 / n_classes
    assert METRICS[run]["accuracy_ci95"][0] > 1.2 / n_classes


@pytest.mark.parametrize("run", sorted(METRICS))
def test_intervals_are_narrow_enough_to_say_something(run: str):
    low, high = METRICS[run]["accuracy_ci95"]
    assert high - low < 0.2


def test_the_network_to_serve_is_the_best_of_its_corpus():
    faces = {run: found["accuracy"] for run, found in METRICS.items() if found["corpus"] == "faces"}
    assert max(faces, key=faces.get) == "faces_compact"


def test_the_whole_of_dual_attention_is_not_far_below_its_parts():
    """By balanced accuracy, which its class weights are for."""
    whole, *parts = (
        METRICS[f"portraits_cnn_{arm}"]["balanced_accuracy"] for arm in ("attention_bilstm", "attention", "bilstm")
    )
    assert whole > max(parts) - 0.05


@pytest.mark.parametrize("corpus", ["portraits", "speech"])
def test_the_arms_of_an_ablation_are_compared(corpus: str):
    """They differ in their parts alone, else the report would not set them side by side."""
    steps = json.loads((ROOT / "metrics/ablation.json").read_text())["steps"]
    compared = {step[which] for step in steps if step["corpus"] == corpus for which in ("run", "before")}
    assert compared == {run for run, found in METRICS.items() if found["corpus"] == corpus}
