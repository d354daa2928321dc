"""What a visitor may send to the page, and how long it stays: also what no browser would send."""

import asyncio
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

from stages.apps import web_page
from stages.apps.web_uploads import ELSE_BYTES, KEPT_S, Bounded, is_uploaded, sweep

MOST = 3 << 20


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def test_only_what_was_uploaded_is_read(uploads: Path, tmp_path: Path):
    """A path without Gradio's `meta` passes its own check of folders."""
    mine, other = uploads / "ab" / "x.png", tmp_path / "secret.png"
    mine.parent.mkdir()
    for path in (mine, other):
        path.write_bytes(b"x")
    (uploads / "link.png").symlink_to(other)
    os.mkfifo(uploads / "pipe.png")
    refused = (other, uploads / "link.png", uploads / "pipe.png", uploads, uploads / ".." / "secret.png", "/dev/zero")
    assert is_uploaded(mine)
    assert [path for path in (*refused, uploads / "gone.png", "", None) if is_uploaded(path)] == []
    for kind in ("image", "audio", "windows"):
        read = web_page.uploaded_only(web_page._given(kind, 1)).preprocess
        assert read(SimpleNamespace(path=str(mine))) == str(mine)
        assert read(None) is None
        for path in refused:
            with pytest.raises(gradio.Error, match="no longer there"):
                read(SimpleNamespace(path=str(path)))


def test_old_files_go_whatever_they_are_called(uploads: Path):
    now = time.time()
    for name, age_s in {"a/new.png": 10, "a/old.png": KEPT_S + 10, "tmp_of_a_broken_upload": KEPT_S + 10}.items():
        (uploads / name).parent.mkdir(exist_ok=True)
        (uploads / name).write_bytes(b"x")
        os.utime(uploads / name, (now - age_s, now - age_s))
    sweep(uploads)
    assert [path.name for path in uploads.rglob("*") if path.is_file()] == ["new.png"]
    sweep(uploads, now + KEPT_S)
    assert not [path for path in uploads.rglob("*") if path.is_file()]


def client() -> TestClient:
    async def length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    routes = [Route(path, length, methods=["POST"]) for path in ("/gradio_api/upload", "/gradio_api/queue/join")]
    return TestClient(Bounded(Starlette(routes=routes), MOST), raise_server_exceptions=False)


@pytest.mark.parametrize(("path", "most"), [("upload", MOST + ELSE_BYTES), ("queue/join", ELSE_BYTES)])
def test_a_request_has_a_bound(path: str, most: int):
    with client() as asked:
        assert asked.post(f"/gradio_api/{path}", content=bytes(most)).text == str(most)
        assert asked.post(f"/gradio_api/{path}", content=bytes(most + 1)).status_code == 413


def test_a_request_that_does_not_tell_its_length_is_cut_off():
    """Sent in pieces, as `Transfer-Encoding: chunked` does; no more is taken than allowed."""
    taken: list[int] = []

    async def application(scope: dict, receive, send) -> None:
        while (message := await receive())["type"] == "http.request":
            taken.append(len(message["body"]))

    async def endless() -> dict:
        return {"type": "http.request", "body": bytes(1 << 18), "more_body": True}

    scope = {"type": "http", "path": "/gradio_api/queue/join", "headers": []}
    asyncio.run(Bounded(application, MOST)(scope, endless, None))
    assert sum(taken) == ELSE_BYTES
