"""Finished experiments as rows of mean ± sd: figures done by hand, selection, tables that parse back, the plot."""

import csv

import numpy as np
import pytest
from experiment_refs import OFFICIAL, REAL, SPEAKERS, Project, accurate, called, metrics, refused
from PIL import Image

from stages.apps import experiments, pooling, reference, sweep_plot
from stages.datasets import protocols

LR = "runs.a.optimizer.lr"
# Of two folds with 20 and 10 samples: pooled [[11, 3], [3, 13]], 24 of 30 right
FOLDS = ([[8, 2], [3, 7]], [[3, 1], [0, 6]])
# The same of another seed: pooled [[12, 2], [6, 10]], 22 of 30 right
OTHER_FOLDS = ([[10, 0], [5, 5]], [[2, 2], [1, 5]])


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def table(monkeypatch, tmp_path):
    """Call the app with these arguments for the rows of its CSV."""

    def rows(*arguments):
        called(experiments, monkeypatch, *arguments, "--csv", tmp_path / "out" / "table.csv")
        with (tmp_path / "out" / "table.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    return rows


def add_folds(project, seed, confusions, name="fold", **values):
    for fold, confusion in enumerate(confusions):
        label = f"speaker-disjoint (fold {fold} of 2; speakers: train {18 + fold}, validation 3, test 3)"
        project.experiment(
            f"{name}-{seed}-{fold}",
            metrics(confusion, protocol=label),
            **{"seed": seed, "splits.faces.fold": fold, **REAL, **SPEAKERS, **values},
        )


def test_seeds_are_averaged(project, table, capsys):
    for seed, percent in ((1, 60), (2, 70), (3, 65)):
        project.experiment(f"s{seed}", accurate(percent), seed=seed, **REAL)
    (row,) = table("a")
    assert (row["run"], row["experiments"], row["seeds"], row["folds"], row["names"]) == (
        "a", "3", "1 2 3", "0 0 0", "s1 s2 s3",
    )  # fmt: skip
    assert (row["accuracy"], row["accuracy_sd"], row["n_test"]) == ("0.650000", "0.050000", "100")
    assert (row["balanced_accuracy"], row["f1_macro_sd"]) == ("0.640000", "0.050000")
    assert (row["figures"], row["corpus"], row["protocol"]) == ("mean ± sd over 3 seeds", "FER-2013", OFFICIAL)
    assert "65.0 ± 5.0" in capsys.readouterr().out


def test_one_experiment_has_no_sd(project, table, capsys):
    project.experiment("one", accurate(60), **REAL)
    (row,) = table("a")
    assert (row["accuracy"], row["accuracy_sd"], row["figures"]) == ("0.600000", "", "one experiment")
    assert "60.0 ± –" in capsys.readouterr().out


def test_folds_of_one_seed_are_pooled(project, table):
    add_folds(project, 7, FOLDS)
    (row,) = table("a")
    assert (row["accuracy"], row["n_test"]) == ("0.800000", "30")  # 24 / 30, not the mean of .75 and .9
    assert row["balanced_accuracy"] == row["f1_macro"] == "0.799107"  # (11/14 + 13/16) / 2, as often true as predicted
    assert row["accuracy_sd"] == "0.106066"  # of .75 and .9
    assert row["figures"] == "pooled over 2 folds, sd over folds"
    assert row["protocol"] == "speaker-disjoint (folds 0, 1 of 2; speakers: train 18–19, validation 3, test 3)"


def test_folds_of_each_seed_are_pooled_then_averaged(project, table):
    add_folds(project, 1, FOLDS)
    add_folds(project, 2, OTHER_FOLDS)
    (row,) = table("a")
    assert (row["accuracy"], row["accuracy_sd"]) == ("0.766667", "0.047140")  # of 24/30 and 22/30
    assert (row["experiments"], row["n_test"]) == ("4", "30")
    assert row["figures"] == "each seed pooled over 2 folds, mean ± sd over 2 seeds"


def test_seeds_with_fewer_folds_are_left_out(project, table, capsys):
    """Seeds first, folds later: a mean over both would be of other samples for each seed."""
    add_folds(project, 7, FOLDS)
    add_folds(project, 8, OTHER_FOLDS[:1])
    (row,) = table("a")
    assert (row["seeds"], row["accuracy"]) == ("7 7", "0.800000")
    assert "fold-8-0" in capsys.readouterr().err
    (row,) = table("a", "--experiments", "fold-*-0")  # named alone they make a row
    assert (row["seeds"], row["accuracy"], row["figures"]) == ("7 8", "0.750000", "mean ± sd over 2 seeds")


def test_folds_with_one_test_part_are_averaged(project, table):
    """`official` draws the validation part by fold; all folds are tested on the same hundred."""
    for fold, percent in enumerate((60, 70)):
        label = f"official (test = PublicTest, validation = 10% of train, fold {fold})"
        project.experiment(f"f{fold}", accurate(percent, protocol=label), **{"splits.faces.fold": fold}, **REAL)
    (row,) = table("a")
    assert (row["accuracy"], row["n_test"], row["figures"]) == (
        "0.650000", "100", "mean ± sd over 2 folds with one test part",
    )  # fmt: skip
    assert row["protocol"] == "official (test = PublicTest, validation = 10% of train, folds 0, 1)"


def test_only_one_protocol_tests_every_fold_on_the_same(monkeypatch):
    """Whoever adds a protocol decides whether its folds are pooled."""
    known = {"official", "test_halves", "stratified", "group_disjoint", "trial_blocks"}
    public = {
        name for name, found in vars(protocols).items() if callable(found) and found.__module__ == protocols.__name__
    }
    assert {name for name in public if name[0] != "_" and name != "Metadata"} == known
    assert set(pooling.SAME_TEST_IN_EVERY_FOLD) <= known


def test_swept_params_make_rows_in_order_of_size(project, table):
    for number, lr in enumerate((0.01, 3e-5, 0.001)):
        for seed in (1, 2):
            project.experiment(f"lr-{number}-{seed}", accurate(50 + 10 * number), seed=seed, **REAL, **{LR: lr})
    rows = table("a")
    assert [row["optimizer.lr"] for row in rows] == ["3e-05", "0.001", "0.01"]
    assert [row["accuracy"] for row in rows] == ["0.600000", "0.700000", "0.500000"]
    assert [row["experiments"] for row in rows] == ["2", "2", "2"]


def test_what_makes_other_figures_is_another_row(project, table):
    project.experiment("one", accurate(60), **REAL)
    project.experiment("size", accurate(60), **REAL, **{"datasets.faces.feature.size_px": 24})
    project.experiment("draw", accurate(60), **REAL, **{"splits.faces.seed": 8})
    project.experiment("data", accurate(60), locked={"md5": 32 * "f", "used": 32 * "f"}, **REAL)
    project.experiment("other_run", accurate(60), **REAL, **{"runs.b.optimizer.lr": 0.5})  # concerns run b alone
    project.experiment("drawn_size", accurate(60), **REAL, **{"corpora.faces.synthetic.size": 9})  # not of real faces
    rows = {row["names"]: row for row in table("a")}
    assert set(rows) == {"drawn_size", "size", "draw", "data"}  # the newest of three that are the same
    assert rows["data"]["data/raw/faces.zip"] == 32 * "f"
    assert rows["size"]["datasets.faces.feature.size_px"] == "24"


def test_the_newest_of_repeated_ones_is_kept(project, table, capsys):
    project.experiment("z_old", accurate(60), **REAL)
    project.experiment("a_new", accurate(70), **REAL)
    (row,) = table("a")
    assert (row["names"], row["accuracy"]) == ("a_new", "0.700000")
    assert capsys.readouterr().err == "warning: a: seed and fold as in a newer experiment, so left out: z_old\n"


def test_other_code_is_said(project, table, capsys):
    project.experiment("s1", accurate(60), seed=1, **REAL)
    project.experiment("s2", accurate(70), seed=2, locked={"code": 32 * "f"}, **REAL)
    assert len(table("a")) == 1
    assert "different versions of stages/core" in capsys.readouterr().err


def test_what_is_selected(project, table):
    """Names, globs, revisions and the workspace; one that is named twice counts once."""
    for number in (1, 2):
        project.experiment(f"fold-{number}", accurate(60), seed=number, **REAL)
    project.experiment("other", accurate(70), seed=3, **REAL)
    project.git("update-ref", "refs/exps/exec/EXEC_HEAD", "main")  # DVC's own, no experiments
    project.git("update-ref", "refs/exps/stash", "main")

    def names(*words):
        return [row["names"] for row in table("a", *(("--experiments", *words) if words else ()))]

    assert names() == ["fold-1 fold-2 other"]
    assert names("fold-*") == names("fold-[12]") == names("fold-1", "fold-*") == ["fold-1 fold-2"]
    assert names("fold-?", "other") == ["fold-1 fold-2 other"]
    assert names("main") == ["main"]
    assert sorted(names("workspace", "fold-1")) == ["fold-1", "workspace"]


@pytest.mark.parametrize(("locked", "older"), [({"seed": 7}, "seed"), ({"used": 32 * "f"}, "data/raw/faces.zip")])
def test_figures_older_than_their_params_are_left_out(project, table, capsys, monkeypatch, locked, older):
    """`dvc exp run evaluate@b -S seed=8` leaves the metrics of run a beside params that they are not of."""
    project.experiment("fresh", accurate(60), **REAL)
    project.experiment("stale", accurate(70), locked=locked, seed=8, **REAL)
    (row,) = table("a")
    assert row["names"] == "fresh"
    assert f"stale: the figures of a are older than its {older}" in capsys.readouterr().err
    assert f"older than its {older}" in refused(experiments, monkeypatch, "a", "--experiments", "stale")


def test_an_edited_workspace_is_refused(project, monkeypatch, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace('"seed": 7', '"seed": 8', 1))
    said = refused(experiments, monkeypatch, "a", "--experiments", "workspace")
    assert said == "workspace: the figures of a are older than its seed; `dvc repro` renews them"


def test_synthetic_is_said_and_stands_in_a_row_of_its_own(project, table, capsys):
    project.experiment("drawn", accurate(90, synthetic=True))
    project.experiment("real", accurate(60), **REAL)
    rows = {row["names"]: row for row in table("a")}
    assert rows["drawn"]["corpus"] == "faces (synthetic)"
    assert [rows[name]["synthetic"] for name in ("drawn", "real")] == ["True", "False"]
    assert rows["real"]["corpora.faces.source"] == "…/fer2013.zip"  # no path of a machine
    assert "corpora.faces.name" not in rows["real"]  # differs with the source
    assert "] faces (synthetic); one experiment" in capsys.readouterr().out


def test_markdown_parses_back(project, monkeypatch, tmp_path, capsys):
    runs = {run: accurate(percent, run=run, protocol="a | b") for run, percent in (("a", 60), ("b", 70))}
    project.experiment("both", runs, **REAL)
    called(experiments, monkeypatch, "b", "a", "--markdown", tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").replace(r"\|", "¦").splitlines()
    head, rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert set("".join(rule)) == {":", "-"}
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(row["run"], row["accuracy %"], row["protocol"]) for row in found] == [
        ("b", "70.0 ± –", "a ¦ b"),
        ("a", "60.0 ± –", "a ¦ b"),
    ]
    assert "table.md: written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("a", "--experiments", "s1", "lr-9"),
            "'lr-9' is no finished experiment and no revision; Did you mean 'lr-2'?",
        ),
        (
            ("a", "--experiments", "nosuch-*"),
            "no finished experiment of the 0 named nosuch-* holds metrics/runs/a.json",
        ),
        (("aa",), "no finished experiment holds metrics/runs/aa.json"),
        (("b", "--experiments", "s1"), "s1: no metrics/runs/b.json"),
        (("a", "--by", "optimizer.rl"), "no such param; Did you mean 'optimizer.lr'?"),
        (("a", "--by", "seed"), "seeds and folds are what a row sums up"),
        (("a", "--by", "name"), "allowed: one of model.name, optimizer.name; received"),
        (("a", "--by", "schedule.name"), "the same in all these experiments"),
        (("a", "--by", "lr", "--experiments", "s1"), "no param but seed and fold differs"),
        (("a", "--plot", "x.png"), "--plot: allowed: together with --by"),
    ],
)
def test_a_mistake_is_one_line(project, monkeypatch, arguments, said):
    project.experiment("s1", accurate(60), seed=1, **REAL)
    project.experiment("lr-2", accurate(60), **REAL, **{LR: 0.1})
    project.experiment("names", accurate(60), **REAL, **{"runs.a.model.name": "x", "runs.a.optimizer.name": "sgd"})
    assert said in refused(experiments, monkeypatch, *arguments)


