"""A process with memory to measure. It imports little, since each measurement starts a new interpreter."""

import os
import time

import numpy as np

HOLD_S = 0.8


def hold(size_bytes: int) -> None:
    """Hold memory together with a child process that shares all of it."""
    held = np.ones(size_bytes, np.uint8)
    if os.fork() == 0:
        assert held[-1]
        time.sleep(HOLD_S)
        os._exit(0)
    time.sleep(HOLD_S)
    os.wait()
