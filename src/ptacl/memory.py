"""Keep the memory that one training step, or one prepared record, frees for the next one."""

import ctypes
import sys

# M_MMAP_MAX and M_TRIM_THRESHOLD of mallopt(3)
_SETTINGS = ((-4, 0), (-1, 2**31 - 1))


def keep() -> bool:
    """Tell glibc not to return large blocks to the system, and return whether this succeeded.

    A step frees the tensors that it allocated, which have tens of megabytes. By default glibc
    maps each of them anew, and the first access to its pages costs more than filling them: a
    tenth of the time of a contrastive step at the sizes of the demonstration, and a fifth of the
    preparation of an ECG.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(ctypes.c_int(what), ctypes.c_int(value)) == 1 for what, value in _SETTINGS
    )
