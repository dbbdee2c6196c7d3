"""Nothing that an annotator's browser receives tells who made a clip."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

DOM = """
() => {
  const parts = [document.documentElement.outerHTML];
  const open = (node) => { if (node.shadowRoot) { parts.push(node.shadowRoot.innerHTML); node.shadowRoot.querySelectorAll('*').forEach(open); } };
  document.querySelectorAll('*').forEach(open);
  parts.push(JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie);
  parts.push(...performance.getEntriesByType('resource').map((entry) => entry.name));
  return parts.join('\\n');
}
"""
"""The document with its shadow trees, what the browser stores, and every address it asked for."""


def forbidden(root: Path) -> list[bytes]:
    """Names, paths and digests that must not leave the server."""
    names = ["zebrafinch", "yakthorn", "quokka", "marmot", "wombat", str(root)]
    for folder in ("media", "blind", "proxies", "posters"):
        names += [path.stem[:16] for path in (root / folder).rglob("*") if path.is_file()]
    names += [
        hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in (root / "blind").rglob("*.mp4")
    ]
    assert len(names) > 12
    return [name.encode() for name in names]


def test_no_name_path_or_digest_reaches_an_annotator(
    start_server: Callable[..., Any], browser: Any
) -> None:
    server = start_server(seconds=1.0)
    received: list[bytes] = []
    clips: set[str] = set()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()

    def note(response: Any) -> None:
        received.append(f"{response.status} {response.url} {response.all_headers()}".encode())
        if "/clip/" in response.url:
            clips.add(response.url)
        elif response.status == 200 and "/static/" not in response.url:
            received.append(response.body())

    def socket(opened: Any) -> None:
        opened.on(
            "framereceived",
            lambda data: received.append(data if isinstance(data, bytes) else data.encode()),
        )

    responses: list[Any] = []

    def collect() -> None:
        """Read bodies before the page is left, when the browser forgets them."""
        while responses:
            response = responses.pop(0)
            if response.request.resource_type != "media" and response.status < 300:
                note(response)
                continue
            received.append(f"{response.status} {response.url} {response.all_headers()}".encode())
            if "/clip/" in response.url:
                clips.add(response.url)

    page.on("response", lambda response: responses.append(response))
    page.on("websocket", socket)
    page.on("console", lambda message: received.append(message.text.encode()))
    page.on("pageerror", lambda error: received.append(str(error).encode()))
    page.goto(server.url + server.invite())
    collect()
    page.get_by_role("button", name="Start").click()
    living = "globalThis[Symbol.for('joystreamer.rating')]"
    for done in range(3):
        page.wait_for_function(f"() => {living}?.stage?.pair?.videos.right.readyState >= 3")
        received.append(page.evaluate(DOM).encode())
        page.keyboard.press("Space")
        page.keyboard.press("d")
        page.wait_for_function(f"() => {living}.stage.pair.heard.right.share() > 0.2")
        page.keyboard.press("a")
        page.wait_for_function(
            f"() => {living}.stage.missing('left').length + {living}.stage.missing('right').length === 0"
        )
        page.keyboard.press("f" if done == 1 else "?")
        received.append(page.evaluate(DOM).encode())
        page.keyboard.press("Escape")
        page.keyboard.type("12312")
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => {living}.state.done === {done + 1} && !{living}.busy")
    page.get_by_text("All done, thank you").wait_for()
    received.append(page.evaluate(DOM).encode())
    collect()
    page.goto(server.url + "/campaigns")
    received.append(page.content().encode())
    collect()
    for cookie in context.cookies():
        received.append(str(cookie).encode())
        if cookie["name"] == "rating_session":
            assert cookie["httpOnly"]
            assert cookie["sameSite"] == "Lax"
    assert len(clips) >= 8
    for url in clips:
        answer = context.request.get(url)
        assert answer.status == 200
        received.append(str(answer.headers).encode())
        body = answer.body()
        received.append(body)
        assert b"Lavf" not in body
        assert b"x264" not in body
    context.close()
    assert sum(map(len, received)) > 20_000
    log = server.text().split("pages at", 1)[1].encode()
    for name in forbidden(server.root):
        for piece in (*received, log):
            assert name not in piece, (name, piece[max(0, piece.find(name) - 120) :][:300])
    assert b"/join/" not in log


def test_markup_in_prompts_and_comments_stays_text(
    join: Callable[..., Any], browser: Any, server: Any
) -> None:
    rater = join()
    rater.ready()
    assert (
        rater.page.locator(".rating .prompt").inner_text()
        == "She smiles <script>window.hacked = true</script> & waves"
    )
    rater.page.get_by_label("Comment, optional").first.fill(
        "<img src=x onerror='window.hacked=true'><script>window.hacked=true</script>"
    )
    rater.page.keyboard.press("Enter")
    rater.rate()
    assert rater.page.evaluate("() => window.hacked") is None
    assert not [line for line in rater.said if line.startswith(("error", "pageerror"))]

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(server.url + "/signin")
        page.get_by_label("Operator secret").fill(server.operator_secret())
        page.get_by_role("button", name="Sign in").click()
        page.goto(server.url + "/campaigns")
        page.get_by_text("Comments", exact=True).wait_for()
        page.wait_for_timeout(1500)
        assert page.evaluate("() => window.hacked") is None
        label = page.get_by_label("Who is the invitation for?").first
        label.fill("<script>window.hacked = true</script>")
        page.get_by_role("button", name="Invite").first.click()
        page.get_by_text("/join/").first.wait_for()
        assert page.evaluate("() => window.hacked") is None
        page.screenshot(path=str(server.root.parent / "campaigns.png"))
    finally:
        context.close()
