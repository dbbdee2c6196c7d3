"""Targets that show or store texts: report, tables, database, requests to the server, command lines.

A page is safe when hostile texts add nothing to it but text: no element, no attribute, no address that
the same page with harmless texts lacks.
"""

import io
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pandas as pd
from hypothesis import strategies as st
from rich.console import Console
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from benchmarks.cli import main as benchmarks_main
from dashboard.doors import ROUTES as DOORS
from dashboard.endpoints import ROUTES as ENDPOINTS
from dashboard.guard import Guard
from dashboard.site import Site, open_site
from eval.cli import main as eval_main
from eval.leaderboard import build_board, compare
from eval.ratings.exchange import EXPORT_COLUMNS, write_votes
from eval.ratings.joining import create_invites
from eval.ratings.store import get_campaign
from eval.records import Case, Clip, Suite, System
from eval.report import render_comparison, render_leaderboard, to_latex, write_csv, write_report
from eval.store.registry import add_clip, add_suite, add_system, current_clips
from eval.store.workspace import Workspace
from joystreamer.cli import main as joystreamer_main
from tests.dashboard.conftest import fill_workspace
from tests.eval.score_rows import METRICS, row
from tests.hostile.given_media import fill_given
from tests.hostile.target import Target
from tests.hostile.watch import Sandbox
from tests.hostile.words import TEXTS

ORIGIN: Final = {"origin": "http://testserver"}
SHOWN: Final = tuple(
    text for text in TEXTS if text.strip() and "\0" not in text and len(text) < 400
)


