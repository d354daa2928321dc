"""The line that puts a real corpus through its runs at the published settings."""

import shlex
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from stages.apps import published
from stages.checks.params import load
from stages.core.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def params(tmp_path, monkeypatch):
    """A copy of the committed params in the current folder."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def printed(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["published", *map(str, arguments)])
    published.main()
    return shlex.split(capsys.readouterr().out)


def applied(params, words):
    """The params after the settings of the line."""
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) == {"-S"}
    apply_overrides(params, words[4::2])
    return load(params)


AWKWARD = ("é (1)/my faces.zip", "a,b=c/[x].zip", 'say "hi"/x.zip', "it's/x.zip", "back\\slash.zip", "{a: b}/$HOME.zip")


@pytest.mark.parametrize("name", [*AWKWARD, "plain.zip", "3e4"])
def test_any_path_and_name_arrive_as_they_are(params, tmp_path, capsys, monkeypatch, name):
    words = printed(capsys, monkeypatch, "faces", name, "--name", name)
    corpus = applied(params, words).corpora["faces"]
    assert (corpus.source, corpus.name) == (str(tmp_path.resolve() / name), name)


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
def test_published_values(params, capsys, monkeypatch, corpus, expected):
    before = load(params)
    found = applied(params, printed(capsys, monkeypatch, corpus, "/data/x.zip")).model_dump()
    for path, value in expected.items():
        at = found
        for key in path.split("."):
            at = at[key]
        assert at == value, path
    assert found["corpora"][corpus]["name"] == "x"
    others = [key for key, run in before.runs.items() if run.corpus != corpus]
    assert {key: found["runs"][key] for key in others} == {key: before.runs[key].model_dump() for key in others}


def test_further_settings_come_last(params, capsys, monkeypatch):
    words = printed(capsys, monkeypatch, "faces", "/x.zip", "-S", "studies.faces_custom_cnn.n_trials=3")
    assert applied(params, words).studies["faces_custom_cnn"].n_trials == 3


def test_kaggle_and_urls_stay_as_they_are(params, capsys, monkeypatch):
    for source, name in (("kaggle:msambare/fer2013", "fer2013"), ("https://zenodo.org/a/emodb.zip", "emodb")):
        words = printed(capsys, monkeypatch, "faces", source)
        assert f"corpora.faces.source={source}" in words
        assert f"corpora.faces.name={name}" in words


def test_an_unknown_corpus(params, capsys, monkeypatch):
    with pytest.raises(UserError, match=r"^corpora\.face: not in params\.yaml; Did you mean 'faces'\?"):
        printed(capsys, monkeypatch, "face", "/x.zip")
