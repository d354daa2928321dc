"""What the C library does with memory that is freed."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Work that frees what its next step needs: glibc would hand it back to the system and fetch it anew, page by page.

    On a CPU that costs a small network a quarter of its time, and threads wait for each other. Blocks of 16 MiB and
    more, whole batches of large images, do go back: glibc keeps them but cannot use aligned ones again, so that memory
    would grow. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 16 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 512 << 20)
