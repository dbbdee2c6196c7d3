"""Saved views beside the pages: open one, save what is shown now, delete one."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboard.pages import page_at
from dashboard.results.data import store_state
from dashboard.results.permalinks import SNAPSHOT
from dashboard.saved_views import SavedView, delete_view, list_views, save_view, write_query
from eval.store.workspace import Workspace
from joystreamer.errors import JoyStreamerError

PINNABLE: Final = ("leaderboard", "compare", "cases", "checkpoints")
"""Pages whose numbers an address can pin."""


def views_panel(workspace: Workspace, page: str, *, by: str = "staff") -> None:
    """Draw the panel in the sidebar.

    Args:
        workspace: Holds the views.
        page: Address of the page that is shown, without slashes.
        by: Who looks.
    """
    with st.sidebar:
        st.caption("SAVED VIEWS")
        views, problems = list_views(workspace.root)
        for view in views:
            _row(workspace, view)
        if not views:
            st.caption("None yet. Set filters, then save the view to come back to it.")
        for problem in problems:
            st.caption(f":material/warning: {problem}")
        _save_form(workspace, page, by, len(views))


def _row(workspace: Workspace, view: SavedView) -> None:
    shown = page_at(view.page)
    if shown is None:
        return
    left, right = st.columns([5, 1], vertical_alignment="center", gap=None)
    pinned = " · pinned" if SNAPSHOT in view.parameters() else ""
    left.page_link(
        shown.script, label=view.name, icon=shown.icon or None, query_params=view.parameters(),
        help=f"{shown.title}{pinned} · saved by {view.by}, {view.at[:10]}",
    )  # fmt: skip
    right.button(
        ":material/close:", key=f"delete_view_{view.key}", type="tertiary",
        help=f"Delete the view {view.name!r}", on_click=delete_view, args=(workspace.root, view.key),
    )  # fmt: skip


def _save_form(workspace: Workspace, page: str, by: str, known: int) -> None:
    """Ask for a name; one more known view makes another popover, which is closed."""
    with (
        st.popover(
            "Save this view", icon=":material/bookmark_add:", width="stretch", key=f"views_{known}"
        ),
        st.form("save_view", border=False, clear_on_submit=True),
    ):
        name = st.text_input("Name", max_chars=80, placeholder="Cartoons against Kling")
        pin = page in PINNABLE and st.checkbox(
            "Pin the numbers", help="Scores that are added later are left out."
        )
        if not st.form_submit_button("Save", type="primary"):
            return
        parameters = {key: st.query_params.get_all(key) for key in st.query_params}
        try:
            if pin and SNAPSHOT not in parameters:
                parameters[SNAPSHOT] = [str(store_state(workspace).score)]
            save_view(workspace.root, name=name, page=page, query=write_query(parameters), by=by)
        except JoyStreamerError as error:
            st.error(str(error))
            return
    st.rerun()
