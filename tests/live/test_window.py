"""A window on a display, and one `UserError` without a display."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import ImageGrab

from stages.core.errors import UserError
from stages.live.window import Window

IMAGE = np.zeros((4, 6, 3), np.uint8)


@pytest.fixture
def tk(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Replace Tk: root and label are one, whose handlers are in `keys` and whose images are in `images`."""
    fake = Mock(keys={}, images=[])
    fake.bind = fake.protocol = fake.keys.__setitem__
    fake.configure = lambda image: fake.images.append(image)
    fake.winfo_screenwidth.return_value, fake.winfo_screenheight.return_value = 800, 600
    module = Mock(Tk=lambda: fake, PhotoImage=lambda data, format: data, Label=lambda root, borderwidth: fake)
    monkeypatch.setitem(sys.modules, "tkinter", module)
    return fake


def test_no_display(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"no window .*--headless") as error:
        Window("a", paced=False)
    assert "\n" not in str(error.value)


def test_python_without_tk(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(UserError, match=r"no window .*tkinter.*python3-tk"):
        Window("a", paced=False)


@pytest.mark.parametrize("key", ["q", "WM_DELETE_WINDOW"])
def test_shows_frames_until_it_is_closed(tk: Mock, key: str):
    window = Window("a", paced=False)
    assert window.show(0.0, IMAGE)
    assert tk.images == [b"P6\n6 4\n255\n" + bytes(72)]
    tk.keys[key](*([None] if key == "q" else []))
    assert not window.show(0.1, IMAGE)
    assert len(tk.images) == 1
    window.close()
    tk.destroy.assert_called_once()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a virtual screen of 800x600 px."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as stream:
        display = f":{stream.readline().strip()}"
    monkeypatch.setenv("DISPLAY", display)
    yield display
    server.terminate()
    server.wait(10)


def test_real_window_scales_large_frames_down(screen: str):
    window = Window("a", paced=False)
    image = np.zeros((1200, 1200, 3), np.uint8)
    image[:600], image[600:] = (0, 0, 255), (255, 0, 0)  # red above blue, in BGR
    assert window.show(0.0, image)
    pixels = np.asarray(ImageGrab.grab(xdisplay=screen).convert("RGB")).reshape(-1, 3)
    red, blue = ((pixels == color).all(axis=1).sum() for color in ((255, 0, 0), (0, 0, 255)))
    assert (red, blue) == pytest.approx((540 * 270, 540 * 270), rel=0.02)
    window._root.focus_force()
    window._root.event_generate("<q>")
    window._root.update()
    assert not window.show(0.1, image)
    window.close()


def test_q_closes_the_window_while_a_frame_waits_for_its_time(tk: Mock, monkeypatch: pytest.MonkeyPatch):
    window, start_s = Window("a", paced=True), time.monotonic()
    window.show(0.0, IMAGE)
    monkeypatch.setattr(tk, "update", lambda: tk.keys["q"](None))
    assert not window.show(30.0, IMAGE)
    assert time.monotonic() - start_s < 5
