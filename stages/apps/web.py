"""A page in the browser for trained runs: `python -m stages.apps.web --run faces_compact --run speech_adafnn`.

Takes pictures and the webcam, speech and the microphone, or EEG, as each run was trained. It works offline, is
reachable from this machine only unless --host says otherwise, and keeps no upload.
"""

import argparse
import tempfile
from pathlib import Path

from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line, refuse
from stages.serving.served_run import serve
from stages.web.server import require_free, serve_page

MAX_UPLOAD_MB = 64  # more than the largest picture or clip that is read


def main() -> None:
    args = parser().parse_args()
    if not 1 <= args.max_upload_mb <= MAX_UPLOAD_MB:
        refuse("out of range", where="--max-upload-mb", allowed=f"1 to {MAX_UPLOAD_MB}", received=args.max_upload_mb)
    require_free(args.host, args.port)
    runs = [serve(run) for run in args.run or ()] or [serve(kind=kind) for kind in ("image", "audio")]
    with tempfile.TemporaryDirectory(prefix="emotion_web_", ignore_cleanup_errors=True) as uploads:
        serve_page(runs, args.host, args.port, args.max_upload_mb, Path(uploads))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    made.add_argument("--run", action="append", help="as for predict; each has a tab; default: the runs that ship")
    made.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves everyone who reaches this machine")
    made.add_argument("--port", type=int, default=7860, help="of the page's address")
    made.add_argument("--max-upload-mb", type=int, default=20, help=f"of one file, at most {MAX_UPLOAD_MB}")
    return made


if __name__ == "__main__":
    exit_with_one_line(main)