def test_no_experiments_at_all(project, monkeypatch):
    assert "a: no finished experiment holds" in refused(experiments, monkeypatch, "a")


@pytest.mark.parametrize("figures", ["{", "[]", '{"accuracy": 1}'])
def test_broken_figures_are_one_line(project, monkeypatch, tmp_path, figures):
    (tmp_path / "metrics/runs/a.json").write_text(figures)
    said = refused(experiments, monkeypatch, "a", "--experiments", "workspace")
    assert said.startswith("workspace: metrics, params.yaml or dvc.lock are not what this version writes")


def test_the_end_of_a_param_and_the_whole_name_it(project, table):
    for number, lr in enumerate((0.1, 0.2)):
        project.experiment(f"lr-{number}", accurate(60), **REAL, **{LR: lr, "runs.a.model.widths": [8 * (2 - number)]})
    for by in ("lr", "optimizer.lr", LR):
        assert [row["optimizer.lr"] for row in table("a", "--by", by)] == ["0.1", "0.2"]
    assert [row["model.widths"] for row in table("a", "--by", "widths")] == ["[16]", "[8]"]


def test_the_plot(project, monkeypatch, tmp_path, capsys):
    """Two runs over three values, some with sd; the same bytes each time."""
    for number, lr in enumerate((1e-4, 1e-3, 1e-2)):
        for seed in (1, 2)[: 2 - number // 2]:
            figures = {
                run: accurate(40 + 10 * number + 4 * seed + shift, run=run) for run, shift in (("a", 0), ("b", 8))
            }
            both = {LR: lr, "runs.b.optimizer.lr": lr}
            project.experiment(f"lr-{number}-{seed}", figures, seed=seed, **REAL, **both)
    for name in ("one.png", "two.png"):
        called(experiments, monkeypatch, "a", "b", "--by", "optimizer.lr", "--plot", tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ("#332288", "#cc6677"):  # a line for each run
        assert (pixels == list(bytes.fromhex(colour[1:]))).all(axis=1).sum() > 100
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
def test_the_axis_of_a_plot(monkeypatch, tmp_path, values, scale, ticks):
    figures = []
    monkeypatch.setattr(sweep_plot, "save", lambda figure, path: figures.append(figure))
    caption = sweep_plot.Caption("a", "FER-2013", OFFICIAL, 100, False)
    sweep_plot.draw(tmp_path, caption, [sweep_plot.Point("a", value, 0.5, None) for value in values], "x")
    (axes,) = figures[0].axes
    assert axes.get_xscale() == scale
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks


def test_the_plot_says_what_it_shows(project, monkeypatch, tmp_path):
    for number, percent in enumerate((60, 70)):
        project.experiment(f"drawn-{number}", accurate(percent, synthetic=True), **{LR: 0.1 * (number + 1)})
    captions = []
    monkeypatch.setattr(sweep_plot, "draw", lambda path, caption, points, param: captions.append(caption))
    called(experiments, monkeypatch, "a", "--by", "lr", "--plot", tmp_path / "x.png")
    assert captions == [sweep_plot.Caption("a", "faces (synthetic)", f"{OFFICIAL}; one experiment", 100, True)]
    project.experiment("real", accurate(60), **REAL)
    said = refused(experiments, monkeypatch, "a", "--by", "lr", "--plot", tmp_path / "x.png")
    assert said.startswith("--plot: synthetic and real corpora")


@pytest.mark.parametrize(
    ("labels", "one"),
    [
        (["train 18, test 3", "train 19, test 3"], "train 18–19, test 3"),
        (["1,200 train", "985 train", "1,000 train"], "985–1,200 train"),
        (["one", "one"], "one"),
        (["official", "stratified (10%)"], "official / stratified (10%)"),
    ],
)
def test_labels_are_merged(labels, one):
    assert pooling.merged(labels) == one


def test_a_selection_makes_the_same_figures_in_both_apps(project, table, monkeypatch):
    add_folds(project, 1, FOLDS)
    add_folds(project, 2, OTHER_FOLDS)
    (row,) = table("a", "--experiments", "fold-*")
    record = reference.record("a", ["fold-*"], "")
    for name in ("accuracy", "accuracy_sd", "balanced_accuracy", "f1_macro"):
        assert f"{record[name]:.6f}" == row[name]
    assert str(record["n_test"]) == row["n_test"]
