"""What an answer costs, of runs as they are published, kept beside what was measured before."""

import sys
from pathlib import Path

import pytest
import torch
from small_store import DESCRIPTION
from torch import nn

from stages.apps import latency
from stages.checks.params import load
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.training import model_folder

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
RUN = "faces_keras_cnn"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and one run, trained on smaller images than params.yaml publishes."""
    (tmp_path / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    dataset = vars(DESCRIPTION) | {"shape": [1, 16, 16]}
    normaliser = {"mean": [[[0.5]]], "sd": [[[0.25]]]}
    folder = tmp_path / "data" / "models" / RUN
    folder.mkdir(parents=True)
    write_json(folder / "model.json", model_folder.describe(RUN, PARAMS.runs[RUN], dataset, normaliser))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    monkeypatch.setattr(latency, "git", lambda *_: "abc")
    return tmp_path


def measure(monkeypatch: pytest.MonkeyPatch, *runs: str) -> dict:
    monkeypatch.setattr(sys, "argv", ["latency", *runs])
    latency.main()
    return read_json(latency.PATH)


def test_measures_the_published_input_and_keeps_the_rest(project: Path, monkeypatch: pytest.MonkeyPatch):
    latency.PATH.parent.mkdir(parents=True)
    write_json(latency.PATH, {"latency": {"other": {"flops": 1}}, "live": {"fps": 2}, "date": "2020-01-01"})
    found = measure(monkeypatch, RUN)
    assert (found["latency"]["other"], found["live"]) == ({"flops": 1}, {"fps": 2})
    assert found["date"] > "2020-01-01"
    told = found["latency"][RUN]
    assert told["input"] == [1, 48, 48]
    info = read_json(project / "data" / "models" / RUN / "model.json")
    assert told["parameters"] == sum(p.numel() for p in model_folder.build(at_48(info)).architecture.parameters())
    for precision in ("float32", "bfloat16"):
        assert told[precision]["per_second"] == pytest.approx(1000 / told[precision]["latency_ms"], rel=0.05)


def at_48(info: dict) -> dict:
    return info | {"input": info["input"] | {"shape": [1, 48, 48]}}


def test_precision_is_the_one_it_says():
    seen = []

    class Spy(nn.Module):
        def forward(self, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
            seen.append((x @ x.mT).dtype)
            return x

    for dtype in (torch.float32, torch.bfloat16):
        seen.clear()
        assert latency.latency_s(Spy(), torch.rand(1, 4, 4), torch.tensor([4]), dtype) > 0
        assert set(seen) == {dtype}


def test_runs_that_are_not_there(project: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="Did you mean 'faces_keras_cnn'"):
        measure(monkeypatch, "faces_keras_cn")
    with pytest.raises(UserError, match="no data/models/faces_custom_cnn; run `dvc repro` first"):
        measure(monkeypatch, "faces_custom_cnn")
