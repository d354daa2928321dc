"""What `make repro` last gave, as it is committed: figures on drawn corpora, which must at least have been learned."""

import json
from pathlib import Path

import pytest

from stages.params.load import parse

ROOT = Path(__file__).parents[1]
METRICS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "metrics/runs").glob("*.json")}


def test_every_run_has_its_figures():
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert sorted(METRICS) == sorted(params["runs"])


@pytest.mark.parametrize("run", sorted(METRICS))
def test_no_run_says_the_same_of_everything(run: str):
    """As an untrained network does: its recall, the mean over classes, is chance, however common one class is."""
    recalls = METRICS[run]["per_class"]
    assert METRICS[run]["synthetic"]
    assert METRICS[run]["balanced_accuracy"] > 1.2 / len(recalls)
