"""All runs on one self-contained page: no script, no font, no address from outside, pictures inside the file.

`report.html.j2` holds one macro per section; `render` hands it plain values. A later section is a macro there, a line
in the page's body, and one more value here.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from stages.evaluation.gallery import INSIDE
from stages.evaluation.paired import difference
from stages.evaluation.predictions import Predictions

_PICTURES = {  # file name: (heading, what to see); the first is shown open, the others on demand
    "confusion_normalized.png": ("Confusion, share of each true class", "Rows sum to one; the diagonal is recall."),
    "confusion_counts.png": ("Confusion, counts", "How many samples stand behind each share."),
    "roc.png": ("ROC curves", "Each class against the rest."),
    "reliability.png": ("Reliability", "Whether stated confidence matches accuracy."),
    "history.png": ("Learning curves", "Loss and accuracy by epoch."),
    "per_group.png": ("Classes and groups", "Who is recognised how well; few samples, wide intervals."),
    "attention.png": ("Where it looks", "Spatial attention and Grad-CAM on faces named right and wrong."),
    "bases.png": ("Learnt basis functions", "Where in time the adaptive bases look, each scaled to norm 1."),
}
_SUMMARY = "confusion_normalized.png"
_STUDY_PICTURES = {
    "history.png": ("The search", "Each trial's figure, and the best so far."),
    "importance.png": ("What mattered", "How much each value decided over getting among the best tenth of trials."),
    "parallel.png": ("The trials' values", "A line per trial through its values, coloured by its figure."),
}


def render(
    runs: list[dict],
    produced: dict,
    synthetic: bool,
    ablations: Sequence[dict] = (),
    paddings: Sequence[dict] = (),
    studies: Sequence[dict] = (),
    predictions: Mapping[str, Predictions] | None = None,
    seed: int = 0,
) -> str:
    """The page as text. A run holds `metrics`, `pictures` {file name: PNG bytes}, `params` (YAML), `versions`, `md5`.

    `produced` {what: value} says how the page as a whole came about. The banner stands whenever `synthetic` is true or
    any run's metrics say so. `ablations` are what `ablation.tables` gives, `paddings` what `padding.tables` gives.
    A study holds `metrics` and `pictures`. `predictions` {run: what it said} pair each run with the best of its corpus.
    """
    views = [_run_view(run, f"run-{number}") for number, run in enumerate(runs, start=1)]
    drawn = sorted({f"{view['metrics']['corpus']} ({view['metrics']['name']})" for view in views if _is_drawn(view)})
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            corpora=[
                _corpus_table(corpus, views, predictions or {}, seed)
                for corpus in dict.fromkeys(view["metrics"]["corpus"] for view in views)
            ],
            runs=views,
            ablations=ablations,
            paddings=paddings,
            studies=[_study_view(study) for study in studies],
            produced=produced,
            synthetic=synthetic or bool(drawn),
            drawn=drawn,
        )
    )


def pictures_in(folder: Path) -> dict[str, bytes]:
    """{file name: PNG bytes} of a run's or study's plots, and of what lies in their folder `inside`."""
    paths = (*folder.glob("*.png"), *folder.glob(f"{INSIDE}/*.png"))
    return {path.name: path.read_bytes() for path in sorted(paths)}


def _environment() -> jinja2.Environment:
    """Everything inserted is escaped, whatever the file is called; a missing value is an error, not a blank."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "percent": _percent, "breakable": _breakable}
    environment.filters |= {"signed": _signed, "added": _added, "p_value": _p_value}
    return environment


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _added(value: float, digits: int = 0) -> str:
    return f"{value:+,.{digits}f}".replace("-", "−")


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _breakable(name: str) -> Markup:
    """A name that may wrap after its underscores, to keep columns narrow on a phone; `join` escapes the parts."""
    return Markup("_<wbr>").join(str(name).split("_"))


def _is_drawn(view: dict) -> bool:
    return bool(view["metrics"]["synthetic"])


