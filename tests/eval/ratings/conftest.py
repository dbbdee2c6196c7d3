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
from eval.ratings.saving import save
from eval.ratings.serving import claim
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


class Script:
    """Plays leads and annotators on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def declare(
        self, *, duration_s: float = 0.0, now: float = 1000.0, **changes: Any
    ) -> StoredCampaign:
        """Declare a small campaign, with changes."""
        campaign = dataclasses.replace(PLAIN, **changes)
        table = _clip_table(campaign, duration_s=duration_s)
        return create_campaign(self.database, campaign, clip_table=table, now=now)

    def join(self, stored: StoredCampaign, *, now: float = 1001.0) -> Annotator:
        """Invite and let in one annotator."""
        (invite,) = create_invites(self.database, stored, ["somebody"], now=now)
        return redeem_invite(self.database, invite.token, client="c", now=now)

    def vote_all(
        self, raters: list[Annotator], *, seed: int = 0, careless: tuple[int, ...] = ()
    ) -> int:
        """Answer everything that waits on some annotators: `ours` is usually better, checks are known."""
        rng = np.random.default_rng(seed)
        ours = {hashlib.sha256(f"ours/{case}".encode()).hexdigest() for case in PLAIN.cases}
        saved = 0
        for rater in raters:
            while waiting := claim(self.database, rater.id, now=2000.0 + saved):
                pair = waiting[0]
                good = "left" if pair.left.digest in ours else "right"
                bad = "right" if good == "left" else "left"
                sure = pair.kind not in ("work", "repeat")
                answers = {
                    dimension: good
                    if sure
                    else str(rng.choice([good, "same", bad], p=[0.5, 0.25, 0.25]))
                    for dimension in PLAIN.dimension_ids
                }
                if pair.left.digest == pair.right.digest:
                    answers = dict.fromkeys(answers, "same")
                if rater.seat in careless:
                    answers = dict.fromkeys(answers, "left")
                key = f"script-{rater.id}-{pair.id}-{seed}"
                data = {"action": "vote", "client_key": key, "answers": answers}
                save(self.database, rater.id, pair.id, data, now=2000.5 + saved)
                saved += 1
        return saved


@pytest.fixture(scope="session")
def script() -> type[Script]:
    return Script


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database, once on SQLite and once on PostgreSQL."""
    with Database(database_url) as opened:
        upgrade(opened)
        yield opened


@pytest.fixture
def declare(database: Database) -> Callable[..., StoredCampaign]:
    return Script(database).declare


@pytest.fixture
def join(database: Database) -> Callable[..., Annotator]:
    return Script(database).join


@pytest.fixture
def vote_all(database: Database) -> Callable[..., int]:
    return Script(database).vote_all


@pytest.fixture
def answer() -> Callable[..., dict[str, Any]]:
    """What a page sends."""

    def make(key: str, side: str = "left", **more: Any) -> dict[str, Any]:
        rows = dict.fromkeys(PLAIN.dimension_ids, side)
        return {"action": "vote", "client_key": key, "answers": rows, **more}

    return make
