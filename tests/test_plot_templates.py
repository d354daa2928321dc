"""Templates of `dvc plots`: they fit the CSV files and name the corpus, and the page needs no network."""

import configparser
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from dvc_render.html import HTML
from dvc_render.vega import VegaRenderer

from stages.evaluation.pictures import gallery
from stages.params.load import parse
from stages.tuning import results

TEMPLATES = ROOT / ".dvc" / "plots"
STAGES = parse((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

# {file name: its properties in dvc.yaml}, CSV files only
PLOTS = {
    Path(path).name: properties
    for stage in STAGES.values()
    for plot in stage.get("do", stage).get("plots", [])
    if isinstance(plot, dict)  # images have no properties
    for path, properties in plot.items()
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Return {file name: rows} as the stages write them, all cells as text."""
    folder = tmp_path_factory.mktemp("plots")
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.8, 0.2]])
    scores = {"precision": 0.75, "recall": 0.75, "f1": 0.667}
    metrics = {f"{name}_macro": value for name, value in scores.items()} | {"accuracy": 0.667, "f1_weighted": 0.667}
    metrics["per_class"] = [{"class": "angry", **scores, "support": 1}, {"class": "sad", **scores, "support": 2}]
    gallery.write_tables(folder, labels, probabilities, ["angry", "sad"], metrics, "synthetic")
    trial = {"trial": 1, "end": "done", "value": 0.5, "epochs": 2, "values": {"optimizer.lr": 0.1}}
    results.write_tables(folder, [trial], {"optimizer.lr": 1.0}, "validation_accuracy", "synthetic")
    committed = ROOT / "plots/runs/faces_compact/history.csv"  # written by `train`
    return {path.name: read_rows(path) for path in [*folder.iterdir(), committed]}


def read_rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def chart_of(name, table):
    """Return the chart of two revisions that DVC makes from the template."""
    points = [{**row, "rev": rev} for rev in ("HEAD", "workspace") for row in table]
    properties = {key: PLOTS[name][key] for key in ("template", "x", "y")}
    return VegaRenderer(points, name, template_dir=str(TEMPLATES), title=name, **properties).get_filled_template()


def nodes(value):
    """Yield every dict inside `value`, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def column_names(node, key):
    """Return the names under one key: a text, or those in a list; a definition has names of its own."""
    value = node.get(key, [])
    return {name for name in ([value] if isinstance(value, str) else value) if isinstance(name, str)}


def used_and_computed(chart):
    """Return the columns that a chart uses, and those that it computes itself."""
    used, computed = set(), set()
    for node in nodes({key: value for key, value in chart.items() if key != "data"}):
        for key in ("field", "fields", "groupby", "fold", "flatten", "impute", "key"):
            used |= column_names(node, key)
        for key in ("calculate", "filter", "test"):
            if isinstance(node.get(key), str):
                used |= set(re.findall(r"\bdatum(?:\.|\[')(\w+)", node[key]))
        computed |= column_names(node, "as")
    return used, computed


def test_every_csv_has_a_template_and_every_template_a_csv():
    assert {path.name for path in TEMPLATES.iterdir()} == {f"{plot.get('template')}.json" for plot in PLOTS.values()}
    assert all({"x", "y"} <= set(properties) for properties in PLOTS.values())


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.stem)
def test_template_is_a_vega_lite_chart_with_placeholders(path):
    chart = json.loads(path.read_text(encoding="utf-8"))
    assert chart["$schema"].startswith("https://vega.github.io/schema/vega-lite/v5")
    assert chart["data"] == {"values": "<DVC_METRIC_DATA>"}
    assert chart["title"]["text"] == "<DVC_METRIC_TITLE>"


@pytest.mark.parametrize("name", PLOTS)
def test_columns_of_a_template_are_in_its_csv(name, tables):
    chart = chart_of(name, tables[name])
    assert "<DVC_" not in json.dumps(chart)
    used, computed = used_and_computed(chart)
    assert used - computed - set(tables[name][0]) == {"rev"}


@pytest.mark.parametrize("name", PLOTS)
def test_every_panel_is_titled_with_the_corpus(name, tables):
    """A result on a synthetic corpus must be recognisable as such."""
    assert list(tables[name][0])[-1] == "corpus"
    chart = chart_of(name, tables[name])
    [title] = [node["calculate"] for node in nodes(chart) if node.get("as") == "panel"]
    assert "'corpus: ' + (isValid(datum.corpus) ? datum.corpus" in title.replace("\\n", "' + '")
    facets = [node for node in nodes(chart) if "facet" in node]
    assert facets
    for node in facets:
        assert node["facet"]["field"] == "panel"
        assert node["facet"]["header"].get("labels", True)
    charts, inside = (sum("mark" in node for node in nodes(part)) for part in (chart, [n["spec"] for n in facets]))
    assert charts == inside


class Links(HTMLParser):
    """The addresses in a page's attributes, and its number of scripts."""

    def __init__(self, source):
        super().__init__()
        self.addresses, self.scripts = [], 0
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_page_loads_nothing_from_a_network():
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config", encoding="utf-8")
    source = (ROOT / ".dvc" / config["plots"]["html_template"]).read_text(encoding="utf-8")
    page = HTML(source).with_scripts(VegaRenderer.SCRIPTS).with_element("<div id='plot'></div>").embed()
    links = Links(page)
    assert "<div id='plot'></div>" in page
    assert links.scripts >= 1
    assert [address for address in links.addresses if re.match(r"\s*(\w+:)?//", address or "")] == []
    styles = re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL)
    assert not any(re.search(r"@import|url\(\s*['\"]?(\w+:)?//", style) for style in styles)
