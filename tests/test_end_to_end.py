"""The product as a user meets it: one small copy of the project, driven by the real `dvc` command line, offline.

A training takes seconds, so the tests share one copy. Each starts from a commit, independent of the others: `clone` has
one run on faces, `extended` has runs on all four corpora.
"""

import csv
import io
import itertools
import json
import os
import re
import shlex
import shutil
import socket
import time
import zipfile
from datetime import date
from pathlib import Path
from urllib.request import Request, urlopen

import h5py
import pytest
from conftest import RUN, Clone, add_eeg, add_portraits, add_speech, as_real_folder, keep_folders_of_ensembles
from moto.server import ThreadedMotoServer

from stages.params.load import parse

STAGES = ["download@faces", "prepare@faces", "split@faces", f"train@{RUN}", f"evaluate@{RUN}", f"tune@{RUN}", "report"]
OTHER_RUNS = ("speech_adafnn", "eeg_lstm_zero", "eeg_lstm_mask", "portraits_cnn", "portraits_cnn_attention")
OTHER_STAGES = [f"{stage}@{corpus}" for stage in ("download", "split") for corpus in ("speech", "eeg", "portraits")]
OTHER_STAGES += [f"prepare@{dataset}" for dataset in ("speech", "eeg_zero", "portraits")]
OTHER_STAGES += [f"{stage}@{run}" for stage in ("train", "evaluate") for run in OTHER_RUNS]
# A run as a user adds one: all on one line, in the grammar of `-S`.
EXTRA = (
    "{corpus:faces,dataset:faces,model:{name:custom_cnn,widths:[4],hidden:4},recipe:faces_custom,"
    "loss:{class_weights:balanced},optimizer:{name:adamw,lr:0.01},schedule:{name:cosine},max_epochs:1,"
    "early_stopping:null,monitor:validation_loss,augmentation:null}"
)


@pytest.fixture(scope="module")
def commits(reproduced):
    """{name: commit}: the small state, and the extended one once a test needs it."""
    clone, _ = reproduced
    return {"small": clone.run("git", "rev-parse", "HEAD").strip()}


def at(clone, commit):
    """Put the copy into a committed state, whatever the test before did."""
    clone.run("git", "reset", "-q", "--hard", commit)
    clone.run("git", "clean", "-fdq")
    clone.run("dvc", "checkout", "-q", "--force")
    return clone


@pytest.fixture
def clone(reproduced, commits):
    return at(reproduced[0], commits["small"])


@pytest.fixture
def extended(clone, commits):
    """The copy with the committed blocks of speech, EEG and portraits, made small, beside the faces."""
    if "extended" not in commits:
        clone.edit_params(lambda params: (add_speech(params), add_eeg(params), add_portraits(params)))
        commits["stages"] = clone.stages_run("dvc", "repro")
        clone.run("git", "add", "-A")
        clone.run("git", "commit", "-qm", "all corpora")
        commits["extended"] = clone.run("git", "rev-parse", "HEAD").strip()
    return at(clone, commits["extended"])


def read_metrics(clone, run):
    return json.loads((clone.root / f"metrics/runs/{run}.json").read_text())


def read_params(clone):
    return parse((clone.root / "params.yaml").read_text(encoding="utf-8"))


def model_info(clone, run):
    return json.loads((clone.root / f"data/models/{run}/model.json").read_text())


def test_repro_makes_everything_from_scratch(reproduced):
    clone, stages = reproduced
    assert sorted(stages) == sorted(STAGES)
    assert stages[-1] == "report"
    metrics = read_metrics(clone, RUN)
    assert (metrics["source"], metrics["name"], metrics["synthetic"]) == ("synthetic", "synthetic", True)
    assert (model_info(clone, RUN)["max_epochs"], model_info(clone, RUN)["synthetic"]) == (1, True)
    assert list(json.loads((clone.root / "metrics/summary.json").read_text())["runs"]) == [RUN]
    # the resume point is removed after success
    assert list((clone.root / "data").glob("checkpoints/*")) == []


