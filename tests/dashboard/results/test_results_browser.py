"""Leaderboard and player in a real browser, over the real server."""

import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import TimeoutError as TooLate
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dashboard.results import exports
from dashboard.results.data import View, board_of, store_state
from dashboard.results.filters import Filters
from eval.store.workspace import Workspace
from tests.dashboard.conftest import Server
from tests.dashboard.results.filled_workspace import fill, score_all

pytestmark = pytest.mark.browser

TIMES = """() => {
  const found = [];
  const walk = (root) => root.querySelectorAll("*").forEach((node) => {
    if (node.tagName === "VIDEO") found.push(node.currentTime);
    if (node.shadowRoot) walk(node.shadowRoot);
  });
  walk(document);
  return found;
}"""


def signed_in(browser: Any, server: Any) -> Any:
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{server.url}/signin")
    page.fill("input[type=password]", server.operator_secret())
    with page.expect_navigation(wait_until="domcontentloaded"):
        page.keyboard.press("Enter")
    page.get_by_role("link", name="Leaderboard").wait_for()
    return page


def saved_csv(page: Any) -> bytes:
    """The file behind the button; a click that meets a redraw of the button is made again."""
    button = page.locator("[data-testid=stDownloadButton] button", has_text="CSV").first
    for _ in range(12):
        try:
            with page.expect_download(timeout=10_000) as waiting:
                button.click()
        except TooLate:
            continue
        return Path(waiting.value.path()).read_bytes()
    raise AssertionError("twelve clicks on the button gave no file")


def test_a_permalink_gives_the_same_bytes_and_the_live_page_new_scores(
    start_server: Any, browser: Any
):
    server = start_server()
    with Workspace(server.root) as workspace:
        score_all(workspace, specs=["quality/light"])
        state = store_state(workspace)
        expected = exports.csv_bytes(board_of(workspace, state, View(filters=Filters())))
        page = signed_in(browser, server)
        page.goto(f"{server.url}/leaderboard")
        page.locator(".board thead button", has_text="quality.").first.wait_for()
        first = saved_csv(page)
        assert first == expected
        link = page.locator("[data-testid=stCode]").inner_text().strip()
        assert link.startswith(f"{server.url}/leaderboard?")
        score_all(workspace, specs=["identity/dinov2"])
    page.locator(".board thead button", has_text="identity.dinov2").first.wait_for()  # no reload
    until = time.monotonic() + 120  # the button below the table is drawn a moment after it
    while saved_csv(page) == first:
        assert time.monotonic() < until, "the file to save does not follow the table"
        page.wait_for_timeout(200)
    page.goto(link)
    page.get_by_text("Pinned to score").wait_for()
    assert saved_csv(page) == first
    page.context.close()


def test_a_filter_changes_the_whole_page_and_leaves_nothing_stale(tmp_path: Path, browser: Any):
    fill(tmp_path / "workspace", specs=["quality/light"]).database.close()
    server = Server(tmp_path / "workspace", tmp_path / "server.log")
    server.start()
    try:
        page = signed_in(browser, server)
        runs = runs_seen(page)
        page.goto(f"{server.url}/leaderboard?language=en")
        detail = page.get_by_text("One metric in detail")  # by role it hides behind open lists
        detail.wait_for()
        english = page.locator("[data-testid=stCode]").inner_text()
        runs.clear()
        page.get_by_role("button", name="Filters").click()
        choose(page, "Content", "body")  # every case with it is in Chinese
        page.get_by_text("No score fits all the filters together").wait_for()
        detail.wait_for(state="detached")
        choose(page, "Content", "camera")
        detail.wait_for()
        assert page.get_by_text("No score fits all the filters together").count() == 0
        page.wait_for_function(
            "(before) => { const link = document.querySelector('[data-testid=stCode]')?.innerText;"
            " return link && link !== before && link.includes('content='); }",
            arg=english,
        )
        # One run, of a part of the page, draws everything; the table is on its way before the charts are made.
        assert not [kinds for kinds in runs if "navigation" in kinds]
        [answer] = [kinds for kinds in runs if "vega_lite_chart" in kinds]
        # The table is the first one again: named only, where the browser has kept it.
        table = answer.index("kept" if "kept" in answer else "bidi_component")
        assert table < answer.index("vega_lite_chart")
        page.context.close()
    finally:
        server.stop()


def runs_seen(page: Any) -> list[list[str]]:
    """What pages opened from now on are told, by run: the kinds of elements, and of the navigation if it is drawn too."""
    runs: list[list[str]] = []

    def note(data: bytes | str) -> None:
        message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
        if message.HasField("new_session"):
            runs.append([])
        elif message.HasField("navigation"):
            runs.append(["navigation"])
        elif runs and message.HasField("ref_hash"):
            runs[-1].append("kept")
        elif runs and message.HasField("delta") and message.delta.HasField("new_element"):
            runs[-1].append(str(message.delta.new_element.WhichOneof("type")))

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    return runs


def choose(page: Any, label: str, value: str) -> None:
    """Add a value to a filter of the open panel."""
    page.locator("[data-testid=stMultiSelect]", has_text=label).first.locator("input").click()
    page.get_by_role("option", name=value, exact=True).click()


def test_compared_clips_step_together(start_server: Any, browser: Any):
    server = start_server()
    page = signed_in(browser, server)
    page.goto(f"{server.url}/compare")
    stage = page.get_by_label("Clips on one clock")
    stage.focus()
    page.wait_for_function(f"() => ({TIMES})().length === 2")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(400)
    page.get_by_text("frame 3").wait_for()
    assert page.evaluate(TIMES) == pytest.approx([3.5 / 25, 3.5 / 25], abs=2e-3)
    page.context.close()
