"""What the page in the browser keeps and takes of a visitor: how much, for how long, from where."""

import time
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT_S = 300  # that an upload lies on the disk, for the page to show it
SWEPT_EVERY_S = 60
ELSE_BYTES = 1 << 20  # of a request that uploads nothing, and of what stands around an upload's files


class Bounded:
    """An ASGI application whose requests have at most `max_upload_bytes` of files; Gradio bounds each file alone."""

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self.app, self.max_upload_bytes = app, max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        left = ELSE_BYTES + (self.max_upload_bytes if scope["path"].endswith("/upload") else 0)
        if _told_bytes(scope) > left:
            return await PlainTextResponse("larger than allowed", 413)(scope, receive, send)

        async def at_most() -> Message:  # of a request that does not tell its length, or not truly
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        return await self.app(scope, at_most, send)


def _told_bytes(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def is_uploaded(path: str | Path | None) -> bool:
    """Whether it is a file that was uploaded, not another one of this machine, nor an address."""
    if not path:
        return False
    found = Path(path).resolve()
    return found.is_relative_to(Path(get_upload_folder()).resolve()) and found.is_file()


def sweep(folder: Path, now_s: float | None = None) -> None:
    """Remove files older than `KEPT_S`: also those that Gradio forgets, of uploads broken off or under another name."""
    oldest_s = (time.time() if now_s is None else now_s) - KEPT_S
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_mtime < oldest_s:
                path.unlink()
        except FileNotFoundError:  # Gradio was first
            continue
