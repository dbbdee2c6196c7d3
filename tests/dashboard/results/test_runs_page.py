"""The runs page: what is scored, what waits, what failed, and whether records and files fit together."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from dashboard.results.progress import (
    health,
    recent_runs,
    several_specifications,
    stage_times,
    work_matrix,
)
from eval.store.leases import Work, claim, this_worker
from eval.store.schema import clips, contents, runs
from eval.store.scores import finish_run, start_run
from tests.dashboard.results.filled_workspace import SYSTEMS, fill, score_all

ONE: dict[str, Any] = {"systems": SYSTEMS[:1], "nulls": 0.0, "specs": ("quality/light",)}


def test_work_is_scored_in_work_or_waiting(tmp_path: Path):
    with fill(tmp_path / "ws", cases=6, **{**ONE, "specs": ()}) as workspace:
        score_all(workspace, specs=["quality/light"], only=2)
        with workspace.database.read() as connection:
            row = connection.execute(contents.select().order_by(contents.c.clip.desc())).first()
        assert row is not None
        claim(workspace.database, [Work(row.content, row.fingerprint)], this_worker())
        (entry,) = work_matrix(workspace).to_dict("records")
    found = {name: entry[name] for name in ("planned", "scored", "in work", "waiting")}
    assert found == {"planned": 6, "scored": 2, "in work": 1, "waiting": 3}


def test_a_killed_run_is_told_from_a_living_and_a_finished_one(tmp_path: Path):
    with fill(tmp_path / "ws", cases=1, **ONE) as workspace:
        code = "from eval.store.leases import this_worker; print(this_worker())"
        dead = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        start_run(workspace.database, dead, {})
        start_run(workspace.database, this_worker(), {})
        start_run(workspace.database, "elsewhere:7:7", {})
        states = [run.state for run in recent_runs(workspace)]
    assert states == ["silent", "running", "stopped", "finished"]


def test_stage_times_add_up_over_runs(tmp_path: Path):
    with fill(tmp_path / "ws", cases=1, **ONE) as workspace:
        for seconds in (2.0, 3.0):
            run = start_run(workspace.database, "here:1:0", {})
            finish_run(workspace.database, run, {"clips": 2, "stage_s": {"sync/clean": seconds}})
        table = stage_times(recent_runs(workspace)).set_index("stage")
    assert table.loc["sync/clean", "seconds"] == pytest.approx(5.0)
    assert table.loc["sync/clean", "seconds per clip"] == pytest.approx(1.25)


def test_older_specifications_are_named_with_what_changed(tmp_path: Path):
    with fill(tmp_path / "ws", cases=2, **ONE) as workspace:
        assert several_specifications(workspace) == []
        score_all(workspace, specs=["quality/light"], version=99, nulls=0.0)
        (entry,) = several_specifications(workspace)
    assert entry["measure"] == "quality/light"
    assert entry["clips"] == 2
    assert "version" in entry["what changed since"]
    assert "99" in entry["what changed since"]


def test_health_counts_what_is_missing_and_says_what_to_do(tmp_path: Path):
    with fill(tmp_path / "ws", cases=3, **ONE) as workspace:
        with workspace.database.write() as connection:
            connection.execute(update(clips).where(clips.c.id == 1).values(problem="no moov atom"))
            connection.execute(update(clips).where(clips.c.id == 2).values(poster=""))
        found = {entry["check"]: entry for entry in health(workspace)}
    assert found["clips that cannot be decoded"]["count"] == 1
    assert "no moov atom" in found["clips that cannot be decoded"]["for example"]
    assert found["clips without a picture"]["count"] == 1
    assert found["clips whose file is gone"]["count"] == 3  # the made-up clips have no file
    assert found["leases of workers that are gone"] == {
        "check": "leases of workers that are gone", "count": 0, "what to do": "", "for example": "",
    }  # fmt: skip


def test_the_page_shows_work_failures_times_and_health(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=2, **ONE) as workspace:
        run = start_run(workspace.database, this_worker(), {})
        finish_run(workspace.database, run, {"failures": ["run1-1000 / case000: broken pipe"]})
        score_all(workspace, specs=["identity/dinov2"], only=1)
    test = run_page("runs", tmp_path / "ws")
    assert [entry.value for entry in test.metric] == ["3 of 4", "0", "1", "0"]
    assert "1 pieces of work wait" in test.warning[0].value
    assert any("1 failures" in entry.label for entry in test.expander)
    work, listed = test.tabs[0].dataframe[0].value, test.tabs[1].dataframe[0].value
    assert set(work["run1-1000"]) == {"2 / 2", "1 / 2"}
    assert listed["failures"].tolist() == [0, 1, 0]
    assert test.tabs[2].dataframe[0].value["stage"].tolist() == ["quality/light"]


def test_numbers_follow_the_store(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=2, **ONE) as workspace:
        test = run_page("runs", tmp_path / "ws")
        assert test.metric[0].value == "2 of 2"
        score_all(workspace, specs=["identity/dinov2"])
        test.run()
    assert test.metric[0].value == "4 of 4"


def test_clips_that_nobody_scored_say_what_to_do_next(tmp_path: Path, run_page):
    with fill(tmp_path / "ws", cases=1, **{**ONE, "specs": ()}) as workspace:
        with workspace.database.write() as connection:
            connection.execute(runs.delete())
        assert recent_runs(workspace) == []
    assert "python -m eval score" in run_page("runs", tmp_path / "ws").code[0].value
