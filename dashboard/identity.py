"""Who is looking at a page: our cookie first, then an identity provider where one is set up."""

from __future__ import annotations

from importlib.util import find_spec

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from dashboard.site import Site
from eval.ratings.roles import Action, may, staff_role
from eval.ratings.sessions import COOKIE_NAME, Session


def current_session(site: Site) -> Session | None:
    """The visitor of the running page; None for nobody."""
    session = site.signer.read(cookie_value())
    if session is not None:
        return session
    if not provider_is_set_up():
        return None
    # Without a configured provider the attribute does not exist at all.
    if not getattr(st.user, "is_logged_in", False):
        return None
    email = st.user.get("email")
    verified = bool(st.user.get("email_verified"))
    role = staff_role(email, verified=verified, staff=dict(site.staff))
    return Session(role=role, subject=str(email)) if role else None


def cookie_value() -> str | None:
    """What the visitor's browser sent as our cookie."""
    value: str | None = st.context.cookies.get(COOKIE_NAME)
    return value


def require(site: Site, action: Action) -> Session:
    """The visitor of a page, who may do something; anybody else's page ends here."""
    session = current_session(site)
    if session is not None and may(session.role, action):
        return session
    st.error("This page is for staff. Sign in to go on.", icon=":material/lock:")
    st.stop()
    raise AssertionError("a stopped page goes no further")


def provider_is_set_up() -> bool:
    """Whether `st.login` can work: an [auth] section in the secrets, and Authlib installed."""
    try:
        configured = "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        return False
    return configured and find_spec("authlib") is not None
