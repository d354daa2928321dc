"""A page that asks trained runs, in the browser: `python -m stages.apps.web --run faces_compact --run speech_adafnn`.

Pictures and the webcam, voices and the microphone, EEG, by what each run was trained on. It works offline, serves this
machine alone unless --host says otherwise, and keeps no upload.
"""

import argparse
import os
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from stages.apps.serving import serve
from stages.core.errors import UserError, exit_with_one_line, refuse, warn

MOST_MB = 64  # of one file: more than a picture or clip may have
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# No word to anybody, not even through a proxy, from Gradio or the hub's library that it brings.
OFFLINE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "no_proxy": "*",
}


def main() -> None:
    args = parser().parse_args()
    if not 1 <= args.max_upload_mb <= MOST_MB:
        refuse("out of range", where="--max-upload-mb", allowed=f"1 to {MOST_MB}", received=args.max_upload_mb)
    require_free(args.host, args.port)
    runs = [serve(run) for run in args.run or [None]]
    os.environ.update(OFFLINE)
    with tempfile.TemporaryDirectory(prefix="emotion_web_", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # uploads and pictures, which go when the page does
        from stages.apps.web_page import page  # Gradio, which reads the environment when it is imported

        serve_until_stopped(page(runs, args.max_upload_mb), args, Path(folder))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--run", action="append", help="as predict has it; several make a tab each; default: what ships")
    made.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets in whoever reaches this machine")
    made.add_argument("--port", type=int, default=7860)
    made.add_argument("--max-upload-mb", type=int, default=20)
    return made


def require_free(host: str, port: int) -> None:
    """Before models are loaded. Raises `UserError`."""
    if not 1 <= port <= 65_535:
        refuse("out of range", where="--port", allowed="1 to 65535", received=port)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise UserError(f"--host {host} --port {port}: cannot be served: {error.strerror or error}") from None


def serve_until_stopped(made: Any, args: argparse.Namespace, uploads: Path) -> None:
    """Gradio's `Blocks` at http://host:port until Ctrl-C or SIGTERM."""
    from starlette.middleware import Middleware

    from stages.apps.web_page import CSS, THEME
    from stages.apps.web_uploads import SWEPT_EVERY_S, Bounded, sweep

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    look = {"theme": THEME, "css": CSS, "footer_links": []}
    alone = {"share": False, "ssr_mode": False, "mcp_server": False, "enable_monitoring": False, "run_history": False}
    name = f"[{args.host}]" if ":" in args.host else args.host  # as addresses of pages have them
    most_bytes = args.max_upload_mb << 20
    bounded = {"middleware": [Middleware(Bounded, max_upload_bytes=most_bytes)]}
    bound = {"server_name": name, "server_port": args.port, "max_file_size": most_bytes, "app_kwargs": bounded}
    try:
        made.launch(**look, **alone, **bound, quiet=True, inbrowser=False, prevent_thread_lock=True)
        if args.host not in LOOPBACK:
            warn(f"--host {args.host}: whoever reaches this machine may use the page; there is no password")
        print(f"{made.local_url} (Ctrl-C stops it)", flush=True)
        while True:
            time.sleep(SWEPT_EVERY_S)
            sweep(uploads)
    except KeyboardInterrupt:
        pass
    finally:
        made.close(verbose=False)


if __name__ == "__main__":
    exit_with_one_line(main)
