"""The HTML page: self-contained, safe with hostile names, the same twice, readable in a browser."""

import io
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from eval.leaderboard import build_board
from eval.report import render_report, write_report
from eval.report.figures import metric_figure
from tests.eval.score_rows import METRICS, row, rows, study
from tests.eval.test_report_terminal import DESCRIPTIONS, mixed_scores

DATE = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script>$\\frac{1}$ & 数字人'
VOID = {"img", "meta", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what the tests ask of a page and refuses tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def ids(self) -> list[str]:
        return [
            attributes["id"] or ""
            for tag, attributes in self.attributes
            if "id" in attributes and tag in {"h2", "section", "footer", "div"}
        ]


def jpeg(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 18), colour).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def page() -> str:
    board = build_board(mixed_scores(), METRICS, descriptions=DESCRIPTIONS)
    pictures = {(system, "case003"): jpeg("navy") for system in board.systems}
    return render_report(board, title="Talk & walk", thumbnails=pictures, date=DATE)


def test_page_is_whole_and_says_everything(page: str):
    found = Page(page)
    for words in (
        "Talk & walk",
        "suite talk · 4 systems · 12 cases · 48 clips · baseline ours-1000",
        "kling [b]",
        "weights_missing",
        "network weights are not on this machine",
        "parameters.window is 4, not 5",
        "not comparable: its specification is not the one measured here",
        "p after Holm over",
        "By subject: animal, cartoon, human",
        "2026-03-02 09:30 UTC",
        "resamples 4999",
    ):
        assert words in found.text, words
    assert len(found.ids()) == len(set(found.ids()))
    targets = {a["href"] for tag, a in found.attributes if tag == "a"}
    assert {f"#{name}" for name in found.ids()} >= targets
    assert page.count('<svg xmlns="') == 3  # drift.colour has no value, so no plot
    assert not re.search(r"\bnan\b", found.text.lower())


def test_page_loads_and_runs_nothing(page: str):
    found = Page(page)
    tags = {tag for tag, _ in found.attributes}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form"}
    for _, attributes in found.attributes:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_pictures_have_words_and_tables_have_headings(page: str):
    found = Page(page)
    pictures = [attributes for tag, attributes in found.attributes if tag == "img"]
    assert pictures
    assert all(attributes["alt"] for attributes in pictures)
    assert all(a.get("aria-label") for tag, a in found.attributes if tag == "svg")
    assert all(a.get("scope") for tag, a in found.attributes if tag == "th")
    scrolled = [a for _, a in found.attributes if a.get("class") == "scroll"]
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolled)


def test_the_same_board_gives_the_same_bytes(tmp_path: Path):
    board = build_board(study(["a", "b"], 9), METRICS)
    write_report(tmp_path / "one.html", board, date=DATE)
    write_report(tmp_path / "sub" / "two.html", board, date=DATE)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "sub" / "two.html").read_bytes()


def test_hostile_names_stay_text():
    scores = study([HOSTILE, "b"], 3)
    scores["case"] = scores["case"] + HOSTILE
    scores["suite"] = HOSTILE
    page = render_report(build_board(scores, METRICS), title=HOSTILE, date=DATE)
    found = Page(page)
    assert "script" not in {tag for tag, _ in found.attributes}
    assert HOSTILE in found.text


@pytest.mark.parametrize(
    "scores",
    [
        rows({"only": [1.0, 2.0]}),
        rows({"a": ["no_face"], "b": ["no_face"]}),
        rows({"a": [1e300, -1e300, 0.0], "b": [1e300, 5e299, 0.0]}),
        pd.DataFrame([row("Paper", "", "sync.confidence", 5.57, kind="published")]),
    ],
    ids=["one system", "all null", "huge", "published only"],
)
def test_degenerate_boards_make_a_page(scores: pd.DataFrame):
    found = Page(render_report(build_board(scores, METRICS), date=DATE))
    assert not re.search(r"\bnan\b", found.text.lower())
    assert "Provenance" in found.text


def test_figure_is_valid_svg_in_the_colours_of_the_page():
    board = build_board(study(["a", "b", "<c> & $x$"], 12), METRICS)
    drawing = metric_figure(board, board.columns[0])
    root = ET.fromstring(drawing)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<c> & $x$" in texts
    assert "difference to a" in texts
    assert "var(--ink)" in drawing
    assert not re.search(r"#0[1-5]0[1-5]0[1-5]", drawing)
    assert drawing == metric_figure(board, board.columns[0])
    label = root.get("aria-label") or ""
    assert label.startswith("sync.confidence/clean, higher is better: a ")


@pytest.mark.browser
def test_page_fits_a_laptop_in_light_and_dark_and_obeys_the_keyboard(tmp_path: Path, browser: Any):
    target = tmp_path / "report.html"
    write_report(
        target, build_board(study([f"system-{i}" for i in range(6)], 9), METRICS), date=DATE
    )
    complaints: list[str] = []
    papers = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(target.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        papers[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the leaderboard"
        page.locator("#cases ~ details summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("#cases ~ details").first.get_attribute("open") is not None
        page.close()
    assert papers == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
    assert complaints == []
