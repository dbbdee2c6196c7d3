"""What was scored, what waits, what failed and how long it took, read from the store in a few queries.

Knows no widget; the page is `dashboard.results.runs`.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pandas as pd
from sqlalchemy import distinct, exists, func, select

from eval.plan import differences
from eval.store.leases import is_dead
from eval.store.registry import current_clips
from eval.store.schema import clips, contents, leases, runs, scores, specs
from eval.store.workspace import Workspace

RunState = Literal["finished", "running", "stopped", "silent"]

STATES: Final[dict[RunState, str]] = {
    "finished": "finished",
    "running": "running",
    "stopped": "stopped before its end; run the same command again, it goes on where this one stopped",
    "silent": "nothing heard: it runs on another machine and holds no work now",
}

SHOWN_RUNS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a scoring process.

    Attributes:
        id: Its number.
        started: When.
        finished: When; None while it runs, or when it was stopped.
        worker: Host, process and start of the process.
        state: One of `STATES`.
        report: What it did, as `eval.runner.RunReport`; while it runs only what it planned.
    """

    id: int
    started: datetime
    finished: datetime | None
    worker: str
    state: RunState
    report: dict[str, Any]


def recent_runs(workspace: Workspace) -> list[Run]:
    """Return the newest runs first."""
    with workspace.database.read() as connection:
        rows = connection.execute(select(runs).order_by(runs.c.id.desc()).limit(SHOWN_RUNS)).all()
        newest = select(leases.c.worker, func.max(leases.c.expires_at)).group_by(leases.c.worker)
        held = {row[0]: float(row[1]) for row in connection.execute(newest)}
    return [
        Run(
            id=row.id, started=_utc(row.started_at), finished=_utc(row.finished_at) if row.finished_at else None,
            worker=row.worker, state=_state(row, held.get(row.worker, 0.0)), report=dict(row.report),
        )
        for row in rows
    ]  # fmt: skip


def work_matrix(workspace: Workspace) -> pd.DataFrame:
    """Count planned and scored pieces of work of current clips.

    Returns:
        One row per measure, variant, fingerprint and system: `planned`, `scored`, `waiting`, `in work`.
    """
    scored = exists().where(
        (scores.c.content == contents.c.content) & (scores.c.fingerprint == contents.c.fingerprint)
    )
    in_work = exists().where(
        (leases.c.content == contents.c.content) & (leases.c.fingerprint == contents.c.fingerprint)
        & (leases.c.expires_at >= time.time())
    )  # fmt: skip
    query = (
        select(
            specs.c.measure, specs.c.variant, specs.c.fingerprint, clips.c.system,
            scored.label("scored"), in_work.label("in_work"), func.count().label("pieces"),
        )
        .select_from(contents)
        .join(clips, clips.c.id == contents.c.clip)
        .join(specs, specs.c.fingerprint == contents.c.fingerprint)
        .where(~clips.c.replaced)
        .group_by(specs.c.measure, specs.c.variant, specs.c.fingerprint, clips.c.system, scored, in_work)
    )  # fmt: skip
    counts: dict[tuple[str, str, str, str], dict[str, int]] = {}
    with workspace.database.read() as connection:
        for row in connection.execute(query):
            key = (row.measure, row.variant, row.fingerprint, row.system)
            entry = counts.setdefault(key, {"planned": 0, "scored": 0, "in work": 0})
            entry["planned"] += row.pieces
            if row.scored:
                entry["scored"] += row.pieces
            elif row.in_work:
                entry["in work"] += row.pieces
    rows = [
        {"measure": measure, "variant": variant, "fingerprint": fingerprint, "system": system, **entry,
         "waiting": entry["planned"] - entry["scored"] - entry["in work"]}
        for (measure, variant, fingerprint, system), entry in sorted(counts.items())
    ]  # fmt: skip
    names = [
        "measure",
        "variant",
        "fingerprint",
        "system",
        "planned",
        "scored",
        "in work",
        "waiting",
    ]
    return pd.DataFrame(rows, columns=names)


