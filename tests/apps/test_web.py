"""The page as a person meets it, in a browser that is driven, and its answers without one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from small_runs import small_run
from test_predict import clip, face, truncated

from stages.apps import web
from stages.core.errors import UserError
from stages.faces.detection import whole
from stages.serving.boxes import Box
from stages.serving.inputs import read_samples
from stages.serving.served_run import ServedRun, serve
from stages.web import result, server
from stages.web.result import NO_FACE, Result, result_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def faces() -> ServedRun:
    return serve(str(small_run("faces").folder))


@pytest.fixture(scope="module")
def speech() -> ServedRun:
    return serve(str(small_run("speech").folder))


def saved(path: Path, image: Image.Image) -> str:
    image.save(path)
    return str(path)


# ---- what is answered ----


def test_face_gets_the_probabilities_of_the_run(faces: ServedRun, tmp_path: Path):
    shown = result_of(faces, saved(tmp_path / "a.png", face()), whole)
    [expected] = faces.probabilities([faces.prepare(np.asarray(face()))])
    assert list(shown.probabilities) == faces.classes
    assert list(shown.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert (shown.message, shown.is_error, shown.table) == ("", False, "")
    assert shown.photo.shape[2] == shown.attribution.shape[2] == 3


def test_shows_the_largest_of_several_faces(faces: ServedRun, tmp_path: Path):
    boxes = [Box(0, 0, 30, 30), Box(40, 10, 60, 60, cut_off=True), Box(110, 0, 20, 20)]
    path = saved(tmp_path / "crowd.png", face(size=(140, 90)))
    shown = result_of(faces, path, lambda _: boxes)
    assert shown.photo.shape[1] / shown.photo.shape[0] == pytest.approx(140 / 90, rel=0.02)
    assert result_of(faces, path, lambda _: []) == Result(NO_FACE, is_error=True)
    assert result_of(faces, None, whole) == Result()
    pixels = np.asarray(face(size=(140, 90)))[10:70, 40:100]
    [expected] = faces.probabilities([faces.prepare(pixels)])
    assert list(shown.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert shown.message == "3 faces. Above: face 2, the largest. Note: cut off at the edge of the picture."
    assert [line.split()[:3] for line in shown.table.splitlines()[1:]] == [["crowd.png", "face", n] for n in "123"]
    assert str(tmp_path) not in shown.table


def test_clip(speech: ServedRun, tmp_path: Path):
    shown = result_of(speech, str(clip(tmp_path / "long.wav", 9.0)), whole)
    [sample] = read_samples(tmp_path / "long.wav", "audio")
    [expected] = speech.probabilities([speech.prepare(*sample.load())])
    assert list(shown.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert shown.message.startswith("Note: 9.0 s long: only 3 s")
    assert shown.photo is None


def test_trials_of_eeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Heads take long to draw, and are drawn in the tests of `predict`."""
    monkeypatch.setattr(result, "draw_attributions", lambda path, *_: face().save(path))
    run, trials = serve(str(small_run("eeg").folder)), np.random.default_rng(0).normal(4, 1, (2, 20, 310))
    np.savez(tmp_path / "trials.npz", label=np.arange(3), one=trials[0], other=trials[1])
    shown = result_of(run, str(tmp_path / "trials.npz"), whole)
    [expected] = run.probabilities([run.prepare(trials[0])])
    assert list(shown.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert "2 trials. Above: one, the first." in shown.message
    assert "trials.npz: label: an array (3,) of type int64" in shown.message
    assert np.array_equal(shown.attribution[..., 0], face())


# ---- what is uploaded broken ----


@pytest.mark.parametrize(
    ("corpus", "name", "content", "words"),
    [
        ("faces", "a.png", b"<svg onload=alert(1)>", "a.png: not a whole JPEG, PNG"),
        ("faces", "a.jpg", truncated(), "not a whole JPEG, PNG, "),
        ("speech", "a.wav", b"", "0 bytes"),
        ("speech", "a.wav", b"RIFF\0\0\0\0WAVE", "not a whole WAV file"),
    ],
)
def test_damaged_upload_is_one_line(request, tmp_path: Path, corpus: str, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    shown = result_of(request.getfixturevalue(corpus), str(tmp_path / name), whole)
    assert words in shown.message
    assert "\n" not in shown.message
    assert str(tmp_path) not in shown.message
    assert shown == Result(shown.message, is_error=True)


# ---- the page and its options ----


@pytest.fixture
def web_page(monkeypatch: pytest.MonkeyPatch):
    for name, value in server.OFFLINE.items():
        monkeypatch.setenv(name, value)
    from stages.web import page as web_page

    return web_page


def test_page_describes_the_model(web_page, faces: ServedRun):
    text = web_page.about(faces)
    assert "a synthetic corpus" in text
    assert "say nothing about people" in text
    info = faces.info | {"synthetic": False, "name": "<b>FER-2013", "protocol": "official"}
    text = web_page.about(ServedRun(replace(faces.model, info=info)))
    assert "&lt;b&gt;FER-2013" in text
    assert "official" in text
    assert "nothing about people" not in text
    assert "does not detect what anybody feels" in text


def test_file_names_are_escaped(web_page):
    html = web_page.message_html(Result("<img src=x onerror=alert(1)>.png: no", is_error=True, table="<script>"))
    assert "<img" not in html
    assert "<script" not in html


def refusal(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["web", *map(str, arguments)])
    with pytest.raises(UserError) as error:
        web.main()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_options_that_cannot_be(monkeypatch: pytest.MonkeyPatch):
    assert refusal(monkeypatch, "--port", 0).startswith("--port: out of range; allowed: 1 to 65535")
    assert "--max-upload-mb: out of range" in refusal(monkeypatch, "--max-upload-mb", 65)
    assert "cannot be served" in refusal(monkeypatch, "--host", "192.0.2.1")  # RFC 5737: nobody's
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "Address already in use" in refusal(monkeypatch, "--port", taken.getsockname()[1])
    assert "no such run" in refusal(monkeypatch, "--port", free_port(), "--run", "absent")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_ipv6():
    server.require_free("::1", free_port())
    taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with taken, pytest.raises(UserError, match=r"--host ::1 .*Address already in use"):
        server.require_free("::1", taken.getsockname()[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


# ---- in a browser ----

# The command, printing every name it looks up and every address it connects to.
WATCHED = """
import runpy, sys
def report(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        place = arguments[1] if event == "socket.connect" else arguments
        print("reaches", place[0] if isinstance(place, tuple) else place, file=sys.stderr, flush=True)
sys.addaudithook(report)
runpy.run_module("stages.apps.web", run_name="__main__")
"""


@dataclass
class Served:
    """The page of a small run of each kind, at most 1 MB a file. `folder` is all it may write to for a while."""

    process: subprocess.Popen
    url: str
    folder: Path
    errors: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    folder, port = tmp_path_factory.mktemp("web"), free_port()
    runs = [word for corpus in ("faces", "speech") for word in ("--run", small_run(corpus).folder)]
    command = [sys.executable, "-c", WATCHED, *runs, "--port", port, "--max-upload-mb", 1]
    (folder / "temporary").mkdir()
    environment = os.environ | {"TMPDIR": str(folder / "temporary"), "http_proxy": "http://192.0.2.1:1"}
    with (folder / "errors.txt").open("w") as errors:
        pipes = {"stdout": subprocess.PIPE, "stderr": errors, "text": True}
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, **pipes)
    try:
        line = process.stdout.readline()
        assert line.startswith(f"http://127.0.0.1:{port}/"), (folder / "errors.txt").read_text()
        yield Served(process, line.split()[0], folder / "temporary", folder / "errors.txt")
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def browser():
    """Chromium, with a camera and a microphone that are not there."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *devices])
        yield opened
        opened.close()


@pytest.fixture
def page(served: Served, browser):
    """The open page; it sends requests to its own server only."""
    opened, urls = browser.new_page(viewport={"width": 1280, "height": 1100}), []
    opened.set_default_timeout(120_000)
    opened.on("request", lambda request: urls.append(request.url))
    opened.goto(served.url)
    opened.wait_for_selector("input[type=file]", state="attached")  # the page is drawn by its script
    yield opened
    opened.close()
    hosts = {urlsplit(url).netloc for url in urls if urlsplit(url).scheme not in ("data", "blob")}
    assert hosts == {urlsplit(served.url).netloc}


def prediction_on(page) -> tuple[str, dict[str, float]]:
    """The class in large letters, and the lengths of the bars."""
    page.wait_for_selector("[data-testid=label-output-value] >> visible=true")
    meters = page.locator("meter").all()
    found = {meter.get_attribute("aria-label"): float(meter.get_attribute("value")) for meter in meters}
    return page.inner_text("[data-testid=label-output-value]"), found


def test_predicts_an_uploaded_picture(page, faces: ServedRun, tmp_path: Path):
    page.get_by_label("the picture is a face already").check()
    page.locator("input[type=file]").first.set_input_files(saved(tmp_path / "a.png", face()))
    label, found = prediction_on(page)
    [expected] = faces.probabilities([faces.prepare(np.asarray(face()))])
    assert [found[name] for name in faces.classes] == pytest.approx(expected, abs=1e-5)
    assert label == faces.classes[int(expected.argmax())]
    page.wait_for_function("() => [...document.images].filter(image => image.naturalWidth > 700).length === 2")
    assert "does not detect what anybody feels" in page.inner_text(".about")


def test_reads_a_webcam_photo(page):
    """Chromium's is a green clock, without a face."""
    page.get_by_label("Capture from camera").first.click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("() => document.querySelector('video')?.readyState === 4")  # before, no photo is taken
    page.get_by_label("capture photo").first.click()
    assert page.locator(".message .error").first.inner_text() == NO_FACE


def test_predicts_speech_and_refuses_a_damaged_clip(page, speech: ServedRun, tmp_path: Path):
    page.get_by_role("tab", name="speech_adafnn").last.click()
    page.locator("input[accept*=audio]").set_input_files(str(clip(tmp_path / "voice.wav")))
    _, found = prediction_on(page)
    [sample] = read_samples(tmp_path / "voice.wav", "audio")
    [expected] = speech.probabilities([speech.prepare(*sample.load())])
    assert [found[name] for name in speech.classes] == pytest.approx(expected, abs=1e-5)
    (tmp_path / "damaged.wav").write_bytes(b"RIFF")
    page.locator("button[aria-label=Clear] >> visible=true").click()
    page.locator("input[accept*=audio]").set_input_files(str(tmp_path / "damaged.wav"))
    assert page.inner_text(".message .error").startswith("damaged.wav: not a whole WAV file")


def test_refuses_an_upload_that_is_too_large(page, served: Served, tmp_path: Path):
    (tmp_path / "large.png").write_bytes(bytes(2 << 20))
    page.locator("input[type=file]").first.set_input_files(tmp_path / "large.png")
    assert "exceed the maximum allowed size of 1.0 Mb" in page.inner_text("[data-testid=toast-body]")
    sent = page.request.post(f"{served.url}gradio_api/upload", multipart={"files": tmp_path / "large.png"})
    assert sent.status == 413
    larger = {"name": "larger.png", "mimeType": "image/png", "buffer": bytes(3 << 20)}
    sent = page.request.post(f"{served.url}gradio_api/upload", multipart={"files": larger})
    assert (sent.status, sent.text()) == (413, "larger than allowed")
    assert not list(served.folder.rglob("large.png"))


@pytest.mark.parametrize("path", ["https://example.com/a.png", "/etc/passwd"])
def test_refuses_a_crafted_request_for_another_file(served: Served, page, path: str):
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [given, True], "fn_index": 0, "session_hash": "crafted"}
    sent = page.request.post(f"{served.url}gradio_api/queue/join", data=body)
    assert (sent.status, sent.text()) == (403, "names a file that was not uploaded")


def test_connects_to_nothing_and_leaves_no_file(served: Served):
    """The last test here: it stops the page."""
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    lines = served.errors.read_text().splitlines()
    reached = {line.removeprefix("reaches ") for line in lines if line.startswith("reaches ")}
    assert reached == {"127.0.0.1"}
    assert [line for line in lines if "Traceback" in line] == []
    assert list(served.folder.iterdir()) == []
