"""How the rating server and its player hold up: many writers at once, 200 clips, 100 pairs, 30 s of looping.

    python -m benchmarks.performance.ratings [--database URL] [--part writers|clips|sync]

The server is asked over HTTP and by a real Chromium, as annotators do; see `rating_campaign`.
"""

import contextlib
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.performance.dated_report import table, write_report
from benchmarks.performance.rating_campaign import (
    UNWATCHED,
    Annotator,
    audit_line,
    fill,
    invitations,
    prepare,
    quantiles,
)
from benchmarks.performance.served_dashboard import Server, serving
from eval.ratings.campaign import Viewing

PACKAGES = ("streamlit", "starlette", "uvicorn", "sqlalchemy", "playwright")
WRITERS = 50
LOOPING_S = 30.0
PAIRS = 100
WATCHED_WHOLE = Viewing(min_seen=0.9, min_heard=0.0)


def write_together(server: Server, invites: Sequence[str], *, think_s: float) -> list[float]:
    """Let all annotators work at once; return the milliseconds of every vote."""
    latencies: list[list[float]] = [[] for _ in invites]
    gate = threading.Barrier(len(invites))

    def work(place: int) -> None:
        with contextlib.closing(Annotator(server, invites[place])) as annotator:
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
