"""The arguments stage scripts share: the key of the item, where params are, and paths, which only `dvc.yaml` names."""

import argparse
from pathlib import Path
from typing import TypeVar

from stages.core.errors import UserError, did_you_mean

Item = TypeVar("Item")


def arguments(
    description: str | None, *paths: str, key: str | None = "key", switches: tuple[str, ...] = ()
) -> argparse.Namespace:
    """Parse `<key> --params PATH --<path> PATH …`; every named path is required. `key=None`: a stage without items.

    `switches` may be given as `--<switch>`.
    """
    parser = argparse.ArgumentParser(description=description)
    if key:
        parser.add_argument(key)
    for path in ("params", *paths):
        parser.add_argument(f"--{path.replace('_', '-')}", type=Path, required=True)
    for switch in switches:
        parser.add_argument(f"--{switch}", action="store_true")
    return parser.parse_args()


def item(section: dict[str, Item], key: str, name: str) -> Item:
    """The item a stage was called for; an unknown key is the user's mistake."""
    if key not in section:
        raise UserError(f"{name}.{key}: not in params.yaml;{did_you_mean(key, section)} allowed: {', '.join(section)}")
    return section[key]
