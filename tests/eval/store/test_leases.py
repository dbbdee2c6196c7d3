import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from eval.store.database import Database
from eval.store.leases import Work, claim, held_by_others, is_dead, release, renewed, this_worker
from eval.store.migrate import upgrade
from eval.store.schema import leases

WORKS = [Work("a" * 64, "f" * 16), Work("b" * 64, "f" * 16)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as database:
        upgrade(database)
        yield database


def test_a_lease_is_held_by_one_worker_until_it_is_given_back(database):
    assert claim(database, WORKS, "here:1:0") == WORKS
    assert claim(database, WORKS, "there:2:0") == []
    assert held_by_others(database, WORKS, "there:2:0") == 2
    release(database, WORKS[:1], "here:1:0")
    assert claim(database, WORKS, "there:2:0") == WORKS[:1]


def test_an_expired_lease_is_taken_over(database):
    claim(database, WORKS, "elsewhere:1:0")
    with database.write() as connection:
        connection.execute(update(leases).values(expires_at=time.time() - 1))
    assert claim(database, WORKS, "there:2:0") == WORKS


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_over_at_once(database):
    code = "from eval.store.leases import this_worker; print(this_worker())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    worker = dead.stdout.strip()
    assert is_dead(worker)
    assert not is_dead(this_worker())
    assert not is_dead("another-machine:1:5")
    claim(database, WORKS, worker)
    assert held_by_others(database, WORKS, this_worker()) == 0
    assert claim(database, WORKS, this_worker()) == WORKS


def test_worker_names_tell_a_reused_process_number_apart():
    host, pid, start = this_worker().split(":")
    assert pid == str(os.getpid())
    assert is_dead(f"{host}:{pid}:{int(start) + 1}")


def test_many_workers_share_the_work_without_overlap(database):
    works = [Work(f"{n:064x}", "f" * 16) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: claim(database, works, f"m{n}:1:0"), range(8)))
    assert sorted(work for part in won for work in part) == sorted(works)


def test_renewal_keeps_a_lease_alive(database):
    claim(database, WORKS, "me:1:0")
    with database.write() as connection:
        connection.execute(update(leases).values(expires_at=0.0))
    with renewed(database, "me:1:0", every_s=0.05):
        deadline = time.time() + 10
        while held_by_others(database, WORKS, "you:1:0") < 2:
            assert time.time() < deadline
            time.sleep(0.02)
