"""Compare: two to four systems on one case, on one clock, with all that was measured under the playhead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.results.clips import clip_url
from dashboard.results.data import (
    METRICS,
    StoreState,
    cases_at,
    clips_at,
    scores_at,
    store_state,
    systems_at,
)
from dashboard.results.opening import open_page
from dashboard.results.permalinks import pinned_snapshot
from dashboard.results.regressions import default_pair
from dashboard.results.states import follow, nothing_yet, told_in_words
from dashboard.results.vote_panel import vote_panel
from eval.reasons import REASONS
from eval.report.wording import ARROWS
from eval.store.registry import StoredClip
from eval.store.workspace import Workspace

# Clips beside each other at most.
MOST: Final = 4

# Points of a curve that are sent to the browser at most.
POINTS: Final = 500

# Curves drawn before the visitor chooses.
CURVES: Final = 3

_FOLDER: Final = Path(__file__).parent


def show(workspace: Workspace) -> None:
    """Draw the page."""
    st.header("Compare", anchor=False)
    with told_in_words():
        state = store_state(workspace)
        if not state.clip:
            nothing_yet(
                "This workspace has no clips yet.",
                f"python -m eval ingest CLIPS --system NAME --workspace {workspace.root}",
            )
        snapshot = pinned_snapshot(st.query_params.to_dict())
        chosen, suite, case = _choose(workspace, state)
        if not chosen:
            st.info("Choose at least one system.")
            st.stop()
        rows = _scores_of(workspace, state, snapshot, chosen)
        _player(workspace, chosen, rows)
        _asked(workspace, state, suite, case)
        left, right = st.columns(2)
        with left:
            _values(rows, chosen)
        with right:
            vote_panel(workspace, suite, case, [stored.clip.system for stored in chosen])
    if snapshot is None:
        follow(workspace, state)


def _choose(workspace: Workspace, state: StoreState) -> tuple[list[StoredClip], str, str]:
    """Show the widgets; return the chosen systems' clips of the chosen case."""
    clips = [stored for stored in clips_at(workspace, state) if not stored.clip.problem]
    keys = sorted({(stored.clip.suite, stored.clip.case) for stored in clips})
    names = {f"{suite}/{case}" if suite else case: (suite, case) for suite, case in keys}
    if not names:
        nothing_yet(
            "No clip here can be decoded.",
            f"python -m eval ingest CLIPS --system NAME --workspace {workspace.root}",
        )
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    shown = left.selectbox("Case", list(names), key="case", bind="query-params")
    suite, case = names[str(shown)]
    of_case: dict[str, StoredClip] = {}
    for stored in clips:
        if (stored.clip.suite, stored.clip.case) == (suite, case):
            of_case.setdefault(stored.clip.system, stored)
    systems = list(of_case)
    default = (
        list(default_pair(systems, systems_at(workspace, state))) if len(systems) > 1 else systems
    )
    picked = right.multiselect(
        f"Systems, up to {MOST}",
        systems,
        default=default,
        max_selections=MOST,
        key="with",
        bind="query-params",
    )
    return [of_case[name] for name in picked], suite, case


def _scores_of(
    workspace: Workspace, state: StoreState, snapshot: int | None, chosen: Sequence[StoredClip]
) -> pd.DataFrame:
    """The scores of the chosen clips; empty when none is measured."""
    if not state.score:
        return pd.DataFrame(
            columns=["clip_id", "system", "metric", "variant", "value", "reason", "series"]
        )
    table = scores_at(workspace, state, snapshot)
    return table[table["clip_id"].isin([stored.id for stored in chosen])]


def _player(workspace: Workspace, chosen: Sequence[StoredClip], rows: pd.DataFrame) -> None:
    """The clips on one clock, with the chosen curves."""
    found = curves(workspace, rows)
    picked = list(found)[:CURVES]
    if len(found) > CURVES:
        picked = st.multiselect(
            "Curves under the playhead", list(found), default=picked, key="curves"
        )
    mount = st.components.v2.component(
        "joystreamer_compare",
        html='<div class="compare"></div>',
        css=(_FOLDER / "compare_player.css").read_text(encoding="utf-8"),
        js=(_FOLDER / "compare_player.js").read_text(encoding="utf-8"),
    )
    mount(
        key="compare",
        data={
            "clips": [clip_facts(stored) for stored in chosen],
            "series": [found[name] for name in picked],
        },
    )
    st.caption(
        "space plays and pauses, ← and → go one frame, w changes the view. Wipe, overlay and difference show the "
        "first two clips, brought to one box; a click on a curve goes there."
    )
    if found:
        with st.expander("The curves as a table"):
            st.dataframe(
                curve_table([found[name] for name in picked]), hide_index=True, width="stretch"
            )


