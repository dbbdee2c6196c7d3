"""People's votes as the result pages read them, kept until the ledger of their campaign grows.

Numbers come from `eval.ratings` and from nowhere else. A campaign that is declared blind gives nothing
before it is frozen. Knows no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd
import streamlit as st

from dashboard.results.data import StoreState, scores_at
from eval.ratings.exclusion import excluded_raters
from eval.ratings.metric_scores import comparable_scores
from eval.ratings.results import Results, campaign_results
from eval.ratings.statistics.board import BoardSettings, Ranking
from eval.ratings.statistics.correlation import (
    metric_correlation,
    paired_preferences,
    worst_disagreements,
)
from eval.ratings.statistics.rater_quality import rater_quality
from eval.ratings.store import StoredCampaign, campaign_entries, list_campaigns
from eval.ratings.vote_table import vote_table
from eval.store.workspace import Workspace

Scope = Literal["cases_like_these", "these_cases"]

SCOPES: Final[dict[str, Scope]] = {
    "cases like these": "cases_like_these", "these cases": "these_cases",
}  # fmt: skip
"""What intervals speak about, in the words of `python -m eval ratings results --scope`."""

WORDS: Final = {1.0: "better", 0.0: "same", -1.0: "worse"}
"""What a vote says of the first system."""

_KEPT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A campaign's ledger at one moment; another value whenever results would differ.

    Attributes:
        workspace: Identity of the workspace.
        name: The campaign.
        digest: Of the last ledger entry.
        state: open or frozen.
    """

    workspace: str
    name: str
    digest: str
    state: str


def head_of(workspace: Workspace, stored: StoredCampaign) -> Head:
    """What remembered results of a campaign are remembered by."""
    return Head(
        workspace=f"{workspace.id} {workspace.database.name}", name=stored.campaign.name,
        digest=stored.head_digest, state=stored.state,
    )  # fmt: skip


@st.cache_resource(max_entries=_KEPT, show_spinner="Resampling cases and raters …")
def results_at(_workspace: Workspace, head: Head, scope: Scope | None = None) -> Results:
    """Results of a campaign, as `python -m eval ratings results` computes them.

    Args:
        _workspace: Holds the ledger.
        head: Which campaign, and how far.
        scope: What intervals speak about; None as the campaign was published.

    Raises:
        InputError: The campaign is gone, or blind until it is frozen.
    """
    found = campaign_results(_workspace.database, head.name)
    if scope is None or scope == found.settings.scope:
        return found
    settings = BoardSettings(scope=scope, seed=found.campaign.seed)
    return campaign_results(_workspace.database, head.name, settings=settings)


@st.cache_resource(max_entries=4 * _KEPT, show_spinner="Ranking …")
def ranking_at(
    _workspace: Workspace, head: Head, scope: Scope | None, dimension: str, baseline: str
) -> Ranking:
    """Everybody's place on one dimension.

    Raises:
        InputError: No votes, or systems that never met.
    """
    return results_at(_workspace, head, scope).ranking(dimension, baseline=baseline)


@st.cache_resource(max_entries=_KEPT, show_spinner=False)
def votes_at(_workspace: Workspace, head: Head) -> pd.DataFrame:
    """Standing votes of a campaign with a column `counts`: False for raters left out by its rule."""
    stored, entries = campaign_entries(_workspace.database, head.name)
    votes = vote_table(entries)
    out = excluded_raters(rater_quality(votes), stored.campaign.exclusion)
    return votes.assign(counts=~votes["rater"].isin(list(out)))


def case_votes(
    workspace: Workspace, suite: str, case: str, systems: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Every vote of people between some systems on one case.

    Args:
        workspace: Holds the ledgers.
        suite: The case's suite.
        case: Its id.
        systems: At least two of them must have met.

    Returns:
        One row per vote: campaign, first, second, rater, kind, one column per dimension with what
        was said of `first` (better, same, worse, can't judge), flag, comment, origin, counts; and
        the names of campaigns whose votes are blind until they are frozen.
    """
    tables, blind = [], []
    for stored in list_campaigns(workspace.database):
        if stored.campaign.suite != suite or case not in stored.campaign.cases:
            continue
        if stored.is_blind:
            blind.append(stored.campaign.name)
            continue
        votes = votes_at(workspace, head_of(workspace, stored))
        mine = votes[
            (votes["case"] == case) & votes["first"].isin(systems) & votes["second"].isin(systems)
            & (votes["first"] != votes["second"])  # a clip against itself compares nobody
        ]  # fmt: skip
        if not mine.empty:
            titles = {each.id: each.title for each in stored.campaign.dimensions}
            tables.append(_wide(mine, titles).assign(campaign=stored.campaign.name))
    if not tables:
        return pd.DataFrame(), tuple(blind)
    table = pd.concat(tables, ignore_index=True)
    return table[["campaign", *table.columns.drop("campaign")]], tuple(blind)


def _wide(votes: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """A row per vote, a column per dimension."""
    facts = ["first", "second", "rater", "kind", "flag", "comment", "origin", "counts"]
    said = votes.assign(said=[WORDS.get(value, "can't judge") for value in votes["outcome"]])
    wide = said.pivot_table(index="assignment", columns="dimension", values="said", aggfunc="first")
    wide = wide[[name for name in titles if name in wide]].rename(columns=titles)
    kept = votes.drop_duplicates("assignment").set_index("assignment")[facts]
    joined = kept.join(wide)
    return joined[["first", "second", "rater", "kind", *wide.columns, *facts[4:]]]


def tally(votes: pd.DataFrame) -> pd.DataFrame:
    """Count what `case_votes` returned: a row per pair and dimension, checks and left-out raters aside."""
    facts = {"campaign", "first", "second", "rater", "kind", "flag", "comment", "origin", "counts"}
    dimensions = [name for name in votes.columns if name not in facts]
    work = votes[(votes["kind"] == "work") & votes["counts"].astype(bool)]
    rows = [
        {
            "dimension": dimension, "Good": int((mine[dimension] == "better").sum()),
            "Same": int((mine[dimension] == "same").sum()),
            "Bad": int((mine[dimension] == "worse").sum()),
            "first": first, "second": second, "campaign": campaign,
        }
        for (campaign, first, second), mine in work.groupby(["campaign", "first", "second"])
        for dimension in dimensions
        if mine[dimension].notna().any()
    ]  # fmt: skip
    columns = ["dimension", "Good", "Same", "Bad", "first", "second", "campaign"]
    return pd.DataFrame(rows, columns=columns)


@st.cache_resource(max_entries=_KEPT, show_spinner="Setting metrics against votes …")
def agreement_at(
    _workspace: Workspace, head: Head, state: StoreState, snapshot: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metrics against people, as `python -m eval ratings correlate` computes them.

    Returns:
        The correlation of every metric with people, and all disagreements, worst first.

    Raises:
        InputError: The campaign is blind, or its suite has no scores.
    """
    found = results_at(_workspace, head)
    scores = comparable_scores(scores_at(_workspace, state, snapshot), found.campaign.suite)
    preferences = paired_preferences(found.kept(), scores)
    return (
        metric_correlation(preferences, seed=found.settings.seed),
        worst_disagreements(preferences),
    )
