"""Opens a page of results for whoever may see them, over the workspace that is served."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.identity import require
from dashboard.site import current_site
from eval.store.workspace import Workspace


def open_page(show: Callable[[Workspace], None]) -> None:
    """Draw a page, or refuse it."""
    site = current_site()
    require(site, "see_results")
    show(site.workspace)
