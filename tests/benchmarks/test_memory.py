"""The benchmark of memory, with small corpora."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT
from shared_memory import hold

from benchmarks import memory
from stages.checks.params import load
from stages.corpora import image_folder
from stages.datasets.store import Store

PARAMS = load(ROOT / "params.yaml")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_counts_memory_shared_by_processes_once():
    few, many = (memory.peak_mb(hold, size) for size in (100_000_000, 300_000_000))
    assert many - few == pytest.approx(200, abs=30)  # not 400


def test_prepares_and_trains_on_its_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "SIDE_PX", 16)
    archive = memory.write_images(tmp_path, 70)
    assert len(list(image_folder.read(archive))) == 70
    memory.prepare(archive, 1)
    with Store(archive.with_suffix(".h5")) as store:
        assert store.sample_shape == (3, 16, 16)
        assert len(store) == 70
    memory.train(archive.with_suffix(".h5"), PARAMS)


def test_prints_the_growth(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(memory, "peaks", lambda count, params: {"train": 500 + count / 100})
    memory.print_growth(PARAMS)
    assert capsys.readouterr().out == "train, 2,000 to 10,000 images of 224x224x3: 520 to 600 MB, grows by 80 MB\n"
