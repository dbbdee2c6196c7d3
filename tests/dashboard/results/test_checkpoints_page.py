"""The checkpoints page: numbers of the board over training steps."""

from pathlib import Path

import pytest

from dashboard.results.checkpoints import best_words, stepped, steps_table
from dashboard.results.data import View, board_of, store_state, systems_at
from dashboard.results.filters import Filters
from eval.records import System
from eval.store.workspace import Workspace
from tests.dashboard.results.filled_workspace import SYSTEMS, fill

TWO_RUNS = (
    *SYSTEMS,
    System(name="run2-1000", kind="checkpoint", family="run2", step=1000),
    System(name="unnumbered", kind="checkpoint", family="run2"),
)


def test_the_table_holds_means_and_intervals_of_the_board(filled: Workspace):
    state = store_state(filled)
    names = ("run1-1000", "run1-2000")
    view = View(filters=Filters(systems=names, published=()), baseline="run1-2000")
    board = board_of(filled, state, view)
    steps = stepped(names, systems_at(filled, state))
    column = board.measured[0]
    table = steps_table(board, column, steps)
    assert table["step"].tolist() == [1000, 2000]
    for name, row in table.set_index("checkpoint").iterrows():
        cell = board.cell(str(name), column.name)
        assert row["mean"] == cell.mean
        assert cell.interval is not None
        assert (row["low"], row["high"]) == (cell.interval.low, cell.interval.high)
    assert table["against selected"].tolist()[1] == "selected"
    ascending = column.metric.better == "lower"
    best = table.sort_values("mean", ascending=ascending)["checkpoint"].tolist()[0]
    assert best in best_words(table, column)


def test_only_checkpoints_with_a_step_take_part():
    systems = {system.name: system for system in TWO_RUNS}
    assert stepped(sorted(systems), systems) == {
        "run1-1000": ("run1", 1000), "run1-2000": ("run1", 2000), "run2-1000": ("run2", 1000),
    }  # fmt: skip


def test_several_runs_and_the_marked_checkpoint(tmp_path: Path, run_page):
    fill(tmp_path / "ws", systems=TWO_RUNS, cases=8, specs=("quality/light",)).database.close()
    test = run_page("checkpoints", tmp_path / "ws", selected="run1-1000")
    assert not test.error
    assert test.multiselect(key="runs").value == ["run1", "run2"]
    assert any("run1-1000 is 1 of 2 checkpoints of run1" in entry.value for entry in test.caption)
    table = test.dataframe[-1].value
    assert set(table["run"]) == {"run1", "run2"}
    assert set(table.loc[table["checkpoint"] == "run1-1000", "against selected"]) == {"selected"}
    assert (
        len(test.get("vega_lite_chart")) + len(test.get("arrow_vega_lite_chart"))
        == table["metric"].nunique()
    )
    test.multiselect(key="runs").set_value(["run2"]).run()
    assert set(test.dataframe[-1].value["run"]) == {"run2"}
    test.multiselect(key="runs").set_value([]).run()
    assert test.info[0].value == "Choose at least one run."


def test_without_steps_the_page_says_how_to_give_them(tmp_path: Path, run_page):
    fill(tmp_path / "ws", systems=SYSTEMS[2:], cases=1, specs=("quality/light",)).database.close()
    test = run_page("checkpoints", tmp_path / "ws")
    assert "--step 1000" in test.info[0].value


@pytest.mark.parametrize("page", ["checkpoints", "runs"])
def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path, run_page, page: str):
    Workspace(tmp_path / "ws").database.close()
    assert "python -m eval ingest" in run_page(page, tmp_path / "ws").code[0].value
