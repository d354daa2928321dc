"""The report is one page, loads nothing from outside and escapes all text."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from small_predictions import predictions

from stages.evaluation.metrics import compute_metrics
from stages.evaluation.report import page as report
from stages.evaluation.report.paired import Difference

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x.png>'


def png(width=3, height=2):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, format="PNG")
    return stream.getvalue()


def run(run_name, n_correct, *, corpus="faces", synthetic=True, n=100, group_kind="statement", **metrics):
    """Return a run in which `n_correct` of `n` samples are classified correctly."""
    predicted = np.array([0] * n_correct + [1] * (n - n_correct))
    groups = {group_kind: ["s1", "s2"] * (n // 2)}
    computed = compute_metrics(np.zeros(n, dtype=int), np.eye(2)[predicted], groups, ["angry", "sad"], 7)
    origin = {"run": run_name, "model": "cnn", "corpus": corpus, "name": "FER-2013", "source": "synthetic"}
    origin |= {"synthetic": synthetic, "protocol": "official", "n_train": 800, "n_validation": n, "n_test": n}
    return {
        "metrics": origin | {"parameters": 1234} | computed | metrics,
        "pictures": {"roc.png": png(), "confusion_normalized.png": png(7, 5), "extra.png": png()},
        "params": "optimizer:\n  lr: 0.001\n",
        "versions": {"python": "3.11"},
        "md5": {"data/predictions/x.h5": "d41d8cd9"},
        "samples": {"n_rejected": 0, "n_cut": 0, "longest_steps": 0, "steps": 187},
    }


class Page(HTMLParser):
    """The tags with their attributes, and the visible text with single spaces, of a rendered page."""

    def __init__(self, runs, *tables, produced=None, **more):
        super().__init__()
        self.tags, self.words = [], []
        self.source = report.render(runs, produced or {}, *tables, **more)
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def row_of(self, run_name):
        """Return the HTML of the table row of a run."""
        return next(part for part in self.source.split("<tr>") if f">{run_name}</a>" in part)


def test_every_run_has_a_table_row_and_a_section():
    runs = [run("one", 90), run("two", 50), run("three", 70, corpus="speech", name="RAVDESS")]
    page = Page(runs, produced={"seed": 7})
    anchors = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {anchor for anchor in anchors if anchor.startswith("#run-")} == {"#run-1", "#run-2", "#run-3"}
    assert {f"#{attrs['id']}" for _, attrs in page.tags if "id" in attrs} == anchors
    shown = ["Runs on faces one synthetic", "Runs on speech three synthetic", "speech: RAVDESS", "optimizer: lr: 0.001"]
    shown += ["d41d8cd9", "10.0 % of angry samples are classified as sad", "Accuracy by statement (2:", "seed 7"]
    assert [text for text in shown if text not in page.text] == []


def test_best_run_and_chance_differences_are_marked():
    page = Page([run("far", 20), run("near", 88), run("top", 90)])
    assert ['class="tag best"' in page.row_of(name) for name in ("top", "near", "far")] == [True, False, False]
    assert ["may be chance" in page.row_of(name) for name in ("top", "near", "far")] == [False, True, False]
    assert 'class="tag best"' not in Page([run("only", 90)]).source


def test_interval_methods_are_named():
    """Above the table of the corpus and in the section of the run."""
    page = Page([run("one", 90), run("two", 80)])
    assert page.text.split("Runs on")[0].count("95 % intervals: Wilson") == 1
    assert page.text.count("82.6 % to 94.5 %, Wilson)") == 1
    page = Page([run("one", 90, group_kind="speaker"), run("two", 80)])
    assert "95 % intervals: bootstrap over 2 speakers or Wilson" in page.text
    assert page.text.count("bootstrap over 2 speakers)") == 1


@pytest.mark.parametrize(
    ("correct", "may_be_chance"),
    [
        (None, True),  # 80 and 90 of 100: the intervals overlap
        (range(80), False),  # the better run is correct wherever the other is
        (range(15, 100), True),  # 85, of which 10 are different samples
    ],
)
def test_chance_is_tested_sample_by_sample(correct, may_be_chance):
    by_run = {"less": predictions(100, correct=correct or ()), "top": predictions(100, correct=range(90))}
    page = Page([run("less", 80), run("top", 90)], predictions=by_run if correct else None)
    assert ("may be chance" in page.row_of("less")) == may_be_chance


@pytest.mark.parametrize("other", ["stratified", "official, fold 1"])
def test_common_protocol_is_shown_once(other):
    page = Page([run("one", 90, protocol="stratified"), run("two", 80, protocol=other)])
    tables = page.text.split("Runs on")[0]
    assert (tables.count("stratified"), tables.count(other)) == (1, 1)
    assert ("protocol one" in tables) == (other != "stratified")


@pytest.mark.parametrize(
    ("rejected", "cut", "expected"),
    [
        (0, 0, "100 test samples "),
        (3, 0, "100 test samples ; 3 damaged samples of the corpus left out "),
        (0, 1_024, "100 test samples ; 1,024 samples of the corpus cut to 187 time steps, the longest had 620 "),
        (2, 5, "; 2 damaged samples of the corpus left out ; 5 samples of the corpus cut to 187 time steps"),
    ],
)
def test_damaged_and_cut_samples_are_shown(rejected, cut, expected):
    samples = {"n_rejected": rejected, "n_cut": cut, "longest_steps": 620 if cut else 0, "steps": 187}
    page = Page([run("one", 90) | {"samples": samples}, run("two", 80)])
    assert expected.replace(" ;", ";") in page.text.replace(" ;", ";")
    assert ("samples of the corpus" in page.text) == bool(rejected or cut)


@pytest.mark.parametrize("synthetic", [True, False])
def test_banner_is_shown_if_a_run_is_synthetic(synthetic):
    page = Page([run("one", 90, synthetic=synthetic), run("two", 80, synthetic=False)])
    assert ("say nothing about people" in page.text) == synthetic


def study(key, **metrics):
    found = {"study": key, "run": "one", "model": "cnn", "corpus": "faces", "name": "synthetic", "synthetic": True}
    found |= {"protocol": "official", "n_train": 1120, "n_validation": 140, "objective": "validation_accuracy"}
    found |= {"best_value": 0.61251, "best_trial": 7, "best_params": {"optimizer.lr": 0.00030431, "batch_size": 64}}
    found |= {"n_trials": 12, "n_done": 8, "n_pruned": 3, "n_failed": 1}
    return {"metrics": found | metrics, "pictures": {"parallel.png": png(), "history.png": png(7, 5), HOSTILE: png()}}


def test_hostile_text_is_escaped():
    hostile = run(HOSTILE, 60, name=HOSTILE, protocol=HOSTILE, model=HOSTILE, most_confused=[HOSTILE, HOSTILE, 0.5])
    hostile["metrics"]["per_class"][0]["class"] = HOSTILE
    hostile["metrics"]["per_group"][0]["group"] = HOSTILE
    hostile |= {"params": f"x: </pre>{HOSTILE}", "versions": {HOSTILE: HOSTILE}, "md5": {HOSTILE: "0"}}
    hostile["pictures"][f'"{HOSTILE}.png'] = png()
    search = study(HOSTILE, name=HOSTILE, protocol=HOSTILE, best_params={HOSTILE: HOSTILE})
    page = Page([hostile], produced={HOSTILE: HOSTILE}, studies=[search])
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 4 + 3
    assert HOSTILE in page.text


def test_page_loads_nothing():
    page = Page([run("one", 90, source="http://example.org/x.zip")])
    for _, attrs in page.tags:
        assert not {"srcset", "onclick", "action"} & attrs.keys()
        assert all(attrs.get(name, "#").startswith(("#", "data:image/png;base64,")) for name in ("src", "href"))
    style = page.source.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page.source


def test_only_the_summary_picture_is_open():
    source = Page([run("one", 90)]).source
    before_details = source.split('id="run-1"')[1].split("<details>")[0]
    assert before_details.count("<img") == 1
    assert 'width="7" height="5" alt="Confusion matrix, shares"' in before_details
    assert "<details open" not in source
    assert source.count("<img") == 3


def test_undefined_metrics_missing_pictures_and_no_runs():
    page = Page([run("one", 100) | {"pictures": {}, "versions": {}, "md5": {}}])
    assert "sad – – – 0" in page.text
    assert "There are no confusions." in page.text
    assert "No run has been evaluated yet." in Page([]).text


@pytest.mark.parametrize(("n_done", "warns"), [(8, True), (20, False)])
def test_search_shows_best_values_and_trial_counts(n_done, warns):
    page = Page([run("one", 90)], studies=[study("faces_search", n_done=n_done)])
    shown = [f"search faces_search synthetic 12 trials of one on faces: synthetic ({n_done} done, 3 pruned, 1 failed)"]
    shown += [
        "1,120 training samples, evaluated on the 140 samples",
        "the test part was not used",
        "trial 7 best of 12",
    ]
    shown += ["optimizer.lr 0.0003043 batch_size 64", "python -m stages.apps.best faces_search"]
    assert [text for text in shown if text not in page.text.replace("batch_ size", "batch_size")] == []
    assert ("few trials" in page.text) == warns
    order = ['alt="Search history"', "<summary>Values of the trials</summary>"]
    assert page.source.index(order[0]) < page.source.index(order[1])


def test_ablation_table_and_steps():
    whole, less = run("speech_all", 90, corpus="speech"), run("speech_less", 70, corpus="speech")
    lost = Difference(accuracy=-0.2, ci95=(-0.281, -0.12), p=0.00012)
    rows = [
        {"metrics": whole["metrics"], "lacks": [], "difference": None},
        {"metrics": less["metrics"], "lacks": ["lstm", "ffnn"], "difference": lost},
    ]
    step = {"run": "speech_all", "before": "speech_less", "adds": ["lstm", "ffnn"], "gain": 0.2, "mcnemar_p": 0.00012}
    step |= {"gain_ci95": [0.12, 0.281], "parameters_added": 1200, "flops": 2_500_000, "flops_added": -500_000}
    tables = [{"model": "adafnn", "metrics": whole["metrics"], "rows": rows, "steps": [step]}]
    page = Page([whole, less], tables)
    assert "Ablation of adafnn synthetic" in page.text
    assert "– 0.900 – –" in page.text
    assert "lstm, ffnn 0.700 −20.0 [−28.1, −12.0] < 0.001" in page.text
    assert "speech_ less → speech_ all lstm, ffnn +20.0 [+12.0, +28.1] < 0.001 +1,200 2.5 (−0.5)" in page.text


def test_padding_table():
    zero, average = run("a", 60, corpus="eeg", model="eeg_lstm"), run("b", 90, corpus="eeg", model="eeg_lstm")
    gained = Difference(accuracy=0.3, ci95=(0.204, 0.4), p=0.0001)
    row = {"model": "eeg_lstm", "cells": [zero["metrics"], average["metrics"], None]}
    row |= {"differences": [gained, None, None], "verdicts": ["average is better than zero", "", ""]}
    table = {"metrics": zero["metrics"], "rows": [row], "n_runs": 11}
    table |= {"confused": [("fear", "sad", 9), ("happy", "sad", 2)]}
    page = Page([zero, average], paddings=[table])
    assert "Comparison of paddings on eeg: FER-2013 synthetic" in page.text
    assert "angry as sad 40.0 % 0.900 [" in page.text
    assert {"#padding-1", "#corpus-1", "#runs-1"} <= {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert "– +30.0 [+20.4, +40.0] average is better than zero – – Most frequent confusion:" in page.text
    assert "Most frequent confusion: fear and sad in 9 of 11 runs, happy and sad in 2." in page.text
