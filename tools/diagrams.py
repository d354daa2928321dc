"""Draws the pictures of the documentation: `python -m tools.diagrams`.

`docs/pipeline.svg` is generated from dvc.yaml and params.yaml, `docs/architecture_<corpus>.svg` from params.yaml, and
`docs/faces_compact.png`, the confusion matrix of the run that ships, from its reference record.
"""

import argparse
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.files import read_json
from stages.evaluation.pictures.canvas import Caption
from stages.evaluation.pictures.run import draw_confusion
from stages.params.load import parse
from stages.serving.run_files import INFO, PRETRAINED

DOCS, RECORD = Path("docs"), Path("metrics/reference/fer2013_compact.json")
LETTER_PX, LINE_PX, PAD_PX, GAP_PX, COLUMN_GAP_PX = 6.7, 16, 10, 14, 56
# Fill of a box, by what it is.
COLOURS = {"data": "#e8f1fa", "feature": "#eaf5ea", "model": "#fdf3e1", "evaluation": "#f4eaf5"}
COLUMN_KINDS = ("data", "feature", "model", "evaluation", "evaluation", "evaluation")
TITLE, LINE = 'fill="#1b1f24" font-weight="bold"', 'fill="#59636e"'
# The column of each stage in the picture of the pipeline.
COLUMNS = {"download": 0, "prepare": 1, "split": 1, "train": 2, "tune": 3, "evaluate": 3, "ensemble": 4, "report": 5}


@dataclass
class Box:
    """A titled box; `row` None: in the vertical middle of the picture. `x`, `y` and `width` are set by `_arrange`."""

    key: str
    column: int
    row: int | None
    title: str
    lines: list[str] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def text_width(self) -> float:
        return LETTER_PX * max(map(len, (self.title, *self.lines))) + 2 * PAD_PX

    @property
    def height(self) -> float:
        return LINE_PX * (1 + len(self.lines)) + 2 * PAD_PX


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name, content in pictures().items():
        (DOCS / name).write_text(content, encoding="utf-8")
        print(DOCS / name)
    record = read_json(RECORD)
    classes = read_json(PRETRAINED / record["run"] / INFO)["classes"]
    caption = Caption(record["run"], record["name"], record["protocol"], record["n_test"], synthetic=False)
    draw_confusion(DOCS / "faces_compact.png", caption, np.array(record["confusion"]), classes, normalized=True)


def pictures() -> dict[str, str]:
    """Return {file name: SVG} of all diagrams, from the files in the present folder."""
    stages, params = (parse(Path(name).read_text(encoding="utf-8")) for name in ("dvc.yaml", "params.yaml"))
    found = {f"architecture_{corpus}.svg": architecture(corpus, params) for corpus in params["corpora"]}
    return found | {"pipeline.svg": pipeline(stages["stages"], params)}


def pipeline(stages: dict[str, Any], params: dict[str, Any]) -> str:
    """Return the SVG of all stages, a row per corpus."""
    boxes = [
        Box(f"{name}@{corpus}", COLUMNS[name], row, name, keys)
        for row, corpus in enumerate(params["corpora"])
        for name in COLUMNS
        if (keys := _keys(stages[name], params, corpus))
    ]
    boxes.append(Box("report", COLUMNS["report"], None, "report", ["metrics/summary.json", "plots/report.html"]))
    pairs = [(one, other) for one in boxes for other in boxes if one.column < other.column]
    of_one_corpus = [(one, other) for one, other in pairs if other.row in (one.row, None)]
    arrows = [(one.key, other.key) for one, other in of_one_corpus if _depends(stages[other.title], stages[one.title])]
    ends = {end for _, end in arrows}
    indirect = {(one, other) for one, other in arrows for end in ends if {(one, end), (end, other)} <= {*arrows}}
    shown = [arrow for arrow in arrows if arrow not in indirect]
    return _svg(boxes, shown, "The stages of dvc.yaml and their items in params.yaml")


def _keys(stage: dict[str, Any], params: dict[str, Any], corpus: str) -> list[str]:
    """Return the items of a stage that belong to a corpus."""
    items = params.get(stage.get("foreach", "").strip("${}"), {})
    return [key for key, item in items.items() if item.get("corpus", key) == corpus]


