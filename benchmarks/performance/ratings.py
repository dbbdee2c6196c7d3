"""How the rating server and its player hold up: many writers at once, 200 clips, 100 pairs, 30 s of looping.

    python -m benchmarks.performance.ratings [--database URL] [--part writers|clips|sync]

The server runs as `python -m dashboard serve` on workspaces made for the bench; it is asked over HTTP and
by a real Chromium, as annotators do. All votes are marked simulated and thrown away with the workspace.
The file is long because server, annotators and browser are all its own: benches may not import the
dashboard.
"""

import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.performance.dated_report import table, write_report
from eval.checkout import ROOT
from eval.ingest import match_source, store_matches
from eval.ratings.audit import audit_campaign
from eval.ratings.campaign import Campaign, Checks, Pair, Viewing
from eval.ratings.joining import create_invites
from eval.ratings.store import campaign_entries, create_campaign, get_campaign, stored_clips
from eval.records import DIMENSIONS, Case, Suite
from eval.store.workspace import Workspace
from joystreamer.media import write_clip

PACKAGES = ("streamlit", "starlette", "uvicorn", "sqlalchemy", "playwright")
WRITERS = 50
LOOPING_S = 30.0
SYSTEMS = ("first", "second")
PAIRS = 100
UNWATCHED = Viewing(min_seen=0.0, min_heard=0.0)
WATCHED_WHOLE = Viewing(min_seen=0.9, min_heard=0.0)


def make_clip(path: Path, *, seconds: float, seed: int, size: tuple[int, int]) -> None:
    """Write a clip of a drifting square and a tone."""
    width, height = size
    frames = []
    for number in range(round(seconds * 25)):
        frame = np.full((height, width, 3), 60 + 3 * (seed % 50), np.uint8)
        left = (4 * number + 7 * seed) % (width - 40)
        frame[height // 3 : height // 3 + 40, left : left + 40] = (230, 180, 90)
        frames.append(frame)
    clock = np.arange(round(seconds * 16_000)) / 16_000
    tone = (0.2 * np.sin(2 * np.pi * (250 + seed) * clock)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, frames, 25, audio=tone, sample_rate=16_000)


def fill(
    root: Path, database: str | None, *, cases: int, seconds: float, size: tuple[int, int],
    campaigns: Sequence[dict[str, Any]],
) -> None:  # fmt: skip
    """Make a workspace with clips of two systems and some campaigns on its first cases."""
    names = [f"case{number:03d}" for number in range(cases)]
    with tempfile.TemporaryDirectory() as folder, Workspace(root, database) as workspace:
        for index, system in enumerate(SYSTEMS):
            for number, name in enumerate(names):
                path = Path(folder) / system / f"{name}.mp4"
                make_clip(path, seconds=seconds, seed=2 * number + index, size=size)
        suite = Suite(
            name="bench",
            version="1",
            asks="speed",
            cases=tuple(Case(id=n, prompt="A square drifts.") for n in names),
        )
        list(store_matches(workspace, match_source(Path(folder), suite=suite), suite=suite))
        with workspace.database.read() as connection:
            clips = stored_clips(connection, "bench")
        for options in campaigns:
            wanted = options.pop("cases")
            campaign = Campaign(
                suite="bench", cases=tuple(names[:wanted]), simulated=True,
                pairs=(Pair(first=SYSTEMS[0], second=SYSTEMS[1]),), window=0,
                checks=Checks(nulls=0, repeat_share=0.0), **options,
            )  # fmt: skip
            create_campaign(workspace.database, campaign, clip_table=clips, now=time.time())


class Server(NamedTuple):
    """A running dashboard."""

    process: subprocess.Popen[bytes]
    port: int
    start_s: float

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def resident_mb(self) -> float:
        """Memory it holds now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(text.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def serving(root: Path, database: str | None) -> Iterator[Server]:
    """Serve a workspace until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "dashboard", "serve", "-w", str(root), "--port", str(port)]
    command += ["--database", database] if database else []
    begun = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            time.sleep(0.05)
        yield Server(process, port, time.monotonic() - begun)
    finally:
        process.terminate()
        process.wait(20)


