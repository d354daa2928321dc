"""The command that runs a real corpus at the published settings."""

import shlex
import shutil
from functools import reduce
from operator import getitem

import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides

from stages.apps import published
from stages.checks.params import load
from stages.core.errors import UserError
from stages.experiments.published_settings import hydra
from stages.params.load import parse

PARAMS = load(ROOT / "params.yaml")


@pytest.fixture
def params(tmp_path, monkeypatch):
    """A copy of the committed params in the current folder."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def printed(capsys, monkeypatch, *arguments):
    """Return the words of the printed command."""
    monkeypatch.setattr("sys.argv", ["published", *map(str, arguments)])
    published.main()
    return shlex.split(capsys.readouterr().out)


def applied(params, words):
    """Return the params after the settings of the command."""
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) == {"-S"}
    apply_overrides(params, words[4::2])
    return load(params)


@pytest.mark.parametrize(
    "value",
    ["é (1)/my faces.zip", "a,b=c/[x].zip", 'say "hi"/x.zip', "it's/x.zip", "back\\slash.zip", "{a: b}/$HOME.zip",
     "plain.zip", "3e4", "none", "null", "16-mixed", "True", True, None, 1e-08, 3, [64, 128]],
)  # fmt: skip
def test_settings_round_trip_through_hydra(tmp_path, value):
    (tmp_path / "params.yaml").write_text("x: 0\n")
    apply_overrides(tmp_path / "params.yaml", [f"x={hydra(value)}"])
    assert parse((tmp_path / "params.yaml").read_text(encoding="utf-8"))["x"] == value


def test_sets_source_name_and_further_settings(params, tmp_path, capsys, monkeypatch):
    more = ("-S", "studies.faces_custom_cnn.n_trials=3")
    changed = applied(params, printed(capsys, monkeypatch, "faces", "é (1)/it's.zip", "--name", "3e4", *more))
    corpus = changed.corpora["faces"]
    assert (corpus.source, corpus.name) == (str(tmp_path.resolve() / "é (1)/it's.zip"), "3e4")
    assert changed.studies["faces_custom_cnn"].n_trials == 3


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("faces", {"datasets.faces.feature.size_px": 48, "runs.faces_keras_cnn.max_epochs": 30,
                   "runs.faces_custom_cnn.max_epochs": 30, "runs.faces_compact.max_epochs": 60,
                   "runs.faces_compact.model.widths": [64, 128, 256], "runs.faces_compact.model.blocks": 2,
                   "runs.faces_compact.ema_decay": 0.999, "studies.faces_custom_cnn.n_trials": 100,
                   "studies.faces_custom_cnn.max_epochs": None}),
        ("portraits", {"datasets.portraits.feature.size_px": 224, "runs.portraits_cnn.model.pretrained": "imagenet",
                       "runs.portraits_cnn_attention.model.backbone": "efficientnet_b4",
                       "runs.portraits_cnn_bilstm.batch_size": 32, "runs.portraits_cnn.precision": "auto",
                       "runs.portraits_cnn_attention_bilstm.loss.class_weights": "balanced",
                       "runs.portraits_cnn_attention_bilstm.max_epochs": 50}),
        ("speech", {"runs.speech_adafnn.max_epochs": 40, "runs.speech_no_lstm.max_epochs": 40,
                    "splits.speech.folds": 6}),
        ("eeg", {"runs.eeg_cnn_lstm_mask.max_epochs": 50, "runs.eeg_dnn_zero.early_stopping": 10,
                 "studies.eeg_dnn_average.n_trials": 50}),
    ],
)  # fmt: skip
def test_sets_published_values_of_this_corpus_only(params, capsys, monkeypatch, corpus, expected):
    changed = applied(params, printed(capsys, monkeypatch, corpus, "/data/x.zip")).model_dump()
    for path, value in expected.items():
        assert reduce(getitem, path.split("."), changed) == value, path
    assert changed["corpora"][corpus]["name"] == "x"
    others = {key: run.model_dump() for key, run in PARAMS.runs.items() if run.corpus != corpus}
    assert {key: changed["runs"][key] for key in others} == others


@pytest.mark.parametrize(
    ("source", "name"), [("kaggle:msambare/fer2013", "fer2013"), ("https://zenodo.org/a/emodb.zip", "emodb")]
)
def test_keeps_kaggle_handles_and_urls(params, capsys, monkeypatch, source, name):
    words = printed(capsys, monkeypatch, "faces", source)
    assert f"corpora.faces.source={source}" in words
    assert f"corpora.faces.name={name}" in words


def test_refuses_an_unknown_corpus(params, capsys, monkeypatch):
    with pytest.raises(UserError, match=r"^corpora\.face: not in params\.yaml; Did you mean 'faces'\?"):
        printed(capsys, monkeypatch, "face", "/x.zip")
