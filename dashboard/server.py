"""The whole dashboard as one ASGI application: pages, clip and vote routes, doors, guard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit.file_util import get_static_dir

from dashboard.doors import ROUTES as DOORS
from dashboard.endpoints import ROUTES as ENDPOINTS
from dashboard.guard import Guard
from dashboard.pages import PAGES
from dashboard.results.clips import ROUTES as CLIPS
from dashboard.site import current_site
from joystreamer.errors import JoyStreamerError

PAGES_SCRIPT: Final = Path(__file__).with_name("app.py")

SETTINGS: Final[Mapping[str, Any]] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.enableStaticServing": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",  # a traceback would tell paths and names
    "client.showSidebarNavigation": True,
    "logger.level": "warning",
}
"""How the page framework is run."""


ROOT_TELLER: Final = "<script>window.__streamlit={BACKEND_BASE_URL:window.location.origin}</script>"
"""Tells a page's script where the server's root is.

Without it the script takes the page's own address for a folder and asks for the server's health below it
first, which every console shows as two errors. It is told by the framework's own setting for that.
"""


def page_documents() -> list[Route]:
    """The document at each page's address: the framework's own, told where the server's root is.

    Raises:
        JoyStreamerError: The framework's document has no place for it.
    """
    document = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    if "<head>" not in document:
        raise JoyStreamerError(
            "the document of this version of streamlit has no head; install the version in requirements.lock"
        )
    told = document.replace("<head>", f"<head>{ROOT_TELLER}", 1)

    def show(_: Request) -> HTMLResponse:
        return HTMLResponse(told, headers={"cache-control": "no-cache"})

    return [Route(f"/{page.path}", show, methods=["GET"]) for page in PAGES if page.path]


def build_app() -> st.App:
    """The application of the open site, see `dashboard.site.open_site`."""
    return st.App(
        PAGES_SCRIPT,
        routes=[*page_documents(), *ENDPOINTS, *DOORS, *CLIPS],
        middleware=[Middleware(Guard, secure=current_site().secure)],
    )


def serve(address: str, port: int) -> None:
    """Serve until stopped."""
    build_app().run(config={**SETTINGS, "server.address": address, "server.port": port})
