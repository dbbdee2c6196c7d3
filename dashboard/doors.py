"""The doors: invitation links for annotators, the operator's secret for staff. Plain pages, no scripts.

A link is opened by a button and not by loading it, since chat programs load every link they see and an
invitation works once.
"""

from __future__ import annotations

import time
from html import escape
from string import Template
from typing import Final
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.provider import provider_is_set_up
from dashboard.site import Site, current_site
from dashboard.visitors import client_of, require_same_origin, sentence_of, status_of
from eval.ratings.joining import redeem_invite
from eval.ratings.refusals import RatingRefused
from eval.ratings.sessions import COOKIE_NAME, LOCAL, Session, cookie_attributes, is_operator
from eval.store.database import DatabaseUnavailable

_MAX_FORM: Final = 4096

_PAGE: Final = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 17px/1.55 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { max-width: 34rem; padding: 2rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
input, button { font: inherit; padding: .55rem .9rem; border-radius: .5rem; border: 1px solid GrayText; }
input { width: 100%; box-sizing: border-box; margin: .3rem 0 1rem; }
button { background: #1f5fbf; border-color: #1f5fbf; color: #fff; cursor: pointer; }
:focus-visible { outline: 3px solid #e08a00; outline-offset: 2px; }
</style></head><body><main><h1>$title</h1>$content</main></body></html>
""")

_WELCOME: Final = """<p>You will see pairs of short clips and say, row by row, which side is better.
You can stop at any time and go on later from this browser.</p>
<p>Kept are your answers, how much of each clip was played and how long you took; not your name or address.</p>
<form method="post"><button autofocus>Start</button></form>"""

_SIGN_IN: Final = """<p>The operator secret was printed when this server was first started; it is kept in the
workspace.</p>
<form method="post"><label>Operator secret <input name="secret" type="password" autocomplete="current-password"
required autofocus></label><button>Sign in</button></form>"""

_ORGANISATION: Final = '<p>Or <a href="/">sign in with your organisation</a>.</p>'

_SIGN_OUT: Final = """<p>This browser forgets who you are.</p>
<form method="post"><button autofocus>Sign out</button></form>"""


def page(title: str, content: str, status: int = 200) -> HTMLResponse:
    """A small page without scripts.

    Args:
        title: Plain text.
        content: HTML of this module's own; never a visitor's text.
        status: HTTP status.
    """
    text = _PAGE.substitute(title=escape(title), content=content)
    return HTMLResponse(text, status_code=status, headers={"cache-control": "no-store"})


def show_join(_: Request) -> Response:
    """GET /join/{token}: a welcome; nothing is used up by looking at it."""
    return page("Welcome", _WELCOME)


async def post_join(request: Request) -> Response:
    """POST /join/{token}: trade the invitation for a cookie and go to the rating page."""
    site = current_site()
    token = request.path_params["token"]
    try:
        require_same_origin(site, request)
        who = await run_in_threadpool(
            redeem_invite, site.workspace.database, token, client=client_of(site, request),
            now=time.time(),
        )  # fmt: skip
    except (RatingRefused, DatabaseUnavailable) as error:
        return page("Not opened", f"<p>{escape(_sentence(error))}</p>", status_of(error))
    return _enter(site, Session(role="annotator", subject=str(who.id), campaign=who.campaign))


def show_sign_in(_: Request) -> Response:
    """GET /signin: where staff without an identity provider come in."""
    return page("Staff", _SIGN_IN + (_ORGANISATION if provider_is_set_up() else ""))


async def post_sign_in(request: Request) -> Response:
    """POST /signin: trade the operator secret for a cookie."""
    site = current_site()
    try:
        require_same_origin(site, request)
    except RatingRefused as error:
        return page("Not signed in", f"<p>{escape(_sentence(error))}</p>", status_of(error))
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            break
    given = parse_qs(body[:_MAX_FORM].decode("utf-8", "replace")).get("secret", [""])[0]
    if not is_operator(given, site.operator_secret):
        return page(
            "Not signed in", '<p>That is not the secret. <a href="/signin">Try again</a>.</p>', 403
        )
    return _enter(site, Session(role="operator", subject=LOCAL))


def show_sign_out(_: Request) -> Response:
    """GET /signout: asks once more, since a link alone must sign nobody out."""
    return page("Sign out", _SIGN_OUT)


async def post_sign_out(request: Request) -> Response:
    """POST /signout: forget the cookie."""
    require_same_origin(current_site(), request)
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE_NAME, path="/", httponly=True, samesite="lax")
    return response


def _enter(site: Site, session: Session) -> Response:
    response = RedirectResponse("/", status_code=303, headers={"cache-control": "no-store"})
    response.set_cookie(value=site.signer.sign(session), **cookie_attributes(secure=site.secure))
    return response


def _sentence(error: Exception) -> str:
    text = sentence_of(error)
    return text[:1].upper() + text[1:] + "."


ROUTES: Final = (
    Route("/join/{token}", show_join, methods=["GET"]),
    Route("/join/{token}", post_join, methods=["POST"]),
    Route("/signin", show_sign_in, methods=["GET"]),
    Route("/signin", post_sign_in, methods=["POST"]),
    Route("/signout", show_sign_out, methods=["GET"]),
    Route("/signout", post_sign_out, methods=["POST"]),
)
