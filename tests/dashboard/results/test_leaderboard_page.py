"""The leaderboard page: its numbers are those of the command, and its links bring them back."""

import io
import json
import sqlite3
from pathlib import Path
from urllib.parse import parse_qs

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sqlalchemy import delete, select, update
from streamlit.testing.v1 import AppTest

from dashboard.results import exports
from dashboard.results.board_table import table_data
from dashboard.results.data import View, board_of, jsonable, store_state
from dashboard.results.filters import Filters
from dashboard.results.permalinks import permalink, pinned_snapshot, why_changed
from eval.cli import main
from eval.records import System
from eval.report.export import PROVENANCE_KEY
from eval.store.registry import add_system
from eval.store.schema import clips, contents, specs
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from tests.dashboard.results.filled_workspace import SYSTEMS, fill, score_all

VIEWS = [
    (View(filters=Filters()), []),
    (
        View(filters=Filters(subject=("human",), metrics=("sync",), published=()), baseline="kling"),
        ["--subject", "human", "--metric", "sync", "--baseline", "kling", "--published", "none"],
    ),
    (
        View(filters=Filters(systems=("kling", "run1-2000"), language=("en", "zh"), length=("up to 10 s",))),
        ["--system", "kling", "--system", "run1-2000", "--language", "en", "--language", "zh",
         "--length", "up to 10 s"],
    ),
]  # fmt: skip


def mounted(test: AppTest) -> dict:
    """Return what the board's component was given."""
    (entry,) = [e for e in test.get("bidi_component") if e.proto.component_name.endswith("board")]
    return json.loads(entry.proto.json)


@pytest.mark.parametrize(("view", "options"), VIEWS)
def test_every_number_is_that_of_the_command(filled: Workspace, view: View, options: list[str]):
    said = CliRunner().invoke(
        main, ["leaderboard", "--json", "--workspace", str(filled.root), *options]
    )
    assert said.exit_code == 0, said.output
    state = store_state(filled)
    found = jsonable(board_of(filled, state, view), state.score)
    assert json.loads(json.dumps(found, default=str)) == json.loads(said.stdout)


def test_the_table_shows_the_numbers_of_the_board(filled: Workspace, run_page):
    board = board_of(filled, store_state(filled), View(filters=Filters()))
    shown = mounted(run_page("leaderboard", filled.root))
    assert shown == table_data(
        board, board.measured[:8], "means",
        {"run1-1000": "1 of 2 checkpoints of run1", "run1-2000": "1 of 2 checkpoints of run1"},
    )  # fmt: skip
    for row in shown["rows"]:
        for heading, cell in zip(shown["columns"], row["cells"], strict=True):
            assert cell["value"] == board.cell(row["system"], heading["id"]).mean


def test_marks_ranks_intervals_n_and_coverage_are_words_not_colour_alone(tmp_path: Path, run_page):
    fill(
        tmp_path / "ws", cases=16, nulls=0.0, effect=0.8, specs=("quality/light",)
    ).database.close()
    shown = mounted(run_page("leaderboard", tmp_path / "ws"))
    rows = {row["system"]: row for row in shown["rows"]}
    best = next(
        cell for cell in rows["run1-2000"]["cells"] if cell["leads"] and cell["verdict"] == "better"
    )
    assert best["mark"] == "▲"
    assert best["rank"] == "#1"
    assert best["leads"]
    assert best["below"].startswith("[")
    assert best["count"].startswith("n=1")
    assert "after Holm: better" in best["words"]
    assert rows["run1-1000"]["baseline"]
    assert "checkpoint" in rows["run1-1000"]["note"]


def test_tied_systems_share_a_rank_in_sign_and_words(tmp_path: Path, run_page):
    fill(
        tmp_path / "ws", cases=10, nulls=0.0, effect=0.1, specs=("quality/light",)
    ).database.close()
    shown = mounted(run_page("leaderboard", tmp_path / "ws"))
    cells = [cell for row in shown["rows"] for cell in row["cells"]]
    tied = [cell for cell in cells if cell["rank"].endswith("=")]
    assert tied
    assert all("not told apart from" in cell["words"] for cell in tied)
    assert any(cell["mark"] == "≈" for cell in cells)


def test_too_few_cases_say_so_in_place_of_an_interval(tmp_path: Path, run_page):
    fill(tmp_path / "ws", cases=3, nulls=0.0).database.close()
    shown = mounted(run_page("leaderboard", tmp_path / "ws"))
    cells = [cell for row in shown["rows"] for cell in row["cells"]]
    assert {cell["below"] for cell in cells} == {"n=3: too few"}
    assert {cell["mark"] for cell in cells} == {""}


