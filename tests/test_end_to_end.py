"""The product as its user meets it: one small copy of the project, driven by the real `dvc` command line, offline.

The tests run in this order, each from the state the one before committed: a training costs seconds.
"""

import csv
import io
import itertools
import json
import os
import re
import shlex
import shutil
import zipfile

import pytest
from conftest import RUN, add_eeg, add_portraits, add_speech, as_real_folder

from stages.params.load import parse

STAGES = ["download@faces", "prepare@faces", "split@faces", f"train@{RUN}", f"evaluate@{RUN}", f"tune@{RUN}", "report"]
# A run as a user adds one: all on one line, in the grammar of `-S`.
EXTRA = (
    "{corpus:faces,dataset:faces,model:{name:custom_cnn,widths:[4],hidden:4},recipe:faces_custom,"
    "loss:{class_weights:balanced},optimizer:{name:adamw,lr:0.01},schedule:{name:cosine},max_epochs:1,"
    "early_stopping:null,monitor:validation_loss,augmentation:null}"
)


@pytest.fixture
def clone(reproduced):
    """The copy, put back to what is committed after each test, so that a failing one spoils no other."""
    clone, _ = reproduced
    yield clone
    clone.run("git", "reset", "-q", "--hard")
    clone.run("dvc", "checkout", "-q", "--force")


def read_metrics(clone, run):
    return json.loads((clone.root / f"metrics/runs/{run}.json").read_text())


def read_params(clone):
    return parse((clone.root / "params.yaml").read_text(encoding="utf-8"))


def model_info(clone, run):
    return json.loads((clone.root / f"data/models/{run}/model.json").read_text())


def test_repro_makes_everything_from_nothing(reproduced):
    clone, stages = reproduced
    assert sorted(stages) == sorted(STAGES)
    assert stages[-1] == "report"
    metrics = read_metrics(clone, RUN)
    assert (metrics["source"], metrics["name"], metrics["synthetic"]) == ("synthetic", "synthetic", True)
    assert (model_info(clone, RUN)["max_epochs"], model_info(clone, RUN)["synthetic"]) == (1, True)
    assert list(json.loads((clone.root / "metrics/summary.json").read_text())["runs"]) == [RUN]
    # what a killed training would continue from is gone with its success
    assert list((clone.root / "data").glob("checkpoints/*")) == []


def test_repro_again_runs_nothing(clone):
    assert clone.stages_run("dvc", "repro") == []
    assert clone.run("git", "status", "--porcelain") == ""


def test_where_it_runs_re_runs_nothing(clone):
    clone.edit_params(lambda params: params["machine"].update(workers=2, threads=2))
    assert clone.stages_run("dvc", "repro") == []


def test_two_runs_from_nothing_give_the_same_bytes(clone):
    """Into the same copy, with nothing kept: all outputs and dvc.lock (so every md5) come out again."""
    before, lock = clone.outputs(), (clone.root / "dvc.lock").read_bytes()
    for folder in ("data", ".dvc/cache", "metrics", "plots"):
        shutil.rmtree(clone.root / folder)
    assert sorted(clone.stages_run("dvc", "repro", "--force")) == sorted(STAGES)
    after = clone.outputs()
    assert sorted(after) == sorted(before)
    assert [name for name in before if before[name] != after[name]] == []
    assert (clone.root / "dvc.lock").read_bytes() == lock


def test_a_run_is_added_by_one_block(clone):
    """A new key under `runs` is a new run: its own two stages and the report, nothing else. It stays from here on."""
    assert clone.stages_run("dvc", "exp", "run", "-n", "more", "-S", f"+runs.extra={EXTRA}") == [
        "train@extra",
        "evaluate@extra",
        "report",
    ]
    assert set(json.loads((clone.root / "metrics/summary.json").read_text())["runs"]) == {RUN, "extra"}
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "a run more")