def _depends(stage: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether a stage reads an output of another: paths up to their first `${`, since the keys differ."""

    def folders(stage: dict[str, Any], *kinds: str) -> set[str]:
        stage = stage.get("do", stage)
        paths = (path for kind in kinds for path in stage.get(kind, []))
        names = (next(iter(path)) if isinstance(path, dict) else path for path in paths)
        return {name.split("${")[0].rstrip("/") for name in names if not name.startswith("stages/")}

    outputs = folders(other, "outs", "metrics", "plots")
    return any(read == made or made.startswith(f"{read}/") for read in folders(stage, "deps") for made in outputs)


def architecture(corpus: str, params: dict[str, Any]) -> str:
    """Return the SVG of the experiments on a corpus: data → features → models → evaluation."""
    about, split = params["corpora"][corpus], params["splits"][corpus]
    classes = [", ".join(about["classes"][at : at + 4]) for at in range(0, len(about["classes"]), 4)]
    boxes = [Box("corpus", 0, 0, f"corpus {corpus}", [f"reader {about['reader']}", *classes])]
    datasets = {key: item["feature"] for key, item in params["datasets"].items() if item["corpus"] == corpus}
    for key, item in datasets.items():
        settings = [f"{name}: {value}" for name, value in item.items() if name != "name"]
        boxes.append(Box(key, 1, 0, f"feature {item['name']} ({key})", settings))
    boxes.append(Box("split", 1, 0, f"split: {split['protocol']}", ["train | validation | test", "audit of leakage"]))
    runs = {key: run for key, run in params["runs"].items() if run["corpus"] == corpus}
    arrows = [("corpus", key) for key in (*datasets, "split")]
    for model in dict.fromkeys(run["model"]["name"] for run in runs.values()):
        members = [key for key, run in runs.items() if run["model"]["name"] == model]
        boxes.append(Box(model, 2, 0, f"model {model}", members))
        arrows += [(key, model) for key in dict.fromkeys(runs[member]["dataset"] for member in members)]
        arrows += [("split", model), (model, "evaluation")]
    figures = ["accuracy with 95 % interval", "balanced accuracy, F1, ECE", "confusion, ROC", "paired comparisons"]
    boxes.append(Box("evaluation", 3, 0, "evaluation on the test part", figures))
    return _svg(boxes, arrows, f"Experiments on {corpus}: data → features → models → evaluation")


def _arrange(boxes: list[Box], top: float) -> tuple[float, float]:
    """Set the places of the boxes in columns and rows; return width and height of the picture."""
    x, widths = PAD_PX * 2.0, {}
    for column in sorted({box.column for box in boxes}):
        widths[column] = max(box.text_width for box in boxes if box.column == column)
        for box in (box for box in boxes if box.column == column):
            box.x, box.width = x, widths[column]  # equally wide, so that no arrow passes behind a box
        x += widths[column] + COLUMN_GAP_PX
    y = top
    for row in sorted({box.row for box in boxes if box.row is not None}):
        cells = [[box for box in boxes if (box.row, box.column) == (row, column)] for column in widths]
        heights = [sum(box.height + GAP_PX for box in cell) for cell in cells]
        for cell, height in zip(cells, heights, strict=True):
            below = y + (max(heights) - height) / 2
            for box in cell:
                box.y, below = below, below + box.height + GAP_PX
        y += max(heights) + GAP_PX
    for box in (box for box in boxes if box.row is None):
        box.y = (top + y - box.height) / 2
    return x - COLUMN_GAP_PX + PAD_PX * 2, y


def _svg(boxes: list[Box], arrows: list[tuple[str, str]], title: str) -> str:
    width, height = _arrange(boxes, top=46)
    by_key = {box.key: box for box in boxes}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="DejaVu Sans Mono, monospace" font-size="11">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#59636e"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="20" y="28" font-size="14" font-weight="bold" fill="#1b1f24">{escape(title)}</text>',
    ]
    parts += [_arrow(by_key[one], by_key[other]) for one, other in arrows]
    return "\n".join([*parts, *map(_drawn, boxes), "</svg>", ""])


def _arrow(one: Box, other: Box) -> str:
    x0, y0, x1, y1 = one.x + one.width, one.y + one.height / 2, other.x - 2, other.y + other.height / 2
    # It is bent within one gap, and straight beside the boxes of a column that it skips.
    start = x1 - COLUMN_GAP_PX + 2 if other.row is None else x0
    end = min(x1, start + COLUMN_GAP_PX)
    middle = (start + end) / 2
    curve = f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {end:.1f} {y1:.1f}"
    path = f"M{x0:.1f} {y0:.1f} L{start:.1f} {y0:.1f} {curve} L{x1:.1f} {y1:.1f}"
    return f'<path d="{path}" fill="none" stroke="#59636e" stroke-width="1.2" marker-end="url(#tip)"/>'


def _drawn(box: Box) -> str:
    fill = COLOURS[COLUMN_KINDS[box.column]]
    rect = f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5"'
    texts = [
        f'<text x="{box.x + PAD_PX:.1f}" y="{box.y + PAD_PX + LINE_PX * (at + 0.75):.1f}" {LINE if at else TITLE}>'
        f"{escape(line)}</text>"
        for at, line in enumerate((box.title, *box.lines))
    ]
    return "\n".join([f'{rect} fill="{fill}" stroke="#9aa4ae"/>', *texts])


if __name__ == "__main__":
    main()
