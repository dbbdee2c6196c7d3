"""Cards beside each other, a page at a time, and text that Markdown leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import streamlit as st

PER_PAGE: Final = 12
"""Cards shown at once."""

_WIDE: Final = 3


def draw_cards(
    items: Sequence[Any], draw: Callable[[Any, str], None], key: str, *, wide: int = _WIDE
) -> None:
    """Draw items as cards.

    Args:
        items: What to draw.
        draw: Draws one item; is given a key that is unique on the page.
        key: Unique on the page.
        wide: Cards beside each other.
    """
    pages = -(-len(items) // PER_PAGE)
    page = min(int(st.session_state.get(f"page_{key}") or 1), pages)
    first = (page - 1) * PER_PAGE
    shown = items[first : first + PER_PAGE]
    for start in range(0, len(shown), wide):
        places = st.columns(wide)
        for column, (place, item) in enumerate(
            zip(places, shown[start : start + wide], strict=False)
        ):
            with place, st.container(border=True):
                draw(item, f"{key}_{start + column}")
    if pages > 1:
        st.number_input(f"Page of {pages}", 1, pages, page, key=f"page_{key}", width=160)


def plain(text: str) -> str:
    """Text in which Markdown's signs mean nothing."""
    for sign in ("\\", "*", "_", "[", "]", "`", "$", "#", "<", ":"):
        text = text.replace(sign, f"\\{sign}")
    return text
