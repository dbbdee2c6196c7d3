"""Fifty people at once: no vote lost, none doubled, the chain unbroken."""

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from eval.ratings.campaign import Checks
from eval.ratings.joining import create_invites, redeem_invite
from eval.ratings.ledger import chain_problems
from eval.ratings.refusals import InviteRefused
from eval.ratings.saving import save
from eval.ratings.schema import votes
from eval.ratings.serving import claim, progress
from eval.ratings.store import campaign_entries
from eval.ratings.vote_table import vote_table
from eval.records import DIMENSIONS
from eval.store.database import Database

WRITERS, EACH = 50, 2


def rate(url: str, annotator: int, dimensions: tuple[str, ...]) -> int:
    """One annotator in their own connection; every vote is sent twice, as after a lost answer."""
    saved = 0
    with Database(url) as database:
        for number in range(EACH):
            (pair,) = claim(database, annotator, now=2000.0 + number)
            data = {
                "action": "vote",
                "client_key": f"writer-{annotator}-{number}",
                "answers": dict.fromkeys(dimensions, "left"),
            }
            receipt = save(database, annotator, pair.id, data, now=2001.0 + number)
            again = save(database, annotator, pair.id, data, now=2002.0 + number)
            assert again.duplicate
            assert again.seq == receipt.seq
            saved += 1
    return saved


def check(database, annotators, writers):
    stored, entries = campaign_entries(database, "board")
    assert chain_problems(entries, head=stored.head_digest) == []
    assert stored.head_seq == len(entries)
    table = vote_table(entries)
    per_vote = table.drop_duplicates("assignment")
    assert len(per_vote) == writers * EACH
    assert set(Counter(per_vote["rater"]).values()) == {EACH}
    with database.read() as connection:
        rows = connection.execute(select(votes.c.assignment, votes.c.revision)).all()
    assert len(rows) == len(set(rows)) == writers * EACH
    assert all(progress(database, annotator).done == EACH for annotator in annotators)


def test_fifty_writers_lose_and_double_nothing(database, database_url, declare, join):
    cases = tuple(f"c{i:02d}" for i in range(EACH))
    stored = declare(
        cases=cases, raters=WRITERS, per_case=WRITERS, checks=Checks(nulls=0, repeat_share=0)
    )
    annotators = [join(stored).id for _ in range(WRITERS)]
    dimensions = stored.campaign.dimension_ids
    assert dimensions == DIMENSIONS
    with ThreadPoolExecutor(WRITERS) as pool:
        saved = list(pool.map(lambda number: rate(database_url, number, dimensions), annotators))
    assert saved == [EACH] * WRITERS
    check(database, annotators, WRITERS)


@pytest.mark.multiprocess
def test_processes_on_one_database_lose_and_double_nothing(database, database_url, declare, join):
    writers = 2
    cases = tuple(f"c{i:02d}" for i in range(EACH))
    stored = declare(
        cases=cases, raters=writers, per_case=writers, checks=Checks(nulls=0, repeat_share=0)
    )
    annotators = [join(stored).id for _ in range(writers)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    children = [
        subprocess.Popen(
            [sys.executable, "-P", __file__, database_url, str(number)], env=environment
        )
        for number in annotators
    ]
    assert [child.wait(timeout=200) for child in children] == [0] * writers
    check(database, annotators, writers)


def test_one_invitation_for_many_at_once_opens_for_one(database, database_url, declare):
    stored = declare()
    (invite,) = create_invites(database, stored, ["x"], now=1000)

    def enter(number: int) -> bool:
        with Database(database_url) as mine:
            try:
                redeem_invite(mine, invite.token, client=f"c{number}", now=1001)
            except InviteRefused:
                return False
            return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(enter, range(12))) == 1


def test_many_guests_at_once_get_different_seats(database, database_url, declare):
    stored = declare(raters=10)
    invites = create_invites(database, stored, [str(n) for n in range(10)], now=1000)

    def enter(token: str) -> int:
        with Database(database_url) as mine:
            return redeem_invite(mine, token, client=token[:5], now=1001).seat

    with ThreadPoolExecutor(10) as pool:
        seats = list(pool.map(enter, [invite.token for invite in invites]))
    assert sorted(seats) == list(range(10))


def test_a_page_may_save_and_ask_for_more_at_the_same_time(database, database_url, declare, join):
    stored = declare(per_case=5, checks=Checks(nulls=0, repeat_share=0))
    annotator = join(stored).id
    waiting = claim(database, annotator, now=1999.0, ahead=8)
    dimensions = stored.campaign.dimension_ids

    def ask(number: int) -> int:
        with Database(database_url) as mine:
            return len(claim(mine, annotator, now=2000.0 + number, ahead=4))

    def answer(number: int) -> int:
        data = {
            "action": "vote",
            "client_key": f"together-{number}",
            "answers": dict.fromkeys(dimensions, "same"),
        }
        with Database(database_url) as mine:
            return save(mine, annotator, waiting[number].id, data, now=2000.0 + number).revision

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(8)]
        saved = [pool.submit(answer, number) for number in range(8)]
        assert [job.result() for job in saved] == [1] * 8
        assert all(job.result() <= 4 for job in asked)
    assert progress(database, annotator).done == 8


if __name__ == "__main__":  # one of the processes above
    rate(sys.argv[1], int(sys.argv[2]), DIMENSIONS)
