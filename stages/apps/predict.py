"""What a trained run says of your files: `python -m stages.apps.predict FILE… --run data/models/<run>`.

Images and folders of them, audio, EEG features (npz) or recordings (EDF, …), by what the run was trained on.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from stages.apps import answers as told
from stages.apps.answers import Answer
from stages.apps.detection import make_finder
from stages.apps.haar import FinderSettings
from stages.apps.inputs import find_files
from stages.apps.outputs import require_outputs, require_png
from stages.apps.run_files import paths
from stages.apps.serving import ServedRun, serve
from stages.core.errors import UserError, exit_with_one_line, warn

DRAWN = 24  # samples whose features are kept for pictures


def main() -> None:
    args = parser().parse_args()
    outputs = {f"--{name}": getattr(args, name) for name in ("json", "csv", "visualize", "explain")}
    require_outputs(outputs)
    require_png({option: outputs[option] for option in ("--visualize", "--explain")})
    settings = FinderSettings(args.min_neighbors, args.scale_factor, args.min_face_px)
    find = make_finder("none" if args.no_detect else args.detector, args.detector_model, settings)
    if args.model and args.explain:
        raise UserError("--explain: needs --run: what --model takes, an exported graph, has no gradients")
    run = serve(args.run, args.model)
    files = find_files(args.files, run.kind)
    require_outputs(outputs, [*files, *paths(args.run, args.model), args.detector_model])
    shown = tqdm(files, run.info["run"], unit=" files", disable=None, leave=False)
    found, interrupted = _until_interrupted(_light(told.ask(run, shown, find)))
    try:
        _write(args, run, found, interrupted)
    finally:  # last, since who reads the table may close the pipe
        if any(not answer.asked.error for answer in found):
            print(told.table(found, run.classes))
        _warn(run)
    wrong = [f"interrupted after {len(found)} answers"] if interrupted else []
    if wrong := [*wrong, *filter(None, [told.error_lines(found)])]:
        raise UserError("\n".join(wrong))


def parser() -> argparse.ArgumentParser:
    """Also what tells a reader of `--help` all there is."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files, or folders of them")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--run", help="a run's folder, its packed zip, or its name in data/models; default: what ships")
    which.add_argument("--model", type=Path, metavar="ONNX", help="what stages.apps.export wrote, in place of a run")
    made.add_argument("--json", type=Path, help="write all probabilities there")
    made.add_argument("--csv", type=Path, help="write a row for each sample there")
    made.add_argument("--visualize", type=Path, metavar="PNG", help="draw samples with bars of their probabilities")
    made.add_argument("--explain", type=Path, metavar="PNG", help="draw what in the samples speaks for their class")
    faces = made.add_argument_group("finding faces")
    how = faces.add_mutually_exclusive_group()
    how.add_argument("--no-detect", action="store_true", help="pictures are faces already")
    how.add_argument("--detector", choices=("haar", "yunet"), default="haar")
    faces.add_argument("--detector-model", type=Path, help="YuNet's .onnx file")
    faces.add_argument("--min-neighbors", type=int, default=7, help="Haar: fewer find more, also what is no face")
    faces.add_argument("--scale-factor", type=float, default=1.1, help="Haar: smaller is slower and finds more")
    faces.add_argument("--min-face-px", type=int, default=40)
    return made


def _until_interrupted(answers: Iterable[Answer]) -> tuple[list[Answer], bool]:
    """What Ctrl-C leaves is still told and written; and whether it came."""
    found: list[Answer] = []
    try:
        found.extend(answers)
    except KeyboardInterrupt:
        return found, True
    return found, False


def _light(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Without what only pictures need, beyond the first of them: thousands of features would fill the memory."""
    kept = 0
    for answer in answers:
        kept += answer.asked.prepared is not None
        yield answer if kept <= DRAWN else replace(answer, asked=replace(answer.asked, prepared=None))


def _warn(run: ServedRun) -> None:
    if run.info["synthetic"]:
        warn(f"{run.info['run']} was trained on a synthetic corpus: its answers say nothing about people")
    if "normalised over all own samples" in run.info["protocol"]:
        warn(f"{run.info['run']} knows groups normalised over all their samples; single ones are not, expect worse")


def _write(args: argparse.Namespace, run: ServedRun, found: list[Answer], interrupted: bool) -> None:
    if args.json:
        told.write_answers_json(args.json, found, run.info, interrupted)
    if args.csv:
        told.write_answers_csv(args.csv, found, run.classes)
    asked = [answer for answer in found if answer.probabilities is not None]
    if not asked and (args.visualize or args.explain):
        warn("nothing to draw: no sample was answered")
        return
    if args.visualize:
        from stages.apps.answer_picture import draw_answers  # matplotlib, only where one draws

        draw_answers(args.visualize, run, asked)
    if args.explain:
        from stages.apps.explanation_picture import draw_explanations  # and captum

        draw_explanations(args.explain, run, asked)


if __name__ == "__main__":
    exit_with_one_line(main)
