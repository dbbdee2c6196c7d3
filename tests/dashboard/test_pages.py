"""Which page a visitor gets, without a browser."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import identity
from dashboard.pages import pages_for
from dashboard.saved_views import list_views, save_view
from dashboard.server import PAGES_SCRIPT
from dashboard.site import Site, open_site
from eval.ratings.joining import create_invites, redeem_invite
from eval.ratings.sessions import Session
from eval.ratings.store import get_campaign


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, fill_workspace: Callable[..., Any]
) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("pages")
    fill_workspace(folder / "workspace", folder / "media", seconds=0.4)
    opened = open_site(folder / "workspace")
    yield opened
    opened.workspace.database.close()


@pytest.fixture
def look(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[Session | None], AppTest]:
    """Open the first page as somebody."""

    def open_as(session: Session | None, page: str = "") -> AppTest:
        # A test run has no request, hence no cookie to read; everything behind it is real.
        value = site.signer.sign(session) if session else None
        monkeypatch.setattr(identity, "cookie_value", lambda: value)
        opened = AppTest.from_file(PAGES_SCRIPT, default_timeout=60).run()
        return opened.switch_page(page).run() if page else opened

    return open_as


def test_nobody_is_shown_the_doors(look: Callable[..., AppTest]) -> None:
    page = look(None)
    assert not page.exception
    assert page.title[0].value == "Nobody is signed in here"


def test_an_annotator_gets_the_player_and_nothing_named(
    look: Callable[..., AppTest], site: Site
) -> None:
    stored = get_campaign(site.workspace.database, "marmot")
    (made,) = create_invites(site.workspace.database, stored, ["x"], now=time.time())
    who = redeem_invite(site.workspace.database, made.token, client="c", now=time.time())
    page = look(Session(role="annotator", subject=str(who.id), campaign=stored.id))
    assert not page.exception
    mounted = [each for each in page.main if each.type == "bidi_component"]
    assert len(mounted) == 1
    assert '"api":"/api"' in str(mounted[0].proto).replace("\\", "").replace(" ", "")
    assert "marmot" not in str(page)


def test_leads_see_progress_and_can_invite(look: Callable[..., AppTest]) -> None:
    lead = Session(role="lead", subject="ada@example.org")
    assert look(lead).title[0].value == "JoyStreamer"
    page = look(lead, "campaigns.py")
    assert not page.exception
    assert page.subheader[0].value == "marmot (open · simulated votes)"
    page.text_input[0].input("for Bo")
    page.button[0].click().run()
    assert "/join/" in page.code[0].value


@pytest.mark.parametrize("script", [page.script for page in pages_for("lead")[1:]])
def test_leads_open_every_page(look: Callable[..., AppTest], script: str) -> None:
    page = look(Session(role="lead", subject="ada@example.org"), script)
    assert not page.exception
    assert page.header or page.title


def test_staff_save_open_and_delete_views(look: Callable[..., AppTest], site: Site) -> None:
    page = look(Session(role="lead", subject="ada@example.org"), "results/cases.py")
    page.query_params["case"] = "wombat/quokka1"
    page.sidebar.text_input[0].input("the first case")
    page.sidebar.checkbox[0].check()
    next(b for b in page.sidebar.button if b.label == "Save").click().run()
    assert not page.exception
    (view,), _ = list_views(site.workspace.root)
    assert (view.name, view.page, view.by) == ("the first case", "cases", "ada@example.org")
    assert view.parameters() == {"case": ["wombat/quokka1"], "snapshot": ["0"]}
    (link,) = page.sidebar.get("page_link")
    assert link.proto.label == "the first case"
    assert link.proto.query_string == view.query
    page.sidebar.button(key=f"delete_view_{view.key}").click().run()
    assert list_views(site.workspace.root) == ([], [])


def test_a_name_that_is_taken_is_told_in_words(look: Callable[..., AppTest], site: Site) -> None:
    save_view(site.workspace.root, name="mine", page="cases", query="", by="bo")
    page = look(Session(role="lead", subject="ada@example.org"), "results/cases.py")
    page.sidebar.text_input[0].input("mine")
    next(b for b in page.sidebar.button if b.label == "Save").click().run()
    assert "is called 'mine' already" in page.sidebar.error[0].value


def test_an_annotators_cookie_does_not_open_the_leads_page(look: Callable[..., AppTest]) -> None:
    script = "from pathlib import Path\nimport runpy\nrunpy.run_path({!r})".format(
        str(PAGES_SCRIPT.with_name("campaigns.py"))
    )
    look(Session(role="annotator", subject="1", campaign=1))
    page = AppTest.from_string(script, default_timeout=60).run()
    assert not page.exception
    assert page.error[0].value == "This page is for staff. Sign in to go on."
    assert not page.subheader
