"""Saved views: kept whole, found again, told apart, and never lost to somebody who saves at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dashboard.saved_views import FOLDER, delete_view, list_views, save_view, write_query
from joystreamer.errors import InputError


def test_a_view_comes_back_as_it_was_saved(tmp_path: Path):
    query = write_query({"subject": ["human", "cartoon"], "published": [""], "snapshot": ["41"]})
    saved = save_view(tmp_path, name="  People &  帧 ", page="leaderboard", query=query, by="ada")
    (found,), problems = list_views(tmp_path)
    assert found == saved
    assert problems == []
    assert found.name == "People & 帧"
    assert found.parameters() == {
        "subject": ["human", "cartoon"], "published": [""], "snapshot": ["41"],
    }  # fmt: skip


def test_names_are_unique_on_their_page_only(tmp_path: Path):
    for page in ("leaderboard", "cases"):
        save_view(tmp_path, name="mine", page=page, query="", by="ada")
    with pytest.raises(InputError, match="called 'mine' already; delete it, or choose another"):
        save_view(tmp_path, name="mine", page="cases", query="a=b", by="bo")
    assert [view.page for view in list_views(tmp_path)[0]] == ["cases", "leaderboard"]


def test_a_deleted_view_is_gone_and_may_be_deleted_twice(tmp_path: Path):
    view = save_view(tmp_path, name="mine", page="cases", query="", by="ada")
    delete_view(tmp_path, view.key)
    delete_view(tmp_path, view.key)
    assert list_views(tmp_path) == ([], [])


@pytest.mark.parametrize("key", ["../../operator", "", "g" * 20])
def test_only_views_can_be_deleted(tmp_path: Path, key: str):
    with pytest.raises(InputError, match="names no view; expected 20 hex digits"):
        delete_view(tmp_path, key)


@pytest.mark.parametrize(
    ("name", "why"), [("  ", "a view needs a name"), ("x" * 81, "has 81 letters; at most 80 fit")]
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, name: str, why: str):
    with pytest.raises(InputError, match=why):
        save_view(tmp_path, name=name, page="cases", query="", by="ada")


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "x"}', '{"name": 1, "page": "cases", "query": "", "by": "", "at": ""}'])  # fmt: skip
def test_a_damaged_file_is_named_and_hides_no_other(tmp_path: Path, content: str):
    save_view(tmp_path, name="mine", page="cases", query="", by="ada")
    (tmp_path / FOLDER / "broken.json").write_text(content)
    views, problems = list_views(tmp_path)
    assert [view.name for view in views] == ["mine"]
    assert len(problems) == 1
    assert "broken.json" in problems[0]
    assert problems[0].endswith("delete the file")


def test_views_saved_at_the_same_time_are_all_kept(tmp_path: Path):
    def save(number: int) -> None:
        save_view(tmp_path, name=f"view {number}", page="cases", query="", by="ada")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, range(40)))
    assert len(list_views(tmp_path)[0]) == 40
