"""A run as one file for other programs: `python -m stages.apps.export --run RUN --format onnx --output RUN.onnx`.

Normalising and softmax are inside, class names and feature settings in its metadata (see `stages.apps.onnx_graph`).
Then a table of float32, fp16 and int8 beside PyTorch: size, time, and accuracy on the run's test part where its data
still lie where it was trained.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from stages.apps import latency, onnx_graph, onnx_quantize
from stages.apps.export_table import Judged, Row, ask, rows, table
from stages.apps.onnx_model import OnnxModel
from stages.apps.outputs import require_outputs
from stages.apps.provenance import require_real
from stages.apps.run_files import load_run, paths
from stages.checks.params import load
from stages.core.errors import UserError, exit_with_one_line, printable, warn
from stages.core.files import md5, read_json, write_json, written_whole
from stages.core.seeding import derive
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.training.model_folder import TrainedModel

PRECISIONS = ("float32", "fp16", "int8")
TOLERANCE = 1e-4  # of a probability, between onnxruntime and PyTorch in float32
CALIBRATION, BATCH_SIZE = 128, 32  # training samples that tell int8 its ranges


def main() -> None:
    args = parse()
    require_outputs({"--output": args.output}, paths(args.run))
    model = load_run(args.run)
    if args.reference:
        require_real(model.info["run"], model.info["corpus"], model.info["synthetic"])
    require_outputs({"--output": args.output}, map(Path, model.info.get("inputs", {})))
    data = data_of(model)
    graphs = dict(export(model, data))
    if args.quantize not in graphs:
        allowed = f"--quantize fp16, or the data: `dvc repro` where it was trained on {model.info['name']}"
        what = "int8 of a network that convolves needs samples of the data it was trained on, which are not here"
        raise UserError(f"{args.run}: {what}; allowed: {allowed}")
    with written_whole(args.output) as temporary:
        temporary.write_bytes(graphs[args.quantize].SerializeToString())
    print(f"{args.output}: {model.info['run']} in {args.quantize}, {args.output.stat().st_size / 1e6:.2f} MB\n")
    found = rows(model, graphs, data)
    print(table(found, model.info))
    if args.reference:
        write_reference(found, model.info)


def parse() -> argparse.Namespace:
    """The arguments; without --quantize, `quantize` is float32."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="a run's folder, its packed zip, or its name in data/models")
    parser.add_argument("--format", choices=["onnx"], required=True)
    parser.add_argument("--quantize", choices=PRECISIONS[1:], default=PRECISIONS[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--reference", action="store_true", help=f"keep the table, too, in {latency.PATH}")
    return parser.parse_args()


def write_reference(found: list[Row], info: dict[str, Any]) -> None:
    """Beside what `latency` and `frame_rate` measured, with where and when."""
    told = {name: info[name] for name in ("name", "protocol", "synthetic")}
    command = f"python -m stages.apps.export --run {info['run']} --format onnx --output {info['run']}.onnx --reference"
    measured = told | {row.name: vars(row) for row in found} | latency.circumstances(load(Path("params.yaml")))
    before = read_json(latency.PATH) if latency.PATH.exists() else {}
    kept = before.get("export", {}) | {info["run"]: measured | {"command": command}}
    write_json(latency.PATH, before | {"export": kept})


def data_of(model: TrainedModel) -> Judged | None:
    """What the run was trained and is judged on, if it is where model.json says, unchanged."""
    told = model.info.get("inputs", {})
    paths = [Path(path) for path in told]
    if len(paths) != 2 or not all(path.is_file() and md5(path) == told[str(path)] for path in paths):
        at = printable(", ".join(told))
        warn(f"{model.info['run']}: its prepared data and split are not at {at}, or changed; no accuracy")
        return None
    return Judged(*paths)


def export(model: TrainedModel, data: Judged | None) -> Iterator[tuple[str, onnx.ModelProto]]:
    """(precision, graph), without int8 where that needs samples and there are none."""
    graph = onnx_graph.export(model)
    check(model, graph)
    yield "float32", graph
    yield "fp16", onnx_graph.described(onnx_quantize.fp16(graph), model.info, "fp16")
    if data or not onnx_quantize.convolves(graph):
        small = onnx_quantize.int8(graph, calibration(OnnxModel(graph), data))
        yield "int8", onnx_graph.described(small, model.info, "int8")


def check(model: TrainedModel, graph: onnx.ModelProto) -> None:
    """Raises `UserError` where onnxruntime answers otherwise than PyTorch: of one sample, of several."""
    served = OnnxModel(graph)
    for count in (1, 7):
        packed, length = onnx_graph.examples(model, count).values()
        apart = np.abs(served.run(packed, length) - ask(model, packed, length)).max()
        if not apart <= TOLERANCE:
            name = model.info["run"]
            raise UserError(f"{name}: ONNX and PyTorch differ by {apart:.1e} of probability; allowed: {TOLERANCE:g}")


def calibration(model: OnnxModel, data: Judged | None) -> Iterator[dict[str, np.ndarray]]:
    """Batches drawn from the training part; none where there are no data."""
    if data:
        with Store(data.dataset) as store:
            train = load_parts(data.split, store.sample_id)["train"]
            random = np.random.default_rng(derive(0, "calibration"))
            chosen = np.sort(random.permutation(train)[:CALIBRATION])
            for at in np.split(chosen, range(BATCH_SIZE, len(chosen), BATCH_SIZE)):
                yield model.inputs(store.read_packed(at), store.length[at])


if __name__ == "__main__":
    exit_with_one_line(main)
