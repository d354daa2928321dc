"""Export a run for other programs: `python -m stages.apps.export --run RUN --format onnx --output RUN.onnx`.

The file contains normalising and softmax; its metadata hold class names and feature settings (`stages.export.graph`).
Prints a table of PyTorch, float32, fp16 and int8: size, time, and accuracy on the run's test part where its data exist.
"""

import argparse
from pathlib import Path
from typing import Any

from stages.checks.params import load
from stages.core.command import HelpFormatter
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import written_whole
from stages.core.outputs import require_outputs
from stages.experiments import cost_record
from stages.experiments.provenance import require_real
from stages.export.onnx_file import PRECISIONS, graphs
from stages.export.table import Row, evaluation_data, rows, table
from stages.serving.run_files import load_run, paths


def main() -> None:
    args = parse()
    require_outputs({"--output": args.output}, paths(args.run))
    model = load_run(args.run)
    if args.reference:
        require_real(model.info["run"], model.info["corpus"], model.info["synthetic"])
    require_outputs({"--output": args.output}, map(Path, model.info.get("inputs", {})))
    data = evaluation_data(model)
    by_precision = dict(graphs(model, data))
    if args.quantize not in by_precision:
        allowed = f"--quantize fp16, or the data: `dvc repro` where it was trained on {model.info['name']}"
        what = "int8 of a network with convolutions needs samples of its training data, which are not here"
        raise UserError(f"{args.run}: {what}; allowed: {allowed}")
    with written_whole(args.output) as temporary:
        temporary.write_bytes(by_precision[args.quantize].SerializeToString())
    print(f"{args.output}: {model.info['run']} in {args.quantize}, {args.output.stat().st_size / 1e6:.2f} MB\n")
    measured = rows(model, by_precision, data)
    print(table(measured, model.info))
    if args.reference:
        record(measured, model.info)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--run", required=True, help="folder, packed zip, or name in data/models of a run")
    parser.add_argument("--format", choices=["onnx"], required=True)
    parser.add_argument("--quantize", choices=PRECISIONS[1:], default=PRECISIONS[0], help="precision of the file")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--reference", action="store_true", help=f"also keep the table in {cost_record.PATH}")
    return parser.parse_args()


def record(measured: list[Row], info: dict[str, Any]) -> None:
    command = f"python -m stages.apps.export --run {info['run']} --format onnx --output {info['run']}.onnx --reference"
    origin = {name: info[name] for name in ("name", "protocol", "synthetic")}
    origin |= cost_record.circumstances(load(Path("params.yaml")), command)
    cost_record.add_to_record("export", {info["run"]: origin | {row.name: vars(row) for row in measured}})


if __name__ == "__main__":
    exit_with_one_line(main)
