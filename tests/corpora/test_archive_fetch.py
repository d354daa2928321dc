"""Fetching from a path, a URL and Kaggle: failures are one line, and a broken download leaves no file."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock

import kagglehub
import pytest
import requests
from archive_files import one_line
from kagglehub.exceptions import BackendError, CredentialError, KaggleApiHTTPError, UnauthenticatedError

from stages.corpora.archive.fetch import fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`, the first `drops` answers cut in the middle; `/missing` is 404, `/busy` 503."""

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


def cached_names(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if path.is_file()]


def fetch_error(source: str, checksum: str | None, *words: str) -> str:
    return one_line(lambda: fetch(source, checksum), *words)


@pytest.mark.parametrize("checksum", [None, SHA256, SHA256.upper(), f"md5:{MD5}"])
def test_returns_a_local_file_unchanged(tmp_path: Path, checksum: str | None):
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT)
    assert fetch(str(path), checksum) == path


def test_refuses_local_paths(tmp_path: Path):
    assert fetch(str(tmp_path), None) == tmp_path
    fetch_error(str(tmp_path / "no.zip"), None, "no such file or folder", "no.zip")
    fetch_error(str(tmp_path), SHA256, "a folder has no checksum")
    (tmp_path / "a.zip").write_bytes(b"other")
    fetch_error(
        str(tmp_path / "a.zip"), SHA256, "sha256 does not match", SHA256[7:], hashlib.sha256(b"other").hexdigest()
    )


@pytest.mark.parametrize("checksum", [SHA256, f"md5:{MD5}"])
def test_downloads_once_and_keeps_the_file_name(checksum: str, server: Server, cache: Path):
    for _ in range(2):
        path = fetch(server.url("files/fer2013.csv?download=1"), checksum)
        assert path.read_bytes() == CONTENT
        assert path.name == "fer2013.csv"
        assert path.is_relative_to(cache)
    assert server.requests == 1


def test_downloads_again_if_the_cached_copy_is_damaged(server: Server):
    path = fetch(server.url("a.zip"), SHA256)
    path.write_bytes(b"damaged")
    assert fetch(server.url("a.zip"), SHA256).read_bytes() == CONTENT
    assert server.requests == 2


@pytest.mark.parametrize(
    ("path", "name"), [("", "corpus"), ("%2e%2e%2fup.zip", "up.zip"), ("..%5Cup.zip", "_up.zip"), ("a%00b", "a_b")]
)
def test_file_name_from_a_hostile_url_is_safe(path: str, name: str, server: Server, cache: Path):
    downloaded = fetch(server.url(path), SHA256)
    assert downloaded.name == name
    assert downloaded.parent.parent == cache


def test_retries_a_dropped_connection(server: Server, cache: Path, capfd: pytest.CaptureFixture[str]):
    server.drops = 1
    assert fetch(server.url("a.zip"), SHA256).read_bytes() == CONTENT
    assert server.requests == 2
    assert cached_names(cache) == ["a.zip"]
    assert "warning: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "drops", "checksum", "n_requests", "words"),
    [
        ("a.zip", 99, SHA256, 3, ["/a.zip", "download failed"]),
        ("a.zip", 0, f"sha256:{'a' * 64}", 1, ["sha256 does not match", "a" * 64, SHA256[7:]]),
        ("missing", 0, SHA256, 1, ["/missing", "404"]),
        ("busy", 0, SHA256, 3, ["/busy", "503"]),
    ],
)
def test_failed_download_leaves_no_file(server: Server, cache: Path, path, drops, checksum, n_requests, words):
    """Only failures that may pass are retried."""
    server.drops = drops
    fetch_error(server.url(path), checksum, *words)
    assert server.requests == n_requests
    assert not cached_names(cache)


def test_unreachable_servers(cache: Path, monkeypatch: pytest.MonkeyPatch):
    fetch_error("http://127.0.0.1:9/a.zip", SHA256, "refused the connection")
    error = requests.ConnectionError("Max retries exceeded (Caused by NameResolutionError)")
    monkeypatch.setattr(requests, "get", Mock(side_effect=error))
    fetch_error("https://x.invalid/a.zip", SHA256, "no network")
    assert not cached_names(cache)


def test_passwords_and_tokens_are_not_shown(server: Server, capfd: pytest.CaptureFixture[str]):
    server.drops = 99
    url = f"http://ada:secret@127.0.0.1:{server.server_port}/a.zip?token=hidden"
    shown = fetch_error(url, SHA256) + capfd.readouterr().err
    assert "secret" not in shown
    assert "hidden" not in shown


def http_error(status: int) -> KaggleApiHTTPError:
    response = requests.Response()
    response.status_code = status
    return KaggleApiHTTPError(f"{status} Client Error.\n\nYou don't have permission", response=response)


def test_kaggle_returns_a_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kagglehub, "dataset_download", lambda handle: f"/cache/{handle}")
    for handle in ("ada/fer-2013", "ada/fer-2013/versions/2"):
        assert fetch(f"kaggle:{handle}", None) == Path("/cache") / handle
    fetch_error("kaggle:ada/fer-2013", SHA256, "a folder has no checksum")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (UnauthenticatedError(), "denies access"),
        (CredentialError("no token"), "denies access"),
        (http_error(403), "denies access"),
        (http_error(404), "no such dataset"),
        (http_error(500), "500"),
        (BackendError("down\nfor now"), "down"),
        (ValueError("Invalid Kaggle credentials file at kaggle.json"), "Invalid Kaggle credentials file"),
        (requests.ConnectionError("Failed to resolve 'api.kaggle.com'"), "no network"),
        (requests.Timeout("Read timed out."), "no answer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_kaggle_errors_say_what_to_do(error: Exception, word: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kagglehub, "dataset_download", Mock(side_effect=error))
    credentials = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME with KAGGLE_KEY", "~/.kaggle/kaggle.json")
    by_hand = ("https://www.kaggle.com/datasets/ada/fer-2013", "absolute path")
    fetch_error("kaggle:ada/fer-2013", None, word, *credentials, *by_hand)
