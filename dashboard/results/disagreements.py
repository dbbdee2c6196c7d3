"""Where metric and people disagree: the cases on which one prefers this clip and the other that one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard.results.cards import draw_cards, plain
from dashboard.results.data import StoreState
from dashboard.results.lazy_clips import Answers, draw_clips
from dashboard.results.states import sentence
from dashboard.results.votes import agreement_at, head_of
from eval.ratings.store import StoredCampaign, list_campaigns
from eval.report.wording import number, signed
from eval.store.workspace import Workspace
from joystreamer.errors import InputError


def show_disagreements(
    workspace: Workspace, state: StoreState, snapshot: int | None, answers: Answers
) -> None:
    """Draw one campaign's disagreements, the worst first, and how far each metric follows people."""
    found = list_campaigns(workspace.database)
    if not found:
        st.info(
            "No votes yet. Declare a campaign with `python -m eval ratings create`; cases on which metrics and "
            "people disagree are then listed here.",
            icon=":material/how_to_vote:",
        )
        return
    left, middle, right = st.columns(3)
    names = [stored.campaign.name for stored in found]
    name = left.selectbox("Campaign", names, index=len(names) - 1, key="votes_of")
    stored = found[names.index(str(name))]
    try:
        correlation, worst = agreement_at(workspace, head_of(workspace, stored), state, snapshot)
    except InputError as error:
        st.info(sentence(str(error)), icon=":material/info:")
        return
    if correlation.empty:
        st.info(
            "No case of this campaign has both votes and scores with a direction. Score the clips it shows "
            "with `python -m eval score`.",
            icon=":material/info:",
        )
        return
    if stored.campaign.simulated:
        st.warning("**Simulated votes.** Read nothing into them.", icon=":material/smart_toy:")
    titles = {each.id: each.title for each in stored.campaign.dimensions}
    dimension = middle.selectbox(
        "Dimension", ["all", *dict.fromkeys(worst["dimension"])], key="conflict_dimension",
        format_func=lambda key: titles.get(key, "all dimensions"),
    )  # fmt: skip
    metric = right.selectbox(
        "Metric", ["all metrics", *sorted(set(worst["metric"]))], key="conflict_metric"
    )
    if dimension != "all":
        worst = worst[worst["dimension"] == dimension]
    if metric != "all metrics":
        worst = worst[worst["metric"] == metric]
    _cards(worst, titles, stored, answers)
    st.markdown("**How far each metric follows people**")
    st.caption(
        "Rank correlation over the cases, per dimension; the interval resamples cases. same_sign: share of cases on "
        "which both favour the same system."
    )
    st.dataframe(correlation, hide_index=True, width="stretch")


def _cards(
    worst: pd.DataFrame, titles: dict[str, str], stored: StoredCampaign, answers: Answers
) -> None:
    if worst.empty:
        st.success("Metrics and people agree on every case shown here.", icon=":material/check:")
        return
    st.caption(
        f"{len(worst)} disagreements, worst first: the metric's difference, in its own spread, times people's "
        "net preference."
    )

    def card(row: dict[str, Any], key: str) -> None:
        draw_clips(answers, (row["first"], row["second"]), stored.campaign.suite, row["case"], key)
        st.markdown(f"**{plain(row['case'])}**")
        for line in conflict_words(row, titles):
            st.caption(plain(line))

    draw_cards(worst.to_dict("records"), card, "conflicts")
    with st.expander("The same as a table"):
        st.dataframe(worst, hide_index=True, width="stretch")


def conflict_words(row: dict[str, Any], titles: dict[str, str]) -> tuple[str, str]:
    """What people say and what the metric says, in a line each.

    Args:
        row: A row of `eval.ratings.statistics.correlation.worst_disagreements`.
        titles: Of the dimensions.
    """
    people = row["first"] if row["human"] > 0 else row["second"]
    metric = row["first"] if row["difference"] > 0 else row["second"]
    return (
        f"People: {people}, {titles.get(row['dimension'], row['dimension'])} "
        f"(net {signed(abs(row['human']))}, {row['votes']} votes)",
        f"{row['metric']}: {metric} (by {number(abs(row['difference']))})",
    )
