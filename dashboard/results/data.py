"""What the result pages read, kept until the store holds something else.

A page asks for the state of the store first, one short query, and everything else is remembered by that
state: a page follows a running `python -m eval score` without reading ten thousand scores again for
every click. Knows no widget.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from sqlalchemy import func, select

from dashboard.memory import keep_what_is_loaded
from dashboard.results.filters import Filters
from eval.catalog import MEASURES
from eval.leaderboard import (
    Board,
    Comparison,
    PreparedScores,
    build_board,
    check_scores,
    compare,
    prepare_scores,
)
from eval.measure import Metric
from eval.published import published_scores
from eval.records import System
from eval.store.registry import StoredCase, StoredClip, all_cases, all_systems, current_clips
from eval.store.schema import clips, runs, scores, suites
from eval.store.scores import score_table, spec_descriptions
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from joystreamer.native_memory import release_memory

PATIENCE_S: Final = 2.0
"""How long a page waits for a locked database before it says so; commands wait a minute."""

METRICS: Final[dict[str, Metric]] = {
    metric.name: metric for measure in MEASURES for metric in measure.metrics
}
"""Facts of every metric, in the order of the metric table."""

FILE_FACTS: Final = frozenset(
    name
    for name, metric in METRICS.items()
    if name.startswith("video.") and metric.better == "neither"
)
"""Metrics that describe files (size, rate, loudness); shown only when asked for, as on the command line."""

_KEPT_TABLES: Final = 2
_KEPT_BOARDS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What a store held at one moment; another value whenever a page would show something else.

    Attributes:
        workspace: Identity of the workspace.
        score: Number of the newest score; views are pinned to such numbers.
        clip: Number of the newest clip.
        run: Number of the newest run.
        suites: Digest of all suites.
    """

    workspace: str
    score: int
    clip: int
    run: int
    suites: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a board shows: enough to make it again.

    Attributes:
        filters: Which scores.
        baseline: System the others are held against; None for the first row.
        snapshot: Number of the newest score that counts; None follows the store.
    """

    filters: Filters
    baseline: str | None = None
    snapshot: int | None = None


def store_state(workspace: Workspace) -> StoreState:
    """Ask the store what it holds.

    Raises:
        InputError: The database is gone, locked for longer than `PATIENCE_S`, or does not answer.
    """
    database = workspace.database
    if database.is_sqlite:
        _require_answer(Path(database.url.database or ""), database.name)
    with database.read() as connection:
        newest = [
            int(connection.execute(select(func.max(table.c.id))).scalar() or 0)
            for table in (scores, clips, runs)
        ]
        digests = connection.execute(select(suites.c.digest).order_by(suites.c.name)).scalars()
        text = " ".join(digests)
    score, clip, run = newest
    return StoreState(
        workspace=f"{workspace.id} {database.name}", score=score, clip=clip, run=run,
        suites=hashlib.sha256(text.encode()).hexdigest(),
    )  # fmt: skip


def _require_answer(path: Path, name: str) -> None:
    """Ask a SQLite file for an answer, by a connection of its own that does not wait for a minute."""
    if not path.is_file():
        raise InputError(
            f"the database {name} is not there; restore the file, or start the dashboard on another "
            "workspace with --workspace"
        )
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=PATIENCE_S)
        ) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise InputError(
            f"the database {name} does not answer ({error}); check that no other program locks it and "
            "that its disk has room, then try again"
        ) from error


@st.cache_resource(max_entries=_KEPT_TABLES, show_spinner=False)
def prepared_at(_workspace: Workspace, state: StoreState, snapshot: int | None) -> PreparedScores:
    """The scores made ready for boards; shared by all visitors, so never to be changed.

    Raises:
        InputError: There are none, or they are unfit.
    """
    upper = state.score if snapshot is None else snapshot
    table = score_table(_workspace, up_to=upper, details=False)
    if table.empty:
        raise InputError(
            "there are no scores yet; add clips with `python -m eval ingest` and measure them with `python -m eval score`"
        )
    prepared = prepare_scores(table)
    del table
    release_memory()
    keep_what_is_loaded()
    return prepared


def scores_at(workspace: Workspace, state: StoreState, snapshot: int | None) -> pd.DataFrame:
    """The tidy table of scores; shared by all visitors, so never to be changed.

    Raises:
        InputError: There are none, or they are unfit.
    """
    return prepared_at(workspace, state, snapshot).table


@st.cache_resource(max_entries=_KEPT_TABLES, show_spinner=False)
def choices_at(
    _workspace: Workspace, state: StoreState, snapshot: int | None
) -> dict[str, tuple[str, ...]]:
    """What can be filtered by: values by filter, those of the tags that tell cases apart."""
    scores = prepared_at(_workspace, state, snapshot)
    order = {name: place for place, name in enumerate(METRICS)}
    named = sorted(scores.pairs, key=lambda pair: (order.get(pair[0], len(order)), *pair))
    return {
        **{
            name: tuple(sorted(value for value in labels.known() if value or name == "suites"))
            for name, labels in scores.labels.items()
        },
        "metrics": tuple(f"{metric}/{variant}" for metric, variant in named),
    }


@st.cache_resource(max_entries=_KEPT_BOARDS, show_spinner="Computing intervals …")
def board_of(
    _workspace: Workspace, state: StoreState, view: View, tags: tuple[str, ...] = ()
) -> Board:
    """The leaderboard of a view: the same numbers as `python -m eval leaderboard` with the same filters.

    Raises:
        InputError: Nothing fits the filters, or the baseline has no scores.
    """
    chosen = narrowed_rows(prepared_at(_workspace, state, view.snapshot), view.filters)
    return build_board(
        chosen, METRICS, baseline=view.baseline, descriptions=spec_descriptions(_workspace.database),
        tags=tags,
    )  # fmt: skip


@st.cache_resource(max_entries=_KEPT_BOARDS, show_spinner="Comparing case by case …")
def comparison_of(
    _workspace: Workspace, state: StoreState, view: View, first: str, second: str,
    thresholds: tuple[tuple[str, float], ...] = (),
) -> Comparison:  # fmt: skip
    """Two systems case by case: the same numbers as `python -m eval compare`.

    Raises:
        InputError: They have nothing in common that compares.
    """
    filters = replace(view.filters, systems=(), published=())
    chosen = narrowed_rows(prepared_at(_workspace, state, view.snapshot), filters)
    return compare(
        chosen, first, second, METRICS, descriptions=spec_descriptions(_workspace.database),
        thresholds=dict(thresholds),
    )  # fmt: skip


def narrowed_rows(scores: PreparedScores, filters: Filters) -> PreparedScores:
    """Apply filters to prepared scores, without copying any, and set published rows beside them.

    Raises:
        InputError: Nothing fits.
    """
    keep = scores.asked_for(**filters.selection())
    if not filters.metrics:
        wanted = np.array([metric not in FILE_FACTS for metric, _ in scores.pairs], dtype=bool)
        kept = keep & wanted[scores.pair]
        keep = kept if kept.any() else keep
    chosen = scores.narrow(keep)
    return chosen.beside(_published(filters.published)) if filters.published else chosen


@cache
def _published(sources: tuple[str, ...]) -> pd.DataFrame:
    """Published rows, checked."""
    return check_scores(published_scores(sources))


@st.cache_resource(max_entries=_KEPT_TABLES, show_spinner=False)
def systems_at(_workspace: Workspace, state: StoreState) -> dict[str, System]:  # noqa: ARG001 - the cache's key
    """Every system by name."""
    return all_systems(_workspace)


@st.cache_resource(max_entries=_KEPT_TABLES, show_spinner=False)
def clips_at(_workspace: Workspace, state: StoreState) -> tuple[StoredClip, ...]:  # noqa: ARG001 - the cache's key
    """Every clip that counts."""
    return tuple(current_clips(_workspace))


@st.cache_resource(max_entries=_KEPT_TABLES, show_spinner=False)
def cases_at(_workspace: Workspace, state: StoreState) -> dict[tuple[str, str], StoredCase]:  # noqa: ARG001 - the cache's key
    """Every case by (suite, id)."""
    return all_cases(_workspace)


def posters_at(workspace: Workspace, state: StoreState) -> dict[tuple[str, str, str], Path]:
    """The poster of each (system, suite, case) that has one, the first seed's."""
    return dict(_posters(workspace, state))