def test_differences_hold_the_paired_deltas_of_the_chosen_baseline(filled: Workspace, run_page):
    shown = mounted(run_page("leaderboard", filled.root, baseline="kling", show="differences"))
    board = board_of(filled, store_state(filled), View(filters=Filters(), baseline="kling"))
    assert shown["caption"].startswith("Differences to kling")
    for row in shown["rows"]:
        for heading, cell in zip(shown["columns"], row["cells"], strict=True):
            contrast = board.cell(row["system"], heading["id"]).contrast
            assert cell["value"] == (contrast.mean if contrast else None)
    assert {cell["text"] for row in shown["rows"] if row["baseline"] for cell in row["cells"]} == {
        "baseline"
    }


def test_filters_in_the_address_narrow_the_board(filled_root: Path, run_page):
    test = run_page("leaderboard", filled_root, subject="human", language="en")
    assert any("2 cases" in entry.value for entry in test.caption)
    assert test.multiselect(key="subject").value == ["human"]
    test.multiselect(key="language").set_value([]).run()
    assert any("4 cases" in entry.value for entry in test.caption)


def test_filters_that_leave_nothing_say_so(filled_root: Path, run_page):
    # Odd cases speak for less than 10 s, and their language is zh.
    test = run_page("leaderboard", filled_root, language="en", length="up to 10 s")
    assert "No score fits all the filters together; leave one of them out." in test.error[0].value


def test_published_rows_stand_apart(filled_root: Path, run_page):
    test = run_page("leaderboard", filled_root)
    assert {row["kind"] for row in mounted(test)["rows"]} == {"checkpoint", "competitor"}
    assert any(entry.label.startswith("Published numbers, set apart") for entry in test.expander)
    test.multiselect(key="published").set_value([]).run()
    assert not any(entry.label.startswith("Published") for entry in test.expander)


def test_scores_of_another_specification_are_refused_with_the_reason(tmp_path: Path, run_page):
    with fill(tmp_path / "ws") as workspace:
        score_all(workspace, version=99, of_systems=["kling"], specs=["quality/light"])
        # What was scored by the usual specification is taken away: only the other one is left.
        ours = select(clips.c.id).where(clips.c.system == "kling")
        usual = select(specs.c.fingerprint).where(specs.c.measure == "quality")
        with workspace.database.write() as connection:
            newest = connection.execute(
                select(contents.c.fingerprint).where(contents.c.fingerprint.in_(usual))
            ).scalars().all()  # fmt: skip
            first = newest[0]
            connection.execute(
                delete(contents).where(contents.c.clip.in_(ours), contents.c.fingerprint == first)
            )
    test = run_page("leaderboard", tmp_path / "ws")
    assert any(entry.label.startswith("Refused: ") for entry in test.expander)
    assert any(
        "version is" in entry.value and "score these clips again" in entry.value
        for entry in test.text
    )