def clip_facts(stored: StoredClip) -> dict[str, Any]:
    """What the player needs to know of a clip."""
    probe = stored.clip.probe
    return {
        "system": stored.clip.system,
        "url": clip_url(stored.proxy or stored.clip.digest),
        "duration_s": float(probe.get("duration_s") or 1.0),
        "frame_rate": float(probe.get("frame_rate") or 25.0),
        "audible": bool(probe.get("audio_streams")),
    }


def curves(workspace: Workspace, rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Per-frame series by name, a line per system.

    Args:
        workspace: Holds the series.
        rows: Scores of the compared clips.
    """
    found: dict[str, dict[str, Any]] = {}
    wanted = rows[["system", "metric", "variant", "series"]].itertuples(index=False, name=None)
    for system, metric, variant, digest in wanted:
        for name, series in workspace.read_series(str(digest or "")).items():
            title = f"{metric}/{variant}: {name}"
            chart = found.setdefault(title, {"title": title, "unit": series.unit, "lines": []})
            step = max(1, math.ceil(series.values.size / POINTS))
            values = np.asarray(series.values[::step], dtype=np.float64)
            chart["lines"].append(
                {
                    "system": system,
                    "times_s": [round(float(time), 4) for time in series.times_s[::step]],
                    "values": [float(value) if math.isfinite(value) else None for value in values],
                }
            )
    return found


def curve_table(charts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The drawn curves as numbers."""
    rows = [
        {"curve": chart["title"], "system": line["system"], "time in s": time, "value": value}
        for chart in charts
        for line in chart["lines"]
        for time, value in zip(line["times_s"], line["values"], strict=True)
    ]
    return pd.DataFrame(rows, columns=["curve", "system", "time in s", "value"])


def value_table(rows: pd.DataFrame, systems: Sequence[str]) -> pd.DataFrame:
    """Every metric of the compared clips: a value, or the reason why there is none."""
    order = {name: place for place, name in enumerate(METRICS)}
    found: dict[tuple[str, str], dict[str, str]] = {}
    columns = ["system", "metric", "variant", "value", "reason"]
    for system, metric, variant, value, reason in rows[columns].itertuples(index=False, name=None):
        text = f"{value:.4g}" if reason is None else f"– {REASONS.get(reason, reason)}"
        found.setdefault((metric, variant), {})[system] = text
    ordered = sorted(found, key=lambda key: (order.get(key[0], len(order)), *key))
    return pd.DataFrame(
        [
            {
                "metric": f"{metric}/{variant} {ARROWS[METRICS[metric].better] if metric in METRICS else ''}",
                "unit": METRICS[metric].unit if metric in METRICS else "",
                **{system: found[metric, variant].get(system, "not scored") for system in systems},
            }
            for metric, variant in ordered
        ]
    )


def _values(rows: pd.DataFrame, chosen: Sequence[StoredClip]) -> None:
    """All numbers of these clips."""
    st.subheader("All metrics of this case", anchor=False)
    if rows.empty:
        st.caption("Nothing is measured yet; run `python -m eval score`.")
        return
    st.dataframe(
        value_table(rows, [stored.clip.system for stored in chosen]),
        hide_index=True,
        width="stretch",
    )


def _asked(workspace: Workspace, state: StoreState, suite: str, case: str) -> None:
    """What the systems were given: prompt, picture and speech."""
    stored = cases_at(workspace, state).get((suite, case))
    if stored is None:
        return
    with st.expander(
        "What was asked: prompt, reference picture, speech", icon=":material/assignment:"
    ):
        st.text(str(stored.record.get("prompt") or "(no prompt)"))
        image = workspace.media.find(stored.image) if stored.image else None
        if image is not None:
            st.image(str(image), caption="reference picture", width=320)
        speech = workspace.media.find(stored.speech) if stored.speech else None
        if speech is not None:
            st.audio(str(speech))


if __name__ == "__main__":  # as a page; tests call show
    open_page(show)