@st.cache_resource(max_entries=_KEPT_TABLES, show_spinner=False)
def _posters(_workspace: Workspace, state: StoreState) -> dict[tuple[str, str, str], Path]:
    found: dict[tuple[str, str, str], Path] = {}
    for stored in clips_at(_workspace, state):
        key = (stored.clip.system, stored.clip.suite, stored.clip.case)
        if stored.poster and key not in found:
            path = _workspace.posters.find(stored.poster)
            if path is not None:
                found[key] = path
    return found


def checkpoints_tried(systems: Mapping[str, System]) -> dict[str, str]:
    """Say of every checkpoint how many of its family are in the workspace.

    The best of many checkpoints on the same cases looks better than it is; whoever reads the winner's
    number should see among how many it was picked.
    """
    families: dict[str, list[str]] = {}
    for system in systems.values():
        if system.kind == "checkpoint":
            families.setdefault(system.family, []).append(system.name)
    return {
        name: f"1 of {len(members)} checkpoints{f' of {family}' if family else ''}"
        for family, members in families.items()
        for name in members
    }


def column_names(board: Board) -> Sequence[str]:
    """Columns in which something was measured, in the order of the board."""
    return [column.name for column in board.measured]


def jsonable(board: Board, snapshot: int) -> dict[str, Any]:
    """The board as `python -m eval leaderboard --json` prints it."""
    return {"snapshot": snapshot, **board.to_json()}
