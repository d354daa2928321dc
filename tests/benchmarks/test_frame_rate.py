"""The comparison of frame rates: what it reads from both programs, and what it records."""

import sys
from pathlib import Path

import pytest
from clips import write_clip
from conftest import ROOT
from small_runs import small_run

from benchmarks import frame_rate
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.experiments import cost_record

FER = """#!/bin/sh
echo a warning
echo '{"per_second": 40.0, "frames": 12, "frames_with_a_face": 9, "versions": {"fer": "25.10.3"}}'
"""


def write_program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_records_both_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    python, rates = write_program(tmp_path / "python", FER), iter((100.0, 80.0, 60.0))
    monkeypatch.setattr(frame_rate, "live_rate", lambda *_: next(rates))
    path, run = tmp_path / "cost.json", small_run("faces").folder
    monkeypatch.setattr(cost_record, "PATH", path)
    monkeypatch.chdir(ROOT)
    write_json(path, {"latency": {"some": 1}, "date": "2020-01-01"})
    clip = write_clip(tmp_path / "clip.avi", 12)
    monkeypatch.setattr(sys, "argv", ["frame_rate", str(clip), "--fer-python", str(python), "--run", str(run)])
    frame_rate.main()
    record = read_json(path)
    assert (record["latency"], record["date"]) == ({"some": 1}, "2020-01-01")
    live = record["live"]
    assert (live["per_second"], live["fer_per_second"], live["ratio"]) == (80.0, 40.0, 2.0)
    assert (live["frames"], live["size_px"]) == (12, [64, 48])
    assert live["input"] == read_json(run / "model.json")["input"]["shape"]
    assert live["fer"] == {"fer": "25.10.3", "frames_with_a_face": 9}
    assert live["command"] == f"python -m benchmarks.frame_rate clip.avi --fer-python <python> --run {run}"
    assert live["date"] > "2020-01-01"
    assert "clip.avi: 80 frames/s, fer 40: x2.0" in capsys.readouterr().out


def test_the_program_for_fer_compiles():
    compile(frame_rate.FER, "fer", "exec")


def test_refuses_a_program_that_fails(tmp_path: Path):
    failing = write_program(tmp_path / "python", "#!/bin/sh\necho 'No module named fer' >&2\nexit 1\n")
    for program, words in ((failing, "ended with status 1: No module named fer"), (tmp_path / "no", "cannot be run")):
        with pytest.raises(UserError, match=words):
            frame_rate.run_fer(tmp_path / "clip.avi", program)
