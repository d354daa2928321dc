"""The `dvc exp run` line that trains a run with the best values of a study."""

from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.experiments.published_settings import exp_run
from stages.params.schema import Params, Study
from stages.params.space import at, dimensions, replaced

METRICS = Path("metrics/tune")


def require_current(study: Study, result: dict[str, Any], key: str) -> None:
    """Raise `UserError` for a result of another run or space under the same key."""
    expected = {path for path, _ in dimensions(study.space)}
    if result.get("run") != study.run or set(result.get("best_params", {})) != expected:
        what = f"of another run or space than studies.{key}; `dvc repro tune@{key}` renews it"
        raise UserError(f"{METRICS / f'{key}.json'}: {what}")


def command(result: dict[str, Any], params: Params, own: dict[str, Any]) -> list[str]:
    """Return the words of the line; a key that is not in the run itself (`own`) is added with `+`."""
    run, values = params.runs[result["run"]].model_dump(), dict(result["best_params"])
    for path in result["best_params"]:  # a block with another name replaces all of the recipe's block
        block, _, option = path.rpartition(".")
        if option == "name":
            values |= {f"{block}.{key}": value for key, value in at(replaced(run, values), block).items()}
    added = {path: "+" if at(own, path) is ... else "" for path in values}
    return exp_run({f"{added[path]}runs.{result['run']}.{path}": value for path, value in values.items()})
