"""Settings, servers and small real inputs shared by every test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from joystreamer.media import write_clip
from tests.postgres_server import PostgresServer, find_programs

# How long one example takes says more about the machine than about the code. The test command tries
# the same examples every time, so that it answers for the change at hand; `make explore` looks for
# new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ROOT = Path(__file__).resolve().parent.parent

MISSING: dict[str, str] = {}
"""What could not run and why, listed at the end."""


def _skip(what: str, why: str) -> None:
    MISSING[what] = why
    pytest.skip(f"{what}: {why}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips, images and speech that are too large, or not ours, to ship."""
    given = os.environ.get("JOYSTREAMER_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not (folder / "manifest.json").is_file():
        _skip("real media", f"no manifest.json in {folder}; set JOYSTREAMER_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium that tests may drive."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    _skip("browser", "no Chromium on the path; 'make system' installs one")
    raise AssertionError


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Playwright's driver; one per process, because a second one finds the first one's event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(chromium: str, driver: Any) -> Iterator[Any]:
    """A Chromium without a window that may play sound at once."""
    flags = (
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
        "--mute-audio", "--enable-precise-memory-info",
    )  # fmt: skip
    running = driver.chromium.launch(executable_path=chromium, headless=True, args=list(flags))
    yield running
    running.close()


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own on a socket in a temporary folder."""
    programs = find_programs()
    if programs is None:
        _skip("postgres", "no PostgreSQL server programs; 'make system' installs them")
        return
    server = PostgresServer(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(own_postgres: PostgresServer) -> Iterator[str]:
    """URL of a fresh PostgreSQL database."""
    url = own_postgres.create()
    yield url
    own_postgres.drop(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a fresh database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.db'}"
    return str(request.getfixturevalue("postgres_url"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with a table of what did not run and why; fail where it was required to."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        why = (
            str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        )
        why = why.removeprefix("Skipped: ")
        reasons[why] = reasons.get(why, 0) + 1
    if reasons:
        terminalreporter.section("did not run")
        for why, count in sorted(reasons.items()):
            terminalreporter.write_line(f"  {count:4d} tests   {why}")
    else:
        terminalreporter.section("did not run")
        terminalreporter.write_line("  nothing: every selected test ran")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a missing browser or server into a failure where `JOYSTREAMER_REQUIRE` names it."""
    if hasattr(session.config, "workerinput"):
        return
    required = os.environ.get("JOYSTREAMER_REQUIRE", "").split()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = (
        " ".join(str(report.longrepr) for report in reporter.stats.get("skipped", []))
        if reporter
        else ""
    )
    for what in required:
        if f"{what}: no " in skipped:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            if reporter:
                reporter.write_line(
                    f"error: tests that need {what} did not run, and they are required here"
                )


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """Write a real little clip: a bright square wanders over a dark ground, a tone sounds."""

    def make(
        path: Path, *, seconds: float = 0.6, rate: int = 25, size: tuple[int, int] = (64, 64), tone: float | None = 440.0,
        seed: int = 0,
    ) -> Path:  # fmt: skip
        width, height = size
        frames = []
        for number in range(round(seconds * rate)):
            frame = np.full((height, width, 3), 40 + seed, dtype=np.uint8)
            left = (2 * number + 5 * seed) % (width - 16)
            frame[height // 4 : height // 4 + 16, left : left + 16] = (230, 180, 90)
            frames.append(frame)
        clock = np.arange(round(seconds * 16_000)) / 16_000
        sound = (
            None if tone is None else (0.3 * np.sin(2 * np.pi * tone * clock)).astype(np.float32)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, frames, rate, audio=sound, sample_rate=16_000)
        return path

    return make
