"""Scores in the database: written once per content and specification, read as one tidy table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd
from sqlalchemy import CursorResult, delete, func, insert, select, tuple_

from eval.measure import Measure, Outcome
from eval.store.database import Database
from eval.store.leases import Work
from eval.store.registry import all_cases, all_systems, now
from eval.store.schema import clips, contents, leases, runs, scores, specs
from eval.store.workspace import Workspace

COLUMNS: Final = (
    "score_id", "clip_id", "system", "kind", "family", "step", "suite", "case", "seed", "clip_name",
    "metric", "variant", "fingerprint", "value", "reason", "message", "details", "series",
    "subject", "mode", "content", "language", "duration_s", "seconds", "created_at",
)  # fmt: skip
"""Columns of the tidy table, one row per clip and metric."""


_LOT: Final = 500
"""Rows taken from the database at a time."""


class Finished(NamedTuple):
    """The outcomes of one measure on one clip's content."""

    work: Work
    outcomes: Mapping[str, Outcome]
    seconds: float


def remember_spec(database: Database, measure: Measure, weight_digests: Mapping[str, str]) -> str:
    """Store what a fingerprint means; return it."""
    fingerprint = measure.fingerprint(weight_digests)
    with database.write() as connection:
        there = connection.execute(
            select(specs.c.fingerprint).where(specs.c.fingerprint == fingerprint)
        )
        if there.first() is None:
            # Another process may have said the same since.
            connection.execute(
                database.insert(specs)
                .values(
                    fingerprint=fingerprint,
                    measure=measure.name,
                    variant=measure.variant,
                    description=measure.description(weight_digests),
                )
                .on_conflict_do_nothing()
            )
    return fingerprint


def remember_contents(database: Database, links: Iterable[tuple[int, Work]]) -> None:
    """Store which content each clip shows to each specification."""
    wanted = {(clip, work.fingerprint): work.content for clip, work in links}
    with database.write() as connection:
        rows = connection.execute(
            select(contents).where(contents.c.clip.in_({clip for clip, _ in wanted}))
        ).all()
        there = {(row.clip, row.fingerprint): row.content for row in rows}
        stale = [key for key, content in there.items() if key in wanted and wanted[key] != content]
        if stale:
            connection.execute(
                delete(contents).where(tuple_(contents.c.clip, contents.c.fingerprint).in_(stale))
            )
        fresh = [
            {"clip": clip, "fingerprint": fingerprint, "content": content}
            for (clip, fingerprint), content in sorted(wanted.items())
            if there.get((clip, fingerprint)) != content
        ]
        if fresh:  # in one order, so that two processes never wait for each other crosswise
            connection.execute(database.insert(contents).on_conflict_do_nothing(), fresh)


def start_run(database: Database, worker: str, plan: Mapping[str, Any]) -> int:
    """Open a run; return its number."""
    with database.write() as connection:
        key = connection.execute(
            insert(runs).values(started_at=now(), worker=worker, report=dict(plan))
        ).inserted_primary_key
    assert key is not None
    return int(key[0])


def finish_run(database: Database, run: int, report: Mapping[str, Any]) -> None:
    """Close a run with its report."""
    with database.write() as connection:
        connection.execute(
            runs.update().where(runs.c.id == run).values(finished_at=now(), report=dict(report))
        )


def done(database: Database, works: Iterable[Work], *, after: int = 0) -> set[Work]:
    """Return the work whose scores are stored, counting only scores numbered above `after`."""
    wanted = list(dict.fromkeys(works))
    found: set[Work] = set()
    with database.read() as connection:
        for start in range(0, len(wanted), 500):
            rows = connection.execute(
                select(scores.c.content, scores.c.fingerprint)
                .where(
                    tuple_(scores.c.content, scores.c.fingerprint).in_(wanted[start : start + 500]),
                    scores.c.id > after,
                )
                .distinct()
            )
            found.update(Work(row.content, row.fingerprint) for row in rows)
    return found


def add_scores(workspace: Workspace, run: int, worker: str, finished: Sequence[Finished]) -> None:
    """Store the outcomes of one clip and give its leases back, in one transaction."""
    series = {
        (item.work, metric): workspace.add_series(outcome.series)
        for item in finished
        for metric, outcome in item.outcomes.items()
    }
    with workspace.database.write() as connection:
        works = [item.work for item in finished]
        rows = connection.execute(
            select(scores.c.content, scores.c.fingerprint, func.max(scores.c.generation))
            .where(tuple_(scores.c.content, scores.c.fingerprint).in_(works))
            .group_by(scores.c.content, scores.c.fingerprint)
        )
        generation = {Work(row[0], row[1]): row[2] + 1 for row in rows}
        connection.execute(
            insert(scores),
            [
                {
                    "content": item.work.content,
                    "metric": metric,
                    "fingerprint": item.work.fingerprint,
                    "generation": generation.get(item.work, 0),
                    "value": outcome.value,
                    "reason": outcome.reason,
                    "message": outcome.message,
                    "details": json.loads(json.dumps(dict(outcome.details), default=float)),
                    "series": series[item.work, metric],
                    "run": run,
                    "seconds": item.seconds,
                    "made_at": now(),
                }
                for item in finished
                for metric, outcome in item.outcomes.items()
            ],
        )
        connection.execute(
            delete(leases).where(
                tuple_(leases.c.content, leases.c.fingerprint).in_(works), leases.c.worker == worker
            )
        )


