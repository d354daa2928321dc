"""The pictures that `predict` offers, each imported when it is drawn: matplotlib and captum take seconds."""

from pathlib import Path

from stages.core.errors import warn
from stages.serving.predictions import Prediction
from stages.serving.served_run import ServedRun


def draw(visualize: Path | None, explain: Path | None, run: ServedRun, predictions: list[Prediction]) -> None:
    """Draw the samples with their probabilities to `visualize`, their attributions to `explain`."""
    predictions = [prediction for prediction in predictions if prediction.probabilities is not None]
    if not predictions and (visualize or explain):
        warn("nothing to draw: there is no prediction")
        return
    if visualize:
        from stages.explain.prediction_picture import draw_predictions

        draw_predictions(visualize, run, predictions)
    if explain:
        from stages.explain.attribution_picture import draw_attributions

        draw_attributions(explain, run, predictions)
