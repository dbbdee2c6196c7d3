"""The leaderboard: who leads, by how much and how surely, with links and files that keep it so."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any, Final

import streamlit as st

from dashboard.results import exports
from dashboard.results.board_table import draw_board
from dashboard.results.charts import difference_chart, metric_table, value_chart
from dashboard.results.data import (
    StoreState,
    View,
    board_of,
    checkpoints_tried,
    choices_at,
    prepared_at,
    scores_at,
    store_state,
    systems_at,
)
from dashboard.results.filters import choose_filters
from dashboard.results.opening import open_page
from dashboard.results.permalinks import permalink, pinned_snapshot, why_changed
from dashboard.results.states import follow, told_in_words, without_scores
from eval.leaderboard import Board
from eval.report.wording import (
    LEGEND,
    board_title,
    explain,
    holm_note,
    missing_by_reason,
    plural,
    published_matrix,
    suite_names,
)
from eval.statistics import keep_draws
from eval.store.workspace import Workspace

# Columns shown before the visitor asks for more.
MANY: Final = 8

FIRST_ROW: Final = "(first row)"

# Between the table and what stands below it: long enough that the table leaves the server and the browser has begun to
# draw it. Without it both come at once, and the browser shows the table when it has laid out all charts.
TABLE_FIRST_S: Final = 0.05


def show(workspace: Workspace) -> None:
    """Draw the page."""
    st.header("Leaderboard", anchor=False)
    with told_in_words():
        state = store_state(workspace)
        without_scores(workspace, state)
        snapshot = pinned_snapshot(st.query_params.to_dict())
        scores_at(workspace, state, snapshot)
    _numbers(workspace, state, snapshot)
    if snapshot is None:
        follow(workspace, state)
    # Last, when everything is drawn: the first filter then finds what it would have to draw.
    keep_draws(len(prepared_at(workspace, state, snapshot).cases))


@st.fragment
def _numbers(workspace: Workspace, state: StoreState, snapshot: int | None) -> None:
    """Draw the widgets and everything that follows from them, the table first.

    A part of its own, so that a widget is answered without the navigation and the saved views. One part, so
    that where nothing can be shown, nothing stale stays below; and a run of its own for what stands below the
    table would throw away a table that is not sent yet.
    """
    with told_in_words():
        view, shown = _choose(workspace, state, snapshot)
        board = board_of(workspace, state, view)
    _pin_notice(board, snapshot)
    left, right = st.columns([5, 2], vertical_alignment="center")
    with left:
        st.caption(board_title(board))
    with right:
        columns = _choose_columns(board)
    notes = checkpoints_tried(systems_at(workspace, state))
    picked = draw_board(board, columns, shown, notes, "board")
    st.caption(f"{LEGEND} {holm_note(board)}.")
    time.sleep(TABLE_FIRST_S)
    _refusals(board)
    _published(board)
    _detail(board, picked)
    _missing(board)
    _take_away(workspace, state, view, board, state.score if snapshot is None else snapshot)
    _provenance(board)


def _choose(workspace: Workspace, state: StoreState, snapshot: int | None) -> tuple[View, Any]:
    """Show the row of widgets; return the view and whether means or differences are shown."""
    choices = choices_at(workspace, state, snapshot)
    left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
    with right:
        filters = choose_filters(choices)
    systems = filters.systems or choices["systems"]
    with left:
        baseline = st.selectbox(
            "Baseline", [FIRST_ROW, *systems], key="baseline", bind="query-params",
            help="The other systems are held against it, case by case.",
        )  # fmt: skip
    with middle:
        shown = st.segmented_control(
            "Show", ["means", "differences"], default="means", key="show", bind="query-params",
            required=True,
        )  # fmt: skip
    chosen = None if baseline in (FIRST_ROW, None) else baseline
    return View(filters=filters, baseline=chosen, snapshot=snapshot), shown or "means"


def _choose_columns(board: Board) -> Any:
    """Return the columns to draw: the first ones, or all of them."""
    columns = board.measured
    if len(columns) <= MANY:
        return columns
    every = st.toggle(
        f"All {len(columns)} metrics", key="every", bind="query-params",
        help="The first ones are the paper's; choose single ones under Filters.",
    )  # fmt: skip
    return columns if every else columns[:MANY]


def _pin_notice(board: Board, snapshot: int | None) -> None:
    """Say that newer scores are left out, and whether the numbers are those of the link."""
    if snapshot is None:
        return
    changed = why_changed(st.query_params.to_dict(), board)
    if changed:
        st.warning(changed, icon=":material/warning:")
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        st.info(
            f"Pinned to score {snapshot:,}: newer scores are left out.", icon=":material/push_pin:"
        )
    with right:
        if st.button("Follow live", icon=":material/sync:", width="stretch"):
            for name in ("snapshot", "digest"):
                st.query_params.pop(name, None)
            st.rerun()


def _refusals(board: Board) -> None:
    """Name the scores that were left out because they do not compare, and why."""
    if not board.refused:
        return
    count = sum(refusal.scores for refusal in board.refused)
    with st.expander(
        f"Refused: {plural(count, 'score')} that do not compare",
        icon=":material/block:",
        expanded=True,
    ):
        for refusal in board.refused:
            st.markdown(
                f"- {plural(refusal.scores, 'score')} of `{refusal.system}` in `{refusal.column}`"
            )
            st.text(f"{refusal.why}.")


def _published(board: Board) -> None:
    """Set numbers from papers apart."""
    if not board.published:
        return
    with st.expander(
        f"Published numbers, set apart ({len(board.published)})", icon=":material/menu_book:"
    ):
        columns, rows, notes = published_matrix(board)
        st.dataframe(
            [{"system": system, **{name: values.get(name, "") for name in columns}} for system, values in rows.items()],
            hide_index=True, width="stretch",
        )  # fmt: skip
        for note in notes:
            st.caption(note)


def _detail(board: Board, picked: str) -> None:
    """One metric: every case, means, intervals and differences, and the same as a table."""
    st.subheader("One metric in detail", anchor=False)
    names = [column.name for column in board.measured]
    if picked in names and st.session_state.get("board_picked") != picked:
        st.session_state["board_picked"] = picked
        st.session_state["detail"] = picked
    if st.session_state.get("detail") not in names:
        st.session_state.pop("detail", None)
    name = st.selectbox(
        "Metric", names, key="detail", help="A click on a heading of the table chooses it too."
    )
    column = next(column for column in board.columns if column.name == name)
    st.caption(column.metric.summary)
    left, right = st.columns(2)
    table = metric_table(board, column)
    left.vega_lite_chart(value_chart(board, column, table), width="stretch")
    if board.baseline:
        right.vega_lite_chart(difference_chart(board, column, table), width="stretch")
    st.dataframe(table, hide_index=True, width="stretch")
    with st.expander("Case by case"):
        cases = board.cases[board.cases["column"] == name]
        wide = cases.pivot_table(index=["suite", "case"], columns="system", values="value")
        st.dataframe(
            wide.reindex(columns=[s for s in board.systems if s in wide]).reset_index(),
            hide_index=True,
            width="stretch",
        )


def _missing(board: Board) -> None:
    """Account for every value that is missing."""
    found = missing_by_reason(board)
    if not found:
        return
    with st.expander(f"Missing values, by reason ({len(found)})", icon=":material/help:"):
        st.dataframe(
            [
                {"reason": reason, "what it means": explain(reason), "metric": column, "clips": count}
                for reason, counter in found.items()
                for column, count in counter.most_common()
            ],
            hide_index=True, width="stretch",
        )  # fmt: skip


def _take_away(
    workspace: Workspace, state: StoreState, view: View, board: Board, snapshot: int
) -> None:
    """Files and a link that keep these numbers."""
    st.subheader("Take away", anchor=False)
    pinned = replace(view, snapshot=snapshot)
    stem = f"leaderboard-{snapshot}"
    report = partial(exports.report_bytes, workspace, state, pinned, workspace.root.name)
    files: tuple[tuple[str, Any, str, str], ...] = (
        ("CSV", partial(exports.csv_bytes, board), "csv", "text/csv"),
        ("Parquet", partial(exports.parquet_bytes, board), "parquet", "application/vnd.apache.parquet"),
        ("LaTeX", partial(exports.latex_bytes, board), "tex", "application/x-tex"),
        ("HTML report", report, "html", "text/html"),
    )  # fmt: skip
    for place, (label, data, ending, mime) in zip(st.columns(len(files)), files, strict=True):
        place.download_button(
            label, data, f"{stem}.{ending}", mime, key=f"save_{ending}", on_click="ignore",
            icon=":material/download:", width="stretch",
        )  # fmt: skip
    st.caption("Link to exactly these numbers, also after more is scored:")
    st.code(f"{_address()}{permalink(view, board, snapshot)}", language=None, wrap_lines=True)


def _address() -> str:
    """The page's address without its query; '' where there is no browser."""
    return str(st.context.url or "").partition("?")[0]


def _provenance(board: Board) -> None:
    """Where the numbers come from."""
    facts = board.provenance
    with st.expander("Provenance", icon=":material/fingerprint:"):
        st.dataframe(
            [
                {"what": name, "value": str(value)}
                for name, value in {
                    "scores": f"{facts.scores}, {facts.nulls} of them without a value",
                    "clips": facts.clips, "cases": facts.cases, "suites": suite_names(facts.suites),
                    "first score": facts.oldest, "last score": facts.newest,
                    "digest of the scores": facts.scores_digest, "digest of the clips": facts.clips_digest,
                    **{f"version of {name}": version for name, version in facts.versions.items()},
                    **dict(facts.settings),
                }.items()
            ],
            hide_index=True, width="stretch",
        )  # fmt: skip


if __name__ == "__main__":  # as a page; tests call show
    open_page(show)
