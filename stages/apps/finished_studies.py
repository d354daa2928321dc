"""Finished searches for hyperparameters as git keeps them, beside the runs of `stages.apps.finished`."""

import json
from typing import Any

from yaml import YAMLError

from stages.apps.finished import locked, require_up_to_date, show
from stages.core.errors import UserError
from stages.params.load import parse


def load_study(key: str, name: str, revision: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a search found at a revision, and the params there; refused where those were changed after it."""
    try:
        found = json.loads(show(revision, f"metrics/tune/{key}.json"))
        params = parse(show(revision, "params.yaml"))
        corpus, dataset = params["studies"][key]["corpus"], params["studies"][key]["dataset"]
        stages = (f"download@{corpus}", f"split@{corpus}", f"prepare@{dataset}", f"tune@{key}")
        require_up_to_date(name, f"studies.{key}", params, list(locked(show(revision, "dvc.lock"), stages)))
    except (KeyError, TypeError, ValueError, YAMLError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{name}: metrics, params.yaml or dvc.lock hold no such study ({why})") from None
    return found, params
