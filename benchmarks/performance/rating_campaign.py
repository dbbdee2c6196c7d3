"""A rating campaign on a workspace made for a bench, and annotators who vote over HTTP.

All votes are marked simulated and thrown away with the workspace. Knows no figure and no report.
"""

import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.performance.served_dashboard import Server
from eval.checkout import ROOT
from eval.ingest import match_source, store_matches
from eval.ratings.audit import audit_campaign
from eval.ratings.campaign import Campaign, Checks, Pair, Viewing
from eval.ratings.joining import create_invites
from eval.ratings.store import campaign_entries, create_campaign, get_campaign, stored_clips
from eval.records import DIMENSIONS, Case, Suite
from eval.store.workspace import Workspace
from joystreamer.media import write_clip

SYSTEMS = ("first", "second")
UNWATCHED = Viewing(min_seen=0.0, min_heard=0.0)


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
    campaigns: Sequence[dict[str, Any]], different: int | None = None,
) -> None:  # fmt: skip
    """Make a workspace with clips of two systems and some campaigns on its first cases.

    Args:
        root: Folder of the workspace.
        database: URL, or None for SQLite.
        cases: How many.
        seconds: Length of every clip.
        size: (width, height) of every clip.
        campaigns: Fields of each, with `cases` for how many of the first cases it asks about.
        different: After so many cases clips repeat, which saves most of the encoding; None for never.
    """
    names = [f"case{number:03d}" for number in range(cases)]
    with tempfile.TemporaryDirectory() as folder, Workspace(root, database) as workspace:
        for index, system in enumerate(SYSTEMS):
            for number, name in enumerate(names):
                path = Path(folder) / system / f"{name}.mp4"
                if different is None or number < different:
                    make_clip(path, seconds=seconds, seed=2 * number + index, size=size)
                else:
                    shutil.copyfile(path.with_stem(names[number % different]), path)
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

    def close(self) -> None:
        """Leave."""
        self._connection.close()

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


def audit_line(root: Path, database: str | None, name: str, expected: int) -> str:
    """Lost, doubled and findings of a campaign, in words."""
    with Workspace(root, database) as workspace:
        _, entries = campaign_entries(workspace.database, name)
        saved = [entry.payload()["assignment"] for entry in entries if entry.kind == "vote"]
        findings = len(audit_campaign(workspace.database, name).problems)
    return f"{expected - len(set(saved))} lost, {len(saved) - len(set(saved))} doubled, {findings} findings"


def quantiles(values: Sequence[float]) -> tuple[str, str, str]:
    """Median, 99th percentile and maximum as text."""
    return (
        f"{statistics.median(values):.1f}", f"{np.percentile(values, 99):.0f}", f"{max(values):.0f}",
    )  # fmt: skip
