"""The rating page: mounts the player, which talks to this process's own routes from then on.

Neither progress nor votes pass through the page's session: a reload, a lost connection or a restarted
server changes nothing but the picture.
"""

import streamlit as st

from dashboard.identity import require
from dashboard.player_source import player_script, player_style
from dashboard.site import current_site

site = current_site()
require(site, "rate")
mount = st.components.v2.component(
    "rating", html="<div></div>", css=player_style(), js=player_script("rate.js")
)
mount(key="rating", data={"api": "/api"})
