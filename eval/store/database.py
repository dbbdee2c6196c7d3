"""Open a database and run short transactions on it.

SQLite by default, PostgreSQL by URL. SQLite is used in WAL mode, and every write begins with
`BEGIN IMMEDIATE`: with the default deferred transaction, concurrent writers that read first lose
their writes to "database is locked". It is refused on network file systems, where its locks do not
hold. This file knows no table.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from joystreamer.errors import InputError

BUSY_TIMEOUT_S: Final = 60.0
"""How long a writer waits for its turn before it gives up."""

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs",
     "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)  # fmt: skip


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds a path.

    Args:
        path: Absolute path; need not exist.
        mounts: Text of the kernel's mount table (`/proc/mounts`).

    Returns:
        The type by the longest mount point above the path, '' when none is listed.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = path == Path(point) or Path(point) in path.parents
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def refuse_network_file_system(path: Path) -> None:
    """Refuse a SQLite file where file locks do not work.

    Raises:
        InputError: The path lies on a network file system.
    """
    table = Path("/proc/mounts")
    if not table.is_file():  # not Linux: nothing to read, and no way to know
        return
    kind = file_system_of(path.absolute(), table.read_text(encoding="utf-8", errors="replace"))
    if kind in NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"{path} lies on a network file system ({kind}), where SQLite loses writes; "
            "put the workspace on a local disk or give a PostgreSQL URL with --database"
        )


class Database:
    """A database of one workspace.

    Attributes:
        engine: The SQLAlchemy engine, for migrations and data frames.
        is_sqlite: Whether it is a SQLite file.
    """

    def __init__(self, url: str) -> None:
        """Open by URL, for example `sqlite:////data/ws/joystreamer.db` or `postgresql+psycopg://…`.

        Raises:
            InputError: The URL is not understood, or the file lies on a network file system.
        """
        self.url: URL = _parse(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            refuse_network_file_system(Path(self.url.database or ""))
            self.engine = _sqlite_engine(self.url)
        else:
            # The connection used last has its statements prepared: take it first.
            self.engine = create_engine(
                self.url, pool_pre_ping=True, pool_size=10, max_overflow=40, pool_use_lifo=True
            )

    @property
    def name(self) -> str:
        """How the database may be shown: without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads; it sees one consistent state."""
        with self._explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; committed at the end, rolled back on an error."""
        with self._explained(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.begin()
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def close(self) -> None:
        """Close every connection; the database may be used again afterwards."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def insert(self, table: Table) -> Any:
        """Return an INSERT that can say what happens on a conflict, in this database's dialect."""
        return (insert_sqlite if self.is_sqlite else insert_postgresql)(table)

    def check(self) -> None:
        """Ask the database for an answer.

        Raises:
            InputError: It does not give one.
        """
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, DBAPIError) as error:
            raise DatabaseUnavailable(self.name, error) from error


class DatabaseUnavailable(InputError):
    """The database cannot be reached, is locked or refuses a statement."""

    def __init__(self, name: str, cause: SQLAlchemyError) -> None:
        original = getattr(cause, "orig", None)
        said = " ".join(str(original or cause).split())
        super().__init__(
            f"the database {name} does not answer as it should ({said}); check that it runs, is not "
            "locked by another program, and that its disk has room"
        )
        self.original = original


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except SQLAlchemyError as error:
        raise InputError(
            f"database {url!r} is not a URL; give sqlite:///path/to/file.db or postgresql://user@host/name"
        ) from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InputError(
            f"database {parsed.get_backend_name()!r} is not supported; use sqlite or postgresql"
        )
    if parsed.get_backend_name() == "sqlite" and not parsed.database:
        raise InputError("a SQLite database needs a file: sqlite:///path/to/file.db")
    return parsed


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    def configure(connection: Any, _record: object) -> None:
        if not isinstance(connection, sqlite3.Connection):  # pragma: no cover
            return
        # The driver must not begin transactions by itself: `write` says BEGIN IMMEDIATE.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
        connection.execute("PRAGMA foreign_keys=ON")
        # In WAL mode NORMAL survives a killed process; FULL would also survive a lost power supply.
        connection.execute("PRAGMA synchronous=FULL")

    event.listen(engine, "connect", configure)
    return engine
