"""Memory settings: read by the libraries that they are for, and left where somebody set others."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

SCRIPT = """
from dashboard.memory import release_memory, spare_memory

spare_memory()
import pyarrow

release_memory()
import os

print(pyarrow.default_memory_pool().backend_name, os.environ["OMP_NUM_THREADS"])
"""


def said(**given: str) -> str:
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ARROW_DEFAULT_MEMORY_POOL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**plain, **given, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_tables_take_memory_from_the_system_and_products_one_thread():
    assert said() == "system 1"


def test_settings_of_whoever_starts_the_server_are_left():
    assert said(OMP_NUM_THREADS="2") == "system 2"