def test_one_number_re_runs_what_depends_on_it(clone):
    """With the run of the test above beside it, which stays as it is."""
    ran = clone.stages_run("dvc", "exp", "run", "-n", "hot", "-S", f"+runs.{RUN}.optimizer.lr=3e-3")
    assert sorted(ran[:-1]) == [f"evaluate@{RUN}", f"train@{RUN}", f"tune@{RUN}"]
    assert ran[-1] == "report"
    changed = json.loads(clone.run("dvc", "params", "diff", "HEAD", "--json"))["params.yaml"]
    assert {path: value["new"] for path, value in changed.items()} == {f"runs.{RUN}.optimizer.lr": 3e-3}
    figures = json.loads(clone.run("dvc", "metrics", "diff", "HEAD", "--json"))
    assert f"metrics/runs/{RUN}.json" in figures  # the summary may show the same accuracy
    assert set(figures) <= {f"metrics/runs/{RUN}.json", "metrics/summary.json"}
    assert len(figures[f"metrics/runs/{RUN}.json"]) <= 14  # a table that a person reads


def test_experiments_are_compared(clone):
    """After the test above: the experiment `hot` beside the committed state."""
    rows = list(csv.DictReader(io.StringIO(clone.run("dvc", "exp", "show", "--csv"))))
    shown = {row["Experiment"]: row for row in rows}
    column = next(name for name in rows[0] if name.endswith(f"runs.{RUN}.optimizer.lr"))
    assert float(shown["hot"][column]) == 3e-3
    clone.run("dvc", "plots", "diff", "HEAD", "hot", "-o", "plots_shown")
    page = (clone.root / "plots_shown/index.html").read_text(encoding="utf-8")
    shutil.rmtree(clone.root / "plots_shown")
    assert f"plots/runs/{RUN}/confusion.csv" in page
    if "html_template" in (clone.root / ".dvc/config").read_text():  # else DVC's own, which needs a CDN
        assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.?https?:[^>]*>", page) == []


def test_from_a_study_to_a_run(clone):
    """`best --apply` trains with the values the search found best, and comes to what that trial came to."""
    study = clone.root / f"metrics/tune/{RUN}.json"
    before, found = study.read_bytes(), json.loads(study.read_text())
    assert (found["n_trials"], found["synthetic"]) == (2, True)
    line = clone.run("python", "-m", "stages.apps.best", RUN)
    assert shlex.split(line)[:4] == ["dvc", "exp", "run", "-S"]
    ran = clone.stages_run("python", "-m", "stages.apps.best", RUN, "--apply")
    assert sorted(ran) == sorted([f"train@{RUN}", f"evaluate@{RUN}", f"tune@{RUN}", "report"])
    run = read_params(clone)["runs"][RUN]
    for path, value in found["best_params"].items():
        *folders, last = path.split(".")
        assert (run[folders[0]] if folders else run)[last] == value
    history = list(csv.DictReader((clone.root / f"plots/runs/{RUN}/history.csv").read_text().splitlines()))
    assert float(history[0]["validation_accuracy"]) == pytest.approx(found["best_value"], abs=1e-6)
    assert study.read_bytes() == before  # the search is the same, so no trial was repeated


def test_the_graph_is_shown(clone):
    listed = clone.run("dvc", "stage", "list", "--name-only").split()
    assert set(listed) == {*STAGES, "train@extra", "evaluate@extra"}
    shown = clone.run("dvc", "dag", "--dot")
    steps = ["download@faces", "prepare@faces", f"train@{RUN}", f"evaluate@{RUN}", "report"]
    for before, after in [*itertools.pairwise(steps), ("split@faces", f"train@{RUN}")]:
        assert f'"{before}" -> "{after}"' in shown


