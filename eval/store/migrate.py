"""Bring a database to the schema of this code, once, whoever comes first.

The schema only ever moves forward by migrations in `eval/store/migrations/versions`. Opening a
workspace upgrades it; a database that is newer than the code is refused rather than guessed at.
Migrations are numbered, and their library is loaded only when there is something to migrate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from eval.store.database import Database
from joystreamer.errors import InputError

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER: Final = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = 0x6A6F79  # any number, as long as every process uses the same


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def head() -> str:
    """Return the revision that this code expects."""
    return max(_known())


def _known() -> set[str]:
    return {path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py")}


def current(database: Database) -> str | None:
    """Return the revision that a database is at, None when it is empty."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(database: Database) -> None:
    """Bring a database to `head`; does nothing when it is there.

    Several processes may call this at once: the first one migrates, the others wait.

    Raises:
        InputError: The database was made by newer code.
    """
    revision = current(database)
    if revision == head():
        return
    if revision is not None and revision not in _known():
        raise InputError(
            f"the database {database.name} has schema {revision}, which this version does not know; "
            "update the checkout, or use another workspace"
        )
    from alembic import command

    config = _config()
    with database.write() as connection:
        if not database.is_sqlite:  # SQLite's BEGIN IMMEDIATE has already made us the only one
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
