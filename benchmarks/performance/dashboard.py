"""How fast the result pages are and what the server holds: 6 systems, 96 cases, all default metrics.

    python -m benchmarks.performance.dashboard [--visits 200]

The workspace is made through the store's own functions with made-up scores. The server runs as
`python -m dashboard serve` and is asked by a real Chromium, as staff do. Benches may not import the dashboard:
the file knows its pages by their addresses and by what stands on them.
"""

import contextlib
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import numpy as np
from PIL import Image

from benchmarks.performance.dated_report import table, write_report
from benchmarks.performance.served_dashboard import Server, serving
from eval.catalog import default_measures
from eval.measure import Outcome
from eval.plan import make_plan, remember
from eval.records import Case, Clip, Speaker, Suite, System, Tags
from eval.store.registry import add_clip, add_suite, add_system, current_clips
from eval.store.scores import Finished, add_scores, finish_run, start_run
from eval.store.workspace import Workspace
from joystreamer.media import write_clip

PACKAGES = ("streamlit", "pandas", "pyarrow", "numpy", "playwright")
CASES: Final = 96
SYSTEMS: Final = (
    *(System(name=f"run1-{step}", kind="checkpoint", family="run1", step=step) for step in (1000, 2000, 3000)),
    *(System(name=name, kind="competitor") for name in ("first", "second", "third")),
)  # fmt: skip
PAGES: Final = {
    "leaderboard": "Take away", "compare": "All metrics of this case", "cases": "Regressions",
    "checkpoints": "The same as a table", "human": "Human ratings", "runs": "Workspace health",
}  # fmt: skip
"""Pages by address, with words that stand at or near their end."""

CHANGES: Final = (
    ("Language", "en"), ("Language", "zh"), ("Subject", "cartoon"), ("Subject", "human"), ("Content", "body"),
)  # fmt: skip
"""Filters set one after the other, each beside those before it."""

BOARD: Final = """() => {
  const walk = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.matches(".board")) return node.textContent;
      const found = node.shadowRoot ? walk(node.shadowRoot) : "";
      if (found) return found;
    }
    return "";
  };
  return walk(document);
}"""

PRESSED: Final = """() => {
  window.pressedAt = window.changedAt = undefined;
  const note = () => { window.pressedAt = performance.now(); };
  document.addEventListener("pointerdown", note, { capture: true, once: true });
}"""
"""Lets the page itself note when it is pressed: the driver aims and waits before it presses."""
CHANGED: Final = f"""(before) => {{
  if (({BOARD})() === before) return 0;
  window.changedAt ??= performance.now();
  return window.changedAt - window.pressedAt;
}}"""
"""Milliseconds from pressing to another board; 0 until then."""
IDLE: Final = """(words) => {
  const app = document.querySelector("[data-testid=stApp]");
  return app?.dataset.testScriptState === "notRunning"
    && document.querySelector("[data-testid=stMain]")?.innerText.includes(words);
}"""


class Took(NamedTuple):
    """Seconds of one step: as a visitor waits, and of the server's processor."""

    wall: float
    cpu: float


def fill(root: Path, clip: bytes) -> int:
    """Make the workspace; return its number of scores."""
    names = [f"case{number:03d}" for number in range(CASES)]
    subjects, languages = ("human", "cartoon", "animal"), ("en", "zh")
    content = ((), ("body",), ("camera", "object"), ("body",))
    suite = Suite(
        name="bench", version="1", asks="speed",
        cases=tuple(
            Case(
                id=name, prompt=f"prompt {number}", speakers=(Speaker(),),
                tags=Tags(subject=subjects[number % 3], language=languages[number % 2], content=content[number % 4]),  # type: ignore[arg-type]
            )
            for number, name in enumerate(names)
        ),
    )  # fmt: skip
    picture = io.BytesIO()
    Image.new("RGB", (160, 90), (60, 90, 160)).save(picture, format="JPEG")
    with Workspace(root) as workspace:
        add_suite(workspace, suite)
        poster = workspace.posters.add_bytes(picture.getvalue(), ".jpg")
        with workspace.database.write() as connection:
            for place, system in enumerate(SYSTEMS):
                add_system(connection, system)
                for number, name in enumerate(names):
                    # A box that players skip makes every file another one.
                    file = clip + b"\0\0\0\x10free" + bytes((place, number)).ljust(8, b"\0")
                    probe = {"duration_s": 5.0 if number % 2 else 20.0, "frame_rate": 25.0}
                    add_clip(
                        connection,
                        Clip(
                            system=system.name, suite=suite.name, case=name, name=f"{name}.mp4",
                            digest=workspace.media.add_bytes(file, ".mp4"), probe=probe,
                        ),
                        poster=poster,
                    )  # fmt: skip
        return score(workspace)


