"""The commands as a user types them, on real little clips."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eval.checkout import strangers
from eval.cli import main

MakeClip = Callable[..., Path]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on a fresh workspace without any weights."""
    monkeypatch.setenv("JOYSTREAMER_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", str(tmp_path / "no-weights"))
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        assert not unexpected, result.exception
        return result

    return run


@pytest.fixture
def clips(tmp_path: Path, make_clip: MakeClip) -> Path:
    folder = tmp_path / "clips"
    for number, name in enumerate(("01_A", "01_B", "02_A", "02_B")):
        make_clip(folder / f"{name}.mp4", seed=number)
    return folder


def test_every_command_teaches_itself(call):
    top = call("--help")
    assert "From a folder of clips to a leaderboard:\n" in top.output
    for name in main.commands:
        result = call(name, "--help")
        assert result.exit_code == 0
        assert len(result.output.splitlines()) > 5


def test_from_a_folder_to_a_leaderboard(call, clips, tmp_path):
    dry = call("ingest", clips, "--dry-run")
    assert "4 clips of 2 systems (case and system read from names like case_system)" in dry.output
    assert not (tmp_path / "ws").exists()
    assert "stored 4 new clips, 0 were there already" in call("ingest", clips).output
    assert "stored 0 new clips, 4 were there already" in call("ingest", clips).output
    explained = call("score", "-m", "video", "--explain")
    assert "A / 01: video/probe: never scored" in explained.output
    first = call("score", "-m", "video", "-m", "motion")
    assert first.exit_code == 0
    assert first.output.startswith("4 clips, ")
    again = json.loads(call("score", "-m", "video", "-m", "motion", "--json").output)
    assert (again["clips"], again["scores"]) == (0, 0)
    board = call("leaderboard")
    assert "Leaderboard" in board.output
    assert "n=2: too few" in board.output
    assert "pinned by --snapshot" in board.output
    data = json.loads(call("leaderboard", "--json", "--baseline", "B").output)
    assert data["snapshot"] > 0
    compared = call("compare", "A", "B")
    assert "Comparison" in compared.output


@pytest.mark.parametrize("broken", ["empty", "text", "cut"])
def test_a_broken_clip_is_named_and_the_rest_is_scored(call, clips, make_clip, broken):
    victim = clips / "02_B.mp4"
    whole = victim.read_bytes()
    victim.write_bytes(
        {"empty": b"", "text": b"I am no clip\n" * 9, "cut": whole[: len(whole) // 3]}[broken]
    )
    stored = call("ingest", clips)
    if broken != "cut":  # that a file is cut shows only when it is decoded to its end
        assert stored.exit_code == 1
        assert stored.stderr.count("02_B.mp4") >= 1
        assert len(stored.stderr.strip().splitlines()) == 1
    scored = call("score", "-m", "motion")
    assert scored.exit_code == 1
    assert scored.stderr.startswith("failed: B / 02: ")
    board = json.loads(call("leaderboard", "--json", "--metric", "motion").output)
    shown = json.dumps(board)
    assert "decode_error" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ingest", "{tmp}/none"], "does not exist; give a folder of clips or a manifest"),
        (["ingest", "{tmp}"], "holds no clips"),
        (["score"], "has no such clips; add some with 'python -m eval ingest'"),
        (["score", "-m", "sink"], "no measure is called 'sink'"),
        (["leaderboard"], "has no scores; run 'python -m eval score' first"),
        (["score", "--database", "mysql://x/y"], "'mysql' is not supported"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(call, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    result = call(*[part.replace("{tmp}", str(tmp_path / "empty")) for part in arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_that_is_no_workspace_is_left_alone(call, tmp_path):
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "thesis.txt").write_text("precious")
    result = call("score")
    assert result.exit_code == 2
    assert "is not empty and not a workspace" in result.stderr
    assert [path.name for path in (tmp_path / "ws").iterdir()] == ["thesis.txt"]


def test_a_manifest_with_mistakes_ingests_its_good_rows(call, clips):
    manifest = clips / "clips.jsonl"
    manifest.write_text(
        '{"system": "A", "case": "x", "file": "01_A.mp4"}\n{"system": "A", "case": "y", "file": "none.mp4"}\n'
    )
    result = call("ingest", manifest)
    assert result.exit_code == 1
    assert (
        "clips.jsonl:2: field 'file': got \"none.mp4\", expected an existing file" in result.output
    )
    assert "stored 1 new clips" in result.output


def test_metrics_are_listed_with_unit_direction_and_needs(call):
    listed = json.loads(call("metrics", "--json").output)
    names = {row["metric"] for row in listed}
    assert {"video.fps", "motion.amplitude", "drift.colour", "hands.confidence"} <= names
    assert all(row["better"] in {"higher", "lower", "neither"} and row["summary"] for row in listed)
    assert "hands.confidence" in call("metrics").output


def test_packages_resolve_inside_the_checkout(tmp_path):
    assert strangers() == []
    assert [name for name, _ in strangers(tmp_path)] == [
        "joystreamer",
        "eval",
        "benchmarks",
        "dashboard",
    ]
