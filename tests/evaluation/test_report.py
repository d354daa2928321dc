"""The report: everything on one page, nothing from outside, nothing unescaped."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from small_predictions import said

from stages.evaluation import figures, report
from stages.evaluation.paired import Difference

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x.png>'


def png(width=3, height=2):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, format="PNG")
    return stream.getvalue()


def run(run_name, right, *, corpus="faces", synthetic=True, n=100, group_kind="statement", **metrics):
    """A run in which `right` of `n` samples are named correctly."""
    predicted = np.array([0] * right + [1] * (n - right))
    groups = {group_kind: ["s1", "s2"] * (n // 2)}
    found = figures.compute(np.zeros(n, dtype=int), np.eye(2)[predicted], groups, ["angry", "sad"], 7)
    told = {"run": run_name, "model": "cnn", "corpus": corpus, "name": "FER-2013", "source": "synthetic"}
    told |= {"synthetic": synthetic, "protocol": "official", "n_train": 800, "n_validation": n, "n_test": n}
    return {
        "metrics": told | {"parameters": 1234} | found | metrics,
        "pictures": {"roc.png": png(), "confusion_normalized.png": png(7, 5), "extra.png": png()},
        "params": "optimizer:\n  lr: 0.001\n",
        "versions": {"python": "3.11"},
        "md5": {"data/predictions/x.h5": "d41d8cd9"},
    }


class Page(HTMLParser):
    """The tags with their attributes, and the visible text with single spaces."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def rows_of(source, corpus_rows):
    """The HTML of each table row that names one of the runs."""
    parts = source.split("<tr>")
    return {name: next(part for part in parts if f">{name}</a>" in part) for name in corpus_rows}


def test_every_run_is_in_a_table_and_has_its_section():
    runs = [run("one", 90), run("two", 50), run("three", 70, corpus="speech", name="RAVDESS")]
    page = Page(report.render(runs, {"seed": 7}, True))
    anchors = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {anchor for anchor in anchors if anchor.startswith("#run-")} == {"#run-1", "#run-2", "#run-3"}
    assert {f"#{attrs['id']}" for _, attrs in page.tags if "id" in attrs} == anchors
    assert "Run by run: faces one synthetic" in page.text
    assert "Run by run: speech three synthetic" in page.text
    assert "speech: RAVDESS" in page.text
    assert "optimizer: lr: 0.001" in page.text
    assert "d41d8cd9" in page.text
    assert "angry is taken for sad in 10.0 % of its samples" in page.text
    assert "Accuracy by statement (2:" in page.text


def test_best_is_marked_and_chance_is_named():
    rows = rows_of(report.render([run("far", 20), run("near", 88), run("top", 90)], {}, True), ["far", "near", "top"])
    assert ['class="tag best"' in rows[name] for name in ("top", "near", "far")] == [True, False, False]
    assert ["may be chance" in rows[name] for name in ("top", "near", "far")] == [False, True, False]


def test_every_interval_says_which_it_is():
    """Above the table of its corpus and in the section of its run."""
    page = Page(report.render([run("one", 90), run("two", 80)], {}, True))
    assert page.text.split("Run by run")[0].count("95 % intervals: Wilson") == 1
    assert page.text.count("82.6 % to 94.5 %, Wilson)") == 1
    runs = [run("one", 90, group_kind="speaker"), run("two", 80)]
    page = Page(report.render(runs, {}, True))
    assert "95 % intervals: bootstrap over 2 speakers or Wilson" in page.text
    assert page.text.count("bootstrap over 2 speakers)") == 1


def test_chance_is_judged_sample_by_sample_where_samples_are_the_same():
    # 80 and 90 of 100: the intervals overlap, yet one run never names what the other misses.
    runs = [run("less", 80), run("top", 90)]
    told = {"less": said(100, right=range(80), run="less"), "top": said(100, right=range(90), run="top")}
    assert "may be chance" in rows_of(report.render(runs, {}, True), ["less"])["less"]
    assert "may be chance" not in rows_of(report.render(runs, {}, True, predictions=told), ["less"])["less"]
    told["less"] = said(100, right=range(15, 100), run="less")  # 85, of which 10 are others
    assert "may be chance" in rows_of(report.render(runs, {}, True, predictions=told), ["less"])["less"]


