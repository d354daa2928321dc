"""Command lines: the arguments of the stage scripts, as `dvc.yaml` gives them, and how `--help` is written."""

import argparse
import copy
from pathlib import Path
from typing import Any

from stages.core.errors import UserError, unknown_name


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description, and show the default of every option that has one."""

    def add_argument(self, action: argparse.Action) -> None:
        default, text = action.default, action.help or ""
        if default is not False and default not in (None, "", [], argparse.SUPPRESS) and "default" not in text:
            action = copy.copy(action)
            action.help = f"{text} (default: %(default)s)".lstrip()
        super().add_argument(action)


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
