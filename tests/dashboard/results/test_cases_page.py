"""The cases page: what got worse comes first, and every failure has its reason."""

from pathlib import Path

import pytest
from sqlalchemy import update

from dashboard.results.data import View, comparison_of, store_state
from dashboard.results.filters import Filters
from dashboard.results.regressions import default_pair, root_mean_square, worst_losses
from eval.records import System
from eval.store.schema import scores
from eval.store.workspace import Workspace
from tests.dashboard.results.filled_workspace import SYSTEMS, fill


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
    assert len(test.tabs[0].get("image")) >= 2


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
    reasons, messages = (entry.value for entry in test.tabs[3].dataframe)
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


def test_names_with_markdown_signs_stand_as_they_are(filled_root: Path, run_page):
    from dashboard.results.cases import _plain

    assert _plain("a*b_[c](d) :red[x]") == r"a\*b\_\[c\](d) \:red\[x\]"


def test_a_single_system_is_told_what_is_missing(tmp_path: Path, run_page):
    fill(tmp_path / "ws", systems=SYSTEMS[:1], cases=2, specs=("quality/light",)).database.close()
    test = run_page("cases", tmp_path / "ws")
    assert "With a second system" in test.info[0].value
    assert [tab.label for tab in test.tabs] == ["Failures", "All cases"]


def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path, run_page):
    Workspace(tmp_path / "ws").database.close()
    assert "python -m eval ingest" in run_page("cases", tmp_path / "ws").code[0].value
