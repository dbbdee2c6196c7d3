"""Fifty annotators vote and ten leads read while `eval score` writes; on SQLite and on PostgreSQL.

    python -m benchmarks.performance.load [--seconds 300] [--database URL]

Annotators ask a running `python -m dashboard serve` over HTTP, each a vote every two seconds. Leads
read what their pages are made of (scores, leaderboard, table of votes) in a process of their own,
each once in five seconds. `python -m eval score --force` starts again as soon as it has ended.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from sqlalchemy import func, select

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
from eval.checkout import ROOT
from eval.leaderboard import build_board
from eval.measure import Metric
from eval.ratings.store import campaign_entries
from eval.ratings.vote_table import vote_table
from eval.store.schema import scores
from eval.store.scores import score_table
from eval.store.workspace import Workspace

PACKAGES: Final = ("streamlit", "starlette", "uvicorn", "sqlalchemy", "pandas")
ANNOTATORS: Final = 50
LEADS: Final = 10
VOTE_EVERY_S: Final = 2.0
READ_EVERY_S: Final = 5.0
DIFFERENT: Final = 6
"""Cases whose clips differ; a measured content is written once however many cases show it."""

CAMPAIGN: Final = "load"
MEASURES: Final = ("motion", "video")


class Read(NamedTuple):
    """What the leads' process tells: milliseconds of every reading, and its memory in MB."""

    latencies: list[float]
    before_mb: float
    after_mb: float


class Written(NamedTuple):
    """What all runs of `eval score` told: how many scores, milliseconds per run, codes, memory."""

    scores: int
    latencies: list[float]
    failed: int
    peaks_mb: list[float]


class Load(NamedTuple):
    """One store under load.

    Attributes:
        votes: Milliseconds from every vote to its acknowledgement.
        read: Of the leads.
        written: Of the scoring.
        server_mb: Memory of the server at the start, at half-time and at the end.
        ledger: Lost, doubled and findings of the campaign, in words.
        rows: Lost and doubled scores, in words.
    """

    votes: list[float]
    read: Read
    written: Written
    server_mb: tuple[float, float, float]
    ledger: str
    rows: str


def resident_mb(pid: str | int = "self") -> float:
    """Memory that a process holds now."""
    text = Path(f"/proc/{pid}/status").read_text()
    return float(text.split("VmRSS:")[1].split()[0]) / 1024


def read_as_leads(root: Path, database: str | None, leads: int, seconds: float) -> Read:
    """Let leads read for some seconds; every one builds board and votes from the store."""
    latencies: list[list[float]] = [[] for _ in range(leads)]
    problems: list[BaseException] = []
    until = time.monotonic() + seconds
    with Workspace(root, database) as workspace:
        _read_once(workspace)
        before = resident_mb()

        def work(place: int) -> None:
            time.sleep(READ_EVERY_S * place / leads)
            while time.monotonic() < until:
                begun = time.perf_counter()
                try:
                    _read_once(workspace)
                except Exception as problem:  # told to the bench, which then fails
                    problems.append(problem)
                    return
                took = time.perf_counter() - begun
                latencies[place].append(took * 1000)
                time.sleep(max(0.0, READ_EVERY_S - took))

        _in_threads(work, leads)
    if problems:
        raise problems[0]
    return Read([each for some in latencies for each in some], before, resident_mb())


def _read_once(workspace: Workspace) -> None:
    read = score_table(workspace)
    if not read.empty:
        facts = {
            name: Metric(name=name, unit="", better="higher", summary="")
            for name in read["metric"].unique()
        }
        build_board(read, facts, tags=())
    vote_table(campaign_entries(workspace.database, CAMPAIGN)[1])


def vote_together(
    server: Server, invites: Sequence[str], seconds: float, every_s: float
) -> list[float]:
    """Let all annotators vote in step with the clock; return milliseconds of every vote."""
    latencies: list[list[float]] = [[] for _ in invites]
    problems: list[BaseException] = []
    until = time.monotonic() + seconds

    def work(place: int) -> None:
        try:
            with closing(Annotator(server, invites[place])) as annotator:
                time.sleep(every_s * place / len(invites))
                while pairs := annotator.post("/api/work", {})["pairs"]:
                    begun = time.monotonic()
                    if begun >= until:
                        return
                    latencies[place].append(annotator.vote(pairs[0]))
                    annotator.rest(max(0.0, every_s - (time.monotonic() - begun)))
        except BaseException as problem:  # told to the bench, which then fails
            problems.append(problem)

    _in_threads(work, len(invites))
    if problems:
        raise problems[0]
    return [each for some in latencies for each in some]


def score_until(root: Path, database: str | None, until: float) -> Written:
    """Score everything again and again until a moment (`time.monotonic`), at least once."""
    command = [sys.executable, "-m", "eval", "score", "-w", str(root), "--force", "--json"]
    command += ["--device", "cpu"] + (["--database", database] if database else [])
    command += [part for name in MEASURES for part in ("--measure", name)]
    stored, failed = 0, 0
    latencies: list[float] = []
    peaks: list[float] = []
    while not latencies or time.monotonic() < until:
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        latencies.append((time.perf_counter() - begun) * 1000)
        if done.returncode:
            failed += 1
            continue
        told: dict[str, Any] = json.loads(done.stdout)
        stored += told["scores"]
        peaks.append(told["peak_mb"])
    return Written(stored, latencies, failed, peaks)


