"""The record of measured costs, `metrics/reference/cost.json`: latency, frame rate, exported precisions."""

from pathlib import Path
from typing import Any

from stages.core.files import read_json, write_json
from stages.experiments.completed_experiments import WORKSPACE
from stages.experiments.provenance import origin
from stages.params.schema import Params

PATH = Path("metrics/reference/cost.json")


def add_to_record(section: str, values: dict[str, Any], **top_level: Any) -> None:
    """Update one section of the record, and keys at its top level; all other entries stay."""
    record = read_json(PATH) if PATH.exists() else {}
    write_json(PATH, record | {section: record.get(section, {}) | values} | top_level)


def circumstances(params: Params, command: str) -> dict[str, str]:
    """Return command, commit, hardware and date of a measurement on this machine's CPU."""
    return origin(command, "HEAD", {"machine": params.machine.model_dump() | {"accelerator": "cpu"}}, WORKSPACE)
