"""What `dvc plots` draws with: templates that fit the CSV files and name the corpus; a page that needs no network."""

import ast
import configparser
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from dvc_render.html import HTML
from dvc_render.vega import VegaRenderer

from stages.evaluation import rows
from stages.params.load import parse
from stages.tuning import results

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / ".dvc" / "plots"
STAGES = parse((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

# {file name: what dvc.yaml says of the plot}, CSV files only
PLOTS = {
    Path(path).name: properties
    for stage in STAGES.values()
    for plot in stage.get("do", stage).get("plots", [])
    if isinstance(plot, dict)  # pictures are names alone
    for path, properties in plot.items()
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """{file name: rows} as the stages write them, the cells text as DVC reads them."""
    folder = tmp_path_factory.mktemp("plots")
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.8, 0.2]])
    scores = {"precision": 0.75, "recall": 0.75, "f1": 0.667}
    figures = {f"{name}_macro": value for name, value in scores.items()} | {"accuracy": 0.667, "f1_weighted": 0.667}
    figures["per_class"] = [{"class": "angry", **scores, "support": 1}, {"class": "sad", **scores, "support": 2}]
    rows.write_all(folder, labels, probabilities, ["angry", "sad"], figures, "synthetic")
    tried = {"trial": 1, "end": "done", "value": 0.5, "epochs": 2, "values": {"optimizer.lr": 0.1}}
    results.write_tables(folder, [tried], {"optimizer.lr": 1.0}, "validation_accuracy", "synthetic")
    found = {
        path.name: list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) for path in folder.iterdir()
    }
    return found | {"history.csv": [dict.fromkeys(history_columns(), "1")]}


def history_columns():
    """The header that stages/train.py gives history.csv: read, not imported, which would bring in Lightning."""
    callbacks, train = (
        list(ast.walk(ast.parse((ROOT / "stages" / name).read_text(encoding="utf-8"))))
        for name in ("training/fit.py", "train.py")
    )
    named = next(
        node.value for node in callbacks if isinstance(node, ast.Assign) and node.targets[0].id == "HISTORY_COLUMNS"
    )
    header = next(
        node.args[1] for node in train if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "write_csv"
    )
    more = [node.value for node in ast.walk(header) if isinstance(node, ast.Constant)]
    return [*ast.literal_eval(named), *more]


def filled(name, found):
    """The chart of two revisions, as DVC makes it from the template."""
    points = [{**row, "rev": rev} for rev in ("HEAD", "workspace") for row in found]
    chosen = {key: PLOTS[name][key] for key in ("template", "x", "y")}
    return VegaRenderer(points, name, template_dir=str(TEMPLATES), title=name, **chosen).get_filled_template()


def nodes(value):
    """Every dict inside, however deep."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def names(node, key):
    """The column names under one key: a text, a list of them, or a definition, which has its own."""
    value = node.get(key, [])
    return {name for name in ([value] if isinstance(value, str) else value) if isinstance(name, str)}


def used_and_made(chart):
    """Columns that a chart looks at, and those among them that it computes itself."""
    used, made = set(), set()
    for node in nodes({key: value for key, value in chart.items() if key != "data"}):
        for key in ("field", "fields", "groupby", "fold", "flatten", "impute", "key"):
            used |= names(node, key)
        for key in ("calculate", "filter", "test"):
            if isinstance(node.get(key), str):
                used |= set(re.findall(r"\bdatum(?:\.|\[')(\w+)", node[key]))
        made |= names(node, "as")
    return used, made


def test_every_csv_has_a_template_and_every_template_a_csv():
    assert {path.stem for path in TEMPLATES.iterdir()} == {properties.get("template") for properties in PLOTS.values()}
    assert {path.suffix for path in TEMPLATES.iterdir()} == {".json"}
    assert all({"x", "y"} <= set(properties) for properties in PLOTS.values())


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.stem)
def test_template_is_a_vega_lite_chart_that_takes_data_and_title(path):
    chart = json.loads(path.read_text(encoding="utf-8"))
    assert chart["$schema"].startswith("https://vega.github.io/schema/vega-lite/v5")
    assert chart["data"] == {"values": "<DVC_METRIC_DATA>"}
    assert chart["title"]["text"] == "<DVC_METRIC_TITLE>"


@pytest.mark.parametrize("name", PLOTS)
def test_columns_that_a_template_names_are_in_its_csv(name, tables):
    chart = filled(name, tables[name])
    assert "<DVC_" not in json.dumps(chart)
    used, made = used_and_made(chart)
    assert used - made - set(tables[name][0]) == {"rev"}


@pytest.mark.parametrize("name", PLOTS)
def test_every_panel_is_headed_by_the_corpus(name, tables):
    """'synthetic' must be read wherever a figure comes from a synthetic corpus."""
    assert list(tables[name][0])[-1] == "corpus"
    chart = filled(name, tables[name])
    headings = [node["calculate"] for node in nodes(chart) if node.get("as") == "panel"]
    assert len(headings) == 1
    assert "'corpus: ' + (isValid(datum.corpus) ? datum.corpus" in headings[0].replace("\\n", "' + '")
    facets = [node["facet"] for node in nodes(chart) if "facet" in node]
    assert facets
    assert all(facet["field"] == "panel" and facet["header"].get("labels", True) for facet in facets)
    charts = [node for node in nodes(chart) if "mark" in node]
    inside = [node for facet in nodes(chart) if "facet" in facet for node in nodes(facet["spec"]) if "mark" in node]
    assert len(charts) == len(inside)


class Addresses(HTMLParser):
    """What a page's attributes point to."""

    def __init__(self, source):
        super().__init__()
        self.found, self.scripts = [], 0
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_page_loads_nothing_from_a_network():
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config", encoding="utf-8")
    source = (ROOT / ".dvc" / config["plots"]["html_template"]).read_text(encoding="utf-8")
    whole = HTML(source).with_scripts(VegaRenderer.SCRIPTS).with_element("<div id='drawn'></div>").embed()
    page = Addresses(whole)
    assert "<div id='drawn'></div>" in whole
    assert page.scripts >= 1
    assert [address for address in page.found if re.match(r"\s*(\w+:)?//", address or "")] == []
    styles = re.findall(r"<style[^>]*>(.*?)</style>", whole, re.DOTALL)
    assert not any(re.search(r"@import|url\(\s*['\"]?(\w+:)?//", style) for style in styles)
