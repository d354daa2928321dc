"""Warns where `dvc exp run --queue` and `--temp` cannot work because of the path of the project."""

import sys

from dvc.repo import Repo


def main() -> None:
    if message := warning(Repo().cache.local_cache_dir):
        print(message, file=sys.stderr)


def warning(cache: str) -> str:
    """Return a warning for the path of a cache that is not ASCII, else ''.

    DVC writes this path, as ASCII, into the copy of the project in which a queued experiment runs.
    """
    effect = "not ASCII, so `dvc exp run --queue` and `--temp` fail; everything else works"
    remedy = "Move the project, or its cache: dvc cache dir --local /an/ascii/path"
    return "" if cache.isascii() else f"warning: {cache}: {effect}. {remedy}"


if __name__ == "__main__":
    main()
