"""For leads: how far everybody is, what was flagged and said, and new invitations. Never who wins."""

import time

import pandas as pd
import streamlit as st

from dashboard.identity import require
from dashboard.site import current_site
from eval.ratings.joining import create_invites
from eval.ratings.ledger import Entry
from eval.ratings.store import StoredCampaign, campaign_entries, list_campaigns
from eval.ratings.top_up import campaign_status
from joystreamer.errors import JoyStreamerError


def comments_of(entries: list[Entry]) -> list[dict[str, str]]:
    """What annotators wrote, newest first; shown as table cells, which hold plain text."""
    told = (entry.payload() for entry in reversed(entries))
    return [
        {
            "rater": said["rater"],
            "case": said["case"],
            "flag": said["flag"],
            "comment": said["comment"],
        }
        for said in told
        if said.get("comment")
    ]


def show_campaign(stored: StoredCampaign) -> None:
    """One campaign."""
    state = campaign_status(site.workspace.database, stored)
    note = " · simulated votes" if stored.campaign.simulated else ""
    st.subheader(f"{stored.campaign.name} ({stored.state}{note})")
    st.progress(
        state.done / state.total if state.total else 0.0,
        text=f"{state.done} of {state.total} pairs answered",
    )
    seats = state.seats[state.seats["rater"] != ""].drop(columns="seat")
    seen = pd.to_datetime(pd.to_numeric(seats["last_seen"]), unit="s", utc=True)
    st.dataframe(seats.assign(last_seen=seen), hide_index=True)
    st.caption(f"{len(state.seats) - len(seats)} of {len(state.seats)} seats are free.")
    if not state.flags.empty:
        st.caption("Flagged pairs")
        st.dataframe(state.flags, hide_index=True)
    _, entries = campaign_entries(site.workspace.database, stored.campaign.name)
    if comments := comments_of(entries):
        st.caption("Comments")
        st.dataframe(comments, hide_index=True)
    if stored.state == "open":
        invite(stored)


def invite(stored: StoredCampaign) -> None:
    """Make one invitation; its link is shown now and never again."""
    with st.form(f"invite {stored.id}", border=False):
        label = st.text_input(
            "Who is the invitation for? (a note for you; annotators never see it)", max_chars=200
        )
        if not st.form_submit_button("Invite"):
            return
    try:
        (made,) = create_invites(
            site.workspace.database, stored, [label or "invited here"], now=time.time()
        )
    except JoyStreamerError as error:
        st.error(str(error))
        return
    host = st.context.headers.get("host", "localhost")
    scheme = "https" if site.secure else "http"
    st.code(f"{scheme}://{host}/join/{made.token}", language=None)
    st.caption("Copy it now: it works once, and is not kept.")


site = current_site()
require(site, "manage_campaigns")
st.title("Campaigns")
campaigns = list_campaigns(site.workspace.database)
if not campaigns:
    st.info(
        "No campaigns yet. Declare one: python -m eval ratings create NAME --suite S --pair OURS OTHER"
    )
for each in campaigns:
    show_campaign(each)
