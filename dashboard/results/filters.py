"""Which scores a page shows: one small value, and the widgets that choose it.

The widgets keep their values in the page's address, under the names of the options of
`python -m eval leaderboard`, so that reloading or sharing an address keeps the view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import streamlit as st

from eval.leaderboard import TAGS
from eval.published import TABLE_1, read_sources

Choices = Mapping[str, tuple[str, ...]]
"""Values that can be filtered by, by filter."""

OPTIONS: Final[dict[str, str]] = {
    "systems": "system", "suites": "suite", "metrics": "metric", "published": "published",
    **{tag: tag for tag in TAGS},
}  # fmt: skip
"""Name in the address (and on the command line) by filter."""

LABELS: Final[dict[str, str]] = {
    "systems": "Systems", "suites": "Suites", "metrics": "Metrics", "subject": "Subject", "mode": "Voice",
    "content": "Content", "language": "Language", "length": "Length",
}  # fmt: skip

NO_SUITE: Final = "(no suite)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which scores; an empty tuple asks for all.

    Attributes:
        systems: Names of systems.
        suites: Names of suites.
        metrics: `family.name/variant`, or less of it.
        subject: Subject types.
        mode: Kinds of voice.
        content: Content tags.
        language: Language codes.
        length: `up to 10 s` or `over 10 s`.
        published: Sources of published rows set apart; empty for none.
    """

    systems: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    mode: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    length: tuple[str, ...] = ()
    published: tuple[str, ...] = (TABLE_1,)

    def selection(self) -> dict[str, tuple[str, ...]]:
        """The arguments of `eval.leaderboard.select_scores`."""
        return {name: getattr(self, name) for name in LABELS}

    def words(self) -> str:
        """The filters in one line, '' without any."""
        parts = [
            f"{LABELS[name].lower()}: {', '.join(value or NO_SUITE for value in values)}"
            for name, values in self.selection().items()
            if values
        ]
        return " · ".join(parts)


FIELDS: Final = tuple(entry.name for entry in fields(Filters))


def choose_filters(choices: Choices, *, leave_out: Sequence[str] = ()) -> Filters:
    """Show the filter widgets in a popover and return what is chosen.

    Args:
        choices: Values by filter; a filter with a single value is not offered.
        leave_out: Filters that the page has no use for.
    """
    chosen: dict[str, Any] = {}
    asked = sum(bool(st.session_state.get(OPTIONS[name])) for name in LABELS)
    label = f"Filters ({asked})" if asked else "Filters"
    with st.popover(label, icon=":material/filter_list:", width="stretch"):
        st.caption("Empty means all. Filters of one kind add up; different kinds narrow down.")
        left, right = st.columns(2)
        offered = [name for name in LABELS if name not in leave_out and len(choices[name]) > 1]
        for place, name in enumerate(offered):
            with left if place % 2 == 0 else right:
                chosen[name] = tuple(
                    st.multiselect(
                        LABELS[name], choices[name], key=OPTIONS[name], bind="query-params",
                        format_func=_shown, placeholder="all",
                    )
                )  # fmt: skip
        if "published" not in leave_out:
            chosen["published"] = tuple(
                st.multiselect(
                    "Published rows, set apart", tuple(read_sources()), default=[TABLE_1],
                    key=OPTIONS["published"], bind="query-params", placeholder="none",
                )
            )  # fmt: skip
    return Filters(**chosen)


def _shown(value: str) -> str:
    return value or NO_SUITE
