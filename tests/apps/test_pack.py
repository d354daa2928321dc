"""A packed run is the run, in one file of the same bytes whenever it is packed."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from small_runs import small_run

from stages.apps import export, pack
from stages.apps.serving import serve
from stages.core.errors import UserError


def test_packed_run_answers_as_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    folder = small_run("faces").folder
    for name in ("a.zip", "b.zip"):
        monkeypatch.setattr(sys, "argv", ["pack", "--run", str(folder), "--output", str(tmp_path / name)])
        pack.main()
    assert capsys.readouterr().out.count(" MB\n") == 2
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    one, other = serve(str(tmp_path / "a.zip")), serve(str(folder))
    assert np.array_equal(*(run.probabilities([run.prepare(image)]) for run in (one, other)))
    assert one.info == other.info


def test_what_cannot_be_loaded_is_not_packed(tmp_path: Path):
    folder = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    (folder / "best.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"best\.safetensors: damaged or cut short"):
        pack.pack(str(folder), tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


def test_output_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for output, words in ((tmp_path, "a folder, not a file"), (tmp_path / "no/run.zip", "its folder does not exist")):
        monkeypatch.setattr(sys, "argv", ["pack", "--run", str(small_run("faces").folder), "--output", str(output)])
        with pytest.raises(UserError, match=f"--output: {words}"):
            pack.main()


def test_a_packed_run_is_not_packed_over_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pack.pack(str(small_run("faces").folder), tmp_path / "run.zip")
    before = (tmp_path / "run.zip").read_bytes()
    for module in (pack, export):
        words = ["app", "--run", str(tmp_path / "run.zip"), "--output", str(tmp_path / "run.zip")]
        monkeypatch.setattr(sys, "argv", words + (["--format", "onnx"] if module is export else []))
        with pytest.raises(UserError, match=r"--output: .*run\.zip is read, and would be written over"):
            module.main()
    assert (tmp_path / "run.zip").read_bytes() == before
