"""What the C library does with memory that was let go of."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""From malloc.h of the GNU C library; mallopt(3)."""

_KEPT_BYTES = 16 * 1024 * 1024
_FROM_THE_HEAP_BYTES = 8 * 1024 * 1024


def keep_freed_memory() -> None:
    """Keeps up to 16 MiB for the next use, in one heap for all threads. To be called before any starts.

    A download goes through buffers of two mebibytes. The library hands each back to the kernel, which
    zeroes the pages anew for the next: half of the API's work for a download. Another C library
    than the GNU one does as it likes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, _FROM_THE_HEAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
