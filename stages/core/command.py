"""Command-line arguments of the stage scripts: the item's key, the params file, and the paths that `dvc.yaml` names."""

import argparse
from pathlib import Path
from typing import Any

from stages.core.errors import UserError, unknown_name


def arguments(
    description: str | None, *paths: str, has_key: bool = True, switches: tuple[str, ...] = ()
) -> argparse.Namespace:
    """Parse `<key> --params PATH --<path> PATH … [--<switch>]`, where every path is required."""
    parser = argparse.ArgumentParser(description=description)
    if has_key:
        parser.add_argument("key")
    for path in ("params", *paths):
        parser.add_argument(f"--{path.replace('_', '-')}", type=Path, required=True)
    for switch in switches:
        parser.add_argument(f"--{switch}", action="store_true")
    return parser.parse_args()


def item(section: dict[str, Any], key: str, name: str) -> Any:
    """Return the item `key` of the section called `name`. Raises `UserError` for an unknown key."""
    if key not in section:
        raise UserError(unknown_name(f"{name}.{key}", key, section, "not in params.yaml"))
    return section[key]
