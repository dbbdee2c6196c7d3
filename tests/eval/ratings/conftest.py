"""Votes of imaginary raters, and small campaigns on a fresh database."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eval.ratings.campaign import Campaign, Checks, Pair
from eval.ratings.joining import Annotator, create_invites, redeem_invite
from eval.ratings.store import ClipFacts, StoredCampaign, create_campaign
from eval.store.database import Database
from eval.store.migrate import upgrade

VoteTable = Callable[..., pd.DataFrame]


def _vote_table(
    *, cases: int = 24, raters: int = 6, per_case: int = 3, seed: int = 0,
    strengths: dict[str, float] | None = None, dimensions: tuple[str, ...] = ("overall_quality",),
    left_bias: float = 0.0, band: float = 0.5,
) -> pd.DataFrame:  # fmt: skip
    """Votes on every pair of systems: case, rater and residual effects, ties inside a band."""
    rng = np.random.default_rng(seed)
    strengths = strengths or {"ours": 0.6, "other": 0.0}
    names = sorted(strengths, key=lambda name: -strengths[name])
    rows = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            for case in range(cases):
                case_effect = 0.6 * rng.standard_normal()
                for rater in rng.permutation(raters)[:per_case]:
                    side = "left" if rng.random() < 0.5 else "right"
                    for dimension in dimensions:
                        latent = strengths[first] - strengths[second] + case_effect
                        latent += left_bias * (1 if side == "left" else -1) + rng.standard_normal()
                        outcome = 1 if latent > band else -1 if latent < -band else 0
                        shown = "same" if outcome == 0 else side
                        if outcome == -1:
                            shown = "right" if side == "left" else "left"
                        rows.append(
                            {
                                "assignment": f"{first}-{second}-{case}-{rater}",
                                "rater": f"R{rater:02d}", "kind": "work", "repeat_of": None,
                                "pair": f"{first}|{second}", "first": first, "second": second,
                                "case": f"c{case:03d}", "first_side": side, "dimension": dimension,
                                "answer": shown, "outcome": float(outcome), "expected": np.nan,
                                "decision_ms": 9000.0, "coverage": 1.0, "origin": "simulated",
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def vote_table() -> VoteTable:
    return _vote_table


PLAIN = Campaign(
    name="board",
    suite="talk",
    cases=tuple(f"c{i}" for i in range(8)),
    pairs=(Pair(first="ours", second="omni"),),
    raters=5,
    per_case=3,
    checks=Checks(nulls=1, repeat_share=0.0),
    simulated=True,
)


def _clip_table(campaign: Campaign, *, duration_s: float = 0.0) -> dict[tuple[str, str], ClipFacts]:
    names = {*campaign.systems, "degraded"}
    return {
        (system, case): ClipFacts(
            digest=hashlib.sha256(f"{system}/{case}".encode()).hexdigest(),
            duration_s=duration_s,
            audible=True,
        )
        for system in names
        for case in campaign.cases
    }


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database, once on SQLite and once on PostgreSQL."""
    with Database(database_url) as opened:
        upgrade(opened)
        yield opened


@pytest.fixture
def declare(database: Database) -> Callable[..., StoredCampaign]:
    """Declare a small campaign, with changes."""

    def make(*, duration_s: float = 0.0, now: float = 1000.0, **changes: Any) -> StoredCampaign:
        campaign = dataclasses.replace(PLAIN, **changes)
        table = _clip_table(campaign, duration_s=duration_s)
        return create_campaign(database, campaign, clip_table=table, now=now)

    return make


@pytest.fixture
def join(database: Database) -> Callable[..., Annotator]:
    """Invite and let in one annotator."""

    def enter(stored: StoredCampaign, *, now: float = 1001.0) -> Annotator:
        (invite,) = create_invites(database, stored, ["somebody"], now=now)
        return redeem_invite(database, invite.token, client="c", now=now)

    return enter


@pytest.fixture
def answer() -> Callable[..., dict[str, Any]]:
    """What a page sends."""

    def make(key: str, side: str = "left", **more: Any) -> dict[str, Any]:
        rows = dict.fromkeys(PLAIN.dimension_ids, side)
        return {"action": "vote", "client_key": key, "answers": rows, **more}

    return make
