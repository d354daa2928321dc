"""The pictures of the documentation are what the tool draws from the present dvc.yaml and params.yaml."""

import re
from xml.etree import ElementTree

import pytest
from conftest import ROOT

from stages.params.load import parse
from tools.diagrams import pictures

PARAMS = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(ROOT)
    return pictures()


def texts(svg: str) -> list[str]:
    return [node.text for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_committed_pictures_are_current(drawn: dict[str, str]):
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.svg")}
    assert committed.keys() == drawn.keys()
    outdated = [name for name in drawn if committed[name] != drawn[name]]
    assert outdated == [], "run: python -m tools.diagrams"


def test_pipeline_shows_every_item_of_every_stage(drawn: dict[str, str]):
    shown = texts(drawn["pipeline.svg"])
    assert [run for run in PARAMS["runs"] if shown.count(run) < 2] == []  # in train and evaluate
    assert [key for key in (*PARAMS["corpora"], *PARAMS["datasets"], *PARAMS["studies"]) if key not in shown] == []
    assert {"download", "prepare", "split", "train", "tune", "evaluate", "report"} <= set(shown)


def test_arrows_of_the_pipeline_follow_its_dependencies(drawn: dict[str, str]):
    """Per corpus: download → prepare, split → train → evaluate → report, and prepare, split → tune → report.

    With ensembles, evaluate → ensemble → report.
    """
    n_corpora = len(PARAMS["corpora"])
    n_studied, n_mixed = (len({item["corpus"] for item in PARAMS[name].values()}) for name in ("studies", "ensembles"))
    assert len(re.findall("marker-end", drawn["pipeline.svg"])) == 6 * n_corpora + 3 * n_studied + n_mixed


def test_architecture_leads_from_data_to_evaluation(drawn: dict[str, str]):
    shown = texts(drawn["architecture_eeg.svg"])
    runs = [key for key, run in PARAMS["runs"].items() if run["corpus"] == "eeg"]
    assert [run for run in runs if run not in shown] == []
    assert {"model eeg_cnn_lstm", "feature eeg (eeg_zero)", "feature eeg (eeg_average)", "padding: zero"} <= set(shown)
