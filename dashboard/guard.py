"""What every response carries, how it leaves, and which addresses are refused before any page runs.

Plain ASGI.
"""

from __future__ import annotations

import socket
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.doors import page
from dashboard.pages import page_at
from dashboard.site import current_site
from dashboard.visitors import allowed, session_of
from eval.ratings.roles import Action

CONTENT_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # The page framework loads components from blobs and compiles chart expressions.
        "script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS: Final = (
    ("content-security-policy", CONTENT_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    # Not no-referrer: that would blank the Origin header that posts are checked by.
    ("referrer-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(self), geolocation=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-robots-tag", "noindex"),
)


UPLOADS: Final = "/_stcore/upload_file"
"""Where the page framework takes files; only the studio asks for any."""


class Guard:
    """Adds strict headers to every response and refuses staff pages to everybody else."""

    def __init__(self, app: ASGIApp, *, secure: bool = False) -> None:
        """Guard an application; `secure` as in `dashboard.site.Site`."""
        self._app, self._secure = app, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _send_at_once(receive)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS:
                    headers[name] = value
                if "server" in headers:
                    del headers["server"]
                if self._secure:
                    _send_cookies_by_https_only(message)
            await send(message)

        if _is_refused(HTTPConnection(scope)):
            refusal = page(
                "Not for you", '<p>This page is for staff. <a href="/signin">Sign in</a>.</p>', 403
            )
            await refusal(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def _send_cookies_by_https_only(message: Message) -> None:
    """Mark the page framework's cookies too, among them an identity provider's tokens."""
    message["headers"] = [
        (name, value + b"; Secure")
        if name.lower() == b"set-cookie" and b"; secure" not in value.lower()
        else (name, value)
        for name, value in message["headers"]
    ]


def _send_at_once(receive: Receive) -> None:
    """Let small answers leave without waiting for each other.

    The page framework opens its socket without naming TCP, and the event loop then leaves Nagle's
    algorithm on: the body of every answer waited 40 ms until the browser had acknowledged its headers.
    The connection is found where the server keeps it; a server that keeps it elsewhere stays as it is.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_refused(connection: HTTPConnection) -> bool:
    if connection.url.path.startswith(UPLOADS):
        return _is_stranger(connection, "generate")
    wanted = page_at(connection.url.path)
    if wanted is None or wanted.action is None:
        return False
    return _is_stranger(connection, wanted.action)


def _is_stranger(connection: HTTPConnection, action: Action) -> bool:
    return not allowed(session_of(current_site(), connection), action)
