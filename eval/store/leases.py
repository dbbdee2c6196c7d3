"""Leases: who is working on what right now.

A worker takes a lease before it measures and gives it back with the result, so that two workers never
do the same work. A lease ends by itself when its worker stops renewing it, and at once when its
worker ran on this machine and its process is gone.
"""

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import delete, select, tuple_, update

from eval.store.database import Database, DatabaseUnavailable
from eval.store.schema import leases

LEASE_S: Final = 120.0
"""Seconds a lease lasts without being renewed."""


class Work(NamedTuple):
    """One unit of work: what content is shown to which specification."""

    content: str
    fingerprint: str


def _process_start(pid: int) -> str:
    """Return when a process started, in kernel ticks, '' when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return fields.rpartition(")")[2].split()[19]


def this_worker() -> str:
    """Return a name for this process that no other process, also later, has."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_process_start(pid)}"


def is_dead(worker: str) -> bool:
    """Whether a worker of this machine has gone; workers of other machines count as alive."""
    host, _, rest = worker.partition(":")
    pid, _, start = rest.partition(":")
    if host != socket.gethostname() or not Path("/proc/self").exists():
        return False
    return not pid.isdigit() or _process_start(int(pid)) != start


def claim(database: Database, wanted: Iterable[Work], worker: str) -> list[Work]:
    """Take the leases that are free; return those that were taken.

    Leases that have expired, or whose worker is gone, are free.
    """
    wanted = list(wanted)
    if not wanted:
        return []
    now = time.time()
    with database.write() as connection:
        held = connection.execute(
            select(leases)
            .where(tuple_(leases.c.content, leases.c.fingerprint).in_(wanted))
            .with_for_update()
        ).all()
        free = [row for row in held if row.expires_at < now or is_dead(row.worker)]
        if free:
            keys = [(row.content, row.fingerprint) for row in free]
            connection.execute(
                delete(leases).where(tuple_(leases.c.content, leases.c.fingerprint).in_(keys))
            )
        taken = {(row.content, row.fingerprint) for row in held if row not in free}
        won = set()
        # In one order, so that two workers on PostgreSQL never wait for each other crosswise.
        for work in sorted(work for work in wanted if tuple(work) not in taken):
            row = {**work._asdict(), "worker": worker, "expires_at": now + LEASE_S}
            # A concurrent insert of the same key loses instead of raising.
            statement = database.insert(leases).values(**row).on_conflict_do_nothing()
            if connection.execute(statement.returning(leases.c.content)).first() is not None:
                won.add(work)
    return [work for work in wanted if work in won]


def release(database: Database, works: Sequence[Work], worker: str) -> None:
    """Give leases back."""
    if not works:
        return
    with database.write() as connection:
        connection.execute(
            delete(leases).where(
                tuple_(leases.c.content, leases.c.fingerprint).in_(list(works)),
                leases.c.worker == worker,
            )
        )


def held_by_others(database: Database, works: Iterable[Work], worker: str) -> int:
    """Count the leases on some work that living workers other than this one hold."""
    wanted = list(works)
    with database.read() as connection:
        rows = connection.execute(
            select(leases).where(tuple_(leases.c.content, leases.c.fingerprint).in_(wanted))
        ).all()
    now = time.time()
    return sum(
        row.worker != worker and row.expires_at >= now and not is_dead(row.worker) for row in rows
    )


@contextmanager
def renewed(database: Database, worker: str, *, every_s: float = LEASE_S / 4) -> Iterator[None]:
    """Keep all leases of a worker alive, from a thread, while the block runs."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(every_s):
            # Missed once, a lease still lasts: whoever uses the database meanwhile says what is wrong.
            with suppress(DatabaseUnavailable), database.write() as connection:
                connection.execute(
                    update(leases)
                    .where(leases.c.worker == worker)
                    .values(expires_at=time.time() + LEASE_S)
                )

    thread = threading.Thread(target=renew, name="renew-leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
