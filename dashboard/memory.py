"""How the server takes memory from the system and gives it back.

Every visitor's page runs in a thread of its own, and what a page needs for a moment is ten times what is
remembered of it. Left to themselves, the C library and the tables' library keep what was once needed for
ever. Where the C library is not glibc, nothing is done. Knows no pages.
"""

from __future__ import annotations

import gc
import os
from functools import cache
from typing import Final

from joystreamer.native_memory import c_library

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of glibc's malloc.h."""

_POOLS: Final = 2
"""Pools that all threads share; otherwise each has its own."""

_LARGE: Final = 4 << 20
"""Bytes from which a piece is a mapping of its own, given back at once when it is freed; fixed, since the C
library otherwise raises it with every large piece that is freed."""

ENVIRONMENT: Final = {
    # Tables: not from a pool of their own, which gives nothing back.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # Products of matrices: small here, and threads of one page would only wait for those of another.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""What libraries read when they are loaded; values that are set already are left."""


def spare_memory() -> None:
    """Take memory sparingly from now on; to be called before tables and arrays are imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    setting = getattr(c_library(), "mallopt", None)
    if setting is not None:
        setting(_ARENA_MAX, _POOLS)
        setting(_MMAP_THRESHOLD, _LARGE)
        setting(_TRIM_THRESHOLD, _LARGE)


@cache
def keep_what_is_loaded() -> None:
    """Leave what is in memory now out of every later search for garbage; only the first call acts.

    Pages are followed by a full search (otherwise memory grows), during which nothing is sent to the
    visitor. Nearly all of what is searched are modules, which never become garbage.
    """
    gc.collect()
    gc.freeze()
