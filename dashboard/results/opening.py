"""Opens a page of results for whoever may see them, over the workspace that is served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dashboard.identity import require
from dashboard.results.saved_views_panel import views_panel
from dashboard.site import current_site
from eval.store.workspace import Workspace


def open_page(show: Callable[[Workspace], None]) -> None:
    """Draw a page with the saved views beside it, or refuse it."""
    site = current_site()
    session = require(site, "see_results")
    # A page is run as a script, so its function does not know its module; its file it does.
    views_panel(site.workspace, Path(show.__code__.co_filename).stem, by=session.subject)
    show(site.workspace)
