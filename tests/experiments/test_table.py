"""Completed experiments as rows of mean ± sd: figures computed by hand, selection, tables, the plot."""

import csv

import numpy as np
import pytest
from experiment_refs import OFFICIAL, REAL, SPEAKERS, accurate, error_of, metrics, project_fixture, run_app  # noqa: F401
from PIL import Image

from stages.apps import experiments
from stages.datasets import protocols
from stages.evaluation.pictures.canvas import PALETTE
from stages.experiments import pooling, sweep_plot
from stages.experiments.records import record

LR = "runs.a.optimizer.lr"
# Confusions of two folds with 20 and 10 samples: pooled [[11, 3], [3, 13]], 24 of 30 correct
FOLDS = ([[8, 2], [3, 7]], [[3, 1], [0, 6]])
# The same for another seed: pooled [[12, 2], [6, 10]], 22 of 30 correct
OTHER_FOLDS = ([[10, 0], [5, 5]], [[2, 2], [1, 5]])


@pytest.fixture
def table(monkeypatch, tmp_path):
    """Call it for the rows of the CSV that the app writes with these arguments."""

    def rows(*arguments):
        run_app(experiments, monkeypatch, *arguments, "--csv", tmp_path / "out" / "table.csv")
        with (tmp_path / "out" / "table.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    return rows


def add_folds(project, seed, confusions):
    for fold, confusion in enumerate(confusions):
        label = f"speaker-disjoint (fold {fold} of 2; speakers: train {18 + fold}, validation 3, test 3)"
        values = {"seed": seed, "splits.faces.fold": fold, **REAL, **SPEAKERS}
        project.experiment(f"fold-{seed}-{fold}", metrics(confusion, protocol=label), **values)


def test_averages_seeds(project, table, capsys):
    for seed, percent in ((1, 60), (2, 70), (3, 65)):
        project.experiment(f"s{seed}", accurate(percent), seed=seed, **REAL)
    (row,) = table("a")
    assert [row[key] for key in ("run", "experiments", "seeds", "folds")] == ["a", "3", "1 2 3", "0 0 0"]
    assert (row["accuracy"], row["accuracy_sd"], row["n_test"]) == ("0.650000", "0.050000", "100")
    assert (row["balanced_accuracy"], row["f1_macro_sd"]) == ("0.640000", "0.050000")
    assert (row["figures"], row["corpus"], row["protocol"]) == ("mean ± sd over 3 seeds", "FER-2013", OFFICIAL)
    assert "65.0 ± 5.0" in capsys.readouterr().out


def test_pools_folds_of_each_seed_then_averages_seeds(project, table):
    """The pooling of one seed is tested in test_reference_records."""
    add_folds(project, 1, FOLDS)
    add_folds(project, 2, OTHER_FOLDS)
    (row,) = table("a")
    of_record = record("a", ["fold-*"], "")
    for name in ("accuracy", "accuracy_sd", "balanced_accuracy", "f1_macro"):
        assert f"{of_record[name]:.6f}" == row[name]
    assert (row["accuracy"], row["accuracy_sd"]) == ("0.766667", "0.047140")  # of 24/30 and 22/30
    assert (row["experiments"], row["n_test"]) == ("4", "30")
    assert row["figures"] == "each seed pooled over 2 folds, mean ± sd over 2 seeds"


def test_leaves_out_seeds_with_fewer_folds(project, table, capsys):
    """The seeds of a mean must be tested on the same samples."""
    add_folds(project, 7, FOLDS)
    add_folds(project, 8, OTHER_FOLDS[:1])
    (row,) = table("a")
    assert (row["seeds"], row["accuracy"]) == ("7 7", "0.800000")
    assert "fold-8-0" in capsys.readouterr().err
    (row,) = table("a", "--experiments", "fold-*-0")  # selected alone they form a row
    assert (row["seeds"], row["accuracy"], row["figures"]) == ("7 8", "0.750000", "mean ± sd over 2 seeds")


def test_averages_folds_with_one_test_part(project, table):
    """The fold of `official` selects the validation part; all folds have the same hundred test samples."""
    for fold, percent in enumerate((60, 70)):
        label = f"official (test = PublicTest, validation = 10% of train, fold {fold})"
        project.experiment(f"f{fold}", accurate(percent, protocol=label), **{"splits.faces.fold": fold}, **REAL)
    (row,) = table("a")
    assert (row["accuracy"], row["n_test"]) == ("0.650000", "100")
    assert row["figures"] == "mean ± sd over 2 folds with one test part"
    assert row["protocol"] == "official (test = PublicTest, validation = 10% of train, folds 0, 1)"


def test_every_protocol_is_known_to_pooling():
    """A new protocol needs a decision whether its folds are pooled."""
    known = {"official", "test_halves", "stratified", "group_disjoint", "trial_blocks"}
    defined = {
        name for name, value in vars(protocols).items() if getattr(value, "__module__", "") == protocols.__name__
    }
    assert {name for name in defined if name[0] != "_" and name != "Metadata"} == known
    assert set(pooling.SAME_TEST_IN_EVERY_FOLD) <= known


def test_sorts_rows_by_the_value_of_a_swept_param(project, table):
    for number, lr in enumerate((0.01, 3e-5, 0.001)):
        for seed in (1, 2):
            project.experiment(f"lr-{number}-{seed}", accurate(50 + 10 * number), seed=seed, **REAL, **{LR: lr})
    rows = table("a")
    assert [row["optimizer.lr"] for row in rows] == ["3e-05", "0.001", "0.01"]
    assert [row["accuracy"] for row in rows] == ["0.600000", "0.700000", "0.500000"]
    assert [row["experiments"] for row in rows] == ["2", "2", "2"]


def test_settings_that_change_figures_make_another_row(project, table):
    project.experiment("one", accurate(60), **REAL)
    project.experiment("size", accurate(60), **REAL, **{"datasets.faces.feature.size_px": 24})
    project.experiment("split", accurate(60), **REAL, **{"splits.faces.seed": 8})
    project.experiment("data", accurate(60), locked={"md5": 32 * "f", "used": 32 * "f"}, **REAL)
    project.experiment("other_run", accurate(60), **REAL, **{"runs.b.optimizer.lr": 0.5})  # of run b only
    project.experiment("synthetic_size", accurate(60), **REAL, **{"corpora.faces.synthetic.size": 9})  # unused
    rows = {row["names"]: row for row in table("a")}
    assert set(rows) == {"synthetic_size", "size", "split", "data"}  # the newest of three equal ones
    assert rows["data"]["data/raw/faces.zip"] == 32 * "f"
    assert rows["size"]["datasets.faces.feature.size_px"] == "24"


def test_keeps_the_newest_of_repeated_experiments_and_warns_of_different_code(project, table, capsys):
    project.experiment("z_old", accurate(60), **REAL)
    project.experiment("a_new", accurate(70), **REAL)
    project.experiment("other", accurate(70), seed=2, locked={"code": 32 * "f"}, **REAL)
    (row,) = table("a")
    assert (row["names"], row["accuracy"]) == ("other a_new", "0.700000")
    warnings = capsys.readouterr().err
    assert "a newer experiment has the same seed and fold: z_old" in warnings
    assert "different versions of stages/core" in warnings


def test_selects_names_globs_revisions_and_the_workspace_once_each(project, table):
    for number in (1, 2):
        project.experiment(f"fold-{number}", accurate(60), seed=number, **REAL)
    project.experiment("other", accurate(70), seed=3, **REAL)
    project.git("update-ref", "refs/exps/exec/EXEC_HEAD", "main")  # refs of DVC that are no experiments
    project.git("update-ref", "refs/exps/stash", "main")

    def names(*words):
        return [row["names"] for row in table("a", *(("--experiments", *words) if words else ()))]

    assert names() == ["fold-1 fold-2 other"]
    assert names("fold-*") == names("fold-[12]") == names("fold-1", "fold-*") == ["fold-1 fold-2"]
    assert names("fold-?", "other") == ["fold-1 fold-2 other"]
    assert names("main") == ["main"]
    assert sorted(names("workspace", "fold-1")) == ["fold-1", "workspace"]


@pytest.mark.parametrize(("locked", "changed"), [({"seed": 7}, "seed"), ({"used": 32 * "f"}, "data/raw/faces.zip")])
def test_leaves_out_outdated_figures(project, table, capsys, monkeypatch, locked, changed):
    """`dvc exp run evaluate@b -S seed=8` leaves metrics of run a that were not computed with the present params."""
    project.experiment("fresh", accurate(60), **REAL)
    project.experiment("stale", accurate(70), locked=locked, seed=8, **REAL)
    (row,) = table("a")
    assert row["names"] == "fresh"
    assert f"stale: the figures of a are older than its {changed}" in capsys.readouterr().err
    assert f"older than its {changed}" in error_of(experiments, monkeypatch, "a", "--experiments", "stale")


def test_synthetic_figures_are_named_and_form_a_separate_row(project, table, capsys):
    project.experiment("synthetic", accurate(90, synthetic=True))
    project.experiment("real", accurate(60), **REAL)
    rows = {row["names"]: row for row in table("a")}
    assert rows["synthetic"]["corpus"] == "faces (synthetic)"
    assert [rows[name]["synthetic"] for name in ("synthetic", "real")] == ["True", "False"]
    assert rows["real"]["corpora.faces.source"] == "…/fer2013.zip"  # without the path on one machine
    assert "corpora.faces.name" not in rows["real"]  # differs with the source
    assert "] faces (synthetic); one experiment" in capsys.readouterr().out


def test_markdown_table_parses(project, monkeypatch, tmp_path, capsys):
    runs = {run: accurate(percent, run=run, protocol="a | b") for run, percent in (("a", 60), ("b", 70))}
    project.experiment("both", runs, **REAL)
    run_app(experiments, monkeypatch, "b", "a", "--markdown", tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").replace(r"\|", "¦").splitlines()
    head, rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert set("".join(rule)) == {":", "-"}
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    assert columns["run"] == ("b", "a")
    assert columns["accuracy %"] == ("70.0 ± –", "60.0 ± –")
    assert columns["protocol"] == ("a ¦ b", "a ¦ b")
    assert "table.md: written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "--experiments", "s1", "lr-9"), "'lr-9' is neither a completed experiment nor a revision; Did you mean"),
        (("a", "--experiments", "nosuch-*"), "no completed experiment of the 0 named nosuch-*"),
        (("aa",), "no completed experiment has metrics/runs/aa.json"),
        (("b", "--experiments", "s1"), "s1: no metrics/runs/b.json"),
        (("a", "--by", "optimizer.rl"), "no such param; Did you mean 'optimizer.lr'?"),
        (("a", "--by", "seed"), "a row summarises seeds and folds"),
        (("a", "--by", "name"), "allowed: one of model.name, optimizer.name; received"),
        (("a", "--by", "schedule.name"), "the same in all these experiments"),
        (("a", "--by", "lr", "--experiments", "s1"), "no param but seed and fold differs"),
        (("a", "--plot", "x.png"), "--plot: allowed: together with --by"),
    ],
)
def test_refuses_a_mistake_in_one_line(project, monkeypatch, arguments, words):
    project.experiment("s1", accurate(60), seed=1, **REAL)
    project.experiment("lr-2", accurate(60), **REAL, **{LR: 0.1})
    project.experiment("names", accurate(60), **REAL, **{"runs.a.model.name": "x", "runs.a.optimizer.name": "sgd"})
    assert words in error_of(experiments, monkeypatch, *arguments)


