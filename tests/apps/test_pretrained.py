"""What ships with the project: small, real, under a card that tells its record, and right about the sample media."""

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from stages.apps import live, predict
from stages.apps.run_files import INFO, WEIGHTS, find
from stages.apps.serving import serve
from stages.apps.ship import CARD, MAX_BYTES
from stages.core.files import read_json

MEDIA = ROOT.parent / "shared/media"
needs_media = pytest.mark.skipif(not MEDIA.exists(), reason="no pictures of people come with the project")


def test_folder_is_small_and_complete():
    folder = find(None)
    assert {path.name for path in folder.iterdir()} == {INFO, WEIGHTS, CARD}
    assert (folder / WEIGHTS).stat().st_size <= MAX_BYTES


def test_it_learnt_from_people():
    run = serve()
    assert run.info["synthetic"] is False
    assert run.kind == "image"
    assert len(run.classes) == 7


def test_card_is_of_its_record():
    card = (find(None) / CARD).read_text(encoding="utf-8")
    record = read_json(ROOT / re.search(r"metrics/reference/\w+\.json", card).group())
    assert record["run"] == serve().info["run"]
    low, high = record["accuracy_ci95"]
    told = f"**{100 * record['accuracy']:.1f} %**, 95 % interval {100 * low:.1f} to {100 * high:.1f}"
    assert told in card
    assert record["command"] in card


@needs_media
def test_portrait_without_naming_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    out = tmp_path / "answers.json"
    monkeypatch.setattr(sys, "argv", ["predict", str(MEDIA / "astronaut.png"), "--json", str(out)])
    predict.main()
    [answer] = json.loads(out.read_text())["answers"]
    assert max(answer["probabilities"], key=answer["probabilities"].get) == "happy"


@needs_media
def test_clip_is_sad_first_and_laughs_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    out = tmp_path / "rows.csv"
    words = ["live", "--video", str(MEDIA / "sad_to_laughing.mp4"), "--headless", "--csv", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    live.main()
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    time_s = np.array([float(row["time_s"]) for row in rows])
    early, late = time_s < time_s.max() / 4, time_s > 3 * time_s.max() / 4
    sad, happy = (np.array([float(row[f"smoothed_{name}"]) for row in rows]) for name in ("sad", "happy"))
    assert sad[early].mean() > 2 * sad[late].mean()
    assert happy[late].mean() > 0.5 > happy[early].mean()
