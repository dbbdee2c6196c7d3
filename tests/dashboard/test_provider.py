"""Whom an identity provider's claims make staff."""

from pathlib import Path
from typing import Any

import pytest

from dashboard.provider import provider_claims, staff_session
from dashboard.site import STAFF_FILE, Site, open_site
from eval.ratings.sessions import Session


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with one lead and one operator."""
    root = tmp_path / "workspace"
    open_site(root)
    (root / STAFF_FILE).write_text('lead = ["ada@example.org"]\noperator = ["bo@example.org"]\n')
    return open_site(root)


@pytest.mark.parametrize("verified", [True, "true"])
def test_listed_and_verified_people_are_staff(site: Site, verified: Any) -> None:
    ada = staff_session(site, {"email": "Ada@Example.org", "email_verified": verified})
    assert ada == Session(role="lead", subject="Ada@Example.org")
    bo = staff_session(site, {"email": "bo@example.org", "email_verified": verified})
    assert bo == Session(role="operator", subject="bo@example.org")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"email": "eve@example.org", "email_verified": True},
        {"email": "ada@example.org"},
        {"email": "ada@example.org", "email_verified": False},
        {"email": "ada@example.org", "email_verified": "false"},
        {"email": ["ada@example.org"], "email_verified": True},
        {"sub": "ada@example.org", "email_verified": True},
    ],
)
def test_nobody_else_is(site: Site, claims: dict[str, Any]) -> None:
    assert staff_session(site, claims) is None


def test_without_a_provider_its_cookie_says_nothing() -> None:
    assert provider_claims({}) == {}
    assert provider_claims({"_streamlit_user": "anything"}) == {}
