"""Settings of the C library's memory allocator."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # constants in glibc's malloc.h


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step instead of returning it to the system page by page.

    Returning it costs a small network on a CPU a quarter of its time, and threads wait for each other. Blocks of 16 MiB
    and more (batches of large images) are still returned, because glibc cannot reuse aligned blocks of that size and
    memory would grow. Other C libraries are not changed.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 16 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 512 << 20)
