"""Memory settings: read by the libraries that they are for, and left where somebody set others."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

SCRIPT = """
from dashboard.memory import spare_memory
from joystreamer.native_memory import release_memory

spare_memory()
import pyarrow

release_memory()
import os

print(pyarrow.default_memory_pool().backend_name, os.environ["OMP_NUM_THREADS"])
"""


FROZEN = """
import gc
import pandas
from dashboard.memory import keep_what_is_loaded

keep_what_is_loaded()
kept = gc.get_freeze_count()
later = [[] for _ in range(1000)]
keep_what_is_loaded()
print(kept > 20_000, gc.get_freeze_count() == kept, len(gc.get_objects()) < kept / 10)
"""


def said(script: str = SCRIPT, **given: str) -> str:
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ARROW_DEFAULT_MEMORY_POOL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env={**plain, **given, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_tables_take_memory_from_the_system_and_products_one_thread():
    assert said() == "system 1"


def test_settings_of_whoever_starts_the_server_are_left():
    assert said(OMP_NUM_THREADS="2") == "system 2"


def test_what_is_loaded_is_searched_for_garbage_no_more_and_what_comes_later_is():
    assert said(FROZEN) == "True True True"