def prepare(root: Path, database: str | None, name: str) -> None:
    """Make a campaign's blind clips in a process of their own."""
    command = [sys.executable, "-m", "dashboard", "prepare", name, "-w", str(root)]
    command += ["--database", database] if database else []
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def invitations(root: Path, database: str | None, name: str, count: int) -> list[str]:
    """Paths of fresh invitations."""
    with Workspace(root, database) as workspace:
        stored = get_campaign(workspace.database, name)
        made = create_invites(workspace.database, stored, ["bench"] * count, now=time.time())
    return [f"/join/{each.token}" for each in made]


class Annotator:
    """One annotator over a connection of their own."""

    def __init__(self, server: Server, invitation: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self._headers = {"origin": server.url, "content-type": "application/json"}
        status, headers, _ = self._ask("POST", invitation, b"")
        if status != 303:
            raise RuntimeError(f"the invitation was answered by {status}")
        self._headers["cookie"] = headers["set-cookie"].split(";")[0]

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, Any, bytes]:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()

    def post(self, path: str, data: object) -> dict[str, Any]:
        """Post JSON and return the answer."""
        status, _, body = self._ask("POST", path, json.dumps(data).encode())
        if status != 200:
            raise RuntimeError(f"{path} was answered by {status}: {body[:200]!r}")
        told: dict[str, Any] = json.loads(body)
        return told

    def rest(self, seconds: float) -> None:
        """Do nothing for a while; the server closes connections that stay silent."""
        if seconds:
            self._connection.close()  # the next request opens it again
            time.sleep(seconds)

    def get(self, path: str) -> int:
        """Fetch a file; return its length."""
        return len(self._ask("GET", path, b"")[2])

    def vote(self, pair: dict[str, Any]) -> float:
        """Answer a pair; return the milliseconds until it was saved."""
        ballot = {
            "assignment": pair["assignment"], "client_key": os.urandom(12).hex(), "action": "vote",
            "answers": {name: random.choice(("left", "same", "right")) for name in DIMENSIONS},
        }  # fmt: skip
        begun = time.perf_counter()
        told = self.post("/api/vote", ballot)
        elapsed = (time.perf_counter() - begun) * 1000
        if told["saved"] is not True:
            raise RuntimeError("a vote was not saved")
        return elapsed


def write_together(server: Server, invites: Sequence[str], *, think_s: float) -> list[float]:
    """Let all annotators work at once; return the milliseconds of every vote."""
    latencies: list[list[float]] = [[] for _ in invites]
    gate = threading.Barrier(len(invites))

    def work(place: int) -> None:
        annotator = Annotator(server, invites[place])
        lot = random.Random(place)
        gate.wait()
        while pairs := annotator.post("/api/work", {})["pairs"]:
            for pair in pairs:
                annotator.rest(lot.uniform(0.5, 1.5) * think_s)
                latencies[place].append(annotator.vote(pair))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(invites))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for some in latencies for each in some]


def audit_line(root: Path, database: str | None, name: str, expected: int) -> str:
    """Lost, doubled and findings of a campaign, in words."""
    with Workspace(root, database) as workspace:
        _, entries = campaign_entries(workspace.database, name)
        saved = [entry.payload()["assignment"] for entry in entries if entry.kind == "vote"]
        findings = len(audit_campaign(workspace.database, name).problems)
    return f"{expected - len(set(saved))} lost, {len(saved) - len(set(saved))} doubled, {findings} findings"


def writers_rows(kind: str, folder: Path, database: str | None) -> list[tuple[object, ...]]:
    """Fifty writers, as fast as they can and at four times a hurried human's pace."""
    root = folder / f"writers-{kind.lower()}"
    options = {"cases": 6, "raters": WRITERS, "per_case": WRITERS, "viewing": UNWATCHED}
    fill(root, database, cases=6, seconds=0.4, size=(128, 72), campaigns=[
        {"name": "paced", **options}, {"name": "rushed", **options},
    ])  # fmt: skip
    rows: list[tuple[object, ...]] = []
    prepare(root, database, "paced")
    with serving(root, database) as server:
        alone = Annotator(server, invitations(root, database, "paced", 1)[0])
        for name, think_s in (("paced", 5.0), ("rushed", 0.0)):
            count = WRITERS - 1 if name == "paced" else WRITERS
            invites = invitations(root, database, name, count)
            if name == "paced":
                single = [
                    alone.vote(pair)
                    for _ in range(6)
                    for pair in alone.post("/api/work", {})["pairs"][:1]
                ]
                rows.append((kind, "one writer", len(single), *quantiles(single), ""))
            told = write_together(server, invites, think_s=think_s)
            label = f"{len(invites)} writers, " + (
                f"a vote every {think_s:g} s each" if think_s else "without a pause"
            )
            rows.append(
                (
                    kind,
                    label,
                    len(told),
                    *quantiles(told),
                    audit_line(root, database, name, 6 * WRITERS),
                )
            )
    return rows


