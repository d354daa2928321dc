"""What a trained run says of faces as they move: `python -m stages.apps.live --camera 0 | --video clip.mp4`.

In a window that `q` closes, or with --headless into a video, a CSV and a timeline. Probabilities are smoothed over
time, face by face.
"""

import argparse
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import torch
from tqdm import tqdm

from stages.apps.detection import in_frames, make_finder
from stages.apps.following import Follower, FollowSettings, Locate, whole_frame
from stages.apps.frames import Camera, Source, Video
from stages.apps.haar import FinderSettings
from stages.apps.live_faces import SMOOTHINGS, Steadier, Steadiness
from stages.apps.live_pipeline import Pipeline
from stages.apps.outputs import require_outputs, require_png
from stages.apps.overlay import Overlay
from stages.apps.run_files import paths
from stages.apps.serving import ServedRun, serve
from stages.apps.timeline import FaceRows, Timeline, draw_timeline
from stages.apps.video_output import VideoOutput
from stages.apps.window import Window
from stages.core.errors import UserError, exit_with_one_line, refuse, warn
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import ask_once

SYNTHETIC = "drawn faces taught this model: it says nothing about people"


def main() -> None:
    args = parser().parse_args()
    cv2.setNumThreads(1)  # the steps run beside each other: threads within them would only wait for one another
    torch.set_num_threads(1)
    run = require_images(serve(args.run, args.model))
    if isinstance(run.model, TrainedModel):
        ask_once(run.recogniser.architecture)  # the mean over time takes the place of that over several views
    if run.info["synthetic"]:
        warn(f"{run.info['run']} was trained on a synthetic corpus: its answers say nothing about people")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does, with whole files
    watch(args, run)


def parser() -> argparse.ArgumentParser:
    """Also what tells a reader of `--help` all there is."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", type=int, metavar="NUMBER", help="0 is the first one")
    source.add_argument("--video", type=Path, metavar="FILE")
    asked = made.add_mutually_exclusive_group()
    asked.add_argument("--run", help="a run's folder, its packed zip, or its name in data/models; default: what ships")
    asked.add_argument("--model", type=Path, metavar="ONNX", help="what stages.apps.export wrote, in place of a run")
    outputs = made.add_argument_group("what comes out")
    outputs.add_argument("--headless", action="store_true", help="no window; needs one of the following")
    outputs.add_argument(
        "--output",
        type=Path,
        metavar="VIDEO",
        help="write the drawn frames there: .mp4 (MPEG-4 Part 2) or .avi (Motion JPEG)",
    )
    outputs.add_argument("--csv", type=Path, help="write a row for each frame and face there")
    outputs.add_argument("--plot", type=Path, metavar="PNG", help="draw the emotions over time there")
    steady = made.add_argument_group("against flicker")
    steady.add_argument("--smoothing", choices=sorted(SMOOTHINGS), default="moving_average")
    steady.add_argument("--smooth-s", type=float, default=0.5, help="the window, or exponential's time constant")
    steady.add_argument("--hold-s", type=float, default=0.4, help="another class must lead so long to be shown")
    faces = made.add_argument_group("finding faces")
    how = faces.add_mutually_exclusive_group()
    how.add_argument("--no-detect", action="store_true", help="the whole frame is a face")
    how.add_argument("--detector", choices=("haar", "yunet"), default="haar")
    faces.add_argument("--detect-every", type=int, default=3, help="frames; in those between, faces are followed")
    faces.add_argument("--detector-model", type=Path, help="YuNet's .onnx file")
    faces.add_argument("--min-neighbors", type=int, default=5, help="Haar: fewer find more, also what is no face")
    faces.add_argument("--scale-factor", type=float, default=1.2, help="Haar: smaller is slower and finds more")
    faces.add_argument("--min-face-px", type=int, default=60, help="smaller is slower: frames are searched larger")
    return made


def require_images(run: ServedRun) -> ServedRun:
    """Raises `UserError` for a run that has learnt from something else."""
    if run.kind != "image":
        refuse("not trained on images", where=run.info["run"], allowed="a run over faces", received=run.kind)
    return run


def watch(args: argparse.Namespace, run: ServedRun) -> None:
    """Until the source ends or breaks off, or somebody quits; whatever ends it, what was written is whole."""
    check_outputs(args)
    steadier = Steadier(Steadiness(args.smoothing, args.smooth_s, args.hold_s))
    locate = make_locate(args)
    source: Source = Video(args.video) if args.video else Camera(args.camera)
    window = None if args.headless else Window(f"{run.info['run']}: {source.name}", paced=not source.live)
    timeline = Timeline(run.classes)
    sinks = [timeline] if args.plot else []
    sinks += [VideoOutput(args.output, source.rate_hz)] if args.output else []
    sinks += [FaceRows(args.csv, run.classes)] if args.csv else []
    draw = Overlay(run.classes, SYNTHETIC if run.info["synthetic"] else "") if args.output or window else None
    pipeline = Pipeline(source, run, locate, steadier, draw, sinks)
    ending = ExitStack()  # each, from the last on, whatever befalls another
    ending.callback(lambda: print(pipeline.summary()))
    if args.plot:
        ending.callback(draw_timeline, args.plot, timeline, source.name, run.info)
    if window:
        ending.callback(window.close)
    ending.callback(pipeline.close)
    try:
        follow_through(pipeline, window)
    finally:
        with uninterrupted():
            ending.close()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A second Ctrl-C would leave half of a video, or no timeline."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_outputs(args: argparse.Namespace) -> None:
    """Before a model is asked anything."""
    outputs = {f"--{name}": getattr(args, name) for name in ("output", "csv", "plot")}
    if args.headless and not any(outputs.values()):
        raise UserError("--headless: nothing would come out; add --output, --csv or --plot")
    require_outputs(outputs, [args.video, args.detector_model, *paths(args.run, args.model)])
    require_png({"--plot": args.plot})


def make_locate(args: argparse.Namespace) -> Locate:
    """Finding and following, as the arguments have it."""
    settings = FollowSettings(args.detect_every, args.min_face_px)
    smallest = round(args.min_face_px / settings.shrunk_by)
    finder = FinderSettings(args.min_neighbors, args.scale_factor, smallest)
    find = make_finder("none" if args.no_detect else args.detector, args.detector_model, finder, in_video=True)
    if args.no_detect:
        return whole_frame
    return Follower(find, settings, in_frames(finder, "half profile") if args.detector == "haar" else None)


def follow_through(pipeline: Pipeline, window: Window | None) -> None:
    """Frame by frame, until the end, `q` or Ctrl-C."""
    total = pipeline.source.count or None
    bar = tqdm(pipeline.seen(), pipeline.source.name, total, unit=" frames", disable=None, leave=False)
    try:
        for seen in bar:
            if window and not window.show(seen.frame.time_s, seen.frame.image):
                break
    except KeyboardInterrupt:
        pass
    finally:
        bar.close()


if __name__ == "__main__":
    exit_with_one_line(main)
