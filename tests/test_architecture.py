"""ARCHITECTURE.md is true to the tree."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
IN_A_WORKSPACE = {"media/", "proxies/", "posters/", "series/", "reports/"}


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return listed.splitlines()


def test_every_package_is_named():
    packages = {Path(name).parent.as_posix() for name in tracked() if name.endswith("__init__.py")}
    missing = sorted(name for name in packages if f"{name}/" not in PAGE)
    assert not missing, f"ARCHITECTURE.md does not say what these are for: {missing}"


def test_every_place_that_is_named_is_there():
    named = set(re.findall(r"`([a-z_./0-9-]*/[a-z_./0-9-]*)`", PAGE)) - IN_A_WORKSPACE
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert named
    assert not missing, missing


def test_files_named_beside_a_folder_are_below_it():
    names = {Path(name).name for name in tracked()}
    named = set(re.findall(r"`([a-z_0-9]+\.py)`", PAGE))
    assert named <= names, named - names