def quantiles(values: Sequence[float]) -> tuple[str, str, str]:
    """Median, 99th percentile and maximum as text."""
    return (
        f"{statistics.median(values):.1f}", f"{np.percentile(values, 99):.0f}", f"{max(values):.0f}",
    )  # fmt: skip


def clips_rows(server: Server, root: Path) -> list[tuple[object, ...]]:
    """One annotator fetches both clips of 100 pairs."""
    annotator = Annotator(server, invitations(root, None, "long", 1)[0])
    before = server.resident_mb()
    begun = time.perf_counter()
    served = size = 0
    while pairs := annotator.post("/api/work", {})["pairs"]:
        for pair in pairs:
            for side in ("left", "right"):
                size += annotator.get(pair[side]["url"])
                served += 1
            annotator.vote(pair)
    elapsed = time.perf_counter() - begun
    return [
        ("clips served", served),
        ("bytes of them", f"{size / 1e6:.1f} MB"),
        ("seconds, with all votes", f"{elapsed:.1f}"),
        ("server memory before", f"{before:.0f} MB"),
        ("server memory after", f"{server.resident_mb():.0f} MB"),
    ]


@contextlib.contextmanager
def rating_page(server: Server, invitation: str) -> Iterator[Any]:
    """A Chromium page in which an annotator has come in and the first pair can play."""
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(120_000)
        page.goto(server.url + invitation)
        page.get_by_role("button", name="Start").click()
        page.wait_for_function(f"() => {READY}")
        yield page
        browser.close()


LIVING = "globalThis[Symbol.for('joystreamer.rating')]"
PAIR = f"{LIVING}.stage.pair"
WATCHED = f"{PAIR}.offsets.length >= 10 && ['left','right'].every(s => {LIVING}.stage.missing(s).length === 0)"
PLAYED = (
    f"[{PAIR}.evidence().offset_p95_ms, "
    f"['left','right'].reduce((n, s) => n + {PAIR}.videos[s].getVideoPlaybackQuality().totalVideoFrames, 0)]"
)
READY = f"['left','right'].every(s => {LIVING}?.stage?.pair?.videos[s].readyState >= 3)"
SAMPLER = f"""
() => {{
  const {{ pair }} = {LIVING}.stage;
  const {{ left, right }} = pair.videos;
  globalThis.samples = [];
  const seenLeft = () => {{
    const since = performance.now() - pair.startedAt;
    if (pair.running && since > 700) samples.push([Math.abs(left.currentTime - right.currentTime) * 1000]);
    left.requestVideoFrameCallback(seenLeft);
  }};
  left.requestVideoFrameCallback(seenLeft);
}}
"""


def sync_rows(server: Server, root: Path, seconds: float) -> list[tuple[object, ...]]:
    """Offsets of the two players while they loop, from 0.7 s after each start."""
    with rating_page(server, invitations(root, None, "sync", 1)[0]) as page:
        page.evaluate(SAMPLER)
        page.keyboard.press("Space")
        page.wait_for_timeout(seconds * 1000)
        samples = np.array(page.evaluate("() => samples"))
        told = page.evaluate(
            f"() => [{LIVING}.stage.pair.jumps, {LIVING}.stage.pair.evidence().dropped_frames]"
        )
    names = ("media clocks, at each shown frame",)
    rows: list[tuple[object, ...]] = []
    for name, values in zip(names, samples.T, strict=True):
        p50, p95, most = np.percentile(values, [50, 95, 100])
        rows.append((name, len(values), f"{p50:.1f}", f"{p95:.1f}", f"{most:.1f}"))
    return [
        *rows,
        (f"hard corrections: {told[0]}, frames dropped by the browser: {told[1]}", "", "", "", ""),
    ]