def _run_view(run: dict, anchor: str) -> dict:
    """One run as its section needs it: pictures as data addresses, known ones first and in reading order."""
    pictures = _picture_views(run["pictures"], _PICTURES)
    return run | {
        "anchor": anchor,
        "summary": next((picture for picture in pictures if picture["name"] == _SUMMARY), None),
        "pictures": [picture for picture in pictures if picture["name"] != _SUMMARY],
    }


def _study_view(study: dict) -> dict:
    return study | {"pictures": _picture_views(study["pictures"], _STUDY_PICTURES)}


def _picture_views(pictures: dict[str, bytes], known: dict[str, tuple[str, str]]) -> list[dict]:
    order = [*known, *sorted(set(pictures) - set(known))]
    return [_picture_view(name, pictures[name], *known.get(name, (name, ""))) for name in order if name in pictures]


def _picture_view(name: str, content: bytes, title: str, hint: str) -> dict:
    """Width and height (PNG's first chunk, bytes 16 to 24) let the page reserve the space before it decodes."""
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    address = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
    return {"name": name, "title": title, "hint": hint, "width": width, "height": height, "address": address}


def _corpus_table(corpus: str, views: list[dict], predictions: Mapping[str, Predictions], seed: int) -> dict:
    """The runs of one corpus by falling accuracy, with the interval bars on one common scale."""
    rows = sorted((view for view in views if view["metrics"]["corpus"] == corpus), key=_rank)
    low, high = _scale([bound for view in rows for bound in view["metrics"]["accuracy_ci95"]])
    best = rows[0]["metrics"]
    protocols = {row["metrics"]["protocol"] for row in rows}
    top = [row["metrics"]["accuracy"] == best["accuracy"] and len(rows) > 1 for row in rows]
    return {
        "corpus": corpus,
        "name": best["name"],
        "synthetic": any(map(_is_drawn, rows)),
        "scale": (low, high),
        "protocol": best["protocol"] if len(protocols) == 1 else None,  # said once, or row by row
        "intervals": " or ".join(dict.fromkeys(row["metrics"]["accuracy_ci95_method"] for row in rows)),
        "rows": [
            row
            | {"best": first, "perhaps_chance": not first and _perhaps_chance(row["metrics"], best, predictions, seed)}
            | {"bar": _bar(row["metrics"], low, high)}
            for row, first in zip(rows, top, strict=True)
        ],
    }  # fmt: skip


def _rank(view: dict) -> tuple:
    return -view["metrics"]["accuracy"], view["metrics"]["run"]


def _perhaps_chance(one: dict, best: dict, predictions: Mapping[str, Predictions], seed: int) -> bool:
    """Paired where both were tested on the same samples: single intervals overlap long before chance can explain it."""
    said = [predictions.get(metrics["run"]) for metrics in (one, best)]
    found = difference(*said, seed) if all(said) else None
    return found.ci95[0] <= 0 <= found.ci95[1] if found else _overlap(one, best)


def _overlap(one: dict, other: dict) -> bool:
    (low, high), (other_low, other_high) = one["accuracy_ci95"], other["accuracy_ci95"]
    return low <= other_high and other_low <= high


def _scale(bounds: list[float]) -> tuple[float, float]:
    """The ends of the bars' axis, on tenths around all intervals."""
    low, high = math.floor(min(bounds) * 10) / 10, math.ceil(max(bounds) * 10) / 10
    return (low, high) if high > low else (low - 0.1, low) if low > 0 else (0.0, 0.1)


def _bar(metrics: dict, low: float, high: float) -> dict:
    """Where the interval and its centre lie, in hundredths of the bar's width."""
    places = [
        round(100 * (value - low) / (high - low), 2) for value in (*metrics["accuracy_ci95"], metrics["accuracy"])
    ]
    return {"from": places[0], "length": round(max(places[1] - places[0], 0.5), 2), "centre": places[2]}
