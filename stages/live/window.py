"""A window for video, made with Tk: the headless build of OpenCV has none."""

import time

import cv2
import numpy as np

from stages.core.errors import UserError

POLL_S = 0.02  # interval of key events while a frame waits for its time
SCREEN_SHARE = 0.9  # share of the screen that a frame may fill; bars and borders need the rest


class Window:
    """A window that `q` closes; frames larger than the screen are scaled down.

    `paced`: a frame is shown at its own time, as when a clip is played.
    """

    def __init__(self, title: str, paced: bool) -> None:
        try:
            import tkinter  # not in every Python: Debian has it as python3-tk

            self._root = tkinter.Tk()
            self._image = tkinter.PhotoImage
        except Exception as error:  # ImportError, or Tk's error for a missing display
            reason = " ".join(str(error).split())[:100]
            reason += "; Debian and Ubuntu have Tk as python3-tk" if isinstance(error, ImportError) else ""
            options = "--headless with --output, --csv or --plot"
            raise UserError(f"no window can be opened here ({reason}); use {options}") from None
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._quit)
        self._root.bind("q", lambda _: self._quit())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._room = SCREEN_SHARE * self._root.winfo_screenwidth(), SCREEN_SHARE * self._root.winfo_screenheight()
        self._paced, self._start_s, self._open = paced, None, True

    def show(self, time_s: float, image: np.ndarray) -> bool:
        """Show (height, width, 3) BGR. Return False once the window is closed."""
        now_s = time.monotonic()
        self._start_s = now_s - time_s if self._start_s is None else self._start_s
        # The frames of a slow clip may be seconds apart: meanwhile key events are handled.
        while self._paced and self._open and (left_s := self._start_s + time_s - time.monotonic()) > 0:
            time.sleep(min(left_s, POLL_S))
            self._root.update()
        _, encoded = cv2.imencode(".ppm", self._fitting(image))
        if self._open:
            self._shown = self._image(data=encoded.tobytes(), format="PPM")  # Tk keeps no reference
            self._label.configure(image=self._shown)
            self._root.update()
        return self._open

    def _fitting(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        factor = min(self._room[0] / width, self._room[1] / height)
        if factor >= 1:
            return image
        size = max(1, int(width * factor)), max(1, int(height * factor))
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def close(self) -> None:
        self._root.destroy()

    def _quit(self) -> None:
        self._open = False
