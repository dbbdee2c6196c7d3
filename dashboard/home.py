"""Where staff start."""

import streamlit as st

from dashboard.identity import require
from dashboard.site import current_site
from eval.ratings.store import list_campaigns

site = current_site()
require(site, "see_results")
st.title("JoyStreamer")
found = list_campaigns(site.workspace.database)
open_now = [stored.campaign.name for stored in found if stored.state == "open"]
st.write(f"{len(found)} rating campaigns, {len(open_now)} of them open.")
st.page_link(
    "campaigns.py", label="Campaigns: progress, flags, invitations", icon=":material/how_to_vote:"
)
