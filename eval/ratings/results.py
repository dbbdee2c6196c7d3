"""What a campaign says, derived from its ledger and nothing else, and published once.

Because results are a pure function of ledger entries and settings, anybody with the ledger can compute
every published cell again; `eval.ratings.audit` does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from sqlalchemy import select

from eval.ratings.campaign import Campaign
from eval.ratings.chain import read_entries
from eval.ratings.exclusion import excluded_raters
from eval.ratings.ledger import Entry
from eval.ratings.schema import campaigns
from eval.ratings.statistics.board import BoardSettings, Ranking, build_board, rank_dimension
from eval.ratings.statistics.rater_quality import leave_one_rater_out, rater_quality
from eval.ratings.store import StoredCampaign, close_campaign, get_campaign
from eval.ratings.vote_table import vote_table
from eval.store.database import Database
from joystreamer.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything a lead looks at.

    Attributes:
        campaign: The protocol.
        digest: Digest of the protocol.
        state: open or frozen.
        settings: How the boards were computed.
        head_seq: Number of the last ledger entry that was read.
        head_digest: Its digest; printed beside the board.
        votes: All standing votes, `eval.ratings.vote_table.VOTE_COLUMNS`.
        quality: Checks per rater.
        excluded: Raters left out by the declared rule, with reasons.
        board: One row per pair and dimension, excluded raters left out.
        board_all: The same with everybody's votes.
        influence: How far single raters move single cells.
        origins: Number of answered pairs by origin: human, simulated, imported.
    """

    campaign: Campaign
    digest: str
    state: str
    settings: BoardSettings
    head_seq: int
    head_digest: str
    votes: pd.DataFrame
    quality: pd.DataFrame
    excluded: Mapping[str, Sequence[str]]
    board: pd.DataFrame
    board_all: pd.DataFrame
    influence: pd.DataFrame
    origins: Mapping[str, int]

    @property
    def label(self) -> str:
        """A warning that belongs on every rendering: 'simulated votes', or ''."""
        return "simulated votes" if self.origins.get("simulated") else ""

    def kept(self) -> pd.DataFrame:
        """Votes of raters who are not excluded."""
        return self.votes[~self.votes["rater"].isin(list(self.excluded))]

    def ranking(self, dimension: str, *, baseline: str | None = None) -> Ranking:
        """Davidson ranking on one dimension; the baseline is the first competitor by default.

        Raises:
            InputError: No votes, an unknown baseline, or systems that never met.
        """
        anchor = baseline or self.campaign.pairs[0].second
        return rank_dimension(self.kept(), dimension, baseline=anchor, settings=self.settings)


def derive_results(
    stored: StoredCampaign, entries: Sequence[Entry], *, settings: BoardSettings | None = None
) -> Results:
    """Compute everything from ledger entries.

    Args:
        stored: The campaign.
        entries: Its ledger, or the beginning of it.
        settings: How; the campaign's seed by default.
    """
    settings = settings or BoardSettings(seed=stored.campaign.seed)
    votes = vote_table(entries)
    quality = rater_quality(votes)
    excluded = excluded_raters(quality, stored.campaign.exclusion)
    kept = votes[~votes["rater"].isin(list(excluded))]

    def board_of(some: pd.DataFrame) -> pd.DataFrame:
        return build_board(
            some, settings=settings, dimensions=stored.campaign.dimension_ids,
            pairs=[(pair.first, pair.second) for pair in stored.campaign.pairs],
        )  # fmt: skip

    board_all = board_of(votes)
    last = entries[-1] if entries else None
    return Results(
        campaign=stored.campaign,
        digest=stored.digest,
        state=stored.state,
        settings=settings,
        head_seq=last.seq if last else 0,
        head_digest=last.digest if last else "",
        votes=votes,
        quality=quality,
        excluded=excluded,
        board=board_of(kept) if excluded else board_all,
        board_all=board_all,
        influence=leave_one_rater_out(kept),
        origins=Counter(votes.drop_duplicates("assignment")["origin"]),
    )


def campaign_results(
    database: Database, name: str, *, settings: BoardSettings | None = None
) -> Results:
    """Results of a campaign as it stands; of a frozen one, as it was published.

    Raises:
        InputError: No such campaign, or its board is blind until it is frozen.
    """
    stored = get_campaign(database, name)
    if stored.is_blind:
        raise InputError(
            f"the results of {name!r} are blind until the campaign is frozen, as declared; "
            f"run python -m eval ratings freeze {name} when it is complete"
        )
    with database.read() as connection:
        entries = read_entries(connection, stored.id)
    if entries and entries[-1].kind == "freeze" and settings is None:
        settings = BoardSettings(**entries[-1].payload()["settings"])
    return derive_results(stored, entries, settings=settings)


def publication(results: Results) -> dict[str, Any]:
    """What a freeze seals: every cell, how it was computed, and who was left out."""
    return {
        "settings": asdict(results.settings),
        "votes_through": results.head_seq,
        "head": results.head_digest,
        "origins": dict(results.origins),
        "excluded": {rater: list(reasons) for rater, reasons in results.excluded.items()},
        "systems_compared": len(results.campaign.systems),
        "board": plain_rows(results.board),
        "board_all": plain_rows(results.board_all),
    }


def plain_rows(board: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON-able data; nan becomes None, numpy numbers become Python's."""
    return [
        {str(column): _plain(value) for column, value in row.items()}
        for row in board.to_dict(orient="records")
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def freeze_campaign(
    database: Database, name: str, *, now: float, settings: BoardSettings | None = None
) -> Results:
    """Close a campaign and publish its results in its own ledger.

    No vote can slip in between: the campaign's row is locked while the results are computed.

    Raises:
        CampaignClosed: It is frozen already.
        InputError: No such campaign.
    """
    stored = get_campaign(database, name)
    with database.write() as connection:
        connection.execute(
            select(campaigns.c.id).where(campaigns.c.id == stored.id).with_for_update()
        ).one()
        entries = read_entries(connection, stored.id)
        results = derive_results(stored, entries, settings=settings)
        close_campaign(connection, stored, publication(results), now=now)
    return campaign_results(database, name)
