"""Has the C library give back the memory of whole pages of a list, instead of keeping it for a next time."""

import ctypes
from typing import Final

# mallopt(3). Left alone, glibc takes each thread's large blocks from a heap of that thread's own and, once one was
# freed, no block under 32 MB from the system directly: after a list of 5 MB pages in three threads tens of MB stay.
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 256 * 1024


def return_large_blocks() -> bool:
    """Call before threads start. False where the C library is not glibc (musl, macOS), which need nothing of it."""
    try:
        library = ctypes.CDLL(None)
        mallopt, _ = library.mallopt, library.gnu_get_libc_version
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_ARENA_MAX, 1))