def test_a_protocol_in_common_is_said_once_above_the_table():
    one, two = run("one", 90, protocol="stratified"), run("two", 80, protocol="stratified")
    tables = Page(report.render([one, two], {}, True)).text.split("Run by run")[0]
    assert tables.count("stratified") == 1
    other = run("two", 80, protocol="official, fold 1")
    tables = Page(report.render([one, other], {}, True)).text.split("Run by run")[0]
    assert ("protocol one" in tables, tables.count("stratified"), tables.count("official, fold 1")) == (True, 1, 1)


def test_a_lone_run_is_not_called_best():
    assert 'class="tag best"' not in report.render([run("only", 90)], {}, True)


@pytest.mark.parametrize(
    ("flag", "drawn", "shown"), [(False, False, False), (True, False, True), (False, True, True), (True, True, True)]
)
def test_banner_stands_when_anything_is_synthetic(flag, drawn, shown):
    source = report.render([run("one", 90, synthetic=drawn), run("two", 80, synthetic=False)], {}, flag)
    assert ("say nothing about people" in Page(source).text) == shown


def test_hostile_text_is_escaped_everywhere():
    hostile = run(HOSTILE, 60, name=HOSTILE, protocol=HOSTILE, model=HOSTILE, most_confused=[HOSTILE, HOSTILE, 0.5])
    hostile["metrics"]["per_class"][0]["class"] = HOSTILE
    hostile["metrics"]["per_group"][0]["group"] = HOSTILE
    hostile |= {"params": f"x: </pre>{HOSTILE}", "versions": {HOSTILE: HOSTILE}, "md5": {HOSTILE: "0"}}
    hostile["pictures"][f'"{HOSTILE}.png'] = png()
    page = Page(report.render([hostile], {HOSTILE: HOSTILE}, True))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 4
    assert HOSTILE in page.text


def test_nothing_is_fetched():
    source = report.render([run("one", 90, source="http://example.org/x.zip")], {}, True)
    page = Page(source)
    for _, attrs in page.tags:
        assert not {"srcset", "onclick", "action"} & attrs.keys()
        assert all(attrs.get(name, "#").startswith(("#", "data:image/png;base64,")) for name in ("src", "href"))
    style = source.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in source


def test_only_the_summary_picture_stands_open():
    source = report.render([run("one", 90)], {}, True)
    before_details = source.split('id="run-1"')[1].split("<details>")[0]
    assert before_details.count("<img") == 1
    assert 'width="7" height="5" alt="Confusion, share of each true class"' in before_details
    assert "<details open" not in source
    assert source.count("<img") == 3


def test_undefined_figures_missing_pictures_and_no_runs_at_all():
    bare = run("one", 100) | {"pictures": {}, "versions": {}, "md5": {}}
    page = Page(report.render([bare], {}, False))
    assert "sad – – – 0" in page.text
    assert "No class is ever taken for another." in page.text
    assert "No run has been evaluated yet." in Page(report.render([], {}, False)).text
    assert page.text.startswith("Emotion recognisers compared")


def study(key, **metrics):
    told = {"study": key, "run": "one", "model": "cnn", "corpus": "faces", "name": "synthetic", "synthetic": True}
    told |= {"protocol": "official", "n_train": 1120, "n_validation": 140, "objective": "validation_accuracy"}
    told |= {"best_value": 0.61251, "best_trial": 7, "best_params": {"optimizer.lr": 0.00030431, "batch_size": 64}}
    told |= {"n_trials": 12, "n_done": 8, "n_pruned": 3, "n_failed": 1}
    return {"metrics": told | metrics, "pictures": {"parallel.png": png(), "history.png": png(7, 5), HOSTILE: png()}}