def test_repro_again_runs_nothing(clone):
    assert clone.stages_run("dvc", "repro") == []
    assert clone.run("git", "status", "--porcelain") == ""
    clone.edit_params(lambda params: params["machine"].update(workers=2, threads=2))
    assert clone.stages_run("dvc", "repro") == []  # where it runs changes no result


def test_one_block_adds_a_run(clone):
    """A new key under `runs` is a new run: its own two stages and the report, nothing else."""
    ran = clone.stages_run("dvc", "exp", "run", "-n", "more", "-S", f"+runs.extra={EXTRA}")
    assert ran == ["train@extra", "evaluate@extra", "report"]
    assert set(json.loads((clone.root / "metrics/summary.json").read_text())["runs"]) == {RUN, "extra"}


def test_one_number_runs_what_depends_on_it_and_experiments_are_compared(extended):
    """Of runs on four corpora; afterwards the run cache restores the first result without running anything."""
    clone, before, key = extended, extended.outputs(), "recipes.faces_custom.optimizer.lr"  # only that run uses it
    lr = read_params(clone)["recipes"]["faces_custom"]["optimizer"]["lr"]
    ran = clone.stages_run("dvc", "exp", "run", "-n", "hot", "-S", f"{key}=3e-3")
    assert sorted(ran[:-1]) == [f"evaluate@{RUN}", f"train@{RUN}", f"tune@{RUN}"]
    assert ran[-1] == "report"
    changed = json.loads(clone.run("dvc", "params", "diff", "HEAD", "--json"))["params.yaml"]
    assert {path: value["new"] for path, value in changed.items()} == {key: 3e-3}
    figures = json.loads(clone.run("dvc", "metrics", "diff", "HEAD", "--json"))
    assert f"metrics/runs/{RUN}.json" in figures  # the summary may show the same accuracy
    assert set(figures) <= {f"metrics/runs/{RUN}.json", "metrics/summary.json"}
    assert len(figures[f"metrics/runs/{RUN}.json"]) <= 14  # a table that a person can read
    rows = list(csv.DictReader(io.StringIO(clone.run("dvc", "exp", "show", "--csv"))))
    shown = {row["Experiment"]: row for row in rows}
    assert float(shown["hot"][next(name for name in rows[0] if name.endswith(key))]) == 3e-3
    clone.run("dvc", "plots", "diff", "HEAD", "hot", "-o", "plots_shown")
    page = (clone.root / "plots_shown/index.html").read_text(encoding="utf-8")
    assert f"plots/runs/{RUN}/confusion.csv" in page
    if "html_template" in (clone.root / ".dvc/config").read_text():  # else DVC's own, which needs a CDN
        assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.?https?:[^>]*>", page) == []
    assert clone.outputs() != before
    assert clone.stages_run("dvc", "exp", "run", "-S", f"{key}={lr}") == []
    assert clone.outputs() == before


def test_one_block_adds_an_ensemble(extended):
    members = ["eeg_lstm_zero", "eeg_lstm_mask"]
    block = f"{{corpus:eeg,members:[{','.join(members)}],weights:validation}}"
    ran = extended.stages_run("dvc", "exp", "run", "-n", "both", "-S", f"+ensembles.both={block}")
    assert ran == ["ensemble@both", "report"]
    found = json.loads((extended.root / "metrics/ensembles/both.json").read_text())
    alone = {name: read_metrics(extended, name) for name in members}
    assert found.keys() == alone[members[0]].keys() | {"weights", "members"}
    assert sum(weight for _, weight in found["weights"]) == pytest.approx(1, abs=1e-3)
    assert {row["run"]: row["accuracy"] for row in found["members"]} == {
        name: metrics["accuracy"] for name, metrics in alone.items()
    }
    assert found["parameters"] == sum(metrics["parameters"] for metrics in alone.values())
    assert list(json.loads((extended.root / "metrics/summary.json").read_text())["ensembles"]) == ["both"]
    assert {"confusion.csv", "coverage.png"} <= {
        path.name for path in (extended.root / "plots/ensembles/both").iterdir()
    }
    page = (extended.root / "plots/report.html").read_text(encoding="utf-8")
    assert 'aria-label="members of both"' in page
    assert extended.stages_run("dvc", "repro") == []


