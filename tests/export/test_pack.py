"""A packed run predicts like its folder, and is always packed to the same bytes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_runs import run_stage, small_run

from stages.apps import export, pack
from stages.core.errors import UserError
from stages.export.pack import pack as pack_run
from stages.serving.served_run import serve


def test_packed_run_predicts_like_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = small_run("faces").folder
    for name in ("a.zip", "b.zip"):
        run_stage(pack, "--run", folder, "--output", tmp_path / name)
    assert capsys.readouterr().out.count(" MB\n") == 2
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    packed, run = serve(str(tmp_path / "a.zip")), serve(str(folder))
    assert np.array_equal(*(one.probabilities([one.prepare(image)]) for one in (packed, run)))
    assert packed.info == run.info


def test_refuses_to_pack_a_damaged_run(tmp_path: Path):
    folder = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    (folder / "best.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"best\.safetensors: damaged or cut short"):
        pack_run(str(folder), tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


@pytest.mark.parametrize(("app", "options"), [(pack, ()), (export, ("--format", "onnx"))])
def test_refuses_to_overwrite_the_packed_run_that_it_reads(tmp_path: Path, app, options):
    path = tmp_path / "run.zip"
    pack_run(str(small_run("faces").folder), path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"--output: .*run\.zip is an input"):
        run_stage(app, "--run", path, "--output", path, *options)
    assert path.read_bytes() == before
