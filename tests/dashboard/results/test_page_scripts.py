"""The pages' files as the server runs them: for staff only, and nothing on them by accident."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.pages import PAGES
from dashboard.site import open_site

FOLDER = Path(__file__).resolve().parents[3] / "dashboard"
SCRIPTS = [page.script for page in PAGES if page.script.startswith("results/")]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_stranger_sees_a_refusal_and_nothing_else(tmp_path: Path, script: str):
    site = open_site(tmp_path / "ws")
    test = AppTest.from_file(str(FOLDER / script), default_timeout=60).run()
    assert not test.exception
    assert [entry.value for entry in test.error] == ["This page is for staff. Sign in to go on."]
    # The framework prints bare strings of a script: none may stand in these files.
    assert not test.markdown
    assert not test.header
    site.workspace.database.close()


def test_every_page_of_results_is_in_the_navigation():
    assert {Path(script).stem for script in SCRIPTS} == {
        "leaderboard", "compare", "cases", "checkpoints", "human", "runs",
    }  # fmt: skip
    assert {page.action for page in PAGES if page.script in SCRIPTS} == {"see_results"}