def test_two_blocks_add_a_student(extended):
    taught = f"{{corpus:faces,dataset:faces,teacher:{RUN},teacher_dataset:faces,weight:0.5,temperature:2.0}}"
    student = (
        "{corpus:faces,dataset:taught,recipe:faces_custom,model:{name:custom_cnn,widths:[4],hidden:4},max_epochs:1}"
    )
    blocks = ["-S", f"+distillations.taught={taught}", "-S", f"+runs.student={student}"]
    ran = extended.stages_run("dvc", "exp", "run", "-n", "student", *blocks)
    assert ran == ["distil@taught", "train@student", "evaluate@student", "report"]
    assert read_metrics(extended, "student")["n_test"] == read_metrics(extended, RUN)["n_test"]
    with h5py.File(extended.root / "data/prepared/taught.h5") as file:
        assert list(file.attrs["teachers"]) == [f"{RUN}: weight 0.5, temperature 2.0"]
    assert model_info(extended, "student")["teachers"] == read_metrics(extended, "student")["teachers"]
    page = (extended.root / "plots/report.html").read_text(encoding="utf-8")
    assert f"labels of training mixed with answers of {RUN}: weight 0.5, temperature 2.0" in page
    table = extended.run(
        "python", "-m", "stages.apps.experiments", "student", "--experiments", "student", "--csv", "t.csv"
    )
    assert "student" in table
    # only the weight changes, so the student alone is trained again
    ran = extended.stages_run("dvc", "exp", "run", "-S", "distillations.taught.weight=0.25")
    assert ran == ["distil@taught", "train@student", "evaluate@student", "report"]
    assert extended.stages_run("dvc", "repro") == []


def test_a_second_clone_pulls_everything_and_runs_only_what_is_missing(clone, tmp_path):
    second = Clone(tmp_path / "second", clone.environment)
    clone.run("git", "clone", "-q", str(clone.root), str(second.root))
    for one in (clone, second):
        one.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "remote"))
    try:
        clone.run("dvc", "push", "-q")
    finally:
        clone.run("dvc", "remote", "remove", "--local", "store")
    second.run("dvc", "pull", "-q")
    assert second.outputs() == clone.outputs()
    assert second.stages_run("dvc", "repro") == []
    shutil.rmtree(second.root / f"data/models/{RUN}")
    assert second.stages_run("dvc", "repro") == [f"train@{RUN}"]  # it writes the same bytes, so that nothing follows
    assert second.outputs() == clone.outputs()
    assert second.run("git", "status", "--porcelain") == ""


