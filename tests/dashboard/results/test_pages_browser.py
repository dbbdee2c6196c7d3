"""Human, cases, saved views and studio in a real browser, over the real server, reached as visitors reach them."""

import fcntl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.studio.jobs import FOLDER, list_jobs
from eval.store.workspace import Workspace
from tests.dashboard.conftest import SYSTEMS
from tests.dashboard.results.filled_workspace import score_all
from tests.dashboard.results.voted_workspace import declare, vote
from tests.dashboard.studio.conftest import picture, speech

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, fill_workspace: Any) -> Iterator[Any]:
    """One server for these tests, over clips with scores and scripted votes."""
    from tests.dashboard.conftest import Server

    folder: Path = tmp_path_factory.mktemp("pages")
    fill_workspace(folder / "workspace", folder / "media", seconds=0.6)
    with Workspace(folder / "workspace") as workspace:
        score_all(workspace, specs=["quality/light"], nulls=0.0)
        stored = declare(workspace, name="tapir", suite="wombat", cases=3, pairs=[SYSTEMS])
        vote(workspace, stored)
    running = Server(folder / "workspace", folder / "server.log")
    running.start()
    yield running
    running.stop()


class Visit:
    """Staff in a browser, with everything the browser complained of and asked for."""

    def __init__(self, browser: Any, server: Any) -> None:
        self.page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        self.page.set_default_timeout(60_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda each: self.said.append(f"{each.type}: {each.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{server.url}/signin")
        self.page.fill("input[type=password]", server.operator_secret())
        with self.page.expect_navigation(wait_until="domcontentloaded"):
            self.page.keyboard.press("Enter")

    def go(self, name: str) -> Any:
        """Open a page by its link."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        return self.page

    def errors(self) -> list[str]:
        # Below a page's own address the page framework first looks for itself in the wrong place.
        return [line for line in self.said if line.startswith("error") and "404" not in line]


@pytest.fixture
def visit(browser: Any, serve: Any) -> Iterator[Callable[[], Visit]]:
    opened: list[Visit] = []

    def enter() -> Visit:
        opened.append(Visit(browser, serve))
        return opened[-1]

    yield enter
    for each in opened:
        each.page.context.close()


def test_the_human_page_draws_bars_matrix_and_agreement(visit: Callable[[], Visit]) -> None:
    seen = visit()
    page = seen.go("Human")
    page.get_by_text("Simulated votes.").wait_for()
    charts = page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").locator("visible=true")
    charts.nth(1).wait_for()
    page.get_by_role("tab", name="Win matrix and ranks").click()
    page.get_by_label("Baseline").wait_for()  # three cases rank nobody, and the page says so
    page.get_by_role("tab", name="Rater quality").click()
    page.get_by_text("decides neither pay nor blame").wait_for()
    assert seen.errors() == []


def test_videos_are_loaded_when_somebody_asks(visit: Callable[[], Visit]) -> None:
    seen = visit()
    page = seen.go("Cases")
    page.get_by_role("tab", name="All cases").click()
    button = page.get_by_role("button", name=f"Play {SYSTEMS[0]}").locator("visible=true").first
    button.wait_for()
    assert page.locator("video").count() == 0
    before = len(seen.asked)
    button.click()
    page.wait_for_function(
        """() => { const walk = (root) => [...root.querySelectorAll('*')].some((node) =>
        (node.tagName === 'VIDEO' && node.readyState >= 2) || (node.shadowRoot && walk(node.shadowRoot)));
        return walk(document); }"""
    )
    assert any("/staff/clip/" in url for url in seen.asked[before:])
    page.get_by_role("link", name="Open in Compare").locator("visible=true").first.click()
    page.get_by_label("Clips on one clock").wait_for()
    page.get_by_text("People's votes").wait_for()
    page.locator("[data-testid=stSelectbox] input[value^='wombat/quokka']").first.wait_for()
    assert seen.errors() == []


def test_a_saved_view_brings_its_filters_back(visit: Callable[[], Visit], serve: Any) -> None:
    seen = visit()
    page = seen.page
    page.goto(f"{serve.url}/leaderboard?baseline={SYSTEMS[0]}")
    chosen = page.locator(f"[data-testid=stSelectbox] input[value='{SYSTEMS[0]}']").first
    chosen.wait_for()
    page.get_by_role("button", name="Save this view").click()
    page.get_by_label("Name", exact=True).fill("against the first")
    page.get_by_role("button", name="Save", exact=True).click()
    link = page.get_by_test_id("stSidebar").get_by_role("link", name="against the first")
    link.wait_for()
    seen.go("Runs")
    page.get_by_role("heading", name="Runs").wait_for()
    link.click()
    page.wait_for_url(f"**/leaderboard?baseline={SYSTEMS[0]}*")
    page.get_by_role("heading", name="Leaderboard").wait_for()
    chosen.wait_for()
    page.get_by_test_id("stSidebar").get_by_role("button", name="close").click()
    link.wait_for(state="detached")
    assert seen.errors() == []


def test_a_clip_is_ordered_watched_and_cancelled(visit: Callable[[], Visit], serve: Any) -> None:
    seen = visit()
    page = seen.go("Studio")
    page.get_by_text("No clips yet.").wait_for()
    uploads = page.get_by_test_id("stFileUploaderDropzoneInput")
    uploads.nth(0).set_input_files({"name": "me.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_test_id("stImage").wait_for()
    uploads.nth(1).set_input_files({"name": "v.wav", "mimeType": "audio/wav", "buffer": speech()})
    page.get_by_test_id("stAudio").wait_for()
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill("A man talks. Then he waves.")
    prompt.press("Control+Enter")
    page.get_by_role("button", name="Plan the clip").click()
    page.get_by_test_id("stDataFrame").first.wait_for(timeout=300_000)
    folder = serve.root / FOLDER
    folder.mkdir(exist_ok=True)
    with (folder / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # so that the job waits
        page.get_by_role("button", name="Make the clip").click()
        page.get_by_text("waits for another job").first.wait_for(timeout=120_000)  # no reload
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("cancelled; it can go on from here").wait_for(timeout=120_000)
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("No clips yet.").wait_for()
    assert list_jobs(serve.root) == []
    assert seen.errors() == []


def test_only_staff_may_upload(serve: Any) -> None:
    request = urllib.request.Request(
        f"{serve.url}/_stcore/upload_file/session/file", data=b"x", method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    refused.value.close()
