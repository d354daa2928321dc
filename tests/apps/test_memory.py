"""What the bench of memory measures; it measures nothing large."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.apps import memory
from stages.checks.params import load
from stages.corpora import image_folder
from stages.datasets.store import Store

PARAMS = load(Path(__file__).parents[2] / "params.yaml")


def hold(size_bytes: int) -> None:
    held = np.ones(size_bytes, np.uint8)
    if os.fork() == 0:  # a child that shares it all, which counts once
        assert held[-1]
        memory.time.sleep(2.0)
        os._exit(0)
    memory.time.sleep(2.0)
    os.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_is_of_what_a_process_and_its_children_hold():
    few, many = (memory.peak_mb(hold, size) for size in (500_000_000, 900_000_000))
    assert many - few == pytest.approx(400, abs=60)  # not 800


def test_prepares_and_trains_on_what_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "SIDE_PX", 16)
    archive, dataset = tmp_path / "images.zip", tmp_path / "images.h5"
    memory.write_images(archive, 70)
    assert len(list(image_folder.read(archive))) == 70
    memory.prepare(archive, dataset, 1)
    with Store(dataset) as store:
        assert store.sample_shape == (3, 16, 16)
        assert len(store) == 70
    memory.train(dataset, PARAMS)


def test_says_by_how_much_it_grows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(memory, "peaks", lambda count, params: {"train": 500 + count / 100})
    memory.growth(PARAMS)
    assert capsys.readouterr().out == "train, 2,000 to 10,000 images of 224x224x3: 520 to 600 MB, grows by 80 MB\n"
