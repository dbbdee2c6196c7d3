"""The documents at the pages' addresses."""

from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.pages import PAGES
from dashboard.server import ROOT_TELLER, page_documents


def test_every_page_with_an_address_is_told_where_the_root_is_before_any_script_runs():
    client = TestClient(Starlette(routes=page_documents()))
    for page in PAGES:
        if page.path:
            answer = client.get(f"/{page.path}?snapshot=3")
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-cache"
            before, told, after = answer.text.partition(ROOT_TELLER)
            assert told
            assert "<script" not in before
            assert 'type="module"' in after
