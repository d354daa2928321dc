"""What the bench of the input pipeline times, on images small enough."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages.apps import feeding, memory
from stages.checks.params import load

PARAMS = load(Path(__file__).parents[2] / "params.yaml")


def test_both_rates_and_their_ratio(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    run = PARAMS.runs[feeding.RUN]
    small = run.model_copy(update={"batch_size": 2, "model": run.model | {"backbone": "resnet18", "lstm_hidden": 4}})
    monkeypatch.setattr(memory, "SIDE_PX", 32)
    monkeypatch.setattr(feeding, "BATCHES_FED", 3)
    feeding.pipeline_against_network(PARAMS.model_copy(update={"runs": {feeding.RUN: small}}))
    said = capsys.readouterr().out
    assert said.startswith("input of portraits_cnn_attention_bilstm, streamed: ")
    fed, trained, ratio = map(float, re.findall(r"[\d.]+(?=\D*)", said.replace(",", "")))
    assert fed / trained == pytest.approx(ratio, rel=0.2)


def test_the_first_batch_is_not_timed(monkeypatch: pytest.MonkeyPatch):
    now = iter([10.0, 12.5, 15.0])  # after each of two batches, and at the end
    monkeypatch.setattr(feeding.time, "perf_counter", lambda: next(now))
    assert feeding.training_s(SimpleNamespace(train_epoch=list), ["first", "second"]) == 5.0
