"""One self-contained HTML page over all runs: no script, no external font or address, pictures inside the file.

`report.html.j2` has one macro per section; `render` passes plain values to it.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from stages.evaluation.pictures.gallery import INSIDE
from stages.evaluation.predictions import Columns
from stages.evaluation.report.paired import difference

_PICTURES = {  # {file name: (heading, description)}; the first is open, the others are folded
    "confusion_normalized.png": ("Confusion matrix, shares", "Rows sum to one; the diagonal is recall."),
    "confusion_counts.png": ("Confusion matrix, counts", "Number of test samples in each cell."),
    "roc.png": ("ROC curves", "Each class against the rest."),
    "reliability.png": ("Reliability", "Accuracy against the confidence of the predicted class."),
    "coverage.png": ("Accuracy by coverage", "Accuracy if only the more confident predictions are answered."),
    "history.png": ("Learning curves", "Loss and accuracy by epoch."),
    "per_group.png": ("Classes and groups", "Accuracy with 95 % intervals, which are wide for few samples."),
    "attention.png": ("Attention maps", "Spatial attention and Grad-CAM on faces classified correctly and wrongly."),
    "bases.png": ("Learnt basis functions", "The weight of each time step in the adaptive bases, scaled to norm 1."),
}
_STUDY_PICTURES = {
    "history.png": ("Search history", "The objective of each trial, and the best value so far."),
    "importance.png": ("Importance", "How much each hyperparameter separates the best tenth of trials (PED-ANOVA)."),
    "parallel.png": ("Values of the trials", "A line per trial through its values, coloured by its objective."),
}
_FILTERS = {
    "figure": lambda value, digits=3: "–" if value is None else f"{value:.{digits}f}",
    "percent": lambda value: f"{100 * value:.1f}\N{NO-BREAK SPACE}%",
    "signed": lambda value: f"{100 * value:+.1f}".replace("-", "−"),
    "added": lambda value, digits=0: f"{value:+,.{digits}f}".replace("-", "−"),
    "p_value": lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}",
}


def render(
    runs: list[dict],
    produced: dict,
    ablations: Sequence[dict] = (),
    paddings: Sequence[dict] = (),
    studies: Sequence[dict] = (),
    predictions: Mapping[str, Columns] | None = None,
    seed: int = 0,
) -> str:
    """Return the page as text.

    Each of `runs` has `metrics`, `pictures` {file name: PNG bytes}, `params` (YAML text), `versions`, `md5` and
    `samples` (n_rejected, n_cut, longest_steps, and steps: the length to which samples were cut); each of `studies` has
    `metrics` and `pictures`. `produced` {heading: value} is shown in the footer. `ablations` and `paddings` come from
    `ablation.tables` and `padding.tables`. With `predictions` {run: columns}, each run is compared with the best of its
    corpus sample by sample.
    """
    views = [
        run | {"anchor": f"run-{number}", "pictures": _picture_views(run["pictures"], _PICTURES)}
        for number, run in enumerate(runs, start=1)
    ]
    all_metrics = [run["metrics"] for run in runs]
    corpora = dict.fromkeys(metrics["corpus"] for metrics in all_metrics)
    synthetic = {f"{metrics['corpus']} ({metrics['name']})" for metrics in all_metrics if metrics["synthetic"]}
    loader, spaces = jinja2.FileSystemLoader(Path(__file__).parent), {"trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, **spaces)
    environment.filters |= _FILTERS
    return environment.get_template("report.html.j2").render(
        corpora=[_corpus_table(corpus, views, predictions or {}, seed) for corpus in corpora],
        runs=views,
        ablations=ablations,
        paddings=paddings,
        studies=[study | {"pictures": _picture_views(study["pictures"], _STUDY_PICTURES)} for study in studies],
        produced=produced,
        synthetic_corpora=sorted(synthetic),
    )


def pictures_in(folder: Path) -> dict[str, bytes]:
    """Return {file name: PNG bytes} of the plots of a run or study, including those in its folder `inside`."""
    paths = (*folder.glob("*.png"), *folder.glob(f"{INSIDE}/*.png"))
    return {path.name: path.read_bytes() for path in sorted(paths)}


def _picture_views(pictures: dict[str, bytes], known: dict[str, tuple[str, str]]) -> list[dict]:
    """Return the pictures as data addresses, with their sizes, so that the page reserves space; unknown ones last."""
    views = []
    for name in [*known, *sorted(set(pictures) - set(known))]:
        if name in pictures:
            title, hint = known.get(name, (name, ""))
            width, height = (int.from_bytes(pictures[name][at : at + 4], "big") for at in (16, 20))  # header of a PNG
            address = "data:image/png;base64," + base64.b64encode(pictures[name]).decode("ascii")
            views.append({"title": title, "hint": hint, "width": width, "height": height, "address": address})
    return views


def _corpus_table(corpus: str, views: list[dict], predictions: Mapping[str, Columns], seed: int) -> dict:
    """Return the runs of one corpus by falling accuracy, with bars of their intervals on a common scale."""
    rows = [view for view in views if view["metrics"]["corpus"] == corpus]
    rows.sort(key=lambda row: (-row["metrics"]["accuracy"], row["metrics"]["run"]))
    all_metrics = [row["metrics"] for row in rows]
    best, protocols = all_metrics[0], {metrics["protocol"] for metrics in all_metrics}
    # The axis of the bars ends on tenths around all intervals.
    low = math.floor(min(metrics["accuracy_ci95"][0] for metrics in all_metrics) * 10) / 10
    high = math.ceil(max(metrics["accuracy_ci95"][1] for metrics in all_metrics) * 10) / 10
    high = high if high > low else low + 0.1  # a bootstrap of equal groups gives a point
    for row in rows:
        metrics = row["metrics"]
        start, end, centre = (
            round(100 * (value - low) / (high - low), 2) for value in (*metrics["accuracy_ci95"], metrics["accuracy"])
        )
        row["bar"] = {"from": start, "length": round(max(end - start, 0.5), 2), "centre": centre}
        row["best"] = metrics["accuracy"] == best["accuracy"] and len(rows) > 1
        row["maybe_chance"] = not row["best"] and _maybe_chance(metrics, best, predictions, seed)
    return {
        "corpus": corpus,
        "name": best["name"],
        "synthetic": any(metrics["synthetic"] for metrics in all_metrics),
        "scale": (low, high),
        "protocol": best["protocol"] if len(protocols) == 1 else None,  # shown once if all runs share it
        "intervals": " or ".join(dict.fromkeys(metrics["accuracy_ci95_method"] for metrics in all_metrics)),
        "rows": rows,
        "n_ensembles": sum(metrics["model"] == "ensemble" for metrics in all_metrics),
    }


def _maybe_chance(one: dict, best: dict, predictions: Mapping[str, Columns], seed: int) -> bool:
    """Return whether the interval of the paired difference contains 0 or, for other samples, both intervals overlap.

    The paired test detects smaller differences than a comparison of two intervals.
    """
    pair = [predictions.get(metrics["run"]) for metrics in (one, best)]
    paired = difference(*pair, seed) if all(pair) else None
    if paired:
        return paired.ci95[0] <= 0 <= paired.ci95[1]
    (low, high), (best_low, best_high) = one["accuracy_ci95"], best["accuracy_ci95"]
    return low <= best_high and best_low <= high
