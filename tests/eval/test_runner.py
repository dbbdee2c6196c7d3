"""The runner on real little clips, with a measure small enough to check by hand."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, select

from eval.ingest import match_source, store_matches
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.plan import differences, explain, make_plan
from eval.reader import read_suite
from eval.runner import ScoreOptions, score
from eval.series import Series
from eval.store.registry import current_clips
from eval.store.schema import leases, runs, scores
from eval.store.scores import COLUMNS, score_table, snapshot
from eval.store.workspace import Workspace
from eval.weights import WeightFolder
from joystreamer.errors import InputError
from joystreamer.media import Frame

MakeClip = Callable[..., Path]
SHOWN: Counter[str] = Counter()


class Brightness:
    """Mean of all pixels, frame by frame."""

    def __init__(self, inputs: ClipInputs) -> None:
        SHOWN[inputs.path.stem[:8]] += 1
        self._times: list[float] = []
        self._means: list[float] = []

    def see(self, frame: Frame) -> None:
        self._times.append(frame.time_s)
        self._means.append(float(frame.rgb.mean()))

    def finish(self) -> Mapping[str, Outcome]:
        if len(self._means) < 10:
            raise CannotMeasure("too_short", "fewer than ten frames")
        series = Series(times_s=np.array(self._times), values=np.array(self._means))
        return {
            "test.brightness": Outcome(value=float(np.mean(self._means)), series={"mean": series}),
            "test.count": Outcome(value=float(len(self._means))),
        }


class Broken:
    def see(self, frame: Frame) -> None:
        raise RuntimeError("the network fell over")

    def finish(self) -> Mapping[str, Outcome]:
        return {}


def metric(name: str) -> Metric:
    return Metric(name=name, unit="", better="neither", summary="for tests")


def brightness(*, version: int = 1, rate: float | str = 25.0, **parameters: object) -> Measure:
    return Measure(
        name="test", variant="plain", version=version, rate=rate, parameters=parameters,  # type: ignore[arg-type]
        metrics=(metric("test.brightness"), metric("test.count")), start=Brightness,
    )  # fmt: skip


BROKEN = Measure(
    name="broken",
    variant="plain",
    version=1,
    metrics=(metric("broken.x"),),
    start=lambda _: Broken(),
)
WEIGHTY = Measure(
    name="weighty", variant="plain", version=1, metrics=(metric("weighty.x"),),
    start=lambda _: Broken(), weights=("syncnet-v2",),
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path / "workspace") as workspace:
        yield workspace


@pytest.fixture
def weights(tmp_path: Path) -> WeightFolder:
    return WeightFolder([tmp_path / "no-weights"], memory=tmp_path / "memory")


@pytest.fixture
def clips(tmp_path: Path, make_clip: MakeClip) -> Path:
    folder = tmp_path / "clips"
    for number, name in enumerate(("A/one", "A/two", "B/one", "B/two")):
        make_clip(folder / f"{name}.mp4", seed=number)
    return folder


def ingest(workspace: Workspace, source: Path, **options: object) -> None:
    list(store_matches(workspace, match_source(source), **options))  # type: ignore[arg-type]


def run(workspace: Workspace, weights: WeightFolder, *measures: Measure, force: bool = False):
    SHOWN.clear()
    return score(workspace, measures, weights, ScoreOptions(force=force, device="cpu"))


def values(workspace: Workspace) -> dict[tuple[str, str, str], float]:
    table = score_table(workspace)
    rows = table[["system", "case", "metric", "value"]].to_numpy().tolist()
    return {(system, case, metric): value for system, case, metric, value in rows}


def test_scores_become_one_tidy_row_per_clip_and_metric(workspace, weights, clips):
    ingest(workspace, clips)
    report = run(workspace, weights, brightness())
    assert (report.clips, report.scores, report.failures) == (4, 8, [])
    table = score_table(workspace)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 8
    assert table["value"].dtype == np.float64
    assert set(table["kind"]) == {"checkpoint"}
    counts = table[table["metric"] == "test.count"]["value"]
    assert set(counts) == {15.0}
    row = table[(table["metric"] == "test.brightness")].iloc[0]
    series = workspace.read_series(row["series"])["mean"]
    assert series.times_s == pytest.approx(np.arange(15) / 25)
    assert series.values.mean() == pytest.approx(row["value"])


def test_a_second_run_shows_no_clip_to_anybody(workspace, weights, clips):
    ingest(workspace, clips)
    run(workspace, weights, brightness())
    before = values(workspace)
    report = run(workspace, weights, brightness())
    assert (report.clips, report.scores, report.reused, SHOWN.total()) == (0, 0, 4, 0)
    assert values(workspace) == before


def test_changing_one_byte_of_one_clip_recomputes_that_clip_only(workspace, weights, clips):
    ingest(workspace, clips)
    run(workspace, weights, brightness())
    with (clips / "A" / "one.mp4").open("ab") as file:
        file.write(b"\0")
    ingest(workspace, clips)
    plan = make_plan(workspace, current_clips(workspace), [brightness()], {})
    (why,) = explain(workspace, plan)
    assert why.startswith("A / one: test/plain: the clip changed (")
    assert run(workspace, weights, brightness()).clips == 1
    assert len(score_table(workspace)) == 8


def test_changed_constants_recompute_everything_and_say_why(workspace, weights, clips):
    ingest(workspace, clips)
    run(workspace, weights, brightness(size=1))
    plan = make_plan(workspace, current_clips(workspace), [brightness(size=2, version=2)], {})
    assert len(plan.open) == 4
    assert explain(workspace, plan)[0].endswith(
        "the specification changed: parameters.size: 1 to 2; version: 1 to 2"
    )
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []


def test_force_computes_again_and_keeps_history(workspace, weights, clips):
    ingest(workspace, clips)
    run(workspace, weights, brightness())
    pinned = snapshot(workspace.database)
    assert run(workspace, weights, brightness(), force=True).clips == 4
    assert len(score_table(workspace)) == 8
    old, new = score_table(workspace, up_to=pinned), score_table(workspace)
    assert set(old["score_id"]).isdisjoint(new["score_id"])
    pd.testing.assert_series_equal(old["value"], new["value"])
    bare = score_table(workspace, details=False)
    pd.testing.assert_frame_equal(bare, new.drop(columns="details"))


def test_equal_files_are_measured_once(workspace, weights, tmp_path, make_clip):
    one = make_clip(tmp_path / "clips" / "A" / "one.mp4")
    (tmp_path / "clips" / "B").mkdir()
    (tmp_path / "clips" / "B" / "one.mp4").write_bytes(one.read_bytes())
    ingest(workspace, tmp_path / "clips")
    run(workspace, weights, brightness())
    assert SHOWN.total() == 1
    assert len(values(workspace)) == 4


def test_failures_are_data_and_do_not_disturb_their_neighbours(
    workspace, weights, clips, make_clip
):
    (clips / "A" / "empty.mp4").write_bytes(b"")
    (clips / "A" / "text.mp4").write_text("I am no clip")
    whole = make_clip(clips / "A" / "cut.mp4", seconds=2.0).read_bytes()
    (clips / "A" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    make_clip(clips / "A" / "short.mp4", seconds=0.2)
    ingest(workspace, clips)
    report = run(workspace, weights, brightness(), BROKEN, WEIGHTY)
    table = score_table(workspace)
    reasons = {
        (row.case, row.metric): row.reason for row in table.itertuples() if row.system == "A"
    }
    for case in ("empty", "text", "cut"):
        assert reasons[case, "test.brightness"] == "decode_error"
    assert reasons["short", "test.brightness"] == "too_short"
    assert reasons["one", "broken.x"] == "backend_error"
    assert reasons["one", "weighty.x"] == "weights_missing"
    assert reasons["one", "test.brightness"] is None
    assert np.isnan(table[table["reason"].notna()]["value"]).all()
    said = table[table["metric"] == "broken.x"]["message"].iloc[0]
    assert said == "RuntimeError: the network fell over"
    assert any("A / empty" in line for line in report.failures)
    assert all("\n" not in line for line in report.failures)


def test_frames_come_at_the_rate_each_measure_asks_for(workspace, weights, tmp_path, make_clip):
    make_clip(tmp_path / "clips" / "A" / "x.mp4", rate=30, seconds=1.0)
    ingest(workspace, tmp_path / "clips")
    for rate, count in ((25.0, 25), ("own", 30), (10.0, 10)):
        run(workspace, weights, brightness(rate=rate))
        assert values(workspace)["A", "x", "test.count"] == count


def test_inputs_of_the_case_are_part_of_the_content(workspace, weights, tmp_path, make_clip):
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "suite.toml").write_text('name = "s"\nversion = "1"\nasks = "?"\n')
    (folder / "cases.jsonl").write_text(json.dumps({"id": "one", "prompt": "waves"}))
    make_clip(tmp_path / "clips" / "A" / "one.mp4")
    base = brightness()
    reading = Measure(
        name="reading", variant="plain", version=1, rate=25.0, inputs=frozenset({"prompt"}),
        metrics=base.metrics, start=Brightness,
    )  # fmt: skip
    matched = match_source(tmp_path / "clips", suite=read_suite(folder))
    list(store_matches(workspace, matched, suite=read_suite(folder)))
    assert run(workspace, weights, base, reading).scores == 4
    (folder / "cases.jsonl").write_text(json.dumps({"id": "one", "prompt": "jumps"}))
    list(store_matches(workspace, matched, suite=read_suite(folder)))
    plan = make_plan(workspace, current_clips(workspace), [base, reading], {})
    assert explain(workspace, plan) == ["A / one: reading/plain: the case's prompt changed"]
    assert score_table(workspace)["suite"].unique().tolist() == ["s"]


def test_a_worker_that_misnames_its_metrics_is_reported(workspace, weights, tmp_path, make_clip):
    make_clip(tmp_path / "clips" / "A" / "x.mp4")
    ingest(workspace, tmp_path / "clips")
    wrong = Measure(
        name="w", variant="p", version=1, metrics=(metric("w.x"),), rate=25.0, start=Brightness
    )
    run(workspace, weights, wrong)
    assert "expected ['w.x']" in score_table(workspace)["message"].iloc[0]


def test_an_empty_workspace_says_what_to_do(workspace, weights):
    with pytest.raises(
        InputError, match="has no such clips; add some with 'python -m eval ingest'"
    ):
        run(workspace, weights, brightness())


def test_the_run_report_is_stored(workspace, weights, clips):
    ingest(workspace, clips)
    run(workspace, weights, brightness())
    with workspace.database.read() as connection:
        row = connection.execute(select(runs)).one()
    assert row.finished_at is not None
    assert row.report["scores"] == 8
    assert set(row.report["stage_s"]) == {"decode", "test/plain"}
    assert row.report["versions"]["numpy"] == np.__version__
    assert row.report["peak_mb"] > 10


def test_scoring_works_on_postgresql_and_gives_the_same_table(
    postgres_url, tmp_path, weights, clips
):
    tables = []
    for url in (None, postgres_url):
        with Workspace(tmp_path / f"ws-{url is None}", url) as workspace:
            ingest(workspace, clips)
            run(workspace, weights, brightness())
            tables.append(
                score_table(workspace).drop(columns=["seconds", "created_at", "score_id"])
            )
    pd.testing.assert_frame_equal(tables[0], tables[1])


# --- several processes -------------------------------------------------------------------------


def command(workspace: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "eval",
        "score",
        "-w",
        str(workspace),
        "-m",
        "video",
        "-m",
        "motion",
        "--device",
        "cpu",
        *more,
    ]


def stored(workspace: Workspace) -> list[tuple[str, str, int]]:
    with workspace.database.read() as connection:
        query = select(scores.c.content, scores.c.metric, func.count()).group_by(
            scores.c.content, scores.c.metric
        )
        return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def many_clips(tmp_path: Path, make_clip: MakeClip) -> Path:
    folder = tmp_path / "many"
    for number in range(6):
        make_clip(folder / "A" / f"case{number}.mp4", seed=number, seconds=1.2, size=(160, 128))
    return folder


@pytest.mark.multiprocess
def test_two_processes_give_the_same_table_as_one(tmp_path, many_clips):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    tables = []
    for processes in ("1", "2"):
        root = tmp_path / f"ws{processes}"
        with Workspace(root) as workspace:
            ingest(workspace, many_clips)
            done = subprocess.run(
                command(root, "--processes", processes),
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            if processes == "2":
                assert "process 1 of 2:" in done.stdout
                assert "process 2 of 2:" in done.stdout
            assert {count for *_, count in stored(workspace)} == {1}
            tables.append(
                score_table(workspace).drop(
                    columns=["seconds", "created_at", "score_id", "clip_id"]
                )
            )
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)


@pytest.mark.multiprocess
def test_kill_in_the_middle_then_again_does_nothing_twice(tmp_path, many_clips):
    root = tmp_path / "ws"
    with Workspace(root) as workspace:
        ingest(workspace, many_clips)
        process = subprocess.Popen(
            command(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.time() + 120
        while len(stored(workspace)) == 0 and process.poll() is None:
            assert time.time() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        early = set(stored(workspace))
        assert early
        done = subprocess.run(command(root), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        late = stored(workspace)
        assert early <= set(late)
        assert {count for *_, count in late} == {1}
        assert len({content for content, *_ in late}) >= 6
        with workspace.database.read() as connection:
            assert connection.execute(select(leases)).all() == []
