"""Who is looking at a page, and how they leave: our cookie first, then an identity provider."""

from __future__ import annotations

import streamlit as st

from dashboard.provider import provider_claims, staff_session
from dashboard.site import Site
from eval.ratings.roles import Action, may
from eval.ratings.sessions import COOKIE_NAME, LOCAL, Session


def current_session(site: Site) -> Session | None:
    """The visitor of the running page; None for nobody."""
    return site.signer.read(cookie_value()) or staff_session(
        site, provider_claims(st.context.cookies)
    )


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


def show_staff(site: Site, session: Session) -> None:
    """Tell a member of staff who they are here, and how to leave."""
    st.text(session.role if session.subject == LOCAL else f"{session.subject}, {session.role}")
    offer_sign_out(site)


def offer_sign_out(site: Site) -> None:
    """Show how to leave: by the provider for whom it vouches, by our own door for everybody else."""
    if site.signer.read(cookie_value()) is not None:
        st.link_button("Sign out", "/signout", icon=":material/logout:")
    elif st.button("Sign out", icon=":material/logout:"):
        st.logout()