def test_real_data_at_the_published_settings(clone, tmp_path):
    """The printed line, pasted into a shell, from a folder with blanks, parentheses and an é in its name.

    It trains with exactly its values, everything on that corpus runs again, and nothing is called synthetic.
    """
    archive = tmp_path / "é (very private) place, 2013" / "fer 'x'.zip"
    archive.parent.mkdir()
    as_real_folder(clone, archive)
    clone.edit_params(lambda params: (params["runs"][RUN].pop("max_epochs"), params["runs"].pop("extra", None)))
    more = ["splits.faces.validation_fraction=0.25", *(f"studies.{RUN}.{key}=1" for key in ("n_trials", "max_epochs"))]
    more = [word for setting in more for word in ("-S", setting)]
    line = clone.run("python", "-m", "stages.apps.published", "faces", str(archive), "--name", "FER-2013", *more)
    assert sorted(clone.stages_run("bash", "-c", line)) == sorted(STAGES)
    info, params, metrics = model_info(clone, RUN), read_params(clone), read_metrics(clone, RUN)
    assert (metrics["source"], metrics["name"], metrics["synthetic"]) == ("zip", "FER-2013", False)
    assert "not comparable" in metrics["protocol"]  # there is no PrivateTest
    assert (info["max_epochs"], info["input"]["shape"]) == (30, [1, 48, 48])
    assert info["threads"] == len(os.sched_getaffinity(0))
    assert params["corpora"]["faces"]["source"] == str(archive)
    assert params["recipes"]["faces_custom"]["max_epochs"] == 30
    history = (clone.root / f"plots/runs/{RUN}/history.csv").read_text().splitlines()
    assert len(history) - 1 == info["epochs"] > 8  # stopped early, at the earliest after eight epochs
    study = json.loads((clone.root / f"metrics/tune/{RUN}.json").read_text())
    assert (study["n_trials"], study["synthetic"], study["name"]) == (1, False, "FER-2013")
    # of a run that is no longer among the params, the report says nothing
    summary = json.loads((clone.root / "metrics/summary.json").read_text())
    assert (list(summary["runs"]), summary["synthetic"]) == ([RUN], [])
    assert [name for name, content in clone.outputs().items() if b"very private" in content] == []


def test_a_mistake_in_params_is_one_line(clone):
    """From `make check` and, for who left that out, from the first stage that runs."""
    clone.edit_params(lambda params: params["corpora"]["faces"]["synthetic"].update(size=0))
    line = "error: params.yaml: corpora.faces.synthetic.size: allowed: more than 0; received: 0"
    assert clone.run("python", "-m", "stages.checks.params", status=1) == f"{line}\n"
    said = clone.run("dvc", "repro", status=1)
    assert line in said.splitlines()
    assert "Traceback" not in said


def test_a_stage_called_for_an_unknown_key(clone):
    said = clone.run("python", "-m", "stages.download", "face", "--params", "params.yaml", "--archive", "a", status=1)
    assert said == "error: corpora.face: not in params.yaml; Did you mean 'faces'? allowed: faces\n"
    assert not (clone.root / "a").exists()


def test_a_damaged_dataset_is_one_line_and_leaves_nothing(clone):
    """The stage stops where the damage is; no output of it is left, not even a part."""
    dataset = clone.root / "data/prepared/faces.h5"
    content = dataset.read_bytes()
    dataset.unlink()  # it may be a link into DVC's cache
    dataset.write_bytes(content[:1000])
    said = clone.run("dvc", "repro", "--single-item", "--force", f"train@{RUN}", status=1)
    assert "error: data/prepared/faces.h5: not a prepared dataset" in said
    assert "Traceback" not in said
    left = [path for path in (clone.root / "data").rglob("*") if path.name.endswith(".part")]
    assert left == []
    assert not (clone.root / f"data/models/{RUN}").exists()


def test_a_damaged_archive_is_one_line_and_leaves_nothing(clone, tmp_path):
    """More than prepare.max_rejected_fraction of the samples cannot be decoded."""
    archive = as_real_folder(clone, tmp_path / "whole.zip")
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(damaged, "w") as made:
        for number, name in enumerate(whole.namelist()):
            made.writestr(name, whole.read(name)[: 200 if number % 10 == 0 else None])
    source = {"source": str(damaged), "name": "FER-2013"}
    clone.edit_params(lambda params: params["corpora"]["faces"].update(source))
    said = clone.run("dvc", "repro", "prepare@faces", status=1)
    assert re.search(r"error: data/raw/faces.zip: 14 of 140 samples are damaged, allowed: 1.0%", said)
    assert "Traceback" not in said
    assert not (clone.root / "data/prepared/faces.h5").exists()
    assert list((clone.root / "data").rglob(".*.part")) == []


