"""The whole dashboard as one ASGI application: pages, clip and vote routes, doors, guard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st
from starlette.middleware import Middleware

from dashboard.doors import ROUTES as DOORS
from dashboard.endpoints import ROUTES as ENDPOINTS
from dashboard.guard import Guard
from dashboard.results.clips import ROUTES as CLIPS

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


def build_app() -> st.App:
    """The application of the open site, see `dashboard.site.open_site`."""
    return st.App(PAGES_SCRIPT, routes=[*ENDPOINTS, *DOORS, *CLIPS], middleware=[Middleware(Guard)])


def serve(address: str, port: int) -> None:
    """Serve until stopped."""
    build_app().run(config={**SETTINGS, "server.address": address, "server.port": port})
