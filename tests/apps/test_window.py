"""A window where there is a display, one line where there is none."""

import builtins
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ImageGrab

from stages.apps.window import Window
from stages.core.errors import UserError

IMAGE = np.zeros((4, 6, 3), np.uint8)


class FakeTk:
    """What the window asks of Tk; its keys are pressed by the test."""

    def __init__(self) -> None:
        self.keys, self.shown, self.destroyed = {}, [], False

    def bind(self, key: str, action) -> None:
        self.keys[key] = action

    def protocol(self, name: str, action) -> None:
        self.keys[name] = action

    def title(self, text: str) -> None: ...

    def update(self) -> None: ...

    def winfo_screenwidth(self) -> int:
        return 800

    def winfo_screenheight(self) -> int:
        return 600

    def pack(self) -> None: ...

    def configure(self, image) -> None:
        self.shown.append(image)

    def destroy(self) -> None:
        self.destroyed = True


@pytest.fixture
def tk(monkeypatch: pytest.MonkeyPatch) -> FakeTk:
    fake = FakeTk()
    module = SimpleNamespace(
        Tk=lambda: fake, PhotoImage=lambda data, format: data, Label=lambda root, borderwidth: fake
    )
    monkeypatch.setitem(sys.modules, "tkinter", module)
    return fake


def test_no_display(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"no window can be opened here .*; use --headless with --output") as error:
        Window("a", paced=False)
    assert "\n" not in str(error.value)


def test_python_without_tk(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name, *arguments):
        if name == "tkinter":
            raise ImportError("No module named '_tkinter'")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"no window can be opened here .*_tkinter.*python3-tk"):
        Window("a", paced=False)


@pytest.mark.parametrize("key", ["q", "WM_DELETE_WINDOW"])
def test_shows_frames_until_it_is_closed(tk: FakeTk, key: str):
    window = Window("a", paced=False)
    assert window.show(0.0, IMAGE)
    assert tk.shown == [b"P6\n6 4\n255\n" + bytes(72)]
    tk.keys[key](*([None] if key == "q" else []))
    assert not window.show(0.1, IMAGE)
    assert len(tk.shown) == 1
    window.close()
    assert tk.destroyed


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real one of 800x600 px, in memory."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb to show a real window on")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        display = f":{told.readline().strip()}"
    monkeypatch.setenv("DISPLAY", display)
    yield display
    server.terminate()
    server.wait(10)


def test_a_real_window(screen: str):
    """Of frames larger than its screen, closed by the key."""
    window = Window("a", paced=False)
    image = np.zeros((1200, 1200, 3), np.uint8)
    image[:600], image[600:] = (0, 0, 255), (255, 0, 0)  # red above blue, in BGR
    assert window.show(0.0, image)
    seen = np.asarray(ImageGrab.grab(xdisplay=screen).convert("RGB")).reshape(-1, 3)
    red, blue = ((seen == color).all(axis=1).sum() for color in ((255, 0, 0), (0, 0, 255)))
    assert (red, blue) == pytest.approx((540 * 270, 540 * 270), rel=0.02)
    window._root.focus_force()
    window._root.event_generate("<q>")
    window._root.update()
    assert not window.show(0.1, image)
    window.close()


def test_q_is_heard_while_a_frame_waits_for_its_time(tk: FakeTk, monkeypatch: pytest.MonkeyPatch):
    window, begin = Window("a", paced=True), time.monotonic()
    window.show(0.0, IMAGE)
    monkeypatch.setattr(tk, "update", lambda: tk.keys["q"](None))
    assert not window.show(30.0, IMAGE)
    assert time.monotonic() - begin < 5


def test_a_clip_is_played_at_its_own_pace(tk: FakeTk):
    window, begin = Window("a", paced=True), time.monotonic()
    for time_s in (0.0, 0.02, 0.15):
        window.show(time_s, IMAGE)
    assert 0.15 <= time.monotonic() - begin < 1
