"""How a page begins and what it says when it cannot show anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import streamlit as st

from dashboard.results.data import StoreState, store_state
from eval.store.workspace import Workspace
from joystreamer.errors import JoyStreamerError

LOOK_EVERY_S: Final = 5
"""Seconds between two looks at the store."""


@contextmanager
def told_in_words() -> Iterator[None]:
    """Show a mistake, a missing or locked database as a sentence and end the page there."""
    try:
        yield
    except JoyStreamerError as error:
        st.error(sentence(str(error)), icon=":material/error:")
        if st.button("Try again", icon=":material/refresh:"):
            st.rerun()
        st.stop()


def sentence(text: str) -> str:
    """An error's text as a sentence of its own, with Markdown's signs taken literally."""
    shown = text[:1].upper() + text[1:]
    shown = shown.replace("[", "\\[").replace("$", "\\$").replace("_", "\\_").replace("*", "\\*")
    return shown if shown.endswith((".", "!", "?")) else f"{shown}."


def nothing_yet(title: str, steps: str) -> None:
    """An empty page that says what to do next; ends the page.

    Args:
        title: What is missing.
        steps: Commands, one a line.
    """
    with st.container(border=True):
        st.markdown(f"**{title}**")
        st.code(steps, language="bash")
    st.stop()


def without_scores(workspace: Workspace, state: StoreState) -> None:
    """End the page with what to do next when nothing is measured yet."""
    if state.score:
        return
    where = f"--workspace {workspace.root}"
    if not state.clip:
        nothing_yet(
            "This workspace has no clips yet.",
            f"python -m eval ingest CLIPS --system NAME {where}\npython -m eval score {where}",
        )
    nothing_yet("Clips are here, and none is measured yet.", f"python -m eval score {where}")


@st.fragment(run_every=LOOK_EVERY_S)
def follow(workspace: Workspace, shown: StoreState) -> None:
    """Look at the store now and then, and show the page again when it holds something new."""
    try:
        found = store_state(workspace)
    except JoyStreamerError as error:
        st.caption(sentence(str(error)))
        return
    if found != shown:
        st.rerun()
    st.caption(f":material/sync: live · newest score {shown.score:,}")
