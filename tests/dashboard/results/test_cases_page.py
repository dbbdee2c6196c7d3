"""The cases page: what got worse comes first, and every failure has its reason."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from dashboard.results.cards import plain
from dashboard.results.data import View, comparison_of, store_state
from dashboard.results.disagreements import conflict_words
from dashboard.results.filters import Filters
from dashboard.results.lazy_clips import answers_at, clips_data
from dashboard.results.regressions import default_pair, root_mean_square, worst_losses
from eval.cli import main
from eval.records import System
from eval.store.schema import scores
from eval.store.workspace import Workspace
from tests.dashboard.results.filled_workspace import SYSTEMS, fill
from tests.dashboard.results.voted_workspace import declare, vote


def drawn(tab) -> list[dict]:
    """What the browser is told to draw in a tab, one entry per card."""
    found = [entry.proto for entry in tab.get("bidi_component")]
    return [json.loads(each.json) for each in found if each.component_name.endswith("lazy_clips")]


def compared(workspace: Workspace, **changes):
    state = store_state(workspace)
    return comparison_of(
        workspace, state, View(filters=Filters()), "run1-2000", "run1-1000", **changes
    )


def test_the_worst_paired_loss_comes_first(filled: Workspace):
    found = compared(filled)
    worst = worst_losses(found)
    by_hand: dict[tuple[str, str], float] = {}
    for change in found.losses:
        (row,) = [row for row in found.rows if row.column == change.column]
        squares = [value**2 for value in row.contrast.differences]
        spread = (sum(squares) / len(squares)) ** 0.5
        key = (change.suite, change.case)
        by_hand[key] = max(by_hand.get(key, 0.0), change.loss / spread)
    assert [(item.suite, item.case) for item in worst] == sorted(
        by_hand, key=lambda key: (-by_hand[key], key)
    )
    assert worst[0].losses[0][1] == pytest.approx(max(by_hand.values()))


def test_losses_of_one_metric_leave_the_others_out(filled: Workspace):
    found = compared(filled)
    column = found.losses[0].column
    worst = worst_losses(found, column)
    assert {change.column for item in worst for change, _ in item.losses} == {column}
    assert worst[0].losses[0][0] == next(item for item in found.losses if item.column == column)


def test_spreads_of_huge_and_equal_values():
    assert root_mean_square([3e200, -4e200]) == pytest.approx(12.5**0.5 * 1e200)
    assert root_mean_square([0.0, 0.0]) == 0.0
    assert root_mean_square([]) == 0.0


def test_the_newest_checkpoint_is_held_against_the_one_before():
    systems = {system.name: system for system in SYSTEMS}
    assert default_pair(sorted(systems), systems) == ("run1-2000", "run1-1000")
    systems["run1-500"] = System(name="run1-500", kind="checkpoint", family="run1", step=500)
    assert default_pair(sorted(systems), systems) == ("run1-2000", "run1-1000")
    assert default_pair(["b", "a"], {}) == ("b", "a")


def test_the_page_opens_with_regressions_and_their_pictures(filled_root: Path, run_page):
    test = run_page("cases", filled_root)
    assert not test.error
    assert test.tabs[0].label == "Regressions"
    assert test.selectbox(key="candidate").value == "run1-2000"
    assert test.selectbox(key="against").value == "run1-1000"
    assert any("loses" in entry.value and "sd)" in entry.value for entry in test.tabs[0].caption)
    first = drawn(test.tabs[0])[0]
    assert [clip["system"] for clip in first["clips"]] == ["run1-2000", "run1-1000"]
    assert all(clip["poster"].startswith("/staff/clip/") for clip in first["clips"])
    assert first["compare"].startswith("/compare?case=talk%2Fcase")


def test_a_lost_value_is_newly_broken_and_the_other_way_round_newly_fixed(tmp_path: Path, run_page):
    lost = update(scores).where(scores.c.id == 1)
    workspace = fill(tmp_path / "ws", cases=8, nulls=0.0, specs=("quality/light",))
    with workspace, workspace.database.write() as connection:
        connection.execute(lost.values(value=None, reason="no_face", message="looked away"))
    test = run_page("cases", tmp_path / "ws", candidate="kling", against="run1-1000")
    labels = [tab.label for tab in test.tabs]
    assert labels[1:3] == ["Newly broken (1)", "Newly fixed (0)"]
    assert any("no face was found" in entry.value for entry in test.tabs[1].caption)
    assert test.tabs[2].success[0].value == "None."
    swapped = run_page("cases", tmp_path / "ws", candidate="run1-1000", against="kling")
    assert [tab.label for tab in swapped.tabs][1:3] == ["Newly broken (0)", "Newly fixed (1)"]
    reasons, messages = (entry.value for entry in test.tabs[4].dataframe)
    assert reasons["reason"].tolist() == ["no_face"]
    assert messages["message"].tolist() == ["looked away"]


def test_a_threshold_counts_cases_that_cross_it(filled_root: Path, filled: Workspace, run_page):
    limits = (("sync.confidence", 6.5),)
    expected = compared(filled, thresholds=limits)
    test = run_page("cases", filled_root)
    test.selectbox(key="threshold_metric").set_value("sync.confidence")
    test.number_input(key="threshold").set_value(6.5).run()
    assert test.tabs[2].label == f"Newly fixed ({len(expected.fixed)})"
    assert len(expected.fixed) > len(compared(filled).fixed)


def test_more_cases_than_fit_have_pages(tmp_path: Path, run_page):
    fill(
        tmp_path / "ws", cases=30, nulls=0.0, effect=0.0, specs=("quality/light",)
    ).database.close()
    test = run_page("cases", tmp_path / "ws")
    first = [entry.value for entry in test.tabs[0].markdown]
    assert len(first) == 12
    test.number_input(key="page_worst").set_value(2).run()
    assert not test.exception
    assert set(first).isdisjoint(entry.value for entry in test.tabs[0].markdown)


def test_names_with_markdown_signs_stand_as_they_are():
    assert plain("a*b_[c](d) :red[x]") == r"a\*b\_\[c\](d) \:red\[x\]"


def test_disagreements_of_metrics_and_people_are_those_of_the_command(voted_root: Path, run_page):
    test = run_page("cases", voted_root)
    tab = test.tabs[3]
    assert tab.label == "Metrics against people"
    assert "Simulated votes." in tab.warning[0].value
    done = CliRunner().invoke(
        main,
        ["ratings", "correlate", "board", "--json", "--limit", "9999", "-w", str(voted_root)],
    )
    expected = json.loads(done.output)
    worst, correlation = (entry.value for entry in tab.dataframe)
    assert worst.to_dict("records") == expected["worst"]
    assert correlation["tau"].tolist() == [row["tau"] for row in expected["correlation"]]
    cards = drawn(tab)
    assert len(cards) == 12
    first = expected["worst"][0]
    assert [clip["system"] for clip in cards[0]["clips"]] == [first["first"], first["second"]]
    test.selectbox(key="conflict_metric").set_value("sync.confidence/clean").run()
    assert set(test.tabs[3].dataframe[0].value["metric"]) == {"sync.confidence/clean"}


def test_a_conflict_is_told_from_both_sides():
    row = {
        "first": "a", "second": "b", "case": "c", "dimension": "overall_quality", "metric": "sync.distance/clean",
        "human": -2 / 3, "votes": 3, "difference": 0.5,
    }  # fmt: skip
    assert conflict_words(row, {"overall_quality": "Overall Quality"}) == (
        "People: b, Overall Quality (net +0.667, 3 votes)", "sync.distance/clean: a (by 0.500)",
    )  # fmt: skip


def test_without_votes_the_page_says_how_to_get_some(filled_root: Path, run_page):
    tab = run_page("cases", filled_root).tabs[3]
    assert "python -m eval ratings create" in tab.info[0].value


def test_blind_votes_stay_blind_beside_metrics(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=8, specs=("quality/light",)) as workspace:
        vote(workspace, declare(workspace, cases=8, blind_until_frozen=True), most=6)
    tab = run_page("cases", tmp_path / "ws").tabs[3]
    assert "are blind until the campaign is frozen" in tab.info[0].value
    assert not tab.dataframe


def test_videos_wait_until_somebody_asks(filled: Workspace):
    answers = answers_at(filled, store_state(filled))
    shown = clips_data(answers, ["kling", "nobody"], "talk", "case001")
    stored = answers["kling", "talk", "case001"]
    assert shown["clips"][0] == {
        "system": "kling", "url": f"/staff/clip/{stored.clip.digest}", "poster": f"/staff/clip/{stored.poster}",
    }  # fmt: skip
    assert shown["clips"][1] == {"system": "nobody", "url": "", "poster": ""}
    assert shown["compare"] == "/compare?case=talk%2Fcase001&with=kling"
    assert clips_data(answers, ["nobody"], "talk", "case001")["compare"] == ""


def test_all_cases_stand_in_a_grid(filled_root: Path, run_page):
    test = run_page("cases", filled_root)
    cards = drawn(test.tabs[5])
    assert len(cards) == 12
    assert all(len(card["clips"]) == 3 for card in cards)


def test_a_single_system_is_told_what_is_missing(tmp_path: Path, run_page):
    fill(tmp_path / "ws", systems=SYSTEMS[:1], cases=2, specs=("quality/light",)).database.close()
    test = run_page("cases", tmp_path / "ws")
    assert "With a second system" in test.info[0].value
    assert [tab.label for tab in test.tabs] == ["Metrics against people", "Failures", "All cases"]


def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path, run_page):
    Workspace(tmp_path / "ws").database.close()
    assert "python -m eval ingest" in run_page("cases", tmp_path / "ws").code[0].value
