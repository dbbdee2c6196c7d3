"""Real clips of four systems, from folder to leaderboard."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eval.cli import main


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path):
    monkeypatch.setenv("JOYSTREAMER_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", str(shared_data / "weights"))
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return run


def test_four_systems_become_a_board_of_three_cases(call, shared_data):
    clips = shared_data / "videos" / "mocha" / "compare"
    assert "12 clips of 4 systems (case and system read from names" in call("ingest", clips).output
    assert call("score", "-m", "video").exit_code == 0
    board = json.loads(call("leaderboard", "--json", "--metric", "video.duration").output)
    assert len(board["systems"]) == 4
    text = call("leaderboard", "--metric", "video.duration").output
    assert text.count("n=3: too few") == 4
    for case in ("01", "03", "07"):
        assert case in text  # the paired differences themselves


@pytest.mark.slow
def test_every_real_clip_ends_as_a_value_or_a_reason(call, shared_data):
    for name in ("real", "nonhuman", "generated", "mocha/compare", "mocha/gen"):
        options = () if name == "mocha/compare" else ("--system", name.replace("/", "-"))
        assert call("ingest", shared_data / "videos" / name, *options).exit_code == 0
    report = json.loads(call("score", "--json").output)
    assert report["failures"] == []
    board = json.loads(call("leaderboard", "--json").output)
    assert len(board["systems"]) == 8
