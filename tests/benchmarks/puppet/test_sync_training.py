"""The training of the puppets' sync network: its cuts, its loss, and that a seed decides everything."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from rich.progress import Progress
from safetensors.torch import load

from benchmarks.puppet.program import Program
from benchmarks.puppet.sync_clips import extra_of, known_boxes, make_talking_clip
from benchmarks.puppet.sync_training import (
    Recipe,
    _see_flat,
    cut_stretch,
    main,
    make_lesson,
    packed,
    stretch_loss,
    train,
)
from eval.backends.puppet_syncnet import NarrowSyncNet
from eval.puppet.case import read_puppet_case
from eval.puppet.mouth import mouth_opening

TINY = Recipe(clips=3, steps=2, batch=2, length=4, reach=2)


@pytest.mark.parametrize("delay", [-4, 0, 5])
def test_a_delayed_mouth_follows_its_sound_by_so_many_frames(delay: int) -> None:
    clip = make_talking_clip(np.random.default_rng(3), delay=delay, program=Program())
    asked = mouth_opening(clip.sound, 89)
    shown = clip.scene.actors[clip.speaker].mouth
    middle = np.arange(20, 69)
    np.testing.assert_allclose(shown[middle + delay], asked[middle], atol=1e-5)


def test_clips_say_who_is_in_them() -> None:
    counts = set()
    for seed in range(12):
        clip = make_talking_clip(np.random.default_rng(seed))
        case = read_puppet_case(extra_of(clip))
        assert case is not None
        assert len(case.people) == len(clip.scene.actors)
        assert known_boxes(clip).shape == (89, 4)
        counts.add(len(case.people))
    assert 1 in counts
    assert counts & {2, 3}


def test_cut_sound_belongs_to_the_cut_frames() -> None:
    lesson = make_lesson(0, 0)
    crops, sound = cut_stretch(lesson, TINY, np.random.default_rng(0))
    assert crops.shape == (8, 40, 40, 3)
    assert sound.shape == (8, 20, 13)
    start = int(np.random.default_rng(0).integers(2, 84 - 4 - 2 + 1))
    np.testing.assert_array_equal(sound[2], lesson.sound[start])


def test_the_loss_knows_the_right_shift() -> None:
    draw = torch.Generator().manual_seed(0)
    heard = torch.randn(3, 12, 16, generator=draw) * 8
    right = stretch_loss(heard[:, 2:10], heard)
    late = stretch_loss(heard[:, 3:11], heard)
    assert right < 0.05
    assert late > 10
    guess = stretch_loss(torch.zeros(3, 8, 16), torch.zeros(3, 12, 16))
    # Without any knowledge every answer is as likely: 36 sounds, 24 frames, 5 shifts.
    expected = (np.log(36) + np.log(24)) / 2 + 0.5 * np.log(5)
    assert guess.item() == pytest.approx(expected, rel=1e-5)


def test_the_fast_way_through_the_visual_branch_is_the_same() -> None:
    torch.manual_seed(0)
    network = NarrowSyncNet().eval()
    windows = torch.rand(4, 5, 3, 40, 40) * 255
    with torch.no_grad():
        expected = network.forward_lip(windows.transpose(1, 2))
        torch.testing.assert_close(_see_flat(network, windows), expected, rtol=1e-4, atol=1e-4)


def test_a_seed_decides_the_weights() -> None:
    lessons = [make_lesson(0, index) for index in range(3)]
    with Progress(disable=True) as bar:
        first, again = (packed(train(TINY, lessons, bar), TINY) for _ in range(2))
    assert first == again
    state = load(first)
    assert state["netfclip.0.weight"].dtype == torch.float16
    assert state["netcnnlip.1.running_var"].dtype == torch.float32


def test_the_command_writes_weights(tmp_path: Path) -> None:
    out = tmp_path / "weights.safetensors"
    done = CliRunner().invoke(main, ["--out", str(out), "--clips", "12", "--steps", "1"])
    assert done.exit_code == 0, done.output
    assert "bytes" in done.output
    assert out.stat().st_size <= 3_000_000
