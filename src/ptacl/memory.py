"""Memory that a step of a training, or a record of a preparation, gives back is kept for the next one."""

import ctypes
import sys

# M_MMAP_MAX and M_TRIM_THRESHOLD of mallopt(3)
_SETTINGS = ((-4, 0), (-1, 2**31 - 1))


def keep() -> bool:
    """Tell glibc not to return large blocks to the system; whether it could be told.

    A step frees what it allocated, tensors of tens of megabytes. By default each is mapped anew, and the first touch of its pages
    costs more than filling them: a tenth of a contrastive step at the demonstration's sizes, a fifth of an ECG's preparation.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(ctypes.c_int(what), ctypes.c_int(value)) == 1 for what, value in _SETTINGS)
