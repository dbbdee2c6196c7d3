"""Memory that the C library keeps after it was freed. Where that is not glibc, nothing is done."""

import ctypes
import os
from functools import cache
from typing import Any


def release_memory() -> None:
    """Give free memory back to the system; to be called after something large was let go."""
    trim = getattr(c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def c_library() -> Any:
    """Return the C library of this process; None where there is none to ask."""
    return ctypes.CDLL(None) if os.name == "posix" else None