class Skeleton(HTMLParser):
    """Elements and attributes of a page, counted; addresses in full."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.kinds: set[str] = set()
        self.counts: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        self.kinds.add(tag)
        for name, value in attrs:
            self.kinds.add(f"{tag}@{name}")
            if name in ("href", "src", "action") and not str(value).startswith(
                ("#", "data:image/")
            ):
                self.kinds.add(f"{tag}@{name}={str(value)[:40]}")


def skeleton(page: str) -> Skeleton:
    """Parse a page."""
    parser = Skeleton()
    parser.feed(page)
    parser.close()
    return parser


def _storable(text: str) -> str:
    """A text as readers let it through: whole characters, no control characters."""
    kept = "".join(c for c in text if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF)
    return kept.strip()[:150] or "x"


def _words() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(SHOWN), st.text(min_size=1, max_size=30)).map(_storable)


def _score_table(texts: Mapping[str, str]) -> Any:
    systems = (texts["system"], texts["system"] + "2")
    rows = []
    for index, system in enumerate(systems):
        for case in range(9):
            name = texts["case"] + str(case)
            value: float | str = "no_face" if (case, index) == (3, 1) else float(case % 5 + index)
            rows.append(row(system, name, "sync.confidence", value, suite=texts["suite"], family=texts["family"],
                            message=texts["message"], clip_name=texts["message"], variant="clean"))  # fmt: skip
    return pd.DataFrame(rows)


HARMLESS: Final = {name: name for name in ("system", "case", "suite", "family", "message", "title")}


def _report(texts: Mapping[str, str], folder: Path) -> str:
    scores = _score_table(texts)
    board = build_board(scores, METRICS)
    path = folder / "report.html"
    write_report(path, board, title=texts["title"])
    write_csv(folder / "board.csv", board)
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    render_leaderboard(board, console)
    systems = list(dict.fromkeys(scores["system"]))
    render_comparison(compare(scores, systems[0], systems[1], METRICS), console)
    latex = to_latex(board)
    assert "\\input{/etc" not in latex, "LaTeX reads a file"
    for line in (folder / "board.csv").read_text().splitlines()[1:]:
        assert line.lstrip('"')[:1] not in ("=", "+", "@"), "a spreadsheet would run this cell"
    return path.read_text()


_known: list[Skeleton] = []


def _prepare_page(texts: Mapping[str, str], sandbox: Sandbox) -> Mapping[str, str]:
    """The same page with harmless texts; made before the watch, since plotting caches its fonts."""
    if not _known:
        _known.append(skeleton(_report(HARMLESS, sandbox.allowed)))
    return texts


def _show(texts: Mapping[str, str], sandbox: Sandbox) -> None:
    seen = skeleton(_report(texts, sandbox.allowed))
    assert seen.kinds <= _known[0].kinds, f"new in the page: {sorted(seen.kinds - _known[0].kinds)}"
    assert seen.counts["script"] == _known[0].counts["script"]


def _store(texts: Mapping[str, str], sandbox: Sandbox) -> None:
    """Every text goes into the database and comes out as it was, and nothing else changes."""
    suite = Suite(name=texts["suite"], version=texts["message"], asks=texts["title"],
                  cases=(Case(id=texts["case"], prompt=texts["message"], source=texts["title"]),))  # fmt: skip
    system = System(name=texts["system"], family=texts["family"], notes=texts["message"])
    clip = Clip(
        system=system.name,
        suite=suite.name,
        case=texts["case"],
        digest="0" * 64,
        name=texts["title"],
    )
    root = sandbox.allowed / "stored"
    shutil.rmtree(root, ignore_errors=True)
    with Workspace(root) as workspace:
        add_suite(workspace, suite)
        with workspace.database.write() as connection:
            add_system(connection, system)
            add_clip(connection, clip)
        (kept,) = current_clips(workspace)
        assert (kept.clip.system, kept.clip.case, kept.clip.suite, kept.clip.name) == (
            system.name, texts["case"], suite.name, texts["title"],
        )  # fmt: skip


def _export(texts: Mapping[str, str], sandbox: Sandbox) -> None:
    record = dict.fromkeys(EXPORT_COLUMNS, "") | {
        "comment": texts["message"],
        "rater": texts["system"],
    }
    path = sandbox.allowed / "votes.csv"
    write_votes(path, [record])
    for cell in path.read_text().splitlines()[1].split(","):
        plain = cell.strip('"')
        assert plain[:1] not in ("=", "+", "-", "@") or _is_number(plain)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- requests ------------------------------------------------------------------------------------

_sites: dict[str, tuple[Site, Starlette, TestClient]] = {}


def _server(sandbox: Sandbox) -> tuple[Site, Starlette, TestClient]:
    key = str(sandbox.root)
    if key not in _sites:
        folder = sandbox.allowed / "served"
        fill_workspace(folder / "workspace", folder / "media", seconds=0.6, raters=60, per_case=60)
        site = open_site(folder / "workspace")
        app = Starlette(routes=[*ENDPOINTS, *DOORS], middleware=[Middleware(Guard)])
        rater = TestClient(app, follow_redirects=False)
        stored = get_campaign(site.workspace.database, "marmot")
        (made,) = create_invites(site.workspace.database, stored, ["x"], now=time.time())
        assert rater.post(f"/join/{made.token}", headers=ORIGIN).status_code == 303
        _sites[key] = (site, app, rater)
    return _sites[key]


@st.composite
def _requests(draw: st.DrawFn) -> tuple[str, str, bytes, dict[str, str], bool]:
    text = draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=20)))
    path = draw(
        st.sampled_from(
            (
                "/api/vote",
                "/api/vote",
                "/api/work",
                "/api/undo",
                "/signin",
                "/signout",
                "/join/{}",
                "/clip/{}",
                "/{}",
            )
        )
    )
    clean = "".join(
        c for c in text if c.isprintable() and c not in "/?#%\\" and not 0xD800 <= ord(c) <= 0xDFFF
    )[:200]
    fields = draw(
        st.lists(
            st.sampled_from(
                ("assignment", "action", "client_key", "answers", "flag", "comment", "watch", "x")
            ),
            max_size=8,
        )
    )
    plain = {name: draw(st.one_of(st.just(text), st.sampled_from(TEXTS), st.integers(), st.floats(), st.none(), st.just({text[:50]: 1}), st.just([text[:50]])))
             for name in fields}  # fmt: skip
    plain.setdefault("client_key", "key-12345678") if draw(st.booleans()) else None
    body = draw(st.sampled_from((json.dumps(plain).encode(), json.dumps(plain).encode(), b"[" * 60_000, b"\xff", b"",
                                 text.encode("utf-8", "surrogatepass"), b"9" * 5000)))  # fmt: skip
    header = draw(
        st.sampled_from(
            ("origin", "cookie", "range", "content-type", "host", "x-forwarded-for", "accept")
        )
    )
    value = "".join(c for c in text if 32 <= ord(c) < 127)[:300]
    headers = {**ORIGIN, "content-type": "application/json"} | (
        {header: value} if draw(st.booleans()) else {}
    )
    return (
        draw(st.sampled_from(("POST", "POST", "GET"))),
        path.format(clean or "x"),
        body,
        headers,
        draw(st.booleans()),
    )


def _request(given: tuple[str, str, bytes, dict[str, str], bool], sandbox: Sandbox) -> None:
    method, path, body, headers, known = given
    _, app, rater = _server(sandbox)
    client = rater if known else TestClient(app, follow_redirects=False)
    answer = client.request(method, path, content=body, headers=headers)
    assert answer.status_code < 500, f"{answer.status_code} for {method} {path[:60]}"
    assert "Traceback" not in answer.text
    assert str(sandbox.root) not in answer.text, "a path of the server"
    if "html" in answer.headers.get("content-type", ""):
        assert not skeleton(answer.text).counts["script"], "a script in a page of the doors"


# --- command lines -------------------------------------------------------------------------------


@st.composite
def _commands(draw: st.DrawFn) -> tuple[str, list[str]]:
    word = st.one_of(st.sampled_from(TEXTS), st.text(max_size=10)).map(
        lambda text: text.replace("\0", "")
    )
    name = st.sampled_from(
        (
            "GIVEN/clip.mp4",
            "GIVEN",
            "GIVEN/nothing",
            "/dev/null",
            "x" * 300,
            "x" * 5000,
            "\udcff",
            "GIVEN/loop",
            "GIVEN/pipe.mp4",
        )
    )
    place = st.one_of(name, word)
    which, arguments = draw(st.sampled_from((
        ("eval", ["ingest", "P", "--dry-run"]), ("eval", ["ingest", "P", "--dry-run", "--system", "W"]),
        ("eval", ["ingest", "P", "--dry-run", "--pattern", "W"]), ("eval", ["ingest", "GIVEN", "--dry-run", "--suite", "P"]),
        ("eval", ["leaderboard", "--workspace", "ALLOWED/new", "--system", "W"]), ("eval", ["compare", "W", "W", "--workspace", "ALLOWED/new"]),
        ("eval", ["ratings", "status", "W", "--workspace", "ALLOWED/new"]), ("eval", ["W", "W"]), ("eval", ["metrics"]),
        ("eval", ["ratings", "create", "W", "--suite", "W", "--pair", "W", "--workspace", "ALLOWED/new"]),
        ("eval", ["ratings", "import", "W", "P", "--workspace", "ALLOWED/new"]),
        ("benchmarks", ["check", "P"]), ("benchmarks", ["import", "W", "P", "--out", "ALLOWED/made"]),
        ("benchmarks", ["import", "csv", "P", "--out", "ALLOWED/made", "--map", "W"]), ("benchmarks", ["W"]),
        ("benchmarks", ["export", "P", "W", "--out", "ALLOWED/made"]),
        ("joystreamer", ["generate", "--model", "nothing", "--job", "P"]), ("joystreamer", ["generate", "--model", "nothing", "--batch", "P"]),
        ("joystreamer", ["generate", "--model", "nothing", "--image", "P", "--audio", "P", "--prompt", "W", "--out", "ALLOWED/c.mp4"]),
        ("joystreamer", ["generate", "--model", "nothing", "--image", "GIVEN/image.png", "--audio", "GIVEN/audio.wav", "--prompt", "W",
                         "--out", "ALLOWED/c.mp4", "--speaker", "W", "--size", "W"]),
        ("joystreamer", ["train", "--preset", "W", "--out", "ALLOWED/t", "--manifest", "P"]), ("joystreamer", ["W"]),
        ("joystreamer", ["convert", "P", "ALLOWED/converted"]), ("joystreamer", ["plan", "W"]),
    )))  # fmt: skip
    filled = [
        draw(place) if part == "P" else draw(word) if part == "W" else part for part in arguments
    ]
    return which, filled


_MAINS: Final = {"eval": eval_main, "benchmarks": benchmarks_main, "joystreamer": joystreamer_main}


def _command(given: tuple[str, list[str]], sandbox: Sandbox) -> None:
    which, arguments = given
    filled = [
        part.replace("GIVEN", str(sandbox.given)).replace("ALLOWED", str(sandbox.allowed))
        for part in arguments
    ]
    kept = sys.stdout, sys.stderr
    # As a terminal in a UTF-8 locale: half surrogates cannot be printed on standard output.
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    sys.stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    try:
        _MAINS[which].main(filled, prog_name=which)
    finally:
        said = sys.stderr
        said.flush()
        text = said.buffer.getvalue().decode()
        sys.stdout, sys.stderr = kept
        assert "Traceback" not in text
        assert "\x1b[31m" not in text, "a name wrote a control sequence to the terminal"


def _with_media(value: Any, sandbox: Sandbox) -> Any:
    fill_given(sandbox)
    return value


def page_targets() -> tuple[Target, ...]:
    """Every target that shows, stores or is asked."""
    texts = st.fixed_dictionaries({name: _words() for name in HARMLESS})
    return (
        Target(name="report, tables and LaTeX", kind="pages", draws=lambda _: texts, read=_show, share=0.3, seconds=60,
               place=_prepare_page),
        Target(name="texts through the database", kind="pages", draws=lambda _: texts, read=_store, share=1, seconds=60),
        Target(name="exported votes", kind="pages", draws=lambda _: texts, read=_export, share=1),
        Target(name="requests to the server", kind="pages", draws=lambda _: _requests(), read=_request, share=4,
               place=lambda value, sandbox: (_server(sandbox), value)[1], seconds=60),
        Target(name="command lines", kind="commands", draws=lambda _: _commands(), read=_command, share=3, place=_with_media,
               confined=False, seconds=60),
    )  # fmt: skip