def score(workspace: Workspace) -> int:
    """Store made-up outcomes of every default measure on every clip, as the runner would."""
    measures = default_measures()
    digests = {name: "0" * 64 for measure in measures for name in measure.weights}
    plan = make_plan(workspace, current_clips(workspace), measures, digests)
    remember(workspace, plan)
    run = start_run(workspace.database, "bench:1:0", {"units": len(plan.units)})
    generator = np.random.default_rng(0)
    finished: dict[int, list[Finished]] = {}
    count = 0
    for unit in plan.open:
        outcomes = {
            metric.name: Outcome(value=float(generator.normal(6.0)))
            if generator.random() > 0.05
            else Outcome(reason="no_face", message="no face in 80 % of frames")
            for metric in unit.measure.metrics
        }
        count += len(outcomes)
        finished.setdefault(unit.clip.id, []).append(Finished(unit.work, outcomes, 0.1))
    for each in finished.values():
        add_scores(workspace, run, "bench:1:0", each)
    report = {"wall_s": 1.0, "peak_mb": 1.0, "clips": len(finished), "scores": count}
    finish_run(workspace.database, run, report)
    return count


class Visitor:
    """A staff member's browser."""

    def __init__(self, browser: Any, server: Server, secret: str) -> None:
        self.server = server
        self.errors: list[str] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 720})
        self.page.set_default_timeout(120_000)
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{server.url}/signin")
        self.page.fill("input[type=password]", secret)
        with self.page.expect_navigation(wait_until="domcontentloaded"):
            self.page.keyboard.press("Enter")

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def time(self, act: Callable[[], object]) -> Took:
        """Do something; return how long it took."""
        begun, used = time.perf_counter(), self.server.cpu_s()
        act()
        return Took(time.perf_counter() - begun, self.server.cpu_s() - used)

    def open(self, address: str) -> None:
        """Load a page until its script has come to its end and its last words are there."""
        self.page.goto(f"{self.server.url}/{address}", wait_until="commit")
        self.page.wait_for_function(IDLE, arg=PAGES[address])

    def choose(self, label: str, value: str) -> tuple[Took, Took]:
        """Set a filter; return the time until the board is another one, and until the page is at its end."""
        box = self.page.locator("[data-testid=stMultiSelect]", has_text=label).first
        box.locator("input").click()
        option = self.page.get_by_role("option", name=value, exact=True)
        option.wait_for()
        before = self.page.evaluate(BOARD)
        self.page.evaluate(PRESSED)
        begun, used = time.perf_counter(), self.server.cpu_s()
        option.click()
        waited = self.page.wait_for_function(CHANGED, arg=before).json_value()
        board = Took(waited / 1000, self.server.cpu_s() - used)
        self.page.wait_for_function(IDLE, arg=PAGES["leaderboard"])
        whole = Took(time.perf_counter() - begun, self.server.cpu_s() - used)
        self.page.keyboard.press("Escape")
        return board, whole


