"""The human page: the numbers of the command, the charts of those numbers, and what is shown when there are none."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dashboard.results.human_charts import (
    alpha_table,
    board_numbers,
    gsb_chart,
    matrix_chart,
    matrix_table,
    pairs_of,
    ratio_chart,
    standing_chart,
    standing_table,
)
from dashboard.results.votes import head_of, ranking_at, results_at
from eval.cli import main
from eval.ratings.store import get_campaign
from eval.store.workspace import Workspace
from tests.dashboard.results.filled_workspace import fill
from tests.dashboard.results.voted_workspace import PAIRS, declare, vote


def told_by_the_command(root: Path, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(
        main, ["ratings", "results", "board", "--json", *options, "-w", str(root)]
    )
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def gsb_tables(test: Any) -> list[Any]:
    return [e.value for e in test.tabs[0].dataframe if "ratio_low" in e.value and "title" in e.value]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "scope"),
    [("cases like these", "cases-like-these"), ("these cases", "these-cases")],
)
def test_every_number_is_that_of_the_command(voted_root: Path, run_page, words, scope):
    test = run_page("human", voted_root, scope=words)
    expected = told_by_the_command(voted_root, "--scope", scope)["board"]
    tables = gsb_tables(test)
    shown = [
        {"first": first, "second": second, **{name: plain(row[name]) for name in table.columns}}
        for (first, second), table in zip(PAIRS, tables, strict=True)
        for row in table.to_dict("records")
    ]
    assert len(shown) == len(expected) == 10
    for mine, theirs in zip(shown, expected, strict=True):
        assert {name: mine[name] for name in theirs} == theirs


def test_charts_draw_what_the_tables_say(voted_root: Path):
    with Workspace(voted_root) as workspace:
        head = head_of(workspace, get_campaign(workspace.database, "board"))
        results = results_at(workspace, head)
        ranking = ranking_at(workspace, head, None, "overall_quality", "kling")
    first, second = pairs_of(results.board)[0]
    table = board_numbers(results, first, second)
    drawn = gsb_chart(results, first, second)
    pieces = drawn["layer"][0]["data"]["values"]
    counts = {(row["dimension"], row["outcome"]): row["votes"] for row in pieces}
    for row in table.to_dict("records"):
        for outcome in ("Good", "Same", "Bad"):
            assert counts[row["title"], outcome] == row[outcome.lower()]
    assert [piece["to"] for piece in pieces[2::3]] == pytest.approx([100.0] * 5)
    assert drawn["title"]["text"] == f"{first} vs. {second} · simulated votes"
    points = ratio_chart(results, first, second)["layer"][2]
    assert points["encoding"]["x"]["field"] == "ratio"
    assert [row["ratio"] for row in points["data"]["values"]] == table["ratio"].tolist()
    matrix = matrix_table(ranking).set_index(["system", "against"])["net preference"]
    assert all(matrix[a, b] == pytest.approx(-matrix[b, a]) for a, b in matrix.index)
    assert ("kling", "run1-1000") not in matrix.index  # they never met: blank, not zero
    assert "simulated votes" in json.dumps(matrix_chart(results, ranking))
    places = standing_table(ranking).set_index("system")
    assert places.loc["kling", "strength"] == 0.0
    assert "rank interval" in json.dumps(standing_chart(results, ranking))


def test_the_page_labels_simulated_votes_and_shows_everything(voted_root: Path, run_page):
    test = run_page("human", voted_root)
    assert not test.error
    assert "Simulated votes." in test.warning[0].value
    assert [tab.label for tab in test.tabs] == [
        "Good / Same / Bad", "Win matrix and ranks", "Agreement", "Rater quality",
    ]  # fmt: skip
    assert "left out because" in test.tabs[3].dataframe[0].value
    assert len(test.tabs[3].dataframe[0].value) == 6
    assert len(test.tabs[2].dataframe[0].value) == 10
    assert any("SIMULATED VOTES" in entry.value for entry in test.caption)


def test_agreement_is_the_boards(voted_root: Path):
    with Workspace(voted_root) as workspace:
        results = results_at(
            workspace, head_of(workspace, get_campaign(workspace.database, "board"))
        )
    assert alpha_table(results)["alpha"].tolist() == results.board["alpha"].tolist()


def test_single_raters_are_not_shown_to_those_who_may_not(voted_root: Path):
    from streamlit.testing.v1 import AppTest

    script = (
        "from pathlib import Path\nfrom dashboard.results.human import show\n"
        "from eval.store.workspace import Workspace\n"
        f"show(Workspace(Path({str(voted_root)!r})), raters=False)"
    )
    test = AppTest.from_string(script, default_timeout=60).run()
    assert not test.exception
    assert [tab.label for tab in test.tabs][-1] == "Agreement"
    assert not any("rater" in entry.value.columns for entry in test.dataframe)


def test_another_baseline_is_at_zero(voted_root: Path, run_page):
    test = run_page("human", voted_root)
    test.selectbox(key="rank_baseline").set_value("kling").run()
    places = test.tabs[1].dataframe[0].value.set_index("system")
    assert places.loc["kling", "strength"] == 0.0


def test_new_votes_appear(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=12, specs=()) as workspace:
        stored = declare(workspace)
        test = run_page("human", tmp_path / "ws")
        assert "No pair is answered yet" in test.info[0].value
        vote(workspace, stored)
        test.run()
    assert not test.info
    assert sum(table["votes"].sum() for table in gsb_tables(test)) == 12 * 3 * 2 * 5


def test_blind_results_stay_blind(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=12, specs=()) as workspace:
        vote(workspace, declare(workspace, blind_until_frozen=True), most=10)
    test = run_page("human", tmp_path / "ws")
    assert "blind until the campaign is frozen" in test.info[0].value
    assert not test.tabs
    assert any("10 of 84 pairs answered" in str(entry.proto) for entry in test.get("progress"))


def test_too_few_raters_give_counts_only(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=12, specs=()) as workspace:
        vote(workspace, declare(workspace), raters=2)
    test = run_page("human", tmp_path / "ws")
    assert any("too few raters: 2 of 5; counts only" in entry.value for entry in test.caption)
    assert gsb_tables(test)[0]["ratio_low"].isna().all()


def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path, run_page):
    Workspace(tmp_path / "ws").database.close()
    assert "python -m eval ratings create" in run_page("human", tmp_path / "ws").code[0].value