def scores_line(root: Path, database: str | None, written: int) -> str:
    """Lost and doubled scores, in words: generations of every score follow each other from 0."""
    group = (scores.c.content, scores.c.metric, scores.c.fingerprint)
    query = select(
        func.count(), func.count(scores.c.generation.distinct()), func.max(scores.c.generation)
    ).group_by(*group)
    with Workspace(root, database) as workspace, workspace.database.read() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    stored = sum(count for count, _, _ in rows)
    doubled = sum(count - different for count, different, _ in rows)
    gaps = sum(last + 1 - different for _, different, last in rows)
    return f"{max(written - stored, gaps)} lost, {doubled + max(0, stored - written)} doubled"


def put_under_load(
    folder: Path, database: str | None, *, seconds: float, annotators: int = ANNOTATORS,
    leads: int = LEADS, every_s: float = VOTE_EVERY_S,
) -> Load:  # fmt: skip
    """Make a workspace and let everybody work on it for some seconds.

    Args:
        folder: Where the workspace goes.
        database: URL of an empty PostgreSQL database, or None for SQLite.
        seconds: How long votes are given.
        annotators: How many vote.
        leads: How many read.
        every_s: Seconds from one vote of an annotator to the next.

    Raises:
        RuntimeError: A vote or a request was refused.
    """
    cases = int(seconds / every_s) + 2
    fill(folder, database, cases=cases, seconds=0.4, size=(64, 64), different=DIFFERENT, campaigns=[
        {"name": CAMPAIGN, "cases": cases, "raters": annotators, "per_case": annotators, "viewing": UNWATCHED},
    ])  # fmt: skip
    prepare(folder, database, CAMPAIGN)
    invites = invitations(folder, database, CAMPAIGN, annotators)
    first = score_until(folder, database, time.monotonic())  # leads find something to read
    spawn = multiprocessing.get_context("spawn")
    with serving(folder, database) as server, ProcessPoolExecutor(2, mp_context=spawn) as pool:
        reading: Future[Read] = pool.submit(read_as_leads, folder, database, leads, seconds)
        scoring: Future[Written] = pool.submit(
            score_until, folder, database, time.monotonic() + seconds
        )
        memory = [server.resident_mb()]
        half = threading.Timer(seconds / 2, lambda: memory.append(server.resident_mb()))
        half.start()
        votes = vote_together(server, invites, seconds, every_s)
        half.join()
        memory.append(server.resident_mb())
        read, written = reading.result(), scoring.result()
    return Load(
        votes=votes, read=read, written=written, server_mb=(memory[0], memory[1], memory[2]),
        ledger=audit_line(folder, database, CAMPAIGN, len(votes)),
        rows=scores_line(folder, database, first.scores + written.scores),
    )  # fmt: skip


def _in_threads(work: Any, count: int) -> None:
    threads = [threading.Thread(target=work, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sections(loads: dict[str, Load], seconds: float) -> list[tuple[str, str]]:
    """(heading, Markdown) pairs of a report."""
    acts, books, memory = [], [], []
    for kind, load in loads.items():
        for who, values in (
            (f"{ANNOTATORS} annotators: a vote", load.votes),
            (f"{LEADS} leads: board and table of votes", load.read.latencies),
            ("`eval score --force`, whole run", load.written.latencies),
        ):
            acts.append((kind, who, len(values), *quantiles(values)))
        books.append((kind, "votes", len(load.votes), load.ledger))
        failed = f", {load.written.failed} runs failed" if load.written.failed else ""
        books.append((kind, "scores", load.written.scores, load.rows + failed))
        memory.append((kind, "server", *(f"{each:.0f}" for each in load.server_mb)))
        read = load.read
        memory.append((kind, "leads' process", f"{read.before_mb:.0f}", "", f"{read.after_mb:.0f}"))
        peaks = load.written.peaks_mb
        memory.append((kind, "`eval score`, peak of a run", f"{peaks[0]:.0f}", "", f"{peaks[-1]:.0f}"))  # fmt: skip
    heads = ("store", "who", "times", "median ms", "p99 ms", "max ms")
    return [
        (f"Latencies over {seconds:g} s", table(heads, acts)),
        ("Lost and doubled", table(("store", "what", "acknowledged", "ledger and store"), books)),
        ("Memory, MB", table(("store", "who", "start", "half-time", "end"), memory)),
    ]


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=2.0), default=300.0, show_default=True, help="Per store."
)
@click.option(
    "--database", envvar="JOYSTREAMER_BENCH_DATABASE", default=None,
    help="URL of an empty PostgreSQL database to load as well.",
)  # fmt: skip
def main(seconds: float, database: str | None) -> None:
    """Put the stores under load and write a dated report."""
    loads: dict[str, Load] = {}
    stores = {"SQLite": None, **({"PostgreSQL": database} if database else {})}
    with tempfile.TemporaryDirectory() as name:
        for kind, url in stores.items():
            loads[kind] = put_under_load(Path(name) / kind, url, seconds=seconds)
    title = "Votes, readers and scoring at once"
    click.echo(write_report("load", title, sections(loads, seconds), PACKAGES))


if __name__ == "__main__":
    main()