@contextlib.contextmanager
def visiting(server: Server, root: Path) -> Iterator[Visitor]:
    """A Chromium in which staff is signed in."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--mute-audio"]  # fmt: skip
    secret = (root / "operator.secret").read_text(encoding="utf-8").strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield Visitor(browser, server, secret)
        browser.close()


def seconds(took: Sequence[Took]) -> tuple[str, str, str]:
    """Median and longest wall time, and median processor time, as text."""
    walls, cpus = [each.wall for each in took], [each.cpu for each in took]
    return f"{statistics.median(walls):.2f}", f"{max(walls):.2f}", f"{statistics.median(cpus):.2f}"


def page_rows(visitor: Visitor) -> list[tuple[object, ...]]:
    """Load every page once, then five times more."""
    rows: list[tuple[object, ...]] = []
    for address in PAGES:
        first = visitor.time(lambda address=address: visitor.open(address))  # type: ignore[misc]
        later = [
            visitor.time(lambda address=address: visitor.open(address))  # type: ignore[misc]
            for _ in range(5)
        ]
        rows.append((address, f"{first.wall:.2f}", f"{first.cpu:.2f}", *seconds(later)))
    return rows


def filter_rows(visitor: Visitor) -> list[tuple[object, ...]]:
    """Set filters one after the other, in a fresh page; numbers of none are remembered."""
    visitor.open("leaderboard")
    visitor.page.get_by_role("button", name="Filters").click()
    rows: list[tuple[object, ...]] = []
    for label, value in CHANGES:
        board, whole = visitor.choose(label, value)
        rows.append(
            (f"{label}: {value}", f"{board.wall:.2f}", f"{board.cpu:.2f}", f"{whole.wall:.2f}", f"{whole.cpu:.2f}")
        )  # fmt: skip
    return rows


def visit_rows(visitor: Visitor, visits: int) -> list[tuple[object, ...]]:
    """Open pages in turn; the server's memory along the way."""
    rows: list[tuple[object, ...]] = [(0, f"{visitor.server.resident_mb():.0f}")]
    addresses = list(PAGES)
    for number in range(1, visits + 1):
        visitor.open(addresses[number % len(addresses)])
        if number % max(1, visits // 8) == 0:
            rows.append((number, f"{visitor.server.resident_mb():.0f}"))
    return rows


@click.command()
@click.option("--visits", type=click.IntRange(min=1), default=200, show_default=True)
def main(visits: int) -> None:
    """Run and write a dated report."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "workspace"
        clip = Path(name) / "clip.mp4"
        frames = [np.full((72, 128, 3), 60 + number, np.uint8) for number in range(50)]
        write_clip(clip, frames, 25)
        count = fill(root, clip.read_bytes())
        with serving(root) as server:
            at_start, torch = server.resident_mb(), server.holds_torch()
            with visiting(server, root) as visitor:
                pages = page_rows(visitor)
                filters = filter_rows(visitor)
                memory = visit_rows(visitor, visits)
                errors = list(dict.fromkeys(visitor.errors))
            torch |= server.holds_torch()
    facts = [
        ("systems, cases, scores", f"{len(SYSTEMS)}, {CASES}, {count:,}"),
        ("start until the first answer", f"{server.start_s:.2f} s"),
        ("processor time of the start", f"{server.start_cpu_s:.2f} s"),
        ("memory after the start", f"{at_start:.0f} MB"),
        ("a library of torch in memory", "yes" if torch else "no"),
        ("errors on the browser's console", len(errors)),
    ]
    loads = ("page", "first wall s", "first cpu s", "later median s", "longest s", "later cpu s")
    changes = ("set", "board wall s", "board cpu s", "whole page wall s", "whole page cpu s")
    note = (
        "Wall seconds are a visitor's, with Chromium on the same machine; cpu seconds are the server's "
        "processor time in them. Where the machine was shared, the latter tell more.\n\n"
    )
    sections = [
        ("Server", table(("what", "value"), facts)),
        ("Loading a page, until its script is at its end", note + table(loads, pages)),
        ("Setting a filter nobody set before", table(changes, filters)),
        (f"Memory over {visits} page visits", table(("visits", "server MB"), memory)),
    ]
    if errors:
        sections.append(("Errors on the console", "\n".join(f"- {error}" for error in errors)))
    click.echo(write_report("dashboard", "Result pages: figures", sections, PACKAGES))


if __name__ == "__main__":
    main()