@pytest.mark.parametrize("figures", ["{", "[]", '{"accuracy": 1}'])
def test_refuses_damaged_metrics_in_one_line(project, monkeypatch, tmp_path, figures):
    (tmp_path / "metrics/runs/a.json").write_text(figures)
    message = error_of(experiments, monkeypatch, "a", "--experiments", "workspace")
    assert message.startswith("workspace: metrics, params.yaml or dvc.lock are not as this version writes")


def test_by_accepts_a_whole_param_or_its_end(project, table):
    for number, lr in enumerate((0.1, 0.2)):
        project.experiment(f"lr-{number}", accurate(60), **REAL, **{LR: lr, "runs.a.model.widths": [8 * (2 - number)]})
    for by in ("lr", "optimizer.lr", LR):
        assert [row["optimizer.lr"] for row in table("a", "--by", by)] == ["0.1", "0.2"]
    assert [row["model.widths"] for row in table("a", "--by", "widths")] == ["[16]", "[8]"]


def test_plot_is_reproducible_with_a_line_for_each_run(project, monkeypatch, tmp_path, capsys):
    """Two runs over three values, some with sd."""
    for number, lr in enumerate((1e-4, 1e-3, 1e-2)):
        for seed in (1, 2)[: 2 - number // 2]:
            figures = {run: accurate(40 + 10 * number + 4 * seed + 8 * (run == "b"), run=run) for run in "ab"}
            both = {LR: lr, "runs.b.optimizer.lr": lr}
            project.experiment(f"lr-{number}-{seed}", figures, seed=seed, **REAL, **both)
    for name in ("one.png", "two.png"):
        run_app(experiments, monkeypatch, "a", "b", "--by", "optimizer.lr", "--plot", tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for color in PALETTE[:2]:  # of the two lines
        assert (pixels == list(bytes.fromhex(color[1:]))).all(axis=1).sum() > 100
    assert "one.png: written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "scale", "ticks"),
    [
        ([1e-4, 1e-2, 1e-3], "log", ["0.0001", "0.001", "0.01"]),
        ([0.1, 0.3], "linear", ["0.1", "0.3"]),
        ([0, 100], "linear", ["0", "100"]),  # zero has no logarithm
        (["cosine", None, 2], "linear", ["2", "cosine", "null"]),
        ([[8, 16], True], "linear", ["[8,16]", "true"]),
    ],
)
def test_axis_of_the_plot(monkeypatch, tmp_path, values, scale, ticks):
    figures = []
    monkeypatch.setattr(sweep_plot.canvas, "save", lambda figure, path: figures.append(figure))
    caption = sweep_plot.Caption("a", "FER-2013", OFFICIAL, 100, False)
    sweep_plot.draw(tmp_path, caption, [sweep_plot.Point("a", value, 0.5, None) for value in values], "x")
    (axes,) = figures[0].axes
    assert axes.get_xscale() == scale
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks


def test_plot_has_a_caption_and_shows_synthetic_or_real_corpora_only(project, monkeypatch, tmp_path):
    for number, percent in enumerate((60, 70)):
        project.experiment(f"synthetic-{number}", accurate(percent, synthetic=True), **{LR: 0.1 * (number + 1)})
    captions = []
    monkeypatch.setattr(sweep_plot, "draw", lambda path, caption, points, param: captions.append(caption))
    run_app(experiments, monkeypatch, "a", "--by", "lr", "--plot", tmp_path / "x.png")
    assert captions == [sweep_plot.Caption("a", "faces (synthetic)", f"{OFFICIAL}; one experiment", 100, True)]
    project.experiment("real", accurate(60), **REAL)
    message = error_of(experiments, monkeypatch, "a", "--by", "lr", "--plot", tmp_path / "x.png")
    assert message.startswith("--plot: synthetic and real corpora")


@pytest.mark.parametrize(
    ("labels", "merged"),
    [
        (["train 18, test 3", "train 19, test 3"], "train 18–19, test 3"),
        (["1,200 train", "985 train", "1,000 train"], "985–1,200 train"),
        (["one", "one"], "one"),
        (["official", "stratified (10%)"], "official / stratified (10%)"),
    ],
)
def test_merges_labels(labels, merged):
    assert pooling.merged(labels) == merged
