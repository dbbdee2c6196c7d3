"""Human: what people prefer, how surely, how far they agree, and how far a campaign is.

All numbers are those of `python -m eval ratings results`; this file only lays them out.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.identity import require
from dashboard.results.human_charts import (
    alpha_chart,
    alpha_table,
    board_numbers,
    gsb_chart,
    matrix_chart,
    matrix_table,
    pairs_of,
    ratio_chart,
    standing_chart,
    standing_table,
)
from dashboard.results.saved_views_panel import views_panel
from dashboard.results.states import nothing_yet, sentence, told_in_words
from dashboard.results.votes import SCOPES, Head, Scope, head_of, ranking_at, results_at
from dashboard.site import current_site
from eval.ratings.figures import write_gsb_figure
from eval.ratings.rendering import board_latex, provenance, titles, write_board_csv
from eval.ratings.results import Results
from eval.ratings.roles import may
from eval.ratings.store import StoredCampaign, get_campaign, list_campaigns
from eval.ratings.top_up import campaign_status
from eval.store.files import write_text
from eval.store.workspace import Workspace
from joystreamer.errors import InputError, JoyStreamerError

# Seconds between two looks at a running campaign; its intervals take a second or two to compute.
LOOK_EVERY_S: Final = 10

_LEGEND: Final = (
    "▲ the first is preferred, ▼ the second, = not told apart (Holm-corrected over the board). Ties pull the "
    "ratio towards 1, so read it with the bars."
)


def show(workspace: Workspace, *, raters: bool = True) -> None:
    """Draw the page.

    Args:
        workspace: Holds the campaigns.
        raters: Whether the visitor may see single raters, under pseudonyms.
    """
    st.header("Human ratings", anchor=False)
    with told_in_words():
        found = list_campaigns(workspace.database)
        if not found:
            nothing_yet(
                "This workspace has no rating campaign yet.",
                "python -m eval ratings create NAME --suite SUITE --pair OURS OTHER --raters 6 "
                f"--workspace {workspace.root}\n"
                f"python -m eval ratings invite NAME --count 6 --workspace {workspace.root}",
            )
        stored, scope = _choose(found)
        if stored.campaign.simulated:
            _simulated()
        _progress(workspace, stored.campaign.name, stored.head_digest, raters)
        if stored.is_blind:
            st.info(
                "Results are blind until the campaign is frozen, as declared before the first vote. When it is "
                f"complete, run `python -m eval ratings freeze {stored.campaign.name}`.",
                icon=":material/visibility_off:",
            )
            return
        head = head_of(workspace, stored)
        results = results_at(workspace, head, scope)
        if results.board.empty:
            st.info(
                "No pair is answered yet. Send the invitations (page Campaigns) and come back; this page "
                "follows the votes.",
                icon=":material/hourglass_empty:",
            )
            return
        if results.label and not stored.campaign.simulated:
            _simulated()
    _tabs(workspace, head, scope, results, raters)


def _choose(found: Sequence[StoredCampaign]) -> tuple[StoredCampaign, Scope | None]:
    """Show the widgets; return the campaign and what intervals speak about."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    names = [stored.campaign.name for stored in found]
    name = left.selectbox(
        "Campaign", names, index=len(names) - 1, key="campaign", bind="query-params"
    )
    words = right.segmented_control(
        "Intervals speak about", list(SCOPES), default="cases like these", key="scope",
        bind="query-params", required=True,
        help="Cases like these: new cases and new raters. These cases: would others say the same of exactly these clips?",
    )  # fmt: skip
    stored = found[names.index(str(name))]
    scope = SCOPES[words or "cases like these"]
    published = stored.state == "frozen" and scope == "cases_like_these"
    return stored, None if published else scope


def _simulated() -> None:
    st.warning(
        "**Simulated votes.** Nobody watched these clips: answers were scripted to try the tools. Read nothing into them.",
        icon=":material/smart_toy:",
    )


@st.fragment(run_every=LOOK_EVERY_S)
def _progress(workspace: Workspace, name: str, shown: str, raters: bool) -> None:
    """How far the campaign is; draws the page again when its ledger has grown."""
    try:
        stored = get_campaign(workspace.database, name)
        status = campaign_status(workspace.database, stored)
    except JoyStreamerError as error:
        st.caption(sentence(str(error)))
        return
    if stored.head_digest != shown:
        st.rerun()
    seats = status.seats[status.seats["rater"] != ""]
    seen = pd.to_numeric(seats["last_seen"]).max() if len(seats) else float("nan")
    st.progress(
        status.done / status.total if status.total else 0.0,
        text=f"{status.done:,} of {status.total:,} pairs answered, checks included · {len(seats)} of "
        f"{len(status.seats)} seats taken · {stored.state}{_since(seen)}",
    )
    if not raters:
        return
    with st.expander("Progress by rater", icon=":material/groups:"):
        when = pd.to_datetime(pd.to_numeric(seats["last_seen"]), unit="s", utc=True)
        st.dataframe(
            seats.drop(columns="seat").assign(last_seen=when), hide_index=True, width="stretch"
        )
        if not status.flags.empty:
            st.caption("Flagged pairs")
            st.dataframe(status.flags, hide_index=True, width="stretch")


def _since(seen: float) -> str:
    if math.isnan(seen):
        return ""
    minutes = max(0, int((time.time() - seen) / 60))
    if minutes < 1:
        return " · somebody is rating now"
    return f" · last seen {minutes} min ago" if minutes < 120 else f" · last seen {minutes // 60} h ago"  # fmt: skip


