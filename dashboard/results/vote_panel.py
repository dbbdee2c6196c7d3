"""All votes on one case between the compared systems, beside what metrics say of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.results.states import LOOK_EVERY_S, sentence
from dashboard.results.votes import case_votes, tally
from eval.store.workspace import Workspace
from joystreamer.errors import JoyStreamerError


@st.fragment(run_every=LOOK_EVERY_S)
def vote_panel(workspace: Workspace, suite: str, case: str, systems: Sequence[str]) -> None:
    """Draw the votes; follows a running campaign."""
    st.subheader("People's votes", anchor=False)
    try:
        votes, blind = case_votes(workspace, suite, case, systems)
    except JoyStreamerError as error:
        st.caption(sentence(str(error)))
        return
    for name in blind:
        st.caption(f":material/visibility_off: Votes of {name!r} are blind until it is frozen.")
    if votes.empty:
        st.caption(
            "Nobody has compared these systems on this case. `python -m eval ratings create` declares a campaign."
        )
        return
    if (votes["origin"] == "simulated").any():
        st.caption(":material/smart_toy: **Simulated votes**: read nothing into them.")
    st.dataframe(tally(votes), hide_index=True, width="stretch")
    st.caption(
        "Good: the first is better. Work votes of raters who count; below are all, checks included."
    )
    with st.expander(f"Every vote ({len(votes)})"):
        st.dataframe(votes, hide_index=True, width="stretch")
