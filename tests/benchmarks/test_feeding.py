"""The benchmark of the input pipeline, with small images."""

import re
from types import SimpleNamespace

import pytest
from conftest import ROOT

from benchmarks import feeding, memory
from stages.checks.params import load

PARAMS = load(ROOT / "params.yaml")


def test_prints_both_rates_and_their_ratio(monkeypatch, capsys):
    run = PARAMS.runs[feeding.RUN]
    small = run.model_copy(update={"batch_size": 2, "model": run.model | {"backbone": "resnet18", "lstm_hidden": 4}})
    monkeypatch.setattr(memory, "SIDE_PX", 32)
    monkeypatch.setattr(feeding, "BATCHES_FED", 3)
    machine = PARAMS.machine.model_copy(update={"workers": 1})
    feeding.compare_with_network(PARAMS.model_copy(update={"runs": {feeding.RUN: small}, "machine": machine}))
    output = capsys.readouterr().out
    assert output.startswith(f"input of {feeding.RUN}")
    fed, trained, ratio = map(float, re.findall(r"[\d.]+(?=\D*)", output.replace(",", "")))
    assert fed / trained == pytest.approx(ratio, rel=0.2)


def test_does_not_time_the_first_batch(monkeypatch):
    now = iter([10.0, 12.5, 15.0])  # after each of two batches, and at the end
    monkeypatch.setattr(feeding.time, "perf_counter", lambda: next(now))
    assert feeding.epoch_s(SimpleNamespace(train_epoch=list), ["first", "second"]) == 5.0
