"""A real server over a tiny campaign, and a real browser to look at it with."""

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dashboard.player_source import player_script
from eval.ingest import match_source, store_matches
from eval.ratings.campaign import Campaign, Checks, Pair, Viewing
from eval.ratings.joining import create_invites
from eval.ratings.store import StoredCampaign, create_campaign, get_campaign, stored_clips
from eval.records import Case, Speaker, Suite
from eval.store.workspace import Workspace
from joystreamer.media import write_clip

ROOT = Path(__file__).resolve().parent.parent.parent
SYSTEMS = ("zebrafinch", "yakthorn")
"""Names that occur nowhere else, so that a leak of them can be found by search."""
CASES = ("quokka1", "quokka2", "quokka3")
PROMPT = "She smiles <script>window.hacked = true</script> & waves"
CELL = 12
BITS = 8


def write_counted_clip(path: Path, *, seconds: float, seed: int, rate: int = 25) -> None:
    """A clip that tells each frame's number in a row of black and white cells, with a tone."""
    frames = []
    for number in range(round(seconds * rate)):
        frame = np.full((72, 128, 3), 90 + 20 * seed, np.uint8)
        for bit in range(BITS):
            frame[0:CELL, bit * CELL : (bit + 1) * CELL] = 255 if number >> bit & 1 else 0
        x = (3 * number) % 100
        frame[40:60, x : x + 20] = (220, 120 + 40 * seed, 60)
        frames.append(frame)
    clock = np.arange(round(seconds * 16_000)) / 16_000
    tone = (0.2 * np.sin(2 * np.pi * (300 + 80 * seed) * clock)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, frames, rate, audio=tone, sample_rate=16_000)


PLAIN = Campaign(
    name="marmot",
    suite="wombat",
    cases=CASES,
    pairs=(Pair(first=SYSTEMS[0], second=SYSTEMS[1]),),
    raters=20,
    per_case=20,
    checks=Checks(nulls=0, repeat_share=0.0),
    viewing=Viewing(min_seen=0.3, min_heard=0.1, modes=("side", "wipe", "flip")),
    simulated=True,
    window=1,
    contact="ask@example.org",
)


def fill_workspace(
    root: Path, folder: Path, *, seconds: float = 2.0, rates: tuple[int, int] = (25, 25),
    clips: Path | None = None, **changes: Any,
) -> StoredCampaign:  # fmt: skip
    """A workspace with a suite, clips of two systems and one campaign."""
    workspace = Workspace(root)
    campaign = dataclasses.replace(PLAIN, **changes)
    for index, system in enumerate(SYSTEMS if clips is None else ()):
        for case in CASES:
            target = folder / "clips" / system / f"{case}.mp4"
            write_counted_clip(target, seconds=seconds, seed=index, rate=rates[index])
    write_clip_sound(folder / "voice.mp4")
    image = folder / "face.png"
    Image.new("RGB", (96, 128), (180, 120, 90)).save(image)
    suite = Suite(
        name="wombat", version="1", asks="testing",
        cases=tuple(
            Case(id=case, prompt=PROMPT, image=image, speakers=(Speaker(audio=folder / "voice.mp4"),))
            for case in campaign.cases
        ),
    )  # fmt: skip
    list(
        store_matches(workspace, match_source(clips or folder / "clips", suite=suite), suite=suite)
    )
    with workspace.database.read() as connection:
        table = stored_clips(connection, campaign.suite)
    stored = create_campaign(workspace.database, campaign, clip_table=table, now=time.time())
    workspace.database.close()
    return stored


def write_clip_sound(path: Path) -> None:
    write_counted_clip(path, seconds=0.4, seed=0)


class Server:
    """`python -m dashboard serve` as its own process."""

    def __init__(self, root: Path, log: Path, options: tuple[str, ...] = ()) -> None:
        self.root, self.log, self.options = root, log, options
        self.folder = ROOT
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start; return the seconds until it answers."""
        begun = time.monotonic()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashboard", "serve", "--workspace", str(self.root),
                 "--port", str(self.port), *self.options],
                cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError(self.text())
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return time.monotonic() - begun
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.text()}")

    def kill(self) -> None:
        """Kill it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def text(self) -> str:
        """All it has said."""
        return self.log.read_text(errors="replace")

    def invite(self, name: str = "marmot") -> str:
        """A fresh invitation's path."""
        with Workspace(self.root) as workspace:
            stored = get_campaign(workspace.database, name)
            (made,) = create_invites(workspace.database, stored, ["somebody"], now=time.time())
        return f"/join/{made.token}"

    def operator_secret(self) -> str:
        """What the operator signs in with."""
        return (self.root / "operator.secret").read_text().strip()