def pairs_rows(server: Server, root: Path) -> list[tuple[object, ...]]:
    """Play and rate 100 pairs in one page; listeners, memory and offsets along the way."""
    rows: list[tuple[object, ...]] = []
    offsets: list[float] = []
    frames = 0
    with rating_page(server, invitations(root, None, "played", 1)[0]) as page:
        meter = page.context.new_cdp_session(page)
        meter.send("Performance.enable")
        for done in range(PAIRS):
            page.wait_for_function(f"() => {READY}")
            page.keyboard.press("Space")
            page.wait_for_function(f"() => {WATCHED}")
            offset, shown = page.evaluate(f"() => {PLAYED}")
            offsets.append(offset)
            frames += shown
            if done % 20 == 0 or done == PAIRS - 1:
                meter.send("HeapProfiler.collectGarbage")
                told = {
                    m["name"]: m["value"] for m in meter.send("Performance.getMetrics")["metrics"]
                }
                heap = f"{told['JSHeapUsedSize'] / 1e6:.1f}"
                typical = f"{statistics.median(offsets[-20:]):.1f}"
                listeners, nodes = int(told["JSEventListeners"]), int(told["Nodes"])
                rows.append((done + 1, frames, listeners, heap, nodes, typical))
            page.keyboard.type("12321")
            page.keyboard.press("Enter")
            page.wait_for_function(f"() => {LIVING}.state.done === {done + 1} && !{LIVING}.busy")
    return rows


def bench_writers(folder: Path, database: str | None) -> list[tuple[str, str]]:
    """Votes of many writers, on SQLite and, where a URL is given, on PostgreSQL."""
    rows = writers_rows("SQLite", folder, None)
    if database is not None:
        rows += writers_rows("PostgreSQL", folder, database)
    heads = ("store", "who", "votes", "median ms", "p99 ms", "max ms", "ledger")
    return [("Votes over HTTP until acknowledged", table(heads, rows))]


def bench_clips(folder: Path, _: str | None) -> list[tuple[str, str]]:
    """200 clips from one server, 100 pairs in one page."""
    root = folder / "long"
    whole = {"cases": PAIRS, "raters": 1, "per_case": 1}
    fill(root, None, cases=PAIRS, seconds=1.6, size=(320, 180), campaigns=[
        {"name": "long", "viewing": UNWATCHED, **whole},
        {"name": "played", "viewing": WATCHED_WHOLE, **whole},
    ])  # fmt: skip
    prepare(root, None, "long")
    with serving(root, None) as server:
        facts = [
            ("seconds from start to first answer", f"{server.start_s:.1f}"),
            *clips_rows(server, root),
        ]
        names = (
            "pairs played", "frames shown", "listeners", "script memory MB", "nodes",
            "p95 offset ms, median of the last 20 pairs",
        )  # fmt: skip
        pairs = table(names, pairs_rows(server, root))
        facts.append(
            ("server memory after 100 pairs in a browser", f"{server.resident_mb():.0f} MB")
        )
    return [
        ("200 clips", table(("what", "value"), facts)),
        ("100 pairs played and rated in one page", pairs),
    ]


def bench_sync(folder: Path, _: str | None) -> list[tuple[str, str]]:
    """Offsets of the two players."""
    root = folder / "sync"
    fill(root, None, cases=1, seconds=8.0, size=(640, 360), campaigns=[
        {"name": "sync", "cases": 1, "raters": 1, "per_case": 1, "viewing": UNWATCHED},
    ])  # fmt: skip
    prepare(root, None, "sync")
    with serving(root, None) as server:
        heads = ("offset", "frames", "median ms", "p95 ms", "max ms")
        text = table(heads, sync_rows(server, root, LOOPING_S))
    return [(f"Two players, {LOOPING_S:g} s of looping", text)]


PARTS = {"writers": bench_writers, "clips": bench_clips, "sync": bench_sync}


@click.command()
@click.option(
    "--database", envvar="JOYSTREAMER_BENCH_DATABASE", default=None,
    help="URL of an empty PostgreSQL database to bench as well.",
)  # fmt: skip
@click.option("--part", type=click.Choice(list(PARTS)), default=None, help="Only this part.")
def main(database: str | None, part: str | None) -> None:
    """Run and write a dated report."""
    sections: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        for each in [part] if part else list(PARTS):
            sections += PARTS[each](Path(name), database)
    report = f"ratings-{part}" if part else "ratings"
    click.echo(write_report(report, "Rating pages: figures", sections, PACKAGES))


if __name__ == "__main__":
    main()
