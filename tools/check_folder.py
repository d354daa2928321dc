"""One line if this project lies where `dvc exp run --queue` and `--temp` cannot work."""

import sys

from dvc.repo import Repo


def main() -> None:
    if told := warning(Repo().cache.local_cache_dir):
        print(told, file=sys.stderr)


def warning(cache: str) -> str:
    """DVC writes the cache's path, as ASCII, into the copy that a queued experiment runs in; empty where it can."""
    if cache.isascii():
        return ""
    return (
        f"warning: {cache}: not ASCII, so `dvc exp run --queue` and `--temp` fail, all else works; move the project, "
        "or the cache: dvc cache dir --local /an/ascii/path"
    )


if __name__ == "__main__":
    main()
