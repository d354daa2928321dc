"""Write the run that ships with the project: `python -m stages.apps.ship --run <run> --record <name>`.

Writes `stages/serving/pretrained/<run>/`: weights in float16 (int8 beyond 6 MB), model.json, and a model card with the
figures of the record (see `stages.apps.reference`). `predict`, `live` and `web` use this run by default.
"""

import argparse

from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line
from stages.experiments.provenance import require_real
from stages.experiments.records import FOLDER
from stages.export.ship import ship
from stages.serving.run_files import PRETRAINED, WEIGHTS, load_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--run", required=True, help="folder, packed zip, or name in data/models of a run")
    parser.add_argument("--record", required=True, metavar="NAME", help="metrics/reference/<NAME>.json of that run")
    parser.add_argument(
        "--licence", required=True, help="of the weights, as that of the corpus demands: CC BY-NC-SA 4.0 …"
    )
    args = parser.parse_args()
    model = load_run(args.run)
    require_real(model.info["run"], model.info["corpus"], model.info["synthetic"])
    folder = ship(model, FOLDER / f"{args.record}.json", PRETRAINED, args.licence)
    print(f"{folder}: {(folder / WEIGHTS).stat().st_size / 1e6:.2f} MB of weights, and their card")


if __name__ == "__main__":
    exit_with_one_line(main)