def stage_times(found: list[Run]) -> pd.DataFrame:
    """Add up the seconds of every stage over the given runs, longest first."""
    rows = [
        {"stage": stage, "seconds": float(seconds), "clips": int(run.report.get("clips", 0))}
        for run in found
        for stage, seconds in run.report.get("stage_s", {}).items()
    ]
    table = pd.DataFrame(rows, columns=["stage", "seconds", "clips"])
    added = table.groupby("stage", as_index=False).sum()
    added["seconds per clip"] = added["seconds"] / added["clips"].where(added["clips"] > 0)
    return added.sort_values("seconds", ascending=False, ignore_index=True)


def several_specifications(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the measures whose scores of current clips come from more than one specification.

    Only one of them can stand in a column of the board; the sentence names what differs from the newest.
    """
    query = (
        select(
            specs.c.measure, specs.c.variant, specs.c.fingerprint, specs.c.description,
            func.count(distinct(contents.c.clip)).label("clips"), func.max(scores.c.id).label("newest"),
        )
        .join(contents, contents.c.fingerprint == specs.c.fingerprint)
        .join(clips, (clips.c.id == contents.c.clip) & ~clips.c.replaced)
        .join(scores, (scores.c.content == contents.c.content) & (scores.c.fingerprint == specs.c.fingerprint))
        .group_by(specs.c.fingerprint)
        .order_by(func.max(scores.c.id).desc())
    )  # fmt: skip
    with workspace.database.read() as connection:
        rows = connection.execute(query).all()
    by_measure: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_measure.setdefault((row.measure, row.variant), []).append(row)
    return [
        {
            "measure": f"{measure}/{variant}", "fingerprint": old.fingerprint, "clips": old.clips,
            "newer": newest.fingerprint,
            "what changed since": "; ".join(differences(old.description, newest.description)),
        }
        for (measure, variant), (newest, *older) in by_measure.items()
        for old in older
    ]  # fmt: skip


def health(workspace: Workspace) -> list[dict[str, Any]]:
    """Return what to look after: clips that cannot be read, files that are gone, cases without an answer."""
    found = current_clips(workspace)
    gone = sorted(
        f"{item.clip.system}/{item.clip.case}"
        for item in found
        if workspace.media.find(item.clip.digest) is None
    )
    broken = [
        f"{item.clip.system}/{item.clip.case}: {item.clip.problem}"
        for item in found
        if item.clip.problem
    ]
    bare = [f"{item.clip.system}/{item.clip.case}" for item in found if not item.poster]
    asked = {(item.clip.suite, item.clip.case) for item in found}
    systems = {item.clip.system for item in found}
    answered = {(item.clip.system, item.clip.suite, item.clip.case) for item in found}
    unanswered = sorted(
        f"{system}: {case}"
        for system in systems
        for suite, case in asked
        if (system, suite, case) not in answered
    )
    with workspace.database.read() as connection:
        stale = [
            row.worker
            for row in connection.execute(select(leases))
            if row.expires_at < time.time() or is_dead(row.worker)
        ]
    checks = (
        ("clips that cannot be decoded", broken, "replace the files and ingest them again"),
        ("clips whose file is gone", gone, "ingest them again; scores stay"),
        ("clips without a picture", bare, "ingest them again to make posters"),
        (
            "cases a system has not answered",
            unanswered,
            "render them, or read coverage beside the means",
        ),
        ("leases of workers that are gone", stale, "nothing: the next run takes the work over"),
    )
    return [
        {"check": name, "count": len(items), "what to do": todo if items else "", "for example": "; ".join(items[:3])}
        for name, items, todo in checks
    ]  # fmt: skip


def _state(row: Any, lease_until: float) -> RunState:
    if row.finished_at is not None:
        return "finished"
    if is_dead(row.worker):
        return "stopped"
    if lease_until >= time.time() or row.worker.partition(":")[0] == socket.gethostname():
        return "running"
    return "silent"


def _utc(moment: datetime) -> datetime:
    """A moment with its zone, which SQLite does not keep."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
