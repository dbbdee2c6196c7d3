"""The same clips give the same tables: however many processes, whatever order, whichever database."""

import dataclasses
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from eval.checkout import ROOT
from eval.cli import main
from eval.ingest import match_source, store_matches
from eval.store.scores import score_table
from eval.store.workspace import Workspace

# Capitals, accents and signs sort differently in every database's own language.
CASES = ("a_one", "B two", "b-three", "C.four", "é five", "z six", "Ä seven", "_eight", "nine")
SYSTEMS = ("beta", "Alpha")
COLUMNS = [
    "system", "suite", "case", "seed", "clip_name", "metric", "variant", "fingerprint", "value", "reason",
    "message", "details", "series", "duration_s",
]  # fmt: skip
"""What a table says of clips; the others say which row it is, when it was made and how long it took."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, make_clip: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index, system in enumerate(SYSTEMS):
        for number, case in enumerate(CASES):
            seconds = 0.4 + 0.04 * (number % 3)
            tone = None if number == 4 else 300.0 + 20 * number + 7 * index
            make_clip(folder / system / f"{case}.mp4", seed=3 * number + index, seconds=seconds, tone=tone)  # fmt: skip
    (folder / SYSTEMS[0] / f"{CASES[8]}.mp4").write_bytes(b"no clip")
    return folder


def ingest_and_score(
    root: Path, database: str | None, clips: Path, order: int, processes: int
) -> None:
    """Ingest in an order of its own, then let so many processes score together."""
    matched = match_source(clips)
    shuffled = list(matched.matches)
    random.Random(order).shuffle(shuffled)
    with Workspace(root, database) as workspace:
        list(store_matches(workspace, dataclasses.replace(matched, matches=tuple(shuffled))))
    arguments = ["score", "-m", "motion", "-m", "video", "--device", "cpu", "-w", str(root)]
    arguments += ["--database", database] if database else []
    if processes == 1:
        assert CliRunner().invoke(main, arguments).exit_code == 1  # one clip is none
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "eval", *arguments],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    said = [each.communicate(timeout=240)[1] for each in running]
    assert all(each.returncode in (0, 1) for each in running), said


def table_of(root: Path, database: str | None) -> pd.DataFrame:
    with Workspace(root, database) as workspace:
        return score_table(workspace)[COLUMNS]


def board_of(root: Path, database: str | None, *more: str) -> bytes:
    arguments = [
        "leaderboard",
        "--json",
        "-w",
        str(root),
        "--metric",
        "motion",
        "--metric",
        "video",
    ]
    arguments += ["--database", database] if database else []
    ran = CliRunner().invoke(main, [*arguments, *more])
    assert ran.exit_code == 0, ran.output
    return undated(ran.stdout_bytes)


def undated(told: bytes) -> bytes:
    """Without the moments at which scores were made: all that two runs may not have in common."""
    return re.sub(rb'"\d{4}-\d\d-\d\dT[^"]+"', b'""', told)


class Scored:
    """What a workspace says in the end."""

    def __init__(self, root: Path, database: str | None) -> None:
        self.table = table_of(root, database)
        self.board = board_of(root, database)
        arguments = ["compare", *SYSTEMS, "--json", "-w", str(root)]
        arguments += ["--database", database] if database else []
        self.compared = undated(CliRunner().invoke(main, arguments).stdout_bytes)


@pytest.fixture(scope="module")
def reference(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """One process, one order, SQLite."""
    root = tmp_path_factory.mktemp("reference") / "workspace"
    ingest_and_score(root, None, clips, order=0, processes=1)
    return Scored(root, None)


@pytest.mark.multiprocess
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("order", "processes"), [(1, 1), (2, 2)])
def test_neither_order_nor_processes_nor_database_change_any_table(
    database_url: str, clips: Path, reference: Scored, tmp_path: Path, order: int, processes: int
) -> None:
    root = tmp_path / "workspace"
    ingest_and_score(root, database_url, clips, order, processes)
    found = Scored(root, database_url)
    pd.testing.assert_frame_equal(found.table, reference.table, check_exact=True)
    assert found.board == reference.board
    assert found.compared == reference.compared
    assert len(found.compared) > 1000


def test_the_table_has_values_and_reasons(reference: Scored) -> None:
    assert len(reference.table) == len(CASES) * len(SYSTEMS) * reference.table["metric"].nunique()
    assert reference.table["value"].notna().sum() > 100
    assert set(reference.table["reason"].dropna()) >= {"no_audio", "decode_error"}
