"""Runs: what is scored, what waits, what failed, where the time went, and whether the workspace is in order."""

from __future__ import annotations

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.results.charts import stages_chart
from dashboard.results.data import StoreState, store_state
from dashboard.results.opening import open_page
from dashboard.results.progress import (
    STATES,
    Run,
    health,
    recent_runs,
    several_specifications,
    stage_times,
    work_matrix,
)
from dashboard.results.states import nothing_yet, sentence, told_in_words
from eval.store.workspace import Workspace
from joystreamer.errors import JoyStreamerError

# Seconds between two looks at running work; a running process writes no new run.
LOOK_EVERY_S: Final = 3


def show(workspace: Workspace) -> None:
    """Draw the page."""
    st.header("Runs", anchor=False)
    with told_in_words():
        state = store_state(workspace)
        if not state.clip:
            nothing_yet(
                "This workspace has no clips yet.",
                f"python -m eval ingest CLIPS --system NAME --workspace {workspace.root}",
            )
        _now(workspace)
        found = recent_runs(workspace)
        if not found:
            nothing_yet(
                "Nothing was scored yet.", f"python -m eval score --workspace {workspace.root}"
            )
        work, runs, time_tab, order = st.tabs(["Work", "Runs", "Stage times", "Workspace health"])
        with work:
            _work(workspace)
        with runs:
            _runs(found)
        with time_tab:
            _times(found)
        with order:
            _health(workspace, state)


@st.fragment(run_every=LOOK_EVERY_S)
def _now(workspace: Workspace) -> None:
    """Four numbers that follow the store."""
    try:
        matrix = work_matrix(workspace)
        found = recent_runs(workspace)
    except JoyStreamerError as error:
        st.caption(sentence(str(error)))
        return
    planned, scored = int(matrix["planned"].sum()), int(matrix["scored"].sum())
    boxes = st.columns(4)
    boxes[0].metric(
        "Scored",
        f"{scored:,} of {planned:,}",
        help="Pieces of work: a clip and a measure.",
        border=True,
    )
    boxes[1].metric("In work now", f"{int(matrix['in work'].sum()):,}", border=True)
    boxes[2].metric(
        "Waiting",
        f"{int(matrix['waiting'].sum()):,}",
        help="Planned by a run and not measured yet.",
        border=True,
    )
    running = sum(run.state == "running" for run in found)
    stopped = sum(run.state == "stopped" for run in found)
    boxes[3].metric(
        "Runs at work",
        running,
        f"{stopped} stopped early" if stopped else None,
        delta_color="off",
        border=True,
    )
    if planned:
        st.progress(scored / planned)


def _work(workspace: Workspace) -> None:
    """Scored and planned work by measure and system."""
    matrix = work_matrix(workspace)
    if matrix.empty:
        st.caption("Nothing is planned.")
        return
    matrix["work"] = matrix["scored"].astype(str) + " / " + matrix["planned"].astype(str)
    spec = matrix["measure"] + "/" + matrix["variant"]
    wide = matrix.assign(measure=spec).pivot(
        index=["measure", "fingerprint"], columns="system", values="work"
    )
    st.caption(
        "Scored / planned. A row is one specification; the board takes one per metric and names what it refuses."
    )
    st.dataframe(wide.fillna("").reset_index(), hide_index=True, width="stretch")
    waiting = matrix[matrix["waiting"] > 0]
    if len(waiting):
        st.warning(
            f"{int(waiting['waiting'].sum()):,} pieces of work wait and nobody holds them. "
            f"`python -m eval score --workspace {workspace.root}` goes on where the last run stopped.",
            icon=":material/hourglass_empty:",
        )


def _runs(found: list[Run]) -> None:
    """The newest runs, and what failed in each."""
    rows = [
        {
            "run": run.id, "state": run.state, "started": run.started,
            "minutes": round(run.report["wall_s"] / 60, 1) if "wall_s" in run.report else None,
            "clips": run.report.get("clips"), "scores": run.report.get("scores"),
            "without value": sum(run.report.get("nulls", {}).values()), "reused": run.report.get("reused"),
            "failures": len(run.report.get("failures", ())),
            "memory, MB": round(run.report["peak_mb"]) if "peak_mb" in run.report else None,
            "worker": run.worker,
        }
        for run in found
    ]  # fmt: skip
    st.dataframe(rows, hide_index=True, width="stretch")
    for state in dict.fromkeys(run.state for run in found if run.state in ("stopped", "silent")):
        st.caption(f"{state}: {STATES[state]}")
    failed = [run for run in found if run.report.get("failures")]
    for run in failed:
        with st.expander(
            f"Run {run.id}: {len(run.report['failures'])} failures", icon=":material/error:"
        ):
            st.dataframe(
                [{"failure": text} for text in run.report["failures"]],
                hide_index=True,
                width="stretch",
            )
    if not failed:
        st.caption("No clip failed to decode and no measure broke in these runs.")


def _times(found: list[Run]) -> None:
    """Where the time went."""
    table = stage_times(found)
    if table.empty:
        st.caption("No run has finished yet; its times are known at its end.")
        return
    st.vega_lite_chart(stages_chart(table), width="stretch")
    st.dataframe(table, hide_index=True, width="stretch")


def _health(workspace: Workspace, state: StoreState) -> None:
    """Whether records and files fit together."""
    st.caption(
        f"{workspace.root} · database {workspace.database.name} · newest score {state.score:,}"
    )
    table = pd.DataFrame(health(workspace))
    table.insert(
        0,
        "",
        [":material/check:" if count == 0 else ":material/warning:" for count in table["count"]],
    )
    st.table(table.set_index("check"), border="horizontal")
    older = several_specifications(workspace)
    st.markdown("**Incomparable or stale specifications**")
    if not older:
        st.caption("None: every measure's scores come from one specification.")
        return
    st.dataframe(older, hide_index=True, width="stretch")
    st.caption(
        "Scores of different specifications do not compare. Score these clips again to bring them into one column."
    )


if __name__ == "__main__":  # as a page; tests call show
    open_page(show)
