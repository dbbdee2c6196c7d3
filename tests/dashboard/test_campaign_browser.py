"""Whole campaigns played by scripts in real browsers, through every accident: nothing lost or doubled."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.checkout import ROOT
from eval.ratings.audit import audit_campaign
from eval.ratings.campaign import Checks, KnownItem
from eval.ratings.ledger import Entry
from eval.ratings.results import campaign_results
from eval.ratings.store import campaign_entries
from eval.store.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def ledger_of(server: Any) -> list[Entry]:
    """All that was recorded."""
    with Workspace(server.root) as workspace:
        return campaign_entries(workspace.database, "marmot")[1]


def standing(entries: list[Entry]) -> dict[str, str]:
    """What counts at the end, by assignment: vote, flag or skip; undone ones are gone."""
    last: dict[str, str] = {}
    for entry in entries:
        if entry.kind in ("vote", "flag", "skip"):
            last[entry.payload()["assignment"]] = entry.kind
        elif entry.kind == "undo":
            del last[entry.payload()["assignment"]]
    return last


def require_whole(server: Any, expected: dict[str, int], kinds: dict[str, int]) -> None:
    """The ledger holds each answer once, and its audit finds nothing."""
    entries = ledger_of(server)
    assert Counter(entry.kind for entry in entries if entry.kind in kinds) == kinds
    assert Counter(standing(entries).values()) == expected
    keys = [entry.payload()["client_key"] for entry in entries if "client_key" in entry.payload()]
    assert len(keys) == len(set(keys))
    answers = [entry.payload() for entry in entries if entry.kind in ("vote", "flag", "skip")]
    assert {each["origin"] for each in answers} == {"simulated"}
    with Workspace(server.root) as workspace:
        assert not audit_campaign(workspace.database, "marmot").problems


def reload_in_the_middle(rater: Any) -> None:
    """Answer two rows, watch, reload: both are kept."""
    rater.ready()
    rater.watch()
    rater.answer("21")
    rater.page.reload()
    rater.ready()
    assert rater.state("Object.values(r.answers.given)") == ["same", "left"]
    assert rater.state("r.stage.missing('left').length + r.stage.missing('right').length") == 0
    rater.answer("333")


def submit_to_a_dead_server(rater: Any, server: Any) -> None:
    """Kill the server, submit, see that nothing claims to be saved, start it again."""
    done = rater.state("r.state.done")
    server.kill()
    rater.page.keyboard.press("Enter")
    rater.page.get_by_text("Not saved yet").wait_for()
    assert rater.state("[r.state.done, r.outbox.pending().length]") == [done, 1]
    server.start()
    rater.until(f"r.state.done === {done + 1} && r.outbox.pending().length === 0 && !r.busy")


def submit_without_network(rater: Any) -> None:
    """Cut the network, submit, join it again."""
    done = rater.state("r.state.done")
    rater.context.set_offline(True)
    rater.page.keyboard.press("Enter")
    rater.page.get_by_text("Not saved yet").wait_for()
    assert rater.state("r.outbox.pending().length") == 1
    rater.context.set_offline(False)
    rater.until(f"r.state.done === {done + 1} && !r.busy")


def flag(rater: Any, reason: str) -> None:
    """Flag the pair on the screen by key and dialog."""
    rater.ready()
    done = rater.state("r.state.done")
    rater.page.keyboard.press("f")
    dialog = rater.page.get_by_role("dialog", name="Flag this pair")
    dialog.locator(f"input[value={reason}]").check()
    dialog.get_by_label("Comment, optional").fill("it hums <script>alert(1)</script>")
    dialog.get_by_role("button", name="Flag and go on").click()
    rater.until(f"r.state.done === {done + 1} && !r.busy")


def undo(rater: Any) -> None:
    """Take the last answer back; its answers are shown again."""
    done = rater.state("r.state.done")
    rater.page.keyboard.press("u")
    rater.until(f"r.state.done === {done - 1} && !r.busy")
    assert rater.state("r.answers.open().length") == 0


def rate_to_the_end(rater: Any) -> None:
    """Answer pairs until the page says that there are no more; between two it may show none."""
    for _ in range(20):
        rater.until("!!r?.closing && (!!r.pair || !r.closing.hidden)")
        if not rater.state("!!r.pair"):
            break
        rater.rate()
    rater.page.get_by_text("All done, thank you").wait_for()


def test_two_annotators_through_every_accident(
    start_server: Callable[..., Any], join: Callable[..., Any], browser: Any
) -> None:
    lesson = KnownItem(
        case="quokka1", first="zebrafinch", second="yakthorn",
        expected={"overall_quality": "same"}, lesson="Look at the mouth",
    )  # fmt: skip
    checks = Checks(nulls=0, repeat_share=0.0, training=(lesson,))
    server = start_server(seconds=1.2, raters=2, per_case=2, checks=checks)

    first = join(server)
    first.ready()
    assert first.page.get_by_text("Practice", exact=True).is_visible()
    first.rate("13333")
    assert first.page.get_by_text("✗ expected: Same").is_visible()
    assert first.page.get_by_text("What to notice: Look at the mouth").is_visible()
    first.page.keyboard.press("Enter")
    first.until("!r.lesson && r.pair && !r.pair.training")
    reload_in_the_middle(first)
    submit_to_a_dead_server(first, server)
    first.rate()
    first.rate()
    first.page.get_by_text("All done, thank you").wait_for()

    second = join(server)
    second.rate("22222")
    assert second.page.get_by_text("✓ as expected").is_visible()
    second.page.keyboard.press("Enter")
    second.until("!r.lesson && r.pair && !r.pair.training")
    second.ready()
    second.watch()
    second.answer("11111")
    submit_without_network(second)
    undo(second)
    second.rate("33333")
    flag(second, "no_sound")
    second.ready()
    second.page.get_by_role("button", name="Skip").click()
    second.page.get_by_text("All done, thank you").wait_for()

    require_whole(
        server,
        {"vote": 6, "flag": 1, "skip": 1},
        {"vote": 7, "undo": 1, "flag": 1, "skip": 1},
    )


@pytest.mark.slow
def test_five_annotators_on_real_clips(
    start_server: Callable[..., Any], join: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "compare"
    for case in ("01", "03"):
        for ours, theirs in (("MoCha", "zebrafinch"), ("hallo3", "yakthorn")):
            target = folder / theirs / f"{case}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(
                shared_data / "videos" / "mocha" / "compare" / f"{case}_{ours}.mp4", target
            )
    server = start_server(
        clips=folder, cases=("01", "03"), raters=5, per_case=5, window=0,
        checks=Checks(nulls=1, repeat_share=0.0),
    )  # fmt: skip
    command = [sys.executable, "-m", "dashboard", "prepare", "marmot", "-w", str(server.root)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "4 clips of marmot are ready"
    raters = [join(server) for _ in range(5)]
    reload_in_the_middle(raters[0])
    submit_to_a_dead_server(raters[0], server)
    raters[1].ready()
    raters[1].watch()
    raters[1].answer("11223")
    submit_without_network(raters[1])
    raters[2].rate("11111")
    undo(raters[2])
    flag(raters[3], "no_sound")
    for rater in raters:
        rate_to_the_end(rater)
    require_whole(server, {"vote": 14, "flag": 1}, {"vote": 15, "undo": 1, "flag": 1})
    with Workspace(server.root) as workspace:
        results = campaign_results(workspace.database, "marmot")
    assert len(results.board) == 5
    assert "simulated" in results.label
