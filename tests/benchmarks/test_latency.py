"""The cost of a prediction, measured at the published size and recorded."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from small_store import DESCRIPTION
from torch import nn

from benchmarks import latency
from stages.checks.params import load
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.experiments import provenance
from stages.training import model_folder

PARAMS = load(ROOT / "params.yaml")
RUN = "faces_keras_cnn"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and one run, trained on smaller images than the published ones."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    dataset = vars(DESCRIPTION) | {"shape": [1, 16, 16]}
    normaliser = {"mean": [[[0.5]]], "sd": [[[0.25]]]}
    write_json(
        tmp_path / "data/models" / RUN / "model.json", model_folder.describe(RUN, PARAMS.runs[RUN], dataset, normaliser)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(provenance, "git", lambda *_: "abc")
    return tmp_path


def measure(monkeypatch: pytest.MonkeyPatch, *runs: str) -> dict:
    monkeypatch.setattr(sys, "argv", ["latency", *runs])
    latency.main()
    return read_json(latency.PATH)


def test_records_the_cost_at_the_published_size(project: Path, monkeypatch: pytest.MonkeyPatch):
    """The other entries of the record stay."""
    write_json(latency.PATH, {"latency": {"other": {"flops": 1}}, "live": {"fps": 2}, "date": "2020-01-01"})
    record = measure(monkeypatch, RUN)
    assert (record["latency"]["other"], record["live"]) == ({"flops": 1}, {"fps": 2})
    assert (record["command"], record["commit"]) == ("python -m benchmarks.latency", "abc")
    assert record["date"] > "2020-01-01"
    cost = record["latency"][RUN]
    assert cost["input"] == [1, 48, 48]
    info = read_json(project / "data" / "models" / RUN / "model.json")
    info |= {"input": info["input"] | {"shape": [1, 48, 48]}}
    assert cost["parameters"] == sum(p.numel() for p in model_folder.build(info).architecture.parameters())
    for precision in ("float32", "bfloat16"):
        assert cost[precision]["per_second"] == pytest.approx(1000 / cost[precision]["latency_ms"], rel=0.05)


def test_records_one_view_of_test_time_augmentation(project: Path, monkeypatch: pytest.MonkeyPatch):
    info = read_json(project / "data/models" / RUN / "model.json")
    write_json(project / "data/models/faces_compact/model.json", info | {"model": {"name": "compact_resnet"}})
    cost = measure(monkeypatch, "faces_compact")["latency"]["faces_compact"]
    assert cost["float32"]["latency_ms"] > 3 * cost["without_tta"]["float32"]["latency_ms"]  # ten views


@pytest.mark.parametrize("dataset", ["speech", "speech_embedding"])
def test_measures_the_features_of_speech(monkeypatch: pytest.MonkeyPatch, dataset: str):
    monkeypatch.setattr(latency, "MIN_SECONDS", 0.0)
    assert 0.1 < latency.feature_ms(PARAMS.datasets[dataset].feature) < 5000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_computes_in_the_given_precision(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype):
    computed = []

    class Spy(nn.Module):
        def forward(self, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
            computed.append((x @ x.mT).dtype)
            return x

    monkeypatch.setattr(latency, "MIN_SECONDS", 0.0)
    assert latency.latency_s(Spy(), torch.rand(1, 4, 4), torch.tensor([4]), dtype) > 0
    assert set(computed) == {dtype}


def test_refuses_an_unknown_and_an_untrained_run(project: Path, monkeypatch: pytest.MonkeyPatch):
    for run, words in (("faces_keras_cn", "Did you mean 'faces_keras_cnn'"), ("faces_custom_cnn", "run `dvc repro`")):
        with pytest.raises(UserError, match=words):
            measure(monkeypatch, run)
