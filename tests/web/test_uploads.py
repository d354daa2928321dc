"""Requests are bounded and may name uploads only, also requests that no browser sends; old uploads are removed."""

import asyncio
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest

from stages.web.page import upload_component
from stages.web.uploads import MAX_AGE_S, MAX_OTHER_BYTES, UploadGuard, names_other_files, sweep

MAX_UPLOAD_BYTES = 3 << 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of uploads: it holds the upload ab/x.png, a link to a file elsewhere and a named pipe."""
    folder = tmp_path / "uploads"
    (folder / "ab").mkdir(parents=True)
    for path in (folder / "ab/x.png", tmp_path / "secret.png"):
        path.write_bytes(b"x")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(folder / "pipe.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


# Paths relative to the folder of uploads.
OTHER_FILES = ("../secret.png", "link.png", "/dev/zero")
NO_FILES = ("pipe.png", ".", "gone.png")


@pytest.mark.parametrize("kind", ["image", "audio", "windows"])
def test_components_read_uploads_only(folder: Path, kind: str):
    read = upload_component(kind, 1).preprocess
    assert read(SimpleNamespace(path=str(folder / "ab/x.png"))) == str(folder / "ab/x.png")
    assert read(None) is None
    for name in (*OTHER_FILES, *NO_FILES):
        with pytest.raises(gradio.Error, match="no longer there"):
            read(SimpleNamespace(path=str(folder / name)))


def test_recognises_requests_that_name_other_files(folder: Path):
    for name in ("ab/x.png", "gone.png"):
        assert not names_other_files(json.dumps({"data": [{"path": str(folder / name)}, True]}).encode())
    for path in (*(str(folder / name) for name in OTHER_FILES), "https://example.com/a.png", "a\0b", 7):
        assert names_other_files(json.dumps({"data": [[{"path": path}]]}).encode())


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[" * 100_000, b"\xff"])
def test_ignores_bodies_that_are_no_json(body: bytes):
    assert not names_other_files(body)


def test_sweep_removes_old_files(tmp_path: Path):
    now_s = time.time()
    for name, age_s in (("a/new.png", 10), ("a/old.png", MAX_AGE_S + 10), ("interrupted", MAX_AGE_S + 10)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (now_s - age_s, now_s - age_s))
    sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new.png"]
    sweep(tmp_path, now_s + MAX_AGE_S)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def post(path: str, content: bytes) -> tuple[int, bytes]:
    """Send a request through the guard to an app that responds with its length; return status and body."""
    sent: list[dict] = []

    async def app(scope: dict, receive, send) -> None:
        length, message = 0, {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            length += len(message.get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(length).encode()})

    async def receive() -> dict:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    headers = [(b"content-length", str(len(content)).encode())]
    scope = {"type": "http", "method": "POST", "path": f"/gradio_api/{path}", "headers": headers}
    asyncio.run(UploadGuard(app, MAX_UPLOAD_BYTES)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "limit"), [("upload", MAX_UPLOAD_BYTES + MAX_OTHER_BYTES), ("queue/join", MAX_OTHER_BYTES)]
)
def test_rejects_large_requests(path: str, limit: int):
    assert post(path, bytes(limit)) == (200, str(limit).encode())
    assert post(path, bytes(limit + 1))[0] == 413


def test_rejects_a_request_that_names_another_file(folder: Path):
    for name, status in (("ab/x.png", 200), ("../secret.png", 403)):
        content = json.dumps({"data": [{"path": str(folder / name)}]}).encode()
        assert post("queue/join", content)[0] == status


def test_stops_an_endless_request_without_a_declared_length():
    """As sent in pieces with `Transfer-Encoding: chunked`."""
    received: list[int] = []

    async def application(scope: dict, receive, send) -> None:
        while (message := await receive())["type"] == "http.request":
            received.append(len(message["body"]))

    async def endless() -> dict:
        return {"type": "http.request", "body": bytes(1 << 18), "more_body": True}

    scope = {"type": "http", "path": "/gradio_api/queue/join", "method": "POST", "headers": []}
    asyncio.run(UploadGuard(application, MAX_UPLOAD_BYTES)(scope, endless, None))
    assert sum(received) == MAX_OTHER_BYTES
