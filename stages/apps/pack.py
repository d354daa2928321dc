"""A trained run as one file to pass on: `python -m stages.apps.pack --run <run> --output R.zip`.

`--run R.zip` takes it wherever a run is taken. It holds model.json and the weights chosen by validation.
"""

import argparse
import zipfile
from pathlib import Path

from stages.apps.outputs import require_outputs
from stages.apps.run_files import FILES, find, load_run, paths, read
from stages.core.errors import exit_with_one_line
from stages.core.files import written_whole

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell: the same run gives the same bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="a run's folder, or its name in data/models")
    parser.add_argument("--output", required=True, type=Path, metavar="ZIP")
    args = parser.parse_args()
    require_outputs({"--output": args.output}, paths(args.run))
    pack(args.run, args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


def pack(run: str, output: Path) -> None:
    """Write a run that can be loaded, whole or not at all. Raises `UserError` for one that cannot."""
    load_run(run)
    where = find(run)
    with written_whole(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in FILES:  # stored: weights hardly shrink, and stored ones are read at once
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), read(where, name))


if __name__ == "__main__":
    exit_with_one_line(main)
