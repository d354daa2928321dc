"""`python -m stages.apps.doubtful` on a small folder of faces with a copy under two labels."""

import csv
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT

from stages.apps import doubtful
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.evaluation import predictions
from stages.params.load import parse

CLASSES = ["happy", "sad"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images; s1 and s2 are copies with two labels, and both runs contradict s3."""
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["corpora"]["faces"] |= {"classes": CLASSES}
    params |= {"ensembles": {}, "studies": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    rows = ["emotion,pixels,Usage"]
    for emotion, level, usage in (
        (3, 10, "Training"),
        (4, 10, "Training"),
        (3, 90, "PublicTest"),
        (4, 50, "PrivateTest"),
    ):
        rows.append(f"{emotion},{' '.join(map(str, (np.arange(2304) % 60 + level).tolist()))},{usage}")
    (tmp_path / "data/raw").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "data/raw/faces.zip", "w") as archive:
        archive.writestr("fer2013.csv", "\n".join(rows) + "\n")
    ids = [f"row{number:06d}" for number in range(4)]
    audit = {"label_conflict_ids": [ids[:2]], "near_label_conflict_ids": []}
    parts = {"train": ids[:2], "validation": [ids[2]], "test": [ids[3]]}
    write_json(
        tmp_path / "data/splits/faces.json", {"protocol": "official", "parts": parts, "audit": audit, "dropped": []}
    )
    origin = {"corpus": "faces", "name": "synthetic", "source": "synthetic", "synthetic": True, "protocol": "official"}
    columns = {
        "sample_id": np.array(ids[2:], dtype=object),
        "part": np.array(["validation", "test"], dtype=object),
        "label": np.array([0, 1]),
        "group": np.array(["", ""], dtype=object),
        "probabilities": np.array([[0.1, 0.9], [0.1, 0.9]], dtype=np.float32),
    }
    for run in (key for key, run in params["runs"].items() if run["corpus"] == "faces"):
        path = tmp_path / f"data/predictions/{run}.h5"
        path.parent.mkdir(exist_ok=True)
        predictions.write(path, columns, {}, origin | {"run": run, "classes": CLASSES, "n_train": 2})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["doubtful", *map(str, words)])
    doubtful.main()


def test_lists_writes_and_draws(project: Path, monkeypatch, capsys):
    call(monkeypatch, "faces", "--csv", project / "a.csv", "--png", project / "a.png")
    printed = capsys.readouterr().out
    assert "row000002  validation  happy: all runs answer sad (0.90)" in printed
    assert "faces: 2 copies in 1 sets with several labels, 1 contradicted samples" in printed
    rows = list(csv.DictReader((project / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["sample_id"], row["label"]) for row in rows] == [
        ("row000000", "happy"),
        ("row000001", "sad"),
        ("row000002", "happy"),
    ]
    assert (project / "a.png").stat().st_size > 2000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["face"], "corpora.face"),
        (["faces", "--threshold", "2"], "--threshold: not a probability; allowed: 0 to 1"),
        (["faces", "--runs", "speech_adafnn"], "data/predictions/speech_adafnn.h5: no such file"),
        (["faces", "--count", "0"], "--count: too few; allowed: 2 or more"),
        (["faces", "--png", "a.jpg"], "--png: not the name of a PNG"),
    ],
)
def test_mistakes_are_one_line(project: Path, monkeypatch, words: list[str], message: str):
    with pytest.raises(UserError, match=message):
        call(monkeypatch, *words)


def test_an_older_split_is_one_line(project: Path, monkeypatch):
    split = read_json(project / "data/splits/faces.json")
    del split["audit"]["near_label_conflict_ids"]
    write_json(project / "data/splits/faces.json", split)
    with pytest.raises(UserError, match="faces: the split or the predictions are older than"):
        call(monkeypatch, "faces")