def spec_descriptions(database: Database) -> dict[str, dict[str, Any]]:
    """Return what every fingerprint means."""
    with database.read() as connection:
        return {row.fingerprint: row.description for row in connection.execute(select(specs))}


def snapshot(database: Database) -> int:
    """Return the number of the newest score: a view pinned to it does not change."""
    with database.read() as connection:
        return int(connection.execute(select(func.max(scores.c.id))).scalar() or 0)


def score_table(
    workspace: Workspace, *, up_to: int | None = None, details: bool = True
) -> pd.DataFrame:
    """Return the newest score of every current clip, metric and variant.

    Args:
        workspace: Where.
        up_to: Only scores up to this number (see `snapshot`); None for all.
        details: Whether to read the column `details`, which takes most of the time and memory.

    Returns:
        One row per clip, metric and variant with the columns `COLUMNS`; `value` is NaN where there
        is none and `reason` then says why.
    """
    query = (
        select(
            scores.c.id.label("score_id"), clips.c.id.label("clip_id"), clips.c.system, clips.c.suite,
            clips.c.case, clips.c.seed, clips.c.name.label("clip_name"),
            scores.c.metric, specs.c.variant, scores.c.fingerprint, scores.c.value, scores.c.reason,
            scores.c.message, *([scores.c.details] if details else []), scores.c.series, scores.c.seconds,
            scores.c.made_at.label("created_at"),
        )
        .join(contents, contents.c.clip == clips.c.id)
        .join(
            scores,
            (scores.c.content == contents.c.content) & (scores.c.fingerprint == contents.c.fingerprint),
        )
        .join(specs, specs.c.fingerprint == scores.c.fingerprint)
        .where(~clips.c.replaced)
        .order_by(clips.c.suite, clips.c.case, clips.c.system, clips.c.seed, scores.c.metric, scores.c.id)
    )  # fmt: skip
    if up_to is not None:
        query = query.where(scores.c.id <= up_to)
    with workspace.database.read() as connection:
        read = _newest_by_column(connection.execute(query))
        # Once per clip: decoded for each of its scores, what was probed takes most of the memory.
        probed = connection.execute(select(clips.c.id, clips.c.probe).where(~clips.c.replaced))
        durations = {row.id: row.probe.get("duration_s") for row in probed}
    systems_by_name, cases_by_key = all_systems(workspace), all_cases(workspace)
    tags_by_key = {key: case.record.get("tags") or {} for key, case in cases_by_key.items()}
    owners = [systems_by_name[name] for name in read["system"]]
    tags = [tags_by_key.get(key, {}) for key in zip(read["suite"], read["case"], strict=True)]
    contents_by_key = {key: tuple(each.get("content", ())) for key, each in tags_by_key.items()}
    made: dict[str, list[Any]] = {
        **read,
        "kind": [system.kind for system in owners],
        "family": [system.family for system in owners],
        "step": [system.step for system in owners],
        **{name: [each.get(name, "") for each in tags] for name in ("subject", "mode", "language")},
        "content": [contents_by_key.get(key, ()) for key in zip(read["suite"], read["case"], strict=True)],
        "duration_s": [durations[clip] for clip in read["clip_id"]],
    }  # fmt: skip
    table = pd.DataFrame({name: made.pop(name) for name in COLUMNS if name in made})
    # Without a type of its own a column of texts and Nones would hold NaN for None.
    table["reason"] = pd.Series(read["reason"], dtype="object")
    return table.astype({"value": "float64", "duration_s": "float64", "seconds": "float64"})


def _newest_by_column(rows: CursorResult[Any]) -> dict[str, list[Any]]:
    """Return the columns of a result, of each clip, metric and variant the last row alone.

    Rows are taken in small lots and equal texts kept once: ten thousand rows at a time would take ten
    times the memory of the table, of which a long-running process keeps most.
    """
    names = list(rows.keys())
    columns: list[list[Any]] = [[] for _ in names]
    clip, metric, variant = (names.index(name) for name in ("clip_id", "metric", "variant"))
    places: dict[tuple[Any, ...], int] = {}
    texts: dict[str, str] = {}
    for lot in rows.partitions(_LOT):
        for row in lot:
            values = [texts.setdefault(each, each) if type(each) is str else each for each in row]
            key = (row[clip], row[metric], row[variant])
            place = places.setdefault(key, len(places))
            if place == len(columns[0]):
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
            else:
                for column, value in zip(columns, values, strict=True):
                    column[place] = value
    return dict(zip(names, columns, strict=True))