def _tabs(
    workspace: Workspace, head: Head, scope: Scope | None, results: Results, raters: bool
) -> None:
    pages: list[tuple[str, Callable[[], None]]] = [
        ("Good / Same / Bad", lambda: _gsb(results)),
        ("Win matrix and ranks", lambda: _ranks(workspace, head, scope, results)),
        ("Agreement", lambda: _agreement(results)),
    ]
    if raters:
        pages.append(("Rater quality", lambda: _raters(results)))
    for tab, (_, draw) in zip(st.tabs([title for title, _ in pages]), pages, strict=True):
        with tab:
            draw()
    st.caption(provenance(results))
    _take_away(results)


def _gsb(results: Results) -> None:
    """The paper's figure: one panel per competitor, one bar per dimension."""
    st.caption(_LEGEND)
    for first, second in pairs_of(results.board):
        left, right = st.columns([3, 2])
        left.vega_lite_chart(gsb_chart(results, first, second), width="stretch")
        right.vega_lite_chart(ratio_chart(results, first, second), width="stretch")
        table = board_numbers(results, first, second)
        for note in dict.fromkeys(text for text in table["note"] if text):
            st.caption(f"{first} vs. {second}: {note}; counts only.")
        with st.expander(f"{first} vs. {second} as a table"):
            st.dataframe(table, hide_index=True, width="stretch")
    if results.excluded:
        st.caption(
            f"{len(results.excluded)} raters are left out by the rule declared beforehand; with "
            "everybody's votes:"
        )
        st.dataframe(results.board_all, hide_index=True, width="stretch")


def _ranks(workspace: Workspace, head: Head, scope: Scope | None, results: Results) -> None:
    """Everybody against everybody on one dimension, and the ranks that the votes allow."""
    names = titles(results)
    judged = [name for name in names if (results.board["dimension"] == name).any()]
    left, right = st.columns(2)
    dimension = left.selectbox(
        "Dimension", judged, format_func=lambda name: names[name], key="dimension"
    )
    systems = list(results.campaign.systems)
    anchor = results.campaign.pairs[0].second
    baseline = right.selectbox(
        "Baseline", systems, index=systems.index(anchor), key="rank_baseline"
    )
    try:
        ranking = ranking_at(workspace, head, scope, str(dimension), str(baseline))
    except InputError as error:
        st.info(sentence(str(error)), icon=":material/block:")
        return
    left, right = st.columns(2)
    left.vega_lite_chart(matrix_chart(results, ranking), width="stretch")
    right.vega_lite_chart(standing_chart(results, ranking), width="stretch")
    if ranking.note:
        st.caption(f"{ranking.note}: do not read the intervals.")
    right.caption(
        f"Davidson's model with ties. Left side {ranking.position:+.2f} "
        f"[{ranking.position_low:+.2f}, {ranking.position_high:+.2f}], tie weight {ranking.tie_weight:.2f}. "
        "Ranks and intervals hold for all systems at once."
    )
    with st.expander("The same as tables"):
        st.dataframe(standing_table(ranking), hide_index=True, width="stretch")
        st.dataframe(matrix_table(ranking), hide_index=True, width="stretch")


def _agreement(results: Results) -> None:
    """How far raters agree, per pair and dimension."""
    st.caption(
        "Agreement beyond chance: 1 is perfect, 0 is chance. A dimension on which people do not agree ranks nobody."
    )
    st.vega_lite_chart(alpha_chart(results), width="stretch")
    with st.expander("The same as a table"):
        st.dataframe(alpha_table(results), hide_index=True, width="stretch")


def _raters(results: Results) -> None:
    """What the checks say about each rater, and how far one rater moves a cell."""
    st.caption(
        "Pseudonyms. Pay and use are separate: this table decides neither pay nor blame. Rates without a check "
        "are empty."
    )
    reasons = ["; ".join(results.excluded.get(rater, ())) for rater in results.quality["rater"]]
    st.dataframe(
        results.quality.assign(**{"left out because": reasons}), hide_index=True, width="stretch"
    )
    st.caption("How far each rater alone moves a cell's net preference; the largest first.")
    st.dataframe(results.influence, hide_index=True, width="stretch")


def _take_away(results: Results) -> None:
    """Files that keep these numbers; simulated votes are named in each."""
    name = results.campaign.name
    files: tuple[tuple[str, Callable[[], bytes], str, str], ...] = (
        ("CSV", partial(_written, ".csv", write_board_csv, results), "csv", "text/csv"),
        ("LaTeX", partial(_written, ".tex", _write_latex, results), "tex", "application/x-tex"),
        ("Figure, PNG", partial(_written, ".png", write_gsb_figure, results), "png", "image/png"),
        ("Figure, PDF", partial(_written, ".pdf", write_gsb_figure, results), "pdf", "application/pdf"),
    )  # fmt: skip
    for place, (label, data, ending, mime) in zip(st.columns(len(files)), files, strict=True):
        place.download_button(
            label, data, f"{name}-{results.head_seq}.{ending}", mime, key=f"human_{ending}",
            on_click="ignore", icon=":material/download:", width="stretch",
        )  # fmt: skip


def _write_latex(path: Path, results: Results) -> None:
    write_text(path, board_latex(results))


def _written(ending: str, write: Callable[[Path, Any], None], results: Results) -> bytes:
    with tempfile.TemporaryDirectory(prefix="joystreamer-") as folder:
        path = Path(folder) / f"board{ending}"
        write(path, results)
        return path.read_bytes()


def _open() -> None:
    """Draw the page for whoever may see it."""
    site = current_site()
    session = require(site, "see_results")
    views_panel(site.workspace, "human", by=session.subject)
    show(site.workspace, raters=may(session.role, "see_raters"))


if __name__ == "__main__":  # as a page; tests call show
    _open()
