"""What imports what, and what stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch",
    "transformers",
    "diffusers",
    "timm",
    "mediapipe",
    "syncnet_python",
    "accelerate",
    "streamlit",
)


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "module",
    [
        "joystreamer",
        "joystreamer.media",
        "eval.cli",
        "eval.catalog",
        "eval.store.scores",
        "eval.leaderboard",
        "eval.report",
        "eval.runner",
        "eval.ratings",
    ],
)
def test_records_statistics_and_commands_start_without_networks(module):
    assert loaded_by(module).isdisjoint(HEAVY)


def test_folders_import_only_downwards():
    command = str(Path(sys.executable).parent / "lint-imports")
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_package_below_tests_and_no_file_named_like_a_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    names = {path.stem for path in (ROOT / "dashboard").rglob("*.py")}
    assert names.isdisjoint({"eval", "benchmarks", "joystreamer", "streamlit", "pandas", "torch"})


def test_every_package_resolves_inside_the_checkout():
    for name in ("joystreamer", "eval", "benchmarks", "dashboard"):
        code = f"import {name}; print({name}.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert Path(done.stdout.strip()).is_relative_to(ROOT)
