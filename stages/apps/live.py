"""Recognise emotions in video: `python -m stages.apps.live --camera 0 | --video clip.mp4 | --video rtsp://…`.

Shows a window, which `q` closes, or with --headless writes a video, a CSV file and a timeline. Probabilities are
smoothed over time for each face.
"""

import argparse
import signal
from pathlib import Path

import cv2
import torch

from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line
from stages.faces.detection import DETECTORS
from stages.live.recognition import SMOOTHINGS
from stages.live.watch import watch
from stages.serving.served_run import serve
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import disable_tta


def main() -> None:
    args = parser().parse_args()
    cv2.setNumThreads(1)  # the pipeline has a thread per step; threads inside the steps would compete with them
    torch.set_num_threads(1)
    run = serve(args.run, args.model)
    if isinstance(run.model, TrainedModel):
        disable_tta(run.recogniser.architecture)  # the mean over time replaces the mean over test-time crops
    run.warn()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, with complete files
    watch(args, run)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", type=int, metavar="NUMBER", help="0 is the first camera")
    source.add_argument("--video", metavar="FILE", help="or an address (rtsp://…, http://…), or /dev/video0")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--run", help="folder, packed zip, or name in data/models of a run; default: the one that ships")
    which.add_argument("--model", type=Path, metavar="ONNX", help="a run exported by stages.apps.export, instead")
    outputs = made.add_argument_group("outputs")
    outputs.add_argument("--headless", action="store_true", help="no window; needs one of the following")
    video = "write the frames with boxes and labels: .mp4 (MPEG-4 Part 2) or .avi (Motion JPEG)"
    outputs.add_argument("--output", type=Path, metavar="VIDEO", help=video)
    outputs.add_argument("--csv", type=Path, help="write one row per frame and face")
    outputs.add_argument("--plot", type=Path, metavar="PNG", help="draw the emotions over time")
    smoothing = made.add_argument_group("smoothing")
    how = "of the probabilities of each face over time"
    smoothing.add_argument("--smoothing", choices=sorted(SMOOTHINGS), default="moving_average", help=how)
    smoothing.add_argument("--smooth-s", type=float, default=0.5, help="window, or time constant of exponential")
    smoothing.add_argument("--hold-s", type=float, default=0.4, help="another class must lead this long to be shown")
    faces = made.add_argument_group("face detection")
    how = faces.add_mutually_exclusive_group()
    how.add_argument("--no-detect", action="store_true", help="the whole frame is a face")
    how.add_argument("--detector", choices=DETECTORS, default="blazeface", help="yunet needs --detector-model")
    faces.add_argument("--detect-every", type=int, default=3, help="frames; between them faces are tracked")
    faces.add_argument("--detector-model", type=Path, help="the .onnx file of YuNet")
    faces.add_argument("--min-score", type=float, default=0.6, help="lower finds more faces and more false ones")
    faces.add_argument("--min-face-px", type=int, default=60, help="smaller is slower")
    return made


if __name__ == "__main__":
    exit_with_one_line(main)
