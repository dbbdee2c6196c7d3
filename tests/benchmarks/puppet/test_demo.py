"""The demo in short: two cases, two random checkpoints; again, and it does nothing twice."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks.cli import main
from benchmarks.puppet.demo import DEMO_SYSTEMS, demo_models
from benchmarks.puppet.strip import HEADING, MARGIN, MOMENTS, TILE, StripCase, draw_strip
from eval.store.scores import score_table
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from joystreamer.presets import build_tiny_pipeline

CASES = ("night", "stand-1")
SETTINGS = {
    "preset": "distilled",
    "options": {"area": 64 * 64, "negative_prompt": "", "distilled_timesteps": [1000]},
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = []
    for seed, name in enumerate(("one", "two")):
        folder = tmp_path_factory.mktemp("checkpoints") / name
        build_tiny_pipeline(seed, experts=1).save_pretrained(folder)
        (folder / "benchmark.json").write_text(json.dumps(SETTINGS))
        folders.append(folder)
    return folders


def run_demo(space: Path, checkpoints: list[Path], *more: str) -> Result:
    arguments = ["demo", "-w", str(space), "-m", "puppet", "--no-serve", *more]
    arguments += [part for folder in checkpoints for part in ("--model", str(folder))]
    arguments += [part for case in CASES for part in ("--case", case)]
    return CliRunner().invoke(main, arguments)


def test_the_demo_renders_scores_and_shows_and_goes_on_where_it_stopped(
    tmp_path: Path, checkpoints: list[Path]
) -> None:
    space, strip = tmp_path / "space", tmp_path / "strip.png"
    ran = run_demo(space, checkpoints, "--strip", str(strip))
    assert ran.exit_code == 0, ran.output
    assert "6 clips of 3 systems, 0 failed" in ran.output
    assert "puppet.program" in ran.output
    page = space / "reports" / "report.html"
    assert f"page: {page}" in ran.output
    assert "Puppet demo" in page.read_text(encoding="utf-8")
    with Image.open(strip) as picture:
        assert picture.size[1] == HEADING + 3 * (TILE + 2)
    with Workspace(space) as workspace:
        before = score_table(workspace)
    truth = before[(before.system == "truth") & (before.metric == "puppet.program")]
    assert truth.value.tolist() == [1.0, 1.0]
    noise = before[(before.system == "one") & (before.metric == "puppet.program")]
    assert noise.value.tolist() == [0.0, 0.0]

    clips = sorted(space.glob("runs/*/*/*.mp4"))
    assert len(clips) == 6
    lost = next(path for path in clips if path.parent.name == "two")
    lost.with_suffix(".json").unlink()  # as a renderer that was killed leaves it
    stamps = {path: path.stat().st_mtime_ns for path in clips}
    again = run_demo(space, checkpoints)
    assert again.exit_code == 0, again.output
    changed = [path for path in clips if path.stat().st_mtime_ns != stamps[path]]
    assert changed == [lost]
    assert "0 scores" in again.output
    with Workspace(space) as workspace:
        after = score_table(workspace)
    columns = ["system", "case", "metric", "value"]
    assert after[columns].equals(before[columns])


def test_a_demo_without_its_checkpoints_says_so_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"are not in .*; take a checkout that has them"):
        demo_models(tmp_path)
    for name in DEMO_SYSTEMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").write_text("{}")
    assert demo_models(tmp_path)[0] == f"{DEMO_SYSTEMS[0]}={tmp_path / DEMO_SYSTEMS[0]}"


def test_a_mistake_ends_the_demo_with_one_line(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["demo", "-w", str(tmp_path / "w"), "--model", "nowhere"])
    assert ran.exit_code == 2
    assert ran.output.count("\n") == 1
    assert "nowhere is no saved pipeline" in ran.output


def test_a_strip_leaves_room_for_a_clip_that_is_not_there(tmp_path: Path, make_clip) -> None:
    clip = make_clip(tmp_path / "a.mp4", seconds=0.4)
    picture = np.asarray(draw_strip(["one", "two"], [StripCase(title="What?", clips=(clip, None))]))
    assert picture.shape == (HEADING + 2 * (TILE + 2), MARGIN + TILE * len(MOMENTS), 3)
    tiles = picture[HEADING:, MARGIN:]
    assert (tiles[:TILE] < 128).any(axis=-1).mean() > 0.9
    assert (tiles[TILE + 2 : -2] == 255).all()
    with pytest.raises(InputError, match="at least one system and one case"):
        draw_strip([], [])
