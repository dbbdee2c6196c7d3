"""Suites are rendered by several systems; killed runs end the same; failures are counted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.adapters import SYSTEMS
from benchmarks.cli import main
from benchmarks.importers.dialogue_json import RATE, write_wave
from benchmarks.renderers import case_job, model_fingerprint
from benchmarks.run import alone, segment_borders
from eval.checkout import ROOT
from eval.cli import main as eval_main
from eval.records import Case, Speaker
from eval.store.registry import current_clips
from eval.store.scores import score_table
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from joystreamer.media import probe

MEASURE = "quality/light"


def make_suite(root: Path, count: int, seconds: float = 0.6) -> Path:
    (root / "media").mkdir(parents=True)
    (root / "suite.toml").write_text(
        'name = "short"\nversion = "1"\nasks = "Well?"\nlicence = "CC0-1.0"\n'
    )
    lines = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((96, 64), Image.Resampling.BICUBIC)
        image.save(root / "media" / f"{number}.png")
        tone = 0.3 * np.sin(np.arange(int(RATE * seconds)) * (0.03 + 0.01 * number))
        write_wave(root / "media" / f"{number}.wav", tone.astype(np.float32))
        lines.append(
            json.dumps(
                {
                    "id": f"c-{number}",
                    "prompt": f"Person {number} talks.",
                    "image": f"media/{number}.png",
                    "audio": f"media/{number}.wav",
                    "licence": "CC0-1.0",
                }
            )
        )
    (root / "cases.jsonl").write_text("\n".join(lines))
    return root


@pytest.fixture
def slow_adapter(tmp_path: Path) -> Path:
    """The still baseline, smaller and a little slow, so that it can be killed at work."""
    text = (SYSTEMS / "baseline.still.toml").read_text()
    text = text.replace('name = "baseline.still"', 'name = "baseline.slow"')
    text = text.replace('"-loop", "1",', '"-re", "-loop", "1",').replace('"832"', '"64"')
    path = tmp_path / "slow.toml"
    path.write_text(text)
    return path


def start(*arguments: str, folder: Path = ROOT) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "run", *arguments],
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def results(root: Path) -> pd.DataFrame:
    with Workspace(root) as workspace:
        table = score_table(workspace)
    kept = table[["system", "case", "metric", "value"]]
    return kept.sort_values(["system", "case", "metric"]).reset_index(drop=True)


@pytest.mark.multiprocess
def test_a_run_killed_twice_ends_as_one_that_was_left_alone(
    tmp_path: Path, slow_adapter: Path
) -> None:
    suite = str(make_suite(tmp_path / "suite", 4))
    both = ["--adapter", "baseline.still", "--adapter", str(slow_adapter)]
    killed = tmp_path / "killed"
    for wanted in (2, 5):
        process = start(suite, *both, "--processes", "2", "--no-score", "-w", str(killed))
        until = time.monotonic() + 120
        while len(list(killed.glob("runs/*/*/*.mp4"))) < wanted:
            assert time.monotonic() < until, "no clips were made"
            assert process.poll() is None, (
                process.stdout.read() if process.stdout else b""
            ).decode()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = start(suite, *both, "--processes", "2", "--no-score", "-w", str(killed))
    said = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, said
    assert "8 clips of 2 systems, 0 failed" in said
    assert not list(killed.glob("runs/**/.work-*"))
    alone = tmp_path / "alone"
    for space in (alone, killed):
        arguments = ["run", suite, *both, "-m", MEASURE, "--device", "cpu", "-w", str(space)]
        ran = CliRunner().invoke(main, arguments)
        assert ran.exit_code == 0, ran.output
    before, after = results(alone), results(killed)
    assert len(before) == 8 * 4
    pd.testing.assert_frame_equal(before, after)
    board = CliRunner().invoke(eval_main, ["leaderboard", "-w", str(killed)])
    assert board.exit_code == 0, board.output
    assert "baseline.still" in board.output


@pytest.mark.multiprocess
@pytest.mark.postgres
def test_two_commands_share_one_database_and_one_folder(
    tmp_path: Path, slow_adapter: Path, postgres_url: str
) -> None:
    suite = str(make_suite(tmp_path / "suite", 4))
    space = tmp_path / "shared"
    Workspace(space, postgres_url).database.close()
    arguments = [suite, "--adapter", str(slow_adapter), "--no-score", "-w", str(space)]
    commands = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        commands.append(start(*arguments, "--database", postgres_url, folder=tmp_path / name))
    said = [command.communicate(timeout=300)[0].decode() for command in commands]
    assert [command.returncode for command in commands] == [0, 0], said
    with Workspace(space, postgres_url) as workspace:
        clips = current_clips(workspace)
    assert [row.clip.case for row in clips] == [f"c-{number}" for number in range(4)]
    logs = [path.read_text().count("$ [") for path in space.glob("runs/*/*/*.log")]
    assert logs == [1, 1, 1, 1]  # every case was rendered once, by one of the two


def test_only_one_process_at_a_time_replaces_a_suite(tmp_path: Path) -> None:
    with Workspace(tmp_path / "w") as workspace:
        order: list[str] = []

        def second() -> None:
            with alone(workspace, "ingest"):
                order.append("second")

        work = Thread(target=second)
        with alone(workspace, "ingest"):
            work.start()
            time.sleep(0.3)
            order.append("first")
        work.join(30)
        assert order == ["first", "second"]
        with alone(workspace, "ingest"):  # and the lease was given back
            pass


def test_failed_cases_are_stored_and_counted_and_tried_again_on_demand(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", 2)
    broken = tmp_path / "broken.toml"
    marker = tmp_path / "works-now"
    script = (
        f"import sys, pathlib, subprocess; ok = pathlib.Path({str(marker)!r}).exists() or 'c-0' in sys.argv[-1]; "
        "sys.exit(subprocess.run(sys.argv[1:]).returncode if ok else 7)"
    )
    table = (SYSTEMS / "baseline.still.toml").read_text()
    table = table.replace('"{ffmpeg}",', f'"{{python}}", "-c", {json.dumps(script)}, "{{ffmpeg}}",')
    broken.write_text(table.replace('name = "baseline.still"', 'name = "broken"'))
    space = str(tmp_path / "space")
    arguments = ["run", str(suite), "--adapter", str(broken), "-w", space, "-m", MEASURE]
    arguments += ["--device", "cpu"]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 1
    assert "1 clips of 1 systems, 1 failed" in ran.output
    assert "failed: broken / c-1: it ended with exit code 7" in ran.output
    table_now = results(Path(space))
    assert table_now[table_now.case == "c-1"].value.isna().all()
    assert table_now[table_now.case == "c-0"].value.notna().any()
    marker.touch()
    assert CliRunner().invoke(main, [*arguments, "--no-score"]).exit_code == 1  # kept as it is
    again = CliRunner().invoke(main, [*arguments, "--retry-failed"])
    assert again.exit_code == 0, again.output
    table_now = results(Path(space))
    assert table_now[table_now.case == "c-1"].value.notna().any()


def test_other_settings_under_the_same_name_are_refused(tmp_path: Path) -> None:
    suite = str(make_suite(tmp_path / "suite", 1))
    arguments = [
        "run",
        suite,
        "--adapter",
        "baseline.still",
        "--no-score",
        "-w",
        str(tmp_path / "w"),
    ]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    ran = CliRunner().invoke(main, [*arguments, "--seed", "3"])
    assert ran.exit_code == 2
    assert "baseline.still was run here with another seed; give it another name" in ran.output
    ran = CliRunner().invoke(main, [*arguments, "--adapter", "baseline.still"])
    assert "two systems are called 'baseline.still'" in ran.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nobody is to render"),
        (("--adapter", "heygen"), "heygen has no command. Closed:"),
        (("--adapter", "wan-s2v"), "say where with --home wan-s2v=FOLDER"),
        (("--model", "nowhere"), "nowhere is no saved pipeline"),
        (("--adapter", "baseline.still", "--case", "c-9"), "has no case 'c-9'"),
        (
            ("--adapter", "baseline.still", "--set", "baseline.still.longst=9"),
            "baseline.still has no setting 'longst' (did you mean 'longest'?)",
        ),
        (("--adapter", "baseline.still", "-m", "qualty"), "no measure is called 'qualty'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    suite = str(make_suite(tmp_path / "suite", 1))
    ran = CliRunner().invoke(main, ["run", suite, *arguments, "-w", str(tmp_path / "w")])
    assert ran.exit_code == 2
    assert words in ran.output
    assert len(ran.output.strip().splitlines()) == 1


def test_an_unfilled_suite_cannot_be_run(tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        main, ["run", "talk-90", "--adapter", "baseline.still", "-w", str(tmp_path / "w")]
    )
    assert ran.exit_code == 2
    assert "fill it with 'python -m benchmarks build'" in ran.output


def test_a_dry_run_shows_commands_and_runs_nothing(tmp_path: Path) -> None:
    suite = str(make_suite(tmp_path / "suite", 1))
    space = tmp_path / "w"
    arguments = [
        "--adapter",
        "wan-s2v",
        "--adapter",
        "baseline.still",
        "--dry-run",
        "--set",
        "wan-s2v.size=832*480",
        "-w",
        str(space),
    ]
    ran = CliRunner().invoke(main, ["run", suite, *arguments])
    assert ran.exit_code == 0, ran.output
    assert "generate.py --task s2v-14B" in ran.output
    assert "--prompt 'Person 0 talks.'" in ran.output
    assert "--size '832*480'" in ran.output
    assert "1 of 1 cases have their media" in ran.output
    assert not space.exists()


def test_the_tiny_pipeline_renders_ingests_and_keeps_its_borders(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", 1)
    space = tmp_path / "w"
    arguments = ["run", str(suite), "--model", "step-1=tiny", "--steps", "1", "-w", str(space)]
    ran = CliRunner().invoke(main, [*arguments, "--device", "cpu", "--no-score"])
    assert ran.exit_code == 0, ran.output
    assert "1 clips of 1 systems, 0 failed" in ran.output
    clip = space / "runs" / "short@1" / "step-1" / "c-0.mp4"
    assert probe(clip).duration_s == pytest.approx(0.6, abs=0.05)
    assert segment_borders(clip) == ()
    assert json.loads((clip.parent / "settings.json").read_text())["model"] == "tiny"
    with Workspace(space) as workspace:
        assert [row.clip.borders_s for row in current_clips(workspace)] == [()]


def test_cases_become_jobs_with_regions_in_pixels(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", 2)
    voices = [suite / "media" / f"{number}.wav" for number in range(2)]
    speakers = (
        Speaker(audio=voices[0], box=(0.0, 0.0, 0.5, 1.0)),
        Speaker(audio=voices[1]),
    )
    case = Case(id="duo", prompt="They talk.", image=suite / "media" / "0.png", speakers=speakers)
    job = case_job(case, tmp_path / "duo.mp4")
    assert job.audio is None
    box = job.speakers[0].box
    assert (box.x0, box.y0, box.x1, box.y1) == (0, 0, 48, 64)
    assert job.speakers[1].words == "person"
    with pytest.raises(InputError, match="has no picture"):
        case_job(Case(id="x"), tmp_path / "x.mp4")


def test_a_checkpoint_is_recognised_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "weights.safetensors").write_bytes(b"12345678")
    first = model_fingerprint(str(tmp_path))
    assert first == model_fingerprint(str(tmp_path))
    (tmp_path / "weights.safetensors").write_bytes(b"123456789")
    assert model_fingerprint(str(tmp_path)) != first


def test_adapters_are_listed() -> None:
    listed = json.loads(CliRunner().invoke(main, ["adapters", "--json"]).output)
    assert {"baseline.still", "wan-s2v", "heygen"} <= {entry["name"] for entry in listed}
    assert "closed" in CliRunner().invoke(main, ["adapters"]).output
