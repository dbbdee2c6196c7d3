"""Bring a database to the schema of this code, once, whoever comes first.

The schema only ever moves forward by migrations in `eval/store/migrations/versions`. Opening a
workspace upgrades it; a database that is newer than the code is refused rather than guessed at.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from eval.store.database import Database
from joystreamer.errors import InputError

_FOLDER: Final = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = 0x6A6F79  # any number, as long as every process uses the same


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def head() -> str:
    """Return the revision that this code expects."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current(database: Database) -> str | None:
    """Return the revision that a database is at, None when it is empty."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Bring a database to `head`; does nothing when it is there.

    Several processes may call this at once: the first one migrates, the others wait.

    Raises:
        InputError: The database was made by newer code.
    """
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    revision = current(database)
    if revision == head():
        return
    if revision is not None and revision not in known:
        raise InputError(
            f"the database {database.name} has schema {revision}, which this version does not know; "
            "update the checkout, or use another workspace"
        )
    config = _config()
    with database.write() as connection:
        if not database.is_sqlite:  # SQLite's BEGIN IMMEDIATE has already made us the only one
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
