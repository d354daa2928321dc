"""Pack a trained run into one zip to pass on: `python -m stages.apps.pack --run <run> --output R.zip`.

`--run R.zip` works wherever a run is accepted. The zip holds model.json and the weights chosen on validation.
"""

import argparse
from pathlib import Path

from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line
from stages.core.outputs import require_outputs
from stages.export.pack import pack
from stages.serving.run_files import paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--run", required=True, help="folder of a run, or its name in data/models")
    parser.add_argument("--output", required=True, type=Path, metavar="ZIP")
    args = parser.parse_args()
    require_outputs({"--output": args.output}, paths(args.run))
    pack(args.run, args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    exit_with_one_line(main)
