"""Suites, cases, systems and clips in the database.

Adding is idempotent: what is there already with the same content stays as it is. A clip whose file
changed gets a new row, and the row it replaces is kept and marked.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from eval.records import Case, Clip, Speaker, Suite, System
from eval.store.schema import cases, clips, suites, systems
from eval.store.workspace import Workspace
from joystreamer.errors import InputError


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(tz=UTC)


def to_json(value: Any) -> Any:
    """Return a record as JSON-able data; paths become text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class StoredCase(NamedTuple):
    """A case as scoring needs it: its record, and its media by digest.

    Attributes:
        record: The case as JSON-able data; paths are those of the machine that added it.
        image: Digest of the reference image, '' when there is none.
        speech: Digest of the first speaker's audio, '' when there is none.
    """

    record: dict[str, Any]
    image: str
    speech: str


class StoredClip(NamedTuple):
    """A clip with its row number."""

    id: int
    clip: Clip
    proxy: str
    poster: str


def add_suite(workspace: Workspace, suite: Suite) -> None:
    """Store a suite, its cases and their images and speech.

    A suite of the same name is replaced; scores stay, since they belong to contents.
    """
    rows = _case_rows(workspace, suite)
    with workspace.database.write() as connection:
        _replace_suite(connection, suite, rows)


def extend_suite(workspace: Workspace, suite: Suite) -> None:
    """Store a suite's cases beside those that are there; a case of the same id is replaced.

    For suites that grow one case at a time. Reading and writing are one transaction, so that two who
    add at the same time keep both cases.
    """
    rows = _case_rows(workspace, suite)
    given = {row["id"] for row in rows}
    with workspace.database.write() as connection:
        query = select(cases).where(cases.c.suite == suite.name).order_by(cases.c.position)
        there = [dict(row) for row in connection.execute(query).mappings()]
        kept = [row for row in there if row["id"] not in given]
        merged = [{**row, "position": place} for place, row in enumerate([*kept, *rows])]
        _replace_suite(connection, suite, merged)


def _case_rows(workspace: Workspace, suite: Suite) -> list[dict[str, Any]]:
    """A suite's cases as rows; their media are stored."""
    rows = []
    for position, case in enumerate(suite.cases):
        speech = case.speakers[0].audio if case.speakers else None
        rows.append(
            {
                "suite": suite.name,
                "id": case.id,
                "position": position,
                "image": workspace.media.add_file(case.image) if case.image else "",
                "speech": workspace.media.add_file(speech) if speech else "",
                "record": _case_record(workspace, case),
            }
        )
    return rows


