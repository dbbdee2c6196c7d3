"""Settings and small real inputs shared by every test."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips, images and speech that are too large, or not ours, to ship."""
    given = os.environ.get("JOYSTREAMER_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not (folder / "manifest.json").is_file():
        pytest.skip(f"real test media are missing: no manifest.json in {folder}; set JOYSTREAMER_DATA")
    return folder
