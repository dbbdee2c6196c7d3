from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text

import eval.ratings.schema  # noqa: F401  # its tables belong to the same schema
from eval.store.database import BUSY_TIMEOUT_S, Database, file_system_of, refuse_network_file_system
from eval.store.migrate import current, head, upgrade
from eval.store.schema import metadata, suites
from joystreamer.errors import InputError

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /data nfs4 rw 0 0
/dev/vdb /data/local ext4 rw 0 0
tmpfs /with\\040space tmpfs rw 0 0
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as database:
        upgrade(database)
        yield database


def test_file_system_is_that_of_the_longest_mount_point():
    assert file_system_of(Path("/home/x"), MOUNTS) == "ext4"
    assert file_system_of(Path("/data/ws/a.db"), MOUNTS) == "nfs4"
    assert file_system_of(Path("/data/local/a.db"), MOUNTS) == "ext4"
    assert file_system_of(Path("/database/a.db"), MOUNTS) == "ext4"
    assert file_system_of(Path("/with space/a.db"), MOUNTS) == "tmpfs"


def test_network_file_system_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("eval.store.database.file_system_of", lambda path, mounts: "nfs4")
    with pytest.raises(InputError, match=r"network file system \(nfs4\).*PostgreSQL URL"):
        refuse_network_file_system(tmp_path / "records.db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url", "is not a URL"),
        ("mysql://host/name", "'mysql' is not supported"),
        ("sqlite://", "needs a file"),
    ],
)
def test_unfit_urls_are_refused_in_one_sentence(url, said):
    with pytest.raises(InputError, match=said):
        Database(url)


def test_unreachable_server_is_one_sentence_without_the_password():
    database = Database("postgresql://user:secret@127.0.0.1:1/none")
    with pytest.raises(InputError, match="does not answer") as caught:
        database.check()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_migrations_give_exactly_the_tables_of_the_code(database):
    assert current(database) == head()
    found = inspect(database.engine)
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        assert columns == {column.name for column in table.columns}, table.name


def test_upgrade_by_many_processes_at_once_migrates_once(database_url):
    def open_and_upgrade(_: int) -> str | None:
        with Database(database_url) as database:
            upgrade(database)
            return current(database)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(open_and_upgrade, range(8))) == {head()}


def test_database_of_newer_code_is_refused(database):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="schema 9999, which this version does not know"):
        upgrade(database)


def test_write_rolls_back_on_any_error(database):
    row = {"name": "s", "version": "1", "digest": "0" * 64, "record": {}}

    def write_and_fail() -> None:
        with database.write() as connection:
            connection.execute(insert(suites).values(**row))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.read() as connection:
        assert connection.execute(select(suites)).all() == []


def test_twenty_writers_that_read_first_lose_nothing(database):
    with database.write() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def add(_: int) -> None:
        with database.write() as connection:
            lock = "" if database.is_sqlite else " FOR UPDATE"
            n = connection.execute(text("SELECT n FROM counter" + lock)).scalar_one()
            connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(add, range(100)))
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 100


def test_sqlite_runs_in_wal_mode_with_a_busy_timeout(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == BUSY_TIMEOUT_S * 1000
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_the_newest_file_is_the_head_of_the_migrations():
    folder = Path(upgrade.__code__.co_filename).parent / "migrations"
    assert head() == ScriptDirectory(str(folder)).get_current_head()