def _replace_suite(connection: Connection, suite: Suite, rows: Sequence[dict[str, Any]]) -> None:
    """Write a suite and exactly these cases."""
    record = to_json(dataclasses.replace(suite, cases=(), root=None))
    text = json.dumps([record, [row["record"] for row in rows]], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    connection.execute(cases.delete().where(cases.c.suite == suite.name))
    connection.execute(suites.delete().where(suites.c.name == suite.name))
    connection.execute(
        insert(suites).values(name=suite.name, version=suite.version, digest=digest, record=record)
    )
    if rows:
        connection.execute(insert(cases), list(rows))


def _case_record(workspace: Workspace, case: Case) -> dict[str, Any]:
    record = to_json(dataclasses.replace(case, image=None, speakers=()))
    record["speakers"] = [_speaker_record(workspace, speaker) for speaker in case.speakers]
    return dict(record)


def _speaker_record(workspace: Workspace, speaker: Speaker) -> dict[str, Any]:
    """Return a speaker with files replaced by the digests of their contents."""
    record = to_json(dataclasses.replace(speaker, audio=None, mask=None))
    record["audio"] = workspace.media.add_file(speaker.audio) if speaker.audio else ""
    record["mask"] = workspace.media.add_file(speaker.mask) if speaker.mask else ""
    return dict(record)


def add_system(connection: Connection, system: System) -> None:
    """Store a system, or complete the one of the same name.

    Raises:
        InputError: It is there with another kind.
    """
    there = (
        connection.execute(select(systems).where(systems.c.name == system.name)).mappings().first()
    )
    if there is None:
        connection.execute(insert(systems).values(**to_json(system)))
        return
    if there["kind"] != system.kind:
        raise InputError(
            f"system {system.name!r} is a {there['kind']} in this workspace, not a {system.kind}; "
            f"give it another name or --kind {there['kind']}"
        )
    given = {key: value for key, value in to_json(system).items() if value not in ("", None, {})}
    connection.execute(update(systems).where(systems.c.name == system.name).values(**given))


def add_clip(
    connection: Connection, clip: Clip, *, poster: str = "", proxy: str = ""
) -> tuple[int, bool]:
    """Store a clip as the current answer of its system to its case and seed.

    Returns:
        Its row number, and whether the row is new.
    """
    answer = (
        (clips.c.system == clip.system)
        & (clips.c.suite == clip.suite)
        & (clips.c.case == clip.case)
        & (clips.c.seed == clip.seed)
        & ~clips.c.replaced
    )
    there = connection.execute(select(clips).where(answer)).mappings().first()
    record = to_json(clip)
    if there is not None and there["digest"] == clip.digest:
        changed = {
            key: record[key] for key in ("name", "probe", "problem") if there[key] != record[key]
        }
        if clip.borders_s is not None and there["borders_s"] != record["borders_s"]:
            changed["borders_s"] = record["borders_s"]
        made = {"poster": poster, "proxy": proxy}
        changed |= {key: value for key, value in made.items() if value and there[key] != value}
        if changed:
            connection.execute(update(clips).where(clips.c.id == there["id"]).values(**changed))
        return int(there["id"]), False
    if there is not None:
        connection.execute(update(clips).where(clips.c.id == there["id"]).values(replaced=True))
    result = connection.execute(
        insert(clips).values(**record, poster=poster, proxy=proxy, replaced=False, added_at=now())
    )
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0]), True


def current_clips(
    workspace: Workspace, *, suite: str | None = None, of_systems: Sequence[str] = ()
) -> list[StoredClip]:
    """Return the clips that count, in a stable order.

    Args:
        workspace: Where.
        suite: Only this suite; None for all.
        of_systems: Only these systems; empty for all.
    """
    query = select(clips).where(~clips.c.replaced)
    if suite is not None:
        query = query.where(clips.c.suite == suite)
    if of_systems:
        query = query.where(clips.c.system.in_(of_systems))
    query = query.order_by(clips.c.suite, clips.c.case, clips.c.system, clips.c.seed)
    with workspace.database.read() as connection:
        return [_stored_clip(row) for row in connection.execute(query).mappings()]


def _stored_clip(row: Any) -> StoredClip:
    names = [field.name for field in dataclasses.fields(Clip)]
    values = {name: row[name] for name in names}
    if values["borders_s"] is not None:
        values["borders_s"] = tuple(values["borders_s"])
    return StoredClip(row["id"], Clip(**values), row["proxy"], row["poster"])


def all_cases(workspace: Workspace) -> dict[tuple[str, str], StoredCase]:
    """Return every stored case by (suite, id)."""
    with workspace.database.read() as connection:
        rows: Iterable[Any] = (
            connection.execute(select(cases).order_by(cases.c.position)).mappings().all()
        )
    return {
        (row["suite"], row["id"]): StoredCase(row["record"], row["image"], row["speech"])
        for row in rows
    }


def all_systems(workspace: Workspace) -> dict[str, System]:
    """Return every system by name."""
    with workspace.database.read() as connection:
        rows: Iterable[Any] = (
            connection.execute(select(systems).order_by(systems.c.name)).mappings().all()
        )
    return {row["name"]: System(**row) for row in rows}