def test_a_permalink_brings_back_the_same_csv_after_more_was_scored(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", nulls=0.1) as workspace:
        view = View(filters=Filters(subject=("human", "animal"), published=()), baseline="kling")
        state = store_state(workspace)
        board = board_of(workspace, state, view)
        first = exports.csv_bytes(board)
        link = permalink(view, board, state.score)
        query = parse_qs(link.removeprefix("?"), keep_blank_values=True)

        score_all(workspace, specs=["sync/clean"], version=99, seed=8)
        assert store_state(workspace).score > state.score
        flat = {name: values[-1] for name, values in query.items()}
        again = View(
            filters=Filters(subject=tuple(query["subject"]), published=()),
            baseline=flat["baseline"], snapshot=pinned_snapshot(flat),
        )  # fmt: skip
        pinned = board_of(workspace, store_state(workspace), again)
        assert exports.csv_bytes(pinned) == first
        assert why_changed(flat, pinned) == ""
    test = run_page("leaderboard", tmp_path / "ws", **query)
    assert "Pinned to score" in test.info[0].value
    assert not test.warning
    assert mounted(test) == table_data(pinned, pinned.measured[:8], "means", dict.fromkeys(("run1-1000", "run1-2000"), "1 of 2 checkpoints of run1"))  # fmt: skip
    assert link in test.code[0].value


def test_a_link_whose_scores_are_gone_says_so(tmp_path: Path, run_page):
    with fill(tmp_path / "ws") as workspace:
        state = store_state(workspace)
        view = View(filters=Filters())
        link = permalink(view, board_of(workspace, state, view), state.score)
        with workspace.database.write() as connection:
            connection.execute(update(clips).where(clips.c.id == 1).values(replaced=True))
    test = run_page("leaderboard", tmp_path / "ws", **parse_qs(link.removeprefix("?")))
    assert "made for other scores" in test.warning[0].value


def test_a_pinned_page_can_follow_again(filled_root: Path, run_page):
    test = run_page("leaderboard", filled_root, snapshot="100", digest="0" * 16)
    assert test.warning
    next(button for button in test.button if button.label == "Follow live").click().run()
    assert not test.info
    assert "snapshot" not in test.query_params


def test_a_snapshot_that_is_no_number_is_refused(filled_root: Path, run_page):
    test = run_page("leaderboard", filled_root, snapshot="yesterday")
    assert "which is no number" in test.error[0].value
    with pytest.raises(InputError, match="which is no number"):
        pinned_snapshot({"snapshot": "-1"})


def test_a_score_written_meanwhile_appears_without_a_restart(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", specs=("quality/light",), cases=8) as workspace:
        test = run_page("leaderboard", tmp_path / "ws")
        before = [heading["id"] for heading in mounted(test)["columns"]]
        score_all(workspace, specs=["identity/dinov2"])
        test.run()
    assert set(before) < {heading["id"] for heading in mounted(test)["columns"]}


def test_a_new_system_counts_among_the_checkpoints_tried(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=8) as workspace, workspace.database.write() as connection:
        add_system(
            connection, System(name="run1-9000", kind="checkpoint", family="run1", step=9000)
        )
    notes = {
        row["system"]: row["note"]
        for row in mounted(run_page("leaderboard", tmp_path / "ws"))["rows"]
    }
    assert notes["run1-2000"] == "1 of 3 checkpoints of run1"
    assert notes["kling"] == ""


def test_files_are_those_of_the_command(filled: Workspace, tmp_path: Path):
    paths = {name: tmp_path / f"board.{name}" for name in ("csv", "parquet", "latex")}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    said = CliRunner().invoke(main, ["leaderboard", "--workspace", str(filled.root), *options])
    assert said.exit_code == 0, said.output
    board = board_of(filled, store_state(filled), View(filters=Filters()))
    assert exports.csv_bytes(board) == paths["csv"].read_bytes()
    assert exports.latex_bytes(board) == paths["latex"].read_bytes()
    table = pq.read_table(io.BytesIO(exports.parquet_bytes(board)))
    assert table.equals(pq.read_table(paths["parquet"]))
    assert json.loads(table.schema.metadata[PROVENANCE_KEY])["scores"] == board.provenance.scores


def test_the_report_opens_alone_and_holds_the_posters(filled: Workspace):
    view = View(filters=Filters(systems=tuple(system.name for system in SYSTEMS[:2])))
    page = exports.report_bytes(filled, store_state(filled), view, "Tea <cup>").decode()
    assert "Tea &lt;cup&gt;" in page
    assert "data:image/jpeg;base64," in page
    assert 'src="http' not in page
    assert "<script" not in page


def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path, run_page):
    Workspace(tmp_path / "ws").database.close()
    test = run_page("leaderboard", tmp_path / "ws")
    assert "no clips yet" in test.markdown[0].value
    assert "python -m eval ingest" in test.code[0].value


def test_clips_without_scores_say_what_to_do_next(tmp_path: Path, run_page):
    fill(tmp_path / "ws", specs=(), cases=1).database.close()
    test = run_page("leaderboard", tmp_path / "ws")
    assert "none is measured yet" in test.markdown[0].value
    assert test.code[0].value.startswith("python -m eval score")


def test_a_locked_database_is_a_sentence_within_seconds(tmp_path: Path):
    with fill(tmp_path / "ws", cases=1, specs=("quality/light",)) as workspace:
        workspace.database.close()
        other = sqlite3.connect(tmp_path / "ws" / "joystreamer.db", isolation_level=None)
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        test = AppTest.from_function(_page_over_open_workspace, kwargs={"workspace": workspace})
        test.run(timeout=30)
        assert (
            "does not answer (database is locked); check that no other program"
            in test.error[0].value
        )
        other.execute("ROLLBACK")
        other.close()
        next(button for button in test.button if button.label == "Try again").click()
        test.run(timeout=60)
        assert not test.error
        assert not test.exception


def test_a_missing_database_is_a_sentence(tmp_path: Path):
    with fill(tmp_path / "ws", cases=1, specs=("quality/light",)) as workspace:
        (tmp_path / "ws" / "joystreamer.db").rename(tmp_path / "moved.db")
        test = AppTest.from_function(_page_over_open_workspace, kwargs={"workspace": workspace})
        test.run(timeout=60)
        assert not test.exception
        assert "is not there; restore the file" in test.error[0].value


def _page_over_open_workspace(workspace):
    from dashboard.results.leaderboard import show

    show(workspace)
