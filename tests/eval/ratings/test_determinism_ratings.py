"""The same votes give the same results: whatever database, whoever came first, however rows lie."""

import json

import pandas as pd
import pytest

from eval.ratings.results import campaign_results, plain_rows
from eval.ratings.statistics.board import BoardSettings, build_board
from eval.ratings.store import campaign_entries
from eval.ratings.vote_table import vote_table
from eval.store.database import Database
from eval.store.migrate import upgrade

FAST = BoardSettings(draws=200)


def results_of(database):
    return campaign_results(database, "board", settings=FAST)


@pytest.fixture(scope="module")
def reference(script, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "records.db"
    with Database(f"sqlite:///{path}") as database:
        upgrade(database)
        played = script(database)
        stored = played.declare()
        played.vote_all([played.join(stored) for _ in range(5)])
        return results_of(database)


def test_the_same_script_gives_the_same_bytes_on_every_database(
    database, declare, join, vote_all, reference
):
    stored = declare()
    vote_all([join(stored) for _ in range(5)])
    found = results_of(database)
    pd.testing.assert_frame_equal(found.votes, reference.votes, check_exact=True)
    pd.testing.assert_frame_equal(found.board, reference.board, check_exact=True)
    pd.testing.assert_frame_equal(found.quality, reference.quality, check_exact=True)
    assert json.dumps(plain_rows(found.board)) == json.dumps(plain_rows(reference.board))
    assert found.head_digest != ""


def test_the_order_in_which_votes_arrived_changes_a_board_by_rounding_alone(reference):
    def board(votes):
        return build_board(
            votes, settings=FAST, dimensions=reference.campaign.dimension_ids,
            pairs=[(pair.first, pair.second) for pair in reference.campaign.pairs],
        )  # fmt: skip

    for seed in range(3):
        shuffled = reference.votes.sample(frac=1.0, random_state=seed).reset_index(drop=True)
        pd.testing.assert_frame_equal(board(shuffled), board(reference.votes), rtol=0, atol=1e-12)


def test_reading_the_ledger_twice_gives_the_same_table(database, declare, join, vote_all):
    stored = declare()
    vote_all([join(stored) for _ in range(2)])
    first, second = (vote_table(campaign_entries(database, "board")[1]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