def test_speech_is_a_block_more_and_another_fold_prepares_nothing_anew(clone):
    """The committed speech blocks made small: speakers apart, groups told, bases drawn."""
    clone.edit_params(add_speech)
    own = ["download@speech", "prepare@speech", "split@speech", "train@speech_adafnn", "evaluate@speech_adafnn"]
    assert sorted(clone.stages_run("dvc", "repro")) == sorted([*own, "report"])
    metrics = read_metrics(clone, "speech_adafnn")
    assert metrics["protocol"].startswith("speaker-disjoint (fold 0 of 2; speakers: train 2, validation 1, test 2)")
    assert {row["by"] for row in metrics["per_group"]} == {"speaker", "gender", "intensity", "statement"}
    assert (clone.root / "plots/runs/speech_adafnn/inside/bases.png").exists()
    tested = {row["group"] for row in metrics["per_group"] if row["by"] == "speaker"}
    ran = clone.stages_run("dvc", "exp", "run", "-n", "fold-1", "-S", "splits.speech.fold=1")
    assert sorted(ran) == sorted([*own[2:], "report"])
    again = read_metrics(clone, "speech_adafnn")["per_group"]
    assert not tested & {row["group"] for row in again if row["by"] == "speaker"}


def test_eeg_paddings_are_compared_and_one_option_concerns_one_run(clone):
    """The committed EEG blocks made small; both runs read one dataset and one split."""
    clone.edit_params(add_eeg)
    shared = ["download@eeg", "prepare@eeg_zero", "split@eeg"]
    runs = [f"{stage}@eeg_lstm_{padding}" for stage in ("train", "evaluate") for padding in ("zero", "mask")]
    assert sorted(clone.stages_run("dvc", "repro")) == sorted([*shared, *runs, "report"])
    metrics = read_metrics(clone, "eeg_lstm_mask")
    assert metrics["protocol"].startswith("subject-dependent: trial blocks (fold 0 of 3")
    assert (metrics["n_train"], metrics["n_test"]) == (15, 15)
    page = (clone.root / "plots/report.html").read_text(encoding="utf-8")
    assert "Which padding? eeg" in page
    assert re.search(r"mask (beats|loses to|does not differ from) zero", page)
    clone.edit_params(lambda params: params["runs"]["eeg_lstm_mask"]["model"].update(hidden=8))
    changed = json.loads(clone.run("dvc", "status", "--json"))
    assert set(changed) == {"train@eeg_lstm_mask", "report"}  # the report shows every run's params


def test_portraits_are_an_ablation_and_show_where_they_look(clone):
    """The committed portrait blocks made small."""
    clone.edit_params(add_portraits)
    own = ["download@portraits", "prepare@portraits", "split@portraits"]
    runs = [f"{stage}@{run}" for stage in ("train", "evaluate") for run in ("portraits_cnn", "portraits_cnn_attention")]
    assert sorted(clone.stages_run("dvc", "repro")) == sorted([*own, *runs, "report"])
    info = model_info(clone, "portraits_cnn")
    assert (info["model"]["backbone"], info["model"]["pretrained"]) == ("resnet10", "none")
    assert info["input"]["shape"] == [3, 16, 16]
    (step,) = json.loads((clone.root / "metrics/ablation.json").read_text())["steps"]
    assert (step["before"], step["run"], step["adds"]) == ("portraits_cnn", "portraits_cnn_attention", ["attention"])
    assert step["synthetic"] is True
    costs = [read_metrics(clone, step[which])["flops"] for which in ("run", "before")]
    assert (step["flops"], step["flops_added"]) == (costs[0], costs[0] - costs[1])
    assert (clone.root / "plots/runs/portraits_cnn_attention/inside/attention.png").exists()
    page = (clone.root / "plots/report.html").read_text(encoding="utf-8")
    assert "What the parts of dual_attention are worth" in page
