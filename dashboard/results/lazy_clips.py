"""Pictures of clips beside each other that become videos on demand, and the way to the compare page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import streamlit as st

from dashboard.results.clips import clip_url
from dashboard.results.data import StoreState, clips_at
from eval.store.registry import StoredClip
from eval.store.workspace import Workspace

Answers = Mapping[tuple[str, str, str], StoredClip]
"""(system, suite, case) -> clip."""

_FOLDER: Final = Path(__file__).parent


def answers_at(workspace: Workspace, state: StoreState) -> dict[tuple[str, str, str], StoredClip]:
    """The clip of each system on each case, the first seed's."""
    found: dict[tuple[str, str, str], StoredClip] = {}
    for stored in clips_at(workspace, state):
        found.setdefault((stored.clip.system, stored.clip.suite, stored.clip.case), stored)
    return found


def draw_clips(answers: Answers, systems: Sequence[str], suite: str, case: str, key: str) -> None:
    """Draw the clips of some systems on one case.

    Args:
        answers: From `answers_at`.
        systems: From left to right.
        suite: The case's suite.
        case: Its id.
        key: Unique on the page.
    """
    mount_clips(clips_data(answers, systems, suite, case), key)


def mount_clips(data: Mapping[str, Any], key: str) -> None:
    """Draw clips that are described already, see `clips_data`."""
    mount = st.components.v2.component(
        "joystreamer_lazy_clips",
        html='<div class="clips"></div>',
        css=(_FOLDER / "lazy_clips.css").read_text(encoding="utf-8"),
        js=(_FOLDER / "lazy_clips.js").read_text(encoding="utf-8"),
    )
    mount(key=key, data=data)


def clips_data(answers: Answers, systems: Sequence[str], suite: str, case: str) -> dict[str, Any]:
    """What the browser needs to draw them; '' where there is no clip or no picture."""
    shown = []
    for system in systems:
        stored = answers.get((system, suite, case))
        playable = stored is not None and not stored.clip.problem
        shown.append(
            {
                "system": system,
                "url": clip_url(stored.proxy or stored.clip.digest) if stored and playable else "",
                "poster": clip_url(stored.poster) if stored and stored.poster else "",
            }
        )
    there = [clip["system"] for clip in shown if clip["url"]][:4]
    return {"clips": shown, "compare": compare_address(suite, case, there) if there else ""}


def compare_address(suite: str, case: str, systems: Sequence[str]) -> str:
    """The address of the compare page with these systems on this case."""
    name = f"{suite}/{case}" if suite else case
    return f"/compare?{urlencode([('case', name), *(('with', system) for system in systems)])}"
