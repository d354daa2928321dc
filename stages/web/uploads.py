"""Limits on requests and uploads: their size, their lifetime, and the files that a request may name."""

import json
import time
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

MAX_AGE_S = 300  # age at which an upload is deleted from the disk, where the page reads it
SWEEP_EVERY_S = 60
MAX_OTHER_BYTES = 1 << 20  # largest request without an upload, and form fields around uploaded files


class UploadGuard:
    """ASGI middleware that bounds a whole request and refuses one that names any file but an upload.

    Gradio bounds each file only, and would open other files of this machine or fetch URLs that a crafted request names.
    """

    def __init__(self, app: Any, max_upload_bytes: int) -> None:
        self.app, self.max_upload_bytes = app, max_upload_bytes

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_upload = scope["path"].endswith("/upload")
        left = MAX_OTHER_BYTES + (self.max_upload_bytes if is_upload else 0)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > left:
            return await _refuse(send, 413, b"larger than allowed")

        async def receive_bounded() -> dict:  # the declared length may be absent or false
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        if is_upload or scope["method"] != "POST":
            return await self.app(scope, receive_bounded, send)
        messages = [await receive_bounded()]
        while messages[-1].get("more_body"):
            messages.append(await receive_bounded())
        if names_other_files(b"".join(message.get("body", b"") for message in messages)):
            return await _refuse(send, 403, b"names a file that was not uploaded")
        waiting = iter(messages)

        async def replay() -> dict:
            return next(waiting, None) or await receive()

        return await self.app(scope, replay, send)


async def _refuse(send: Any, status: int, reason: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": reason})


def names_other_files(body: bytes) -> bool:
    """Return whether the JSON of a request has a `path` outside the folder of uploads; URLs are outside."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return False  # Gradio reads JSON only
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if path is not None and not (isinstance(path, str) and is_in_upload_folder(path)):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def is_in_upload_folder(path: str | Path) -> bool:
    """Return whether `path`, with links resolved, is inside the folder of uploads."""
    return "\0" not in str(path) and Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())


def is_uploaded(path: str | Path) -> bool:
    """Return whether `path` is an uploaded file that is still there."""
    return bool(path) and is_in_upload_folder(path) and Path(path).is_file()


def sweep(folder: Path, now_s: float | None = None) -> None:
    """Remove files older than `MAX_AGE_S`, also those of interrupted uploads, which Gradio does not remove."""
    oldest_s = (time.time() if now_s is None else now_s) - MAX_AGE_S
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_mtime < oldest_s:
                path.unlink()
        except FileNotFoundError:  # removed by Gradio meanwhile
            continue
