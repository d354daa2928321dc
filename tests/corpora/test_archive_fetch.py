"""Fetching: each source form, each way it fails in one line, and what a broken download leaves behind (nothing)."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from archive_forms import one_line

from stages.corpora.archive.fetch import fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`, after cutting the first `drops` answers in the middle; `/missing` is 404, `/busy` 503."""

    daemon_threads = True
    drops = 0
    requests = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.path in ("/missing", "/busy"):
            return self.send_error(404 if self.path == "/missing" else 503)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        dropped = self.server.requests <= self.server.drops
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if dropped else CONTENT)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOTION_RECOGNITION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    return tmp_path / "cache"


def kept(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if path.is_file()]


def refused(source: str, checksum: str | None, *words: str) -> str:
    return one_line(lambda: fetch(source, checksum), *words)


# --- local paths ------------------------------------------------------------------------------------------------


def test_a_local_file_is_taken_where_it_lies(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT)
    for checksum in (None, SHA256, f"sha256:{SHA256}", f"SHA256:{SHA256.upper()}", f"md5:{MD5}"):
        assert fetch(str(path), checksum) == path
    assert fetch(str(tmp_path), None) == tmp_path


def test_refuses_local_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    refused("data/a.zip", None, str(tmp_path.resolve() / "data/a.zip"), "an absolute path")
    refused("~/a.zip", None, "/home/ada/a.zip")
    refused("", None, "not a source", "kaggle:<owner>/<slug>")
    refused(str(tmp_path / "no.zip"), None, "no such file or folder", "no.zip")
    refused(str(tmp_path), SHA256, "a folder has no checksum")
    (tmp_path / "a.zip").write_bytes(b"other")
    refused(str(tmp_path / "a.zip"), SHA256, "sha256 does not match", SHA256, hashlib.sha256(b"other").hexdigest())


@pytest.mark.parametrize(
    "checksum", ["", "abc", "sha1:" + "a" * 40, "a" * 63, "md5:" + "a" * 64, "a" * 32, "g" * 64, 7]
)
def test_refuses_odd_checksums(checksum: str, tmp_path: Path):
    refused(str(tmp_path), checksum, "not a checksum", "md5:<32 hex digits>", str(checksum))


# --- URLs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [SHA256, f"sha256:{SHA256}", f"md5:{MD5}"])
def test_downloads_once_and_keeps_the_name(checksum: str, server: Server, cache: Path):
    for _ in range(2):
        path = fetch(server.url("files/fer2013.csv?download=1"), checksum)
        assert path.read_bytes() == CONTENT
        assert path.name == "fer2013.csv"
        assert path.is_relative_to(cache)
    assert server.requests == 1


def test_a_damaged_copy_in_the_cache_is_downloaded_again(server: Server):
    path = fetch(server.url("a.zip"), SHA256)
    path.write_bytes(b"damaged")
    assert fetch(server.url("a.zip"), SHA256).read_bytes() == CONTENT
    assert server.requests == 2


@pytest.mark.parametrize(
    ("path", "name"), [("", "corpus"), ("%2e%2e%2fup.zip", "up.zip"), ("..%5Cup.zip", "_up.zip"), ("a%00b", "a_b")]
)
def test_a_hostile_url_makes_a_harmless_name(path: str, name: str, server: Server, cache: Path):
    found = fetch(server.url(path), SHA256)
    assert found.name == name
    assert found.parent.parent == cache


def test_a_connection_dropped_half_way_is_tried_again(server: Server, cache: Path, capfd: pytest.CaptureFixture[str]):
    server.drops = 1
    assert fetch(server.url("a.zip"), SHA256).read_bytes() == CONTENT
    assert server.requests == 2
    assert kept(cache) == ["a.zip"]
    assert "warning: " in capfd.readouterr().err


def test_a_connection_always_dropped_leaves_nothing(server: Server, cache: Path):
    server.drops = 99
    refused(server.url("a.zip"), SHA256, server.url("a.zip"), "download failed")
    assert server.requests == 3
    assert not kept(cache)


def test_a_wrong_checksum_is_not_downloaded_again(server: Server, cache: Path):
    refused(server.url("a.zip"), "a" * 64, "sha256 does not match", "a" * 64, SHA256)
    assert server.requests == 1
    assert not kept(cache)


def test_final_answers_are_not_asked_for_again(server: Server, cache: Path):
    refused(server.url("missing"), SHA256, "/missing", "404")
    assert server.requests == 1
    refused(server.url("busy"), SHA256, "/busy", "503")
    assert server.requests == 4
    assert not kept(cache)


def test_no_server_and_no_such_name(cache: Path, monkeypatch: pytest.MonkeyPatch):
    refused("http://127.0.0.1:9/a.zip", SHA256, "refused the connection")

    def no_name(*_: object, **__: object) -> None:
        raise requests.ConnectionError(
            "Max retries exceeded (Caused by NameResolutionError(\"Failed to resolve 'x'\"))"
        )

    monkeypatch.setattr(requests, "get", no_name)
    refused("https://x.invalid/a.zip", SHA256, "the server's name is unknown, or there is no network")
    assert not kept(cache)


def test_passwords_and_tokens_are_not_shown(server: Server, capfd: pytest.CaptureFixture[str]):
    server.drops = 99
    url = f"http://ada:secret@127.0.0.1:{server.server_port}/a.zip?token=hidden"
    shown = refused(url, SHA256) + capfd.readouterr().err
    assert "secret" not in shown
    assert "hidden" not in shown


def test_refuses_urls():
    refused("https://example.org/a.zip", None, "a URL needs a checksum", "sha256:")
    for url in ("http://example.org/a.zip", "ftp://example.org/a", "file:///etc/passwd", "https://", "https://[::1/a"):
        refused(url, SHA256, "not a source", "https://…", url)


def test_a_cache_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMOTION_RECOGNITION_CACHE", str(tmp_path / "file"))
    refused(server.url("a.zip"), SHA256, "download failed")


def test_importing_fetch_loads_no_downloader():
    code = (
        "import sys; import stages.corpora.archive.fetch, stages.corpora.archive.members, stages.corpora.archive.pack; "
        "sys.exit(bool({'pooch', 'kagglehub', 'requests', 'numpy', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
