"""Cases: what got worse first, then what is broken or mended, what failed and why, and every case with its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.results import exports
from dashboard.results.cards import draw_cards, plain
from dashboard.results.data import (
    StoreState,
    View,
    cases_at,
    choices_at,
    comparison_of,
    narrowed_rows,
    prepared_at,
    store_state,
    systems_at,
)
from dashboard.results.disagreements import show_disagreements
from dashboard.results.filters import Filters, choose_filters
from dashboard.results.lazy_clips import Answers, answers_at, draw_clips
from dashboard.results.opening import open_page
from dashboard.results.permalinks import pinned_snapshot
from dashboard.results.regressions import Regression, default_pair, worst_losses
from dashboard.results.states import follow, told_in_words, without_scores
from eval.leaderboard import Comparison
from eval.leaderboard.comparison import CaseChange
from eval.report.wording import MARKS, VERDICTS, bounds, explain, number, p_value, signed
from eval.store.workspace import Workspace


def show(workspace: Workspace) -> None:
    """Draw the page."""
    st.header("Cases", anchor=False)
    with told_in_words():
        state = store_state(workspace)
        without_scores(workspace, state)
        snapshot = pinned_snapshot(st.query_params.to_dict())
        choices = choices_at(workspace, state, snapshot)
        first, second, filters, corner = _choose(workspace, state, choices)
        view = View(filters=filters, snapshot=snapshot)
        answers = answers_at(workspace, state)
        pages: list[tuple[str, Callable[[], None]]] = []
        if first and second:
            with corner:
                limits = _limits(workspace, state, view, first, second)
            found = comparison_of(workspace, state, view, first, second, limits)
            pages = [
                ("Regressions", lambda: _regressions(workspace, state, found, answers)),
                (
                    f"Newly broken ({len(found.broken)})",
                    lambda: _changes(found, found.broken, answers, "broken"),
                ),
                (
                    f"Newly fixed ({len(found.fixed)})",
                    lambda: _changes(found, found.fixed, answers, "fixed"),
                ),
            ]
        else:
            st.info(
                "With a second system this page shows regressions first. Add one with "
                "`python -m eval ingest` and `python -m eval score`."
            )
        pages += [
            (
                "Metrics against people",
                lambda: show_disagreements(workspace, state, snapshot, answers),
            ),
            ("Failures", lambda: _failures(workspace, state, view)),
            ("All cases", lambda: _grid(workspace, state, view, answers)),
        ]
        for tab, (_, draw) in zip(st.tabs([title for title, _ in pages]), pages, strict=True):
            with tab:
                draw()
        if first and second:
            _summary(found)
    if snapshot is None:
        follow(workspace, state)


def _choose(
    workspace: Workspace, state: StoreState, choices: Mapping[str, tuple[str, ...]]
) -> tuple[str, str, Filters, Any]:
    """Show the widgets; return candidate, reference, filters, and a place for one more widget.

    Names are '' with a single system.
    """
    names = list(choices["systems"])
    left, middle, corner, right = st.columns([3, 3, 2, 2], vertical_alignment="bottom")
    with right:
        filters = choose_filters(choices, leave_out=("systems", "published"))
    if len(names) < 2:
        return "", "", filters, corner
    candidate, reference = default_pair(names, systems_at(workspace, state))
    with left:
        first = st.selectbox(
            "Candidate", names, index=names.index(candidate), key="candidate", bind="query-params"
        )
    with middle:
        others = [name for name in names if name != first]
        second = st.selectbox(
            "Against", others, index=others.index(reference) if reference in others else 0,
            key="against", bind="query-params", help="Usually the checkpoint before.",
        )  # fmt: skip
    return str(first), str(second), filters, corner


def _limits(
    workspace: Workspace, state: StoreState, view: View, first: str, second: str
) -> tuple[tuple[str, float], ...]:
    """Let the visitor set a threshold that a metric must not cross; return it, or nothing."""
    with st.popover("Threshold", icon=":material/rule:", width="stretch"):
        st.caption("Count a case as broken when a metric crosses this value.")
        columns = comparison_of(workspace, state, view, first, second).columns
        names = [column.metric.name for column in columns if column.metric.better != "neither"]
        if not names:
            st.caption("No metric here has a direction.")
            return ()
        left, right = st.columns(2)
        name = left.selectbox("Metric", list(dict.fromkeys(names)), key="threshold_metric")
        value = right.number_input(
            "Threshold", value=None, key="threshold", placeholder="none", format="%g"
        )
        st.caption(
            "Without one, a case is broken when the candidate has no value and the other has."
        )
    return () if value is None else ((str(name), float(value)),)


def _summary(found: Comparison) -> None:
    """One line per metric: the paired difference, its interval and mark."""
    rows = []
    for row in found.rows:
        contrast = row.contrast
        interval = contrast.interval
        rows.append(
            {
                "metric": row.column, found.first: number(row.first_mean),
                found.second: number(row.second_mean, row.first_mean),
                "difference": f"{signed(contrast.mean)} {MARKS[contrast.verdict]}".strip(),
                "95 % interval": bounds(interval, contrast.mean, with_sign=True) if interval and contrast.mean is not None else "",
                "common cases": contrast.n, "p (Holm)": p_value(contrast.adjusted_p),
                "verdict": VERDICTS[contrast.verdict],
            }
        )  # fmt: skip
    with st.expander(
        f"{found.first} against {found.second}, metric by metric", icon=":material/balance:"
    ):
        st.dataframe(rows, hide_index=True, width="stretch")
        st.download_button(
            "CSV", lambda: exports.csv_bytes(found), f"{found.first}-against-{found.second}.csv",
            "text/csv", on_click="ignore", icon=":material/download:",
        )  # fmt: skip


def _regressions(
    workspace: Workspace,
    state: StoreState,
    found: Comparison,
    answers: Answers,
) -> None:
    """The worst paired losses, case by case."""
    metrics = ["all metrics", *dict.fromkeys(change.column for change in found.losses)]
    left, right = st.columns([3, 5], vertical_alignment="bottom")
    metric = left.selectbox("Ordered by", metrics, key="loss_metric")
    worst = worst_losses(found, None if metric == "all metrics" else str(metric))
    if not worst:
        st.success(f"{found.first} loses to {found.second} on no case.", icon=":material/check:")
        return
    right.caption(
        f"{len(worst)} cases on which {found.first} loses, worst first. Losses are ordered by the spread of "
        "their metric's differences (sd), since units do not compare."
    )
    prompts = cases_at(workspace, state)

    def card(item: Regression, key: str) -> None:
        record = prompts.get((item.suite, item.case))
        draw_clips(answers, (found.first, found.second), item.suite, item.case, key)
        st.markdown(f"**{plain(item.case)}**")
        if record and record.record.get("prompt"):
            st.caption(plain(str(record.record["prompt"])[:160]))
        for change, spread in item.losses[:3]:
            st.caption(
                f"▼ {change.column}: {number(change.first)} against {number(change.second, change.first)} "
                f"(loses {number(change.loss)}, {spread:.1f} sd)"
            )
        if len(item.losses) > 3:
            st.caption(f"and {len(item.losses) - 3} more metrics")

    draw_cards(worst, card, "worst")
    with st.expander("The same as a table"):
        st.dataframe(
            pd.DataFrame(
                [
                    {"case": item.case, "suite": item.suite, "metric": change.column, found.first: change.first,
                     found.second: change.second, "loss": change.loss, "loss in sd": spread}
                    for item in worst for change, spread in item.losses
                ]
            ),
            hide_index=True, width="stretch",
        )  # fmt: skip


def _changes(
    found: Comparison,
    changes: Sequence[CaseChange],
    answers: Answers,
    key: str,
) -> None:
    """Cases that one system passes and the other does not."""
    if not changes:
        st.success("None.", icon=":material/check:")
        return
    by_case: dict[tuple[str, str], list[CaseChange]] = {}
    for change in changes:
        by_case.setdefault((change.suite, change.case), []).append(change)

    def card(item: tuple[tuple[str, str], list[CaseChange]], card_key: str) -> None:
        (suite, case), lost = item
        draw_clips(answers, (found.first, found.second), suite, case, card_key)
        st.markdown(f"**{plain(case)}**")
        for change in lost[:4]:
            why = explain(change.why) if not change.why.startswith("crosses") else change.why
            st.caption(
                f"{change.column}: {number(change.first)} against {number(change.second)} ({why})"
            )

    draw_cards(sorted(by_case.items(), key=lambda item: (-len(item[1]), item[0])), card, key)


def _failures(workspace: Workspace, state: StoreState, view: View) -> None:
    """Scores without a value: how many by reason, and each with its message."""
    scores = narrowed_rows(prepared_at(workspace, state, view.snapshot), view.filters)
    lost = scores.frame(scores.rows[scores.reason[scores.rows] >= 0])
    if lost.empty:
        st.success("Every score has a value.", icon=":material/check:")
        return
    counts = lost.groupby(["reason", "system"]).size().unstack("system", fill_value=0)
    counts.insert(0, "what it means", [explain(str(reason)) for reason in counts.index])
    st.dataframe(counts.reset_index(), hide_index=True, width="stretch")
    shown = lost[["reason", "message", "system", "suite", "case", "metric", "variant"]]
    st.caption(f"{len(lost):,} scores without a value, of {len(scores.rows):,}.")
    st.dataframe(
        shown.sort_values(["reason", "metric", "case", "system"]), hide_index=True, width="stretch"
    )


def _grid(
    workspace: Workspace,
    state: StoreState,
    view: View,
    answers: Answers,
) -> None:
    """Every case with the clips of all systems, and all values of one case."""
    scores = narrowed_rows(prepared_at(workspace, state, view.snapshot), view.filters)
    keys = [scores.cases[code] for code in np.unique(scores.case[scores.rows]).tolist()]
    systems = [scores.systems[code] for code in np.unique(scores.system[scores.rows]).tolist()]
    records = cases_at(workspace, state)

    def card(item: tuple[str, str], key: str) -> None:
        draw_clips(answers, systems, *item, key)
        st.markdown(f"**{plain(item[1])}**")
        record = records.get(item)
        if record and record.record.get("prompt"):
            st.caption(plain(str(record.record["prompt"])[:160]))

    draw_cards(keys, card, "all", wide=3 if len(systems) < 3 else 2)
    names = [f"{case} ({suite})" if suite else case for suite, case in keys]
    chosen = st.selectbox("All values of", names, key="case_shown")
    shown = scores.cases.index(keys[names.index(chosen)])
    rows = scores.frame(scores.rows[scores.case[scores.rows] == shown])
    values = rows.assign(metric=rows["metric"] + "/" + rows["variant"])
    wide = values.pivot_table(
        index="metric", columns="system", values="value", aggfunc="mean", sort=False
    )
    st.dataframe(wide.reset_index(), hide_index=True, width="stretch")


if __name__ == "__main__":  # as a page; tests call show
    open_page(show)
