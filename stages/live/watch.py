"""Runs the live pipeline from its command-line options: source, detection, smoothing, outputs, an orderly end."""

import argparse
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tqdm import tqdm

from stages.core.errors import UserError, refuse, warn
from stages.core.outputs import require_outputs, require_png
from stages.faces.detection import FinderSettings, make_finder
from stages.faces.follower import Follower, FollowSettings, Locate, whole_frame
from stages.faces.frames import Camera, Source, open_video
from stages.live.overlay import Overlay
from stages.live.pipeline import Pipeline
from stages.live.recognition import FaceSmoother
from stages.live.timeline import FaceRows, Timeline, draw_timeline
from stages.live.video_output import VideoOutput
from stages.live.window import Window
from stages.serving.run_files import paths
from stages.serving.served_run import ServedRun

HOW_TO_FIND_MORE = "a lower --min-score or --min-face-px finds more, --no-detect takes the whole frame"
SYNTHETIC_NOTE = "trained on synthetic faces: it says nothing about people"


def watch(args: argparse.Namespace, run: ServedRun) -> None:
    """Process the source until it ends, breaks off, or the user quits; all outputs are complete in every case."""
    if run.kind != "image":
        refuse("not trained on images", where=run.info["run"], allowed="a run trained on faces", received=run.kind)
    check_outputs(args)
    smoother = FaceSmoother(args.smoothing, args.smooth_s, args.hold_s)
    locate = make_locate(args)
    source: Source = open_video(args.video) if args.video else Camera(args.camera)
    window = None if args.headless else Window(f"{run.info['run']}: {source.name}", paced=not source.live)
    timeline = Timeline(run.classes)
    sinks = [timeline] if args.plot else []
    sinks += [VideoOutput(args.output, source.rate_hz)] if args.output else []
    sinks += [FaceRows(args.csv, run.classes)] if args.csv else []
    draw = Overlay(run.classes, SYNTHETIC_NOTE if run.info["synthetic"] else "") if args.output or window else None
    pipeline = Pipeline(source, run, locate, smoother, draw, sinks)
    ending = ExitStack()  # runs all callbacks, the last one first, even if one of them fails
    ending.callback(warn_of_frames, pipeline)
    ending.callback(lambda: print(pipeline.summary()))
    if args.plot:
        ending.callback(draw_timeline, args.plot, timeline, source.name, run.info)
    if window:
        ending.callback(window.close)
    ending.callback(pipeline.close)
    try:
        show_frames(pipeline, window)
    finally:
        with uninterrupted():
            ending.close()


def check_outputs(args: argparse.Namespace) -> None:
    """Raise `UserError` for outputs that are missing, cannot be written, or would overwrite an input."""
    outputs = {f"--{name}": getattr(args, name) for name in ("output", "csv", "plot")}
    if args.headless and not any(outputs.values()):
        raise UserError("--headless: there is no output; add --output, --csv or --plot")
    require_outputs(outputs, [args.video and Path(args.video), args.detector_model, *paths(args.run, args.model)])
    require_png({"--plot": args.plot})


def warn_of_frames(pipeline: Pipeline) -> None:
    """Warn where no frame had a face, and of faces that are unlike the training data."""
    name = pipeline.source.name
    if pipeline.n_frames and not pipeline.n_with_faces:
        warn(f"{name}: no face in {pipeline.n_frames:,} frames ({HOW_TO_FIND_MORE})")
    if pipeline.n_unlike:
        share = f"{pipeline.n_unlike:,} of {pipeline.n_with_faces:,}"
        warn(f"{name}: in {share} frames with faces, a face is unlike the training data: no answer to rely on")


def make_locate(args: argparse.Namespace) -> Locate:
    """Return the function that locates faces in a frame."""
    settings = FollowSettings(args.detect_every, args.min_face_px)
    min_face_px = round(args.min_face_px / settings.scale_factor)
    finder = FinderSettings(args.min_score, min_face_px)
    find = make_finder("none" if args.no_detect else args.detector, args.detector_model, finder, in_video=True)
    return whole_frame if args.no_detect else Follower(find, settings)


def show_frames(pipeline: Pipeline, window: Window | None) -> None:
    """Process frame by frame until the end, `q` or Ctrl-C."""
    total = pipeline.source.count or None
    bar = tqdm(pipeline.frames(), pipeline.source.name, total, unit=" frames", disable=None, leave=False)
    try:
        for labeled in bar:
            if window and not window.show(labeled.frame.time_s, labeled.frame.image):
                break
    except KeyboardInterrupt:
        pass
    finally:
        bar.close()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM: a second one would leave half a video, or no timeline."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
