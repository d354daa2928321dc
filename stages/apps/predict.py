"""Predict emotions in your own files: `python -m stages.apps.predict FILE… --run data/models/<run>`.

Reads images, audio, EEG features (npz) or EEG recordings (EDF, …), as the run was trained; folders are searched.
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from stages.core.command import HelpFormatter
from stages.core.errors import UserError, exit_with_one_line, refuse
from stages.core.outputs import require_outputs, require_png
from stages.explain.pictures import draw
from stages.faces.detection import DETECTORS, FinderSettings, make_finder
from stages.serving import predictions as output
from stages.serving.inputs import find_files, kind_of_files
from stages.serving.run_files import paths
from stages.serving.served_run import serve

MAX_PICTURED = 24  # samples whose features are kept for pictures


def main() -> None:
    args = parser().parse_args()
    outputs = {f"--{name}": getattr(args, name) for name in ("json", "csv", "visualize", "explain")}
    require_outputs(outputs)
    require_png({option: outputs[option] for option in ("--visualize", "--explain")})
    if not 0 <= args.threshold < 1:
        refuse("not a probability", where="--threshold", allowed="0 to less than 1", received=args.threshold)
    settings = FinderSettings(args.min_score, args.min_face_px)
    find = make_finder("none" if args.no_detect else args.detector, args.detector_model, settings)
    if args.model and args.explain:
        raise UserError("--explain: needs --run: the exported graph of --model has no gradients")
    kind = kind_of_files(args.files)
    run = serve(args.run, args.model, kind)
    files = find_files(args.files, run.kind)
    require_outputs(outputs, [*files, *paths(args.run, args.model, kind), args.detector_model])
    bar = tqdm(files, run.info["run"], unit=" files", disable=None, leave=False)
    answers = output.predict(run, bar, find, args.threshold)
    found, interrupted = output.until_interrupted(output.drop_features(answers, MAX_PICTURED))
    try:
        output.write_files(args.json, args.csv, found, run.info, interrupted)
        draw(args.visualize, args.explain, run, found)
    finally:  # last, since the reader of the table may close the pipe
        if any(not one.query.error for one in found):
            print(output.table(found, run.classes))
        output.warn_without_faces(found)
        run.warn()
    mistakes = [f"interrupted after {len(found)} predictions"] if interrupted else []
    if mistakes := [*mistakes, *filter(None, [output.error_lines(found)])]:
        raise UserError("\n".join(mistakes))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    made.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files, or folders of them")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--run", help="folder, packed zip, or name in data/models of a run; default: one that ships")
    which.add_argument("--model", type=Path, metavar="ONNX", help="a run exported by stages.apps.export, instead")
    made.add_argument("--json", type=Path, help="write all probabilities to this file")
    made.add_argument("--csv", type=Path, help="write one row per sample to this file")
    made.add_argument("--visualize", type=Path, metavar="PNG", help="draw the samples with their probabilities")
    made.add_argument("--explain", type=Path, metavar="PNG", help="draw the attribution of each prediction")
    how = "answer 'uncertain' below this probability"
    made.add_argument("--threshold", type=float, metavar="P", default=0.0, help=how)
    faces = made.add_argument_group("face detection")
    how = faces.add_mutually_exclusive_group()
    how.add_argument("--no-detect", action="store_true", help="the pictures are faces already")
    how.add_argument("--detector", choices=DETECTORS, default="blazeface", help="yunet needs --detector-model")
    faces.add_argument("--detector-model", type=Path, help="the .onnx file of YuNet")
    faces.add_argument("--min-score", type=float, default=0.6, help="lower finds more faces and more false ones")
    faces.add_argument("--min-face-px", type=int, default=40, help="smaller faces are left out")
    return made


if __name__ == "__main__":
    exit_with_one_line(main)
