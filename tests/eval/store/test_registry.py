"""Suites that grow: cases are added beside those that are there, whoever adds them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import select

from eval.records import Case, Suite
from eval.store.registry import add_suite, all_cases, extend_suite
from eval.store.schema import suites
from eval.store.workspace import Workspace


def suite(*ids: str, prompt: str = "") -> Suite:
    return Suite(
        name="grows", version="1", asks="", cases=tuple(Case(id=i, prompt=prompt) for i in ids)
    )


def digest(workspace: Workspace) -> str:
    with workspace.database.read() as connection:
        return str(connection.execute(select(suites.c.digest)).scalar_one())


def test_a_case_is_added_beside_the_others(tmp_path: Path):
    with Workspace(tmp_path / "ws") as workspace:
        extend_suite(workspace, suite("a"))
        extend_suite(workspace, suite("b"))
        assert list(all_cases(workspace)) == [("grows", "a"), ("grows", "b")]
        grown = digest(workspace)
        add_suite(workspace, suite("a", "b"))
        assert digest(workspace) == grown  # the same suite, however it came about


def test_a_case_of_the_same_id_is_replaced(tmp_path: Path):
    with Workspace(tmp_path / "ws") as workspace:
        extend_suite(workspace, suite("a", "b"))
        extend_suite(workspace, suite("a", prompt="new"))
        found = all_cases(workspace)
    assert found["grows", "a"].record["prompt"] == "new"
    assert len(found) == 2


def test_cases_added_at_the_same_time_are_all_kept(tmp_path: Path):
    root = tmp_path / "ws"
    Workspace(root).database.close()

    def add(number: int) -> None:
        with Workspace(root) as workspace:
            extend_suite(workspace, suite(f"case{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    with Workspace(root) as workspace:
        assert len(all_cases(workspace)) == 12
