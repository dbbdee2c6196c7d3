"""Who an identity provider says a visitor is: read from the page framework's signed cookie.

Pages could ask `st.user`; the guard and the clip routes, which run outside any page, cannot. Both come here,
so that nobody is staff for a page and a stranger for its clips. Knows no page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import streamlit as st
from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from dashboard.site import Site
from eval.ratings.roles import staff_role
from eval.ratings.sessions import Session


def provider_is_set_up() -> bool:
    """Whether `st.login` can work: an [auth] section in the secrets, and Authlib installed."""
    try:
        configured = "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        return False
    return configured and find_spec("authlib") is not None


def provider_claims(cookies: Mapping[str, str]) -> dict[str, Any]:
    """What the provider said about the visitor whom these cookies belong to.

    Args:
        cookies: Of a request or of the running page's connection.

    Returns:
        Claims of the id token; empty without a provider, without a sign-in, for a forged, altered or
        outdated cookie, and for a cookie made for another origin than `redirect_uri` names.
    """
    if USER_COOKIE_NAME not in cookies or not provider_is_set_up():
        return {}
    secret = get_cookie_secret()

    def read(name: str) -> bytes | None:
        return decode_signed_value(secret, name, cookies.get(name, ""))

    text = get_cookie_with_chunks(read, USER_COOKIE_NAME)
    try:
        claims = json.loads(text or b"{}")
    except ValueError:
        return {}
    if not isinstance(claims, dict) or not claims.get("is_logged_in"):
        return {}
    return claims if claims.get("origin") == get_origin_from_redirect_uri() else {}


def staff_session(site: Site, claims: Mapping[str, Any]) -> Session | None:
    """The session of somebody with these claims; None for whoever is not staff.

    Some providers send `email_verified` as text, and the text "false" must not count as yes.
    """
    email = claims.get("email")
    if not isinstance(email, str):
        return None
    verified = claims.get("email_verified") in (True, "true")
    role = staff_role(email, verified=verified, staff=dict(site.staff))
    return Session(role=role, subject=email) if role else None