@pytest.fixture(scope="session", name="fill_workspace")
def _fill_workspace() -> Callable[..., StoredCampaign]:
    return fill_workspace


@pytest.fixture(scope="session")
def server_type() -> type[Server]:
    """For tests that start a server in their own way."""
    return Server


@pytest.fixture(scope="session")
def player_module() -> str:
    """The rating page's script as browsers get it."""
    return player_script("rate.js")


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Fill a workspace, serve it, end it."""
    running: list[Server] = []

    def start(**changes: Any) -> Server:
        root = tmp_path / f"workspace{len(running)}"
        fill_workspace(root, tmp_path / f"media{len(running)}", **changes)
        server = Server(root, tmp_path / f"server{len(running)}.log")
        running.append(server)
        server.start()
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for tests that only need a seat of their own."""
    folder = tmp_path_factory.mktemp("served")
    fill_workspace(folder / "workspace", folder / "media")
    running = Server(folder / "workspace", folder / "server.log")
    running.start()
    yield running
    running.stop()


class Rater:
    """One annotator in a browser of their own."""

    def __init__(
        self, browser: Any, server: Server, *, invite: str | None = None, **options: Any
    ) -> None:
        self.server = server
        self.context = browser.new_context(viewport={"width": 1280, "height": 720}, **options)
        self.context.set_default_timeout(120_000)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"pageerror: {error}"))
        self.page.goto(server.url + (invite or server.invite()))
        self.page.get_by_role("button", name="Start").click()

    def ready(self) -> None:
        """Wait until a pair is shown and both clips can play."""
        self.page.locator(".rating .stage video").nth(1).wait_for()
        self.page.wait_for_function(
            """() => { const r = globalThis[Symbol.for('joystreamer.rating')];
            return r?.stage?.pair && ['left','right'].every(s => r.stage.pair.videos[s].readyState >= 3); }"""
        )

    def state(self, expression: str) -> Any:
        """Evaluate JavaScript with `r` for the living page."""
        return self.page.evaluate(
            f"() => {{ const r = globalThis[Symbol.for('joystreamer.rating')]; return {expression}; }}"
        )

    def until(self, expression: str, timeout: float = 120_000) -> None:
        """Wait until JavaScript with `r` for the living page is true."""
        self.page.wait_for_function(
            f"() => {{ const r = globalThis[Symbol.for('joystreamer.rating')]; return {expression}; }}",
            timeout=timeout,
        )

    def watch(self) -> None:
        """Play until the gate opens, hearing both sides."""
        self.page.keyboard.press("Space")
        for side, key in (("left", "a"), ("right", "d")):
            self.page.keyboard.press(key)
            self.until(f"r.stage.pair.heard.{side}.share() >= r.campaign.min_heard")
        self.until("['left','right'].every(s => r.stage.missing(s).length === 0)")

    def answer(self, digits: str = "12312") -> None:
        """Answer the rows by keys."""
        for digit in digits:
            self.page.keyboard.press(digit)

    def submit(self) -> None:
        """Submit and wait until the server has said that it is saved."""
        before = self.state("r.state.done")
        self.page.keyboard.press("Enter")
        self.until(f"r.state.done > {before} && !r.busy")

    def rate(self, digits: str = "12312") -> None:
        """One whole pair."""
        self.ready()
        self.watch()
        self.answer(digits)
        self.submit()

    def close(self) -> None:
        """Close the browser."""
        self.context.close()


@pytest.fixture
def join(browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Rater]]:
    """Open a browser as a new annotator."""
    opened: list[Rater] = []

    def enter(at: Server | None = None, **options: Any) -> Rater:
        rater = Rater(browser, at or request.getfixturevalue("server"), **options)
        opened.append(rater)
        return rater

    yield enter
    for rater in opened:
        rater.close()


def plain_errors(said: list[str]) -> list[str]:
    """Console lines that are errors of ours."""
    return [line for line in said if re.match(r"(error|pageerror)", line)]