@pytest.fixture
def bucket():
    """The options of `dvc remote modify` for an empty bucket of a server on this machine."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urlopen(Request(f"{address}/corpora", method="PUT"))
    yield {"endpointurl": address, "access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}
    server.stop()


def test_a_bucket_of_s3_is_a_remote(clone, bucket, tmp_path):
    second = Clone(tmp_path / "second", clone.environment)
    clone.run("git", "clone", "-q", str(clone.root), str(second.root))
    for one in (clone, second):
        one.run("dvc", "remote", "add", "--local", "-d", "store", "s3://corpora/emotion")
        for option, value in bucket.items():
            one.run("dvc", "remote", "modify", "--local", "store", option, value)
    try:
        clone.run("dvc", "push", "-q")
        second.run("dvc", "pull", "-q")
        assert second.outputs() == clone.outputs()
        second.run("dvc", "remote", "modify", "--local", "store", "url", "s3://absent/emotion")
        refused = second.run("dvc", "push", status=1)
        assert "bucket does not exist" in refused
        assert "Traceback" not in refused
    finally:
        clone.run("dvc", "remote", "remove", "--local", "store")


def test_a_file_that_the_remote_lacks_is_named(clone, tmp_path):
    second, model = Clone(tmp_path / "second", clone.environment), f"data/models/{RUN}"
    clone.run("git", "clone", "-q", str(clone.root), str(second.root))
    for one in (clone, second):
        one.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "remote"))
    try:
        clone.run("dvc", "push", "-q", f"train@{RUN}")
    finally:
        clone.run("dvc", "remote", "remove", "--local", "store")
    second.run("dvc", "pull", "-q", model)
    missing = second.run("dvc", "pull", status=1)
    assert "data/raw/faces.zip" in missing
    assert not (second.root / "data/raw/faces.zip").exists()


def test_an_experiment_in_a_folder_of_its_own(clone):
    """Away from the workspace, whose files may change meanwhile."""
    before = clone.outputs()
    key = "recipes.faces_custom.optimizer.lr"
    ran = clone.stages_run("dvc", "exp", "run", "--temp", "-n", "apart", "-S", f"{key}=0.004", f"train@{RUN}")
    assert ran == [f"train@{RUN}"]
    assert clone.outputs() == before
    assert clone.run("git", "status", "--porcelain") == ""
    changed = json.loads(clone.run("dvc", "params", "diff", "HEAD", "apart", "--json"))["params.yaml"]
    assert {path: value["new"] for path, value in changed.items()} == {key: 0.004}


def test_queued_experiments_run_side_by_side(clone):
    key = "recipes.faces_custom.optimizer.lr"
    clone.run("dvc", "exp", "run", "--queue", "-n", "rate", "-S", f"{key}=0.001,0.002", f"evaluate@{RUN}")
    clone.run("dvc", "queue", "start", "-j", "2")
    end = time.monotonic() + 240
    while (status := clone.run("dvc", "queue", "status")).count("Success") < 2 and time.monotonic() < end:
        assert "Failed" not in status, clone.run("dvc", "queue", "logs", "rate-1")
        time.sleep(1)
    names = ["rate-1", "rate-2"]
    shown = clone.run("python", "-m", "stages.apps.experiments", RUN, "--experiments", *names, "--by", "optimizer.lr")
    assert ("0.001" in shown, "0.002" in shown) == (True, True)
    assert clone.run("git", "status", "--porcelain") == ""  # the workspace was free meanwhile


def test_dvc_shows_the_graph(clone):
    assert set(clone.run("dvc", "stage", "list", "--name-only").split()) == set(STAGES)
    shown = clone.run("dvc", "dag", "--dot")
    steps = ["download@faces", "prepare@faces", f"train@{RUN}", f"evaluate@{RUN}", "report"]
    for before, after in [*itertools.pairwise(steps), ("split@faces", f"train@{RUN}")]:
        assert f'"{before}" -> "{after}"' in shown


def test_git_holds_numbers_and_dvc_holds_pictures(clone):
    tracked = clone.run("git", "ls-files").split()
    assert [name for name in tracked if name.endswith((".png", "report.html")) and not name.startswith("docs/")] == []
    assert f"metrics/runs/{RUN}.json" in tracked
    assert f"plots/runs/{RUN}/confusion.csv" in tracked
    ignored = [".dvc/.gitignore", ".gitignore", "data/.gitignore"]
    assert [name for name in tracked if name.endswith(".gitignore")] == ignored
    assert (clone.root / f"plots/runs/{RUN}/per_group.png").is_file()


def test_validation_makes_nothing_stale_and_core_does(clone):
    def changed(file):
        path = clone.root / file
        path.write_text(path.read_text(encoding="utf-8") + "\n# another word\n", encoding="utf-8")
        return set(json.loads(clone.run("dvc", "status", "--json")))

    assert changed("stages/checks/params.py") == set()
    assert {"download@faces", f"train@{RUN}", f"evaluate@{RUN}", "report"} <= changed("stages/core/labels.py")


# ---- other corpora ---------------------------------------------------------------------------------------------------


def test_other_corpora_are_blocks_beside_the_first(extended, commits):
    assert sorted(commits["stages"]) == sorted([*OTHER_STAGES, "report"])


def test_speech_has_disjoint_speakers_and_another_fold_prepares_nothing(extended):
    metrics = read_metrics(extended, "speech_adafnn")
    assert metrics["protocol"].startswith("speaker-disjoint (fold 0 of 2; speakers: train 2, validation 1, test 2)")
    assert {row["by"] for row in metrics["per_group"]} == {"speaker", "gender", "intensity", "statement"}
    assert (extended.root / "plots/runs/speech_adafnn/inside/bases.png").exists()
    tested = {row["group"] for row in metrics["per_group"] if row["by"] == "speaker"}
    ran = extended.stages_run("dvc", "exp", "run", "-n", "fold-1", "-S", "splits.speech.fold=1")
    assert sorted(ran) == ["evaluate@speech_adafnn", "report", "split@speech", "train@speech_adafnn"]
    again = read_metrics(extended, "speech_adafnn")["per_group"]
    assert not tested & {row["group"] for row in again if row["by"] == "speaker"}


def test_eeg_compares_paddings_and_one_option_concerns_one_run(extended):
    metrics = read_metrics(extended, "eeg_lstm_mask")
    assert metrics["protocol"].startswith("subject-dependent: trial blocks (fold 0 of 3")
    assert (metrics["n_train"], metrics["n_test"]) == (15, 15)
    page = (extended.root / "plots/report.html").read_text(encoding="utf-8")
    assert "Comparison of paddings on eeg" in page
    assert re.search(r"no clear difference|mask is (better|worse) than zero", page)
    extended.edit_params(lambda params: params["runs"]["eeg_lstm_mask"]["model"].update(hidden=8))
    changed = json.loads(extended.run("dvc", "status", "--json"))
    assert set(changed) == {"train@eeg_lstm_mask", "report"}  # the report shows the params of every run


def test_portraits_are_an_ablation_with_attention_maps(extended):
    info = model_info(extended, "portraits_cnn")
    assert (info["model"]["backbone"], info["model"]["pretrained"]) == ("mobilenet_v2", "imagenet")
    assert info["input"]["shape"] == [3, 16, 16]
    (step,) = json.loads((extended.root / "metrics/ablation.json").read_text())["steps"]
    assert (step["before"], step["run"], step["adds"]) == ("portraits_cnn", "portraits_cnn_attention", ["attention"])
    assert step["synthetic"] is True
    costs = [read_metrics(extended, step[which])["flops"] for which in ("run", "before")]
    assert (step["flops"], step["flops_added"]) == (costs[0], costs[0] - costs[1])
    assert (extended.root / "plots/runs/portraits_cnn_attention/inside/attention.png").exists()
    page = (extended.root / "plots/report.html").read_text(encoding="utf-8")
    assert "Ablation of dual_attention" in page


# ---- outputs ---------------------------------------------------------------------------------------------------------

VOLATILE_KEYS = re.compile(r"(^|_)(time|duration|elapsed|seconds|date|timestamp|commit|host|hostname|latency)(_|$)")


def keys_of_json(value):
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_of_json(inner)


def keys_of_hdf5(path):
    keys = set()
    with h5py.File(path) as file:
        file.visititems(lambda name, node: keys.update({name, *node.attrs}))
        return keys | set(file.attrs)


def test_outputs_hold_nothing_volatile(clone):
    """No path of this machine, no host, no date: two runs from scratch give the same bytes."""
    words = [str(clone.root), str(Path.home()), socket.gethostname(), date.today().isoformat()]
    pattern = "|".join(rf"(?<![\w.]){re.escape(word)}(?![\w.])" for word in words if len(word) > 4).encode()
    for name, content in clone.outputs().items():
        assert not re.search(pattern, content), f"{name}: {re.search(pattern, content)}"
        keys = set()
        if name.endswith(".json"):
            keys = set(keys_of_json(json.loads(content)))
        elif name.endswith(".h5"):
            keys = keys_of_hdf5(clone.root / name)
        elif name.endswith(".csv"):
            keys = set(content.decode().splitlines()[0].split(","))
        assert [key for key in keys if VOLATILE_KEYS.search(key)] == [], name


# ---- from a search and from real data --------------------------------------------------------------------------------


def test_two_runs_from_scratch_give_the_same_bytes(clone, tmp_path):
    """All outputs and dvc.lock, so every md5, are the same when nothing is kept."""
    before, lock = clone.outputs(), (clone.root / "dvc.lock").read_bytes()
    for folder in ("data", "metrics", "plots"):
        shutil.rmtree(clone.root / folder)
    keep_folders_of_ensembles(clone)
    cache = clone.root / ".dvc/cache"
    shutil.move(cache, tmp_path / "cache")  # other tests check out of it
    try:
        assert sorted(clone.stages_run("dvc", "repro", "--force")) == sorted(STAGES)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.move(tmp_path / "cache", cache)
    after = clone.outputs()
    assert sorted(after) == sorted(before)
    assert [name for name in before if before[name] != after[name]] == []
    assert (clone.root / "dvc.lock").read_bytes() == lock


def test_best_trains_with_the_values_of_a_study(clone):
    """`best --apply` trains with the best values of the search and reaches the figure of that trial."""
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
    assert study.read_bytes() == before  # the search is unchanged: no trial was repeated


def test_real_data_at_the_published_settings(clone, tmp_path):
    """The printed line works in a shell, with blanks, parentheses and an é in the path.

    Everything on that corpus runs again with exactly these values, and nothing is called synthetic.
    """
    archive = tmp_path / "é (very private) place, 2013" / "fer 'x'.zip"
    archive.parent.mkdir()
    as_real_folder(clone, archive)
    clone.edit_params(lambda params: params["runs"][RUN].pop("max_epochs"))
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
    summary = json.loads((clone.root / "metrics/summary.json").read_text())
    assert (list(summary["runs"]), summary["synthetic"]) == ([RUN], [])
    assert [name for name, content in clone.outputs().items() if b"very private" in content] == []


def test_a_mistake_in_params_is_one_line(clone):
    """In `make check` and in the first stage that runs."""
    clone.edit_params(lambda params: params["corpora"]["faces"]["synthetic"].update(size=0))
    line = "error: params.yaml: corpora.faces.synthetic.size: allowed: more than 0; received: 0"
    assert clone.run("python", "-m", "stages.checks.params", status=1) == f"{line}\n"
    output = clone.run("dvc", "repro", status=1)
    assert line in output.splitlines()
    assert "Traceback" not in output


def test_a_stage_called_for_an_unknown_key(clone):
    output = clone.run("python", "-m", "stages.download", "face", "--params", "params.yaml", "--archive", "a", status=1)
    assert output.startswith("error: corpora.face: not in params.yaml; Did you mean 'faces'?")
    assert not (clone.root / "a").exists()


def test_a_damaged_dataset_is_one_line_and_leaves_nothing(clone):
    """The stage stops; no output of it is left, not even a part."""
    dataset = clone.root / "data/prepared/faces.h5"
    content = dataset.read_bytes()
    dataset.unlink()  # it may be a link into DVC's cache
    dataset.write_bytes(content[:1000])
    output = clone.run("dvc", "repro", "--single-item", "--force", f"train@{RUN}", status=1)
    assert "error: data/prepared/faces.h5: not a prepared dataset" in output
    assert "Traceback" not in output
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
    output = clone.run("dvc", "repro", "prepare@faces", status=1)
    assert re.search(r"error: data/raw/faces.zip: 14 of 140 samples are damaged, allowed: 1.0%", output)
    assert "Traceback" not in output
    assert not (clone.root / "data/prepared/faces.h5").exists()
    assert list((clone.root / "data").rglob(".*.part")) == []
