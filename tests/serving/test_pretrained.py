"""The run that ships with the project: its size, its model card, and its predictions for pictures of people."""

import csv
import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from stages.apps import live, predict
from stages.core.files import read_json
from stages.export.ship import CARD, MAX_BYTES
from stages.serving.run_files import INFO, WEIGHTS, find
from stages.serving.served_run import serve

MEDIA = ROOT.parent / "shared/media"
RAVDESS = ROOT.parent / "shared/data/ravdess_4_emotions_18_actors.zip"
needs_media = pytest.mark.skipif(not MEDIA.exists(), reason="the project contains no pictures of people")


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_folder_is_small_and_complete(kind: str):
    folder = find(None, kind)
    assert {path.name for path in folder.iterdir()} == {INFO, WEIGHTS, CARD}
    assert (folder / WEIGHTS).stat().st_size <= MAX_BYTES


def test_card_shows_the_figures_of_its_reference_record():
    card = (find(None) / CARD).read_text(encoding="utf-8")
    record = read_json(ROOT / re.search(r"metrics/reference/\w+\.json", card).group())
    low, high = record["accuracy_ci95"]
    run = serve()
    assert (run.kind, len(run.classes), run.info["synthetic"]) == ("image", 7, False)
    assert record["run"] == run.info["run"]
    assert f"**{100 * record['accuracy']:.1f} %**, 95 % interval {100 * low:.1f} to {100 * high:.1f}" in card
    assert record["command"] in card


@needs_media
def test_predict_uses_it_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    output = tmp_path / "predictions.json"
    monkeypatch.setattr(sys, "argv", ["predict", str(MEDIA / "astronaut.png"), "--json", str(output)])
    predict.main()
    [prediction] = json.loads(output.read_text())["answers"]
    assert prediction["class"] == "happy"


@needs_media
def test_live_predicts_sad_before_the_clip_turns_to_laughing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    output = tmp_path / "rows.csv"
    arguments = ["--video", str(MEDIA / "sad_to_laughing.mp4"), "--headless", "--csv", str(output)]
    monkeypatch.setattr(sys, "argv", ["live", *arguments])
    live.main()
    with output.open() as stream:
        rows = list(csv.DictReader(stream))
    time_s, sad, happy = (
        np.array([float(row[name]) for row in rows]) for name in ("time_s", "smoothed_sad", "smoothed_happy")
    )
    early, late = time_s < time_s.max() / 4, time_s > 3 * time_s.max() / 4
    assert sad[early].mean() > 2 * sad[late].mean()
    assert happy[late].mean() > 0.5 > happy[early].mean()


@pytest.mark.skipif(not RAVDESS.exists(), reason="the project contains no recordings of people")
def test_predict_recognises_most_clips_of_test_speakers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    """A folder of clips needs no option; the first line names the licence. It has not heard these speakers."""
    names = ["neutral", "calm", "happy", "sad", "angry"]
    with zipfile.ZipFile(RAVDESS) as archive:
        clips = [name for name in archive.namelist() if re.search(r"-(04|09|10)\.wav$", name)]
        archive.extractall(tmp_path, clips)
    output = tmp_path / "predictions.json"
    monkeypatch.setattr(sys, "argv", ["predict", str(tmp_path), "--json", str(output)])
    predict.main()
    assert capsys.readouterr().err.startswith("warning: speech_ge2e: not for commercial use: CC BY-NC-SA 4.0")
    answers = json.loads(output.read_text())["answers"]
    truth = [names[int(Path(answer["file"]).name.split("-")[2]) - 1] for answer in answers]
    assert sum("unlike" in answer["note"] for answer in answers) <= 2
    assert sum(answer["class"] == label for answer, label in zip(answers, truth, strict=True)) > len(truth) / 2