def test_a_search_tells_its_best_values_and_how_its_trials_ended():
    source = report.render([run("one", 90)], {}, True, studies=[study("faces_search")])
    page = Page(source)
    assert (
        "Search faces_search synthetic 12 trials of one on faces: synthetic (8 done, 3 pruned, 1 failed)" in page.text
    )
    assert "1,120 training samples, judged on the 140 of the validation part" in page.text
    assert "the test part was not looked at" in page.text
    assert "trial 7 best of 12" in page.text
    assert "optimizer.lr 0.0003043 batch_size 64" in page.text.replace("batch_ size", "batch_size")
    assert "python -m stages.apps.best faces_search" in page.text
    assert "So few trials hardly tell which values mattered." in page.text
    assert source.index('alt="The search"') < source.index("<summary>The trials&#39; values</summary>")
    many = report.render([run("one", 90)], {}, True, studies=[study("faces_search", n_trials=24, n_done=20)])
    assert "So few trials" not in Page(many).text
    assert "Search" not in Page(report.render([run("one", 90)], {}, True)).text


def test_hostile_text_of_a_search_is_escaped():
    told = {"name": HOSTILE, "protocol": HOSTILE, "best_params": {HOSTILE: HOSTILE}}
    page = Page(report.render([run("one", 90)], {}, True, studies=[study(HOSTILE, **told)]))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]


def test_what_the_parts_of_a_model_are_worth():
    """Each run of an ablation with what it lacks, its paired difference in points, and McNemar's p."""
    whole, less = run("speech_all", 90, corpus="speech"), run("speech_less", 70, corpus="speech")
    lost = Difference(accuracy=-0.2, ci95=(-0.281, -0.12), p=0.00012, n=100)
    rows = [
        {"metrics": whole["metrics"], "lacks": [], "difference": None},
        {"metrics": less["metrics"], "lacks": ["lstm", "ffnn"], "difference": lost},
    ]
    step = {"run": "speech_all", "before": "speech_less", "adds": ["lstm", "ffnn"], "gain": 0.2, "mcnemar_p": 0.00012}
    step |= {"gain_ci95": [0.12, 0.281], "parameters_added": 1200, "flops": 2_500_000, "flops_added": -500_000}
    found = [{"model": "adafnn", "metrics": whole["metrics"], "rows": rows, "steps": [step]}]
    page = Page(report.render([whole, less], {}, True, found))
    assert "What the parts of adafnn are worth synthetic" in page.text
    assert "nothing 0.900 – –" in page.text
    assert "lstm, ffnn 0.700 −20.0 [−28.1, −12.0] < 0.001" in page.text
    assert "speech_ less → speech_ all lstm, ffnn +20.0 [+12.0, +28.1] < 0.001 +1,200 2.5 (−0.5)" in page.text
    assert "What the parts" not in Page(report.render([whole, less], {}, True)).text


def test_which_padding():
    """A cell per padding with the commonest confusion, a paired difference with its verdict, the pair most confused."""
    zero, average = run("a", 60, corpus="eeg", model="eeg_lstm"), run("b", 90, corpus="eeg", model="eeg_lstm")
    gained = Difference(accuracy=0.3, ci95=(0.204, 0.4), p=0.0001, n=100)
    row = {"model": "eeg_lstm", "cells": [zero["metrics"], average["metrics"], None]}
    row |= {"differences": [gained, None, None], "verdicts": ["average beats zero", "", ""]}
    found = {"metrics": zero["metrics"], "rows": [row], "n_runs": 11}
    found |= {"confused": [("fear", "sad", 9), ("happy", "sad", 2)]}
    page = Page(report.render([zero, average], {}, True, paddings=[found]))
    assert "Which padding? eeg: FER-2013 synthetic" in page.text
    assert "angry as sad 40.0 % 0.900 [" in page.text
    assert {"#padding-1", "#corpus-1", "#runs-1"} <= {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert "– +30.0 [+20.4, +40.0] average beats zero – – Most confused:" in page.text
    assert "Most confused: fear and sad in 9 of 11 runs, happy and sad in 2." in page.text
    assert "Which padding?" not in Page(report.render([zero, average], {}, True)).text
