"""Requests are bounded and may name uploads only, also requests that no browser sends; old uploads are removed."""

import asyncio
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

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


@pytest.fixture
def client() -> TestClient:
    """Return a client of an app that responds with the length of a request."""

    async def length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    routes = [Route(path, length, methods=["POST"]) for path in ("/gradio_api/upload", "/gradio_api/queue/join")]
    return TestClient(UploadGuard(Starlette(routes=routes), MAX_UPLOAD_BYTES), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("path", "limit"), [("upload", MAX_UPLOAD_BYTES + MAX_OTHER_BYTES), ("queue/join", MAX_OTHER_BYTES)]
)
def test_rejects_large_requests(client: TestClient, path: str, limit: int):
    assert client.post(f"/gradio_api/{path}", content=bytes(limit)).text == str(limit)
    assert client.post(f"/gradio_api/{path}", content=bytes(limit + 1)).status_code == 413


def test_rejects_a_request_that_names_another_file(client: TestClient, folder: Path):
    for name, status in (("ab/x.png", 200), ("../secret.png", 403)):
        content = json.dumps({"data": [{"path": str(folder / name)}]})
        assert client.post("/gradio_api/queue/join", content=content).status_code == status


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
