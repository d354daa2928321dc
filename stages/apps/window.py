"""A window for moving pictures, by Tk: OpenCV's build for servers, which the project uses, has none."""

import time

import cv2
import numpy as np

from stages.core.errors import UserError

LISTENS_S = 0.02  # between two looks for keys, while a frame waits for its time
SCREEN = 0.9  # of its sides that a frame may fill: there are bars and borders, too


class Window:
    """Closed by `q`, or as any window is; larger frames are shown as large as the screen allows.

    `paced`: a frame is shown when its time has come, as a clip is played.
    """

    def __init__(self, title: str, paced: bool) -> None:
        try:
            import tkinter  # not in every Python: Debian has it as python3-tk

            self._root = tkinter.Tk()
            self._image = tkinter.PhotoImage
        except Exception as error:  # ImportError, or Tk's own of a display that is not there
            said = " ".join(str(error).split())[:100]
            said += "; Debian and Ubuntu have Tk as python3-tk" if isinstance(error, ImportError) else ""
            options = "--headless with --output, --csv or --plot"
            raise UserError(f"no window can be opened here ({said}); use {options}") from None
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._quit)
        self._root.bind("q", lambda _: self._quit())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._room = SCREEN * self._root.winfo_screenwidth(), SCREEN * self._root.winfo_screenheight()
        self._paced, self._start_s, self._open = paced, None, True

    def show(self, time_s: float, image: np.ndarray) -> bool:
        """(height, width, 3) BGR; no copy of it is kept. False once the window is closed."""
        now_s = time.monotonic()
        self._start_s = now_s - time_s if self._start_s is None else self._start_s
        if self._paced:
            self._wait_until(self._start_s + time_s)
        _, encoded = cv2.imencode(".ppm", self._fitting(image))
        if self._open:
            self._shown = self._image(data=encoded.tobytes(), format="PPM")  # Tk keeps no reference of its own
            self._label.configure(image=self._shown)
            self._root.update()
        return self._open

    def _wait_until(self, then_s: float) -> None:
        """Listening: frames of a slow clip may be seconds apart."""
        while self._open and (left_s := then_s - time.monotonic()) > 0:
            time.sleep(min(left_s, LISTENS_S))
            self._root.update()

    def _fitting(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        factor = min(self._room[0] / width, self._room[1] / height)
        if factor >= 1:
            return image
        return cv2.resize(
            image, (max(1, int(width * factor)), max(1, int(height * factor))), interpolation=cv2.INTER_AREA
        )

    def close(self) -> None:
        self._root.destroy()

    def _quit(self) -> None:
        self._open = False
