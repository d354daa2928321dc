"""Two programs on one clip: the rates are those that each tells, kept beside what was measured before."""

import sys
from pathlib import Path

import pytest
from clips import write_clip
from small_runs import small_run

from stages.apps import frame_rate
from stages.core.errors import UserError
from stages.core.files import read_json, write_json

ROOT = Path(__file__).parents[2]
FER = """#!/bin/sh
echo a word of warning
echo '{"per_second": 40.0, "frames": 12, "frames_with_a_face": 9, "versions": {"fer": "25.10.3"}}'
"""


def python(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_rates_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    other = python(tmp_path / "python", FER)
    rates = iter((100.0, 80.0, 60.0))
    monkeypatch.setattr(frame_rate, "ours", lambda *_: next(rates))
    path, run = tmp_path / "cost.json", small_run("faces").folder
    monkeypatch.setattr(frame_rate, "PATH", path)
    monkeypatch.chdir(ROOT)
    write_json(path, {"latency": {"some": 1}, "date": "2020-01-01"})
    clip = write_clip(tmp_path / "clip.avi", 12)
    words = ["frame_rate", str(clip), "--fer-python", str(other), "--run", str(run)]
    monkeypatch.setattr(sys, "argv", words)
    frame_rate.main()
    found = read_json(path)
    assert (found["latency"], found["date"]) == ({"some": 1}, "2020-01-01")
    live = found["live"]
    assert (live["per_second"], live["fer_per_second"], live["ratio"]) == (80.0, 40.0, 2.0)
    assert (live["frames"], live["size_px"]) == (12, [64, 48])
    assert live["input"] == read_json(run / "model.json")["input"]["shape"]
    assert live["fer"] == {"fer": "25.10.3", "frames_with_a_face": 9}
    assert live["date"] > "2020-01-01"
    assert "clip.avi: 80 frames/s, fer 40: x2.0" in capsys.readouterr().out


def test_what_live_tells_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The real program in a process of its own; the time of loading is no part of its rate."""
    monkeypatch.chdir(ROOT)
    assert frame_rate.ours(write_clip(tmp_path / "clip.avi", 30), str(small_run("faces").folder)) > 20


def test_their_program_is_python():
    compile(frame_rate.FER, "fer", "exec")


def test_programs_that_fail(tmp_path: Path):
    broken = python(tmp_path / "python", "#!/bin/sh\necho 'No module named fer' >&2\nexit 1\n")
    for program, words in ((broken, "ended with status 1: No module named fer"), (tmp_path / "no", "cannot be run")):
        with pytest.raises(UserError, match=words):
            frame_rate.fer(tmp_path / "clip.avi", program)


def test_a_clip_that_is_none(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        frame_rate.measure(tmp_path / "no.mp4", Path(sys.executable), None)
