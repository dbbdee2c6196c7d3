"""Checkpoints over training steps: every metric with its intervals, several runs, one checkpoint marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.results.charts import steps_chart
from dashboard.results.data import (
    View,
    board_of,
    checkpoints_tried,
    choices_at,
    store_state,
    systems_at,
)
from dashboard.results.filters import choose_filters
from dashboard.results.opening import open_page
from dashboard.results.permalinks import pinned_snapshot
from dashboard.results.states import follow, told_in_words, without_scores
from eval.leaderboard import Board
from eval.leaderboard.columns import Column
from eval.records import System
from eval.report.wording import ARROWS, VERDICTS, number, p_value, share
from eval.store.workspace import Workspace

# Metrics drawn before the visitor chooses.
FIRST: Final = 4

NO_RUN: Final = "(no family)"


def show(workspace: Workspace) -> None:
    """Draw the page."""
    st.header("Checkpoints", anchor=False)
    with told_in_words():
        state = store_state(workspace)
        without_scores(workspace, state)
        snapshot = pinned_snapshot(st.query_params.to_dict())
        choices = choices_at(workspace, state, snapshot)
        systems = systems_at(workspace, state)
        steps = stepped(choices["systems"], systems)
        if not steps:
            st.info(
                "No checkpoint with a training step is scored here. Give steps when clips are added: a suite "
                "rendered by `python -m eval ingest CLIPS --system run1-1000 --kind checkpoint --step 1000`, "
                "then `python -m eval score`.",
                icon=":material/timeline:",
            )
            st.stop()
        left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
        with right:
            filters = choose_filters(choices, leave_out=("systems", "metrics", "published"))
        with left:
            families = sorted({family for family, _ in steps.values()})
            runs = st.multiselect(
                "Runs", families, default=families, key="runs", bind="query-params"
            )
        chosen = {name: place for name, place in steps.items() if place[0] in runs}
        if not chosen:
            st.info("Choose at least one run.")
            st.stop()
        with middle:
            names = sorted(chosen, key=lambda name: chosen[name])
            marked = st.selectbox(
                "Selected checkpoint", names, index=len(names) - 1, key="selected", bind="query-params",
                help="Marked in every chart; the others are compared with it, case by case.",
            )  # fmt: skip
        # Compared with the marked one: the baseline of a board is what p values are about.
        view = View(filters=replace(filters, systems=tuple(names), published=()), snapshot=snapshot)
        board = board_of(
            workspace, state, replace(view, baseline=str(marked) if len(names) > 1 else None)
        )
        tried = checkpoints_tried(systems)
        st.caption(
            f"{marked} is {tried.get(str(marked), 'one checkpoint')}: the best of many looks better than it is."
        )
        _charts(board, chosen, str(marked))
    if snapshot is None:
        follow(workspace, state)


def stepped(names: Sequence[str], systems: Mapping[str, System]) -> dict[str, tuple[str, int]]:
    """Return family and training step of every checkpoint that has one."""
    found = {}
    for name in names:
        system = systems.get(name)
        if system is not None and system.kind == "checkpoint" and system.step is not None:
            found[name] = (system.family or NO_RUN, system.step)
    return found


def steps_table(board: Board, column: Column, steps: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    """One metric over steps: what the chart draws, as numbers."""
    rows = []
    for system in board.systems:
        cell = board.cell(system, column.name)
        contrast = cell.contrast
        family, step = steps[system]
        rows.append(
            {
                "run": family, "step": step, "checkpoint": system, "mean": cell.mean,
                "low": cell.interval.low if cell.interval else None,
                "high": cell.interval.high if cell.interval else None,
                "n": cell.n, "coverage": share(cell.coverage),
                "against selected": VERDICTS[contrast.verdict] if contrast else "selected",
                "difference": contrast.mean if contrast else None,
                "p (Holm)": p_value(contrast.adjusted_p) if contrast else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows).sort_values(["run", "step"], ignore_index=True)


def best_words(table: pd.DataFrame, column: Column) -> str:
    """Name the checkpoint with the best mean, '' for a metric without a direction."""
    known = table.dropna(subset="mean")
    if known.empty or column.metric.better == "neither":
        return ""
    ordered = known.sort_values("mean", ascending=column.metric.better == "lower", kind="stable")
    best: Any = ordered.iloc[0]
    verdict = (
        ""
        if best["against selected"] == "selected"
        else f", {best['against selected']} against the selected one"
    )
    return f"best mean {number(float(best['mean']))} at step {best['step']:,} ({best['checkpoint']}{verdict})"


def _charts(board: Board, steps: Mapping[str, tuple[str, int]], marked: str) -> None:
    columns = {column.name: column for column in board.measured}
    directed = [name for name, column in columns.items() if column.metric.better != "neither"]
    shown = st.multiselect(
        "Metrics", list(columns), default=(directed or list(columns))[:FIRST], key="curves", bind="query-params"
    )  # fmt: skip
    tables = {name: steps_table(board, columns[name], steps) for name in shown}
    for start in range(0, len(shown), 2):
        for place, name in zip(st.columns(2), shown[start : start + 2], strict=False):
            with place, st.container(border=True):
                column = columns[name]
                st.markdown(f"**{name}** {ARROWS[column.metric.better]}")
                st.vega_lite_chart(
                    steps_chart(tables[name], column, steps[marked], marked), width="stretch"
                )
                st.caption(best_words(tables[name], column) or column.metric.summary)
    if tables:
        st.subheader("The same as a table", anchor=False)
        whole = pd.concat(
            [table.assign(metric=name) for name, table in tables.items()], ignore_index=True
        )
        st.dataframe(
            whole[["metric", *[c for c in whole if c != "metric"]]],
            hide_index=True,
            width="stretch",
        )
        st.download_button(
            "CSV", whole.to_csv(index=False, lineterminator="\n").encode(), "checkpoints.csv", "text/csv",
            on_click="ignore", icon=":material/download:",
        )  # fmt: skip


if __name__ == "__main__":  # as a page; tests call show
    open_page(show)
