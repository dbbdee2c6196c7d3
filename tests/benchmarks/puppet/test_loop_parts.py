"""Clips made without one part of the segment loop, and what the oracles say of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.puppet.casting import PASS_FRAMES
from benchmarks.puppet.facts import puppet_facts
from benchmarks.puppet.look import WALLS, draw_identity
from benchmarks.puppet.loop_parts import (
    Unaware,
    hide_history,
    hide_reference,
    hide_silence,
    judge_clip,
    render_study,
    run_studies,
    studies,
)
from benchmarks.puppet.program import Program
from benchmarks.puppet.render import Actor, Scene, render
from benchmarks.puppet.timeline import perform
from benchmarks.puppet.voice import VOICES, speak
from eval.puppet.mouth import mouth_opening
from joystreamer.denoiser import SegmentConditions
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.presets import build_tiny_pipeline, distilled_sampling

OPTIONS = distilled_sampling(area=64 * 64, distilled_timesteps=(1000.0,), negative_prompt="")


def conditions(history: bool = True) -> SegmentConditions:
    return SegmentConditions(
        text=torch.zeros(1, 4, 8),
        negative_text=torch.zeros(1, 4, 8),
        reference=torch.ones(1, 16, 1, 8, 8),
        motion=torch.ones(1, 16, 3, 8, 8) if history else None,
        audio=torch.arange(3.0).view(1, 3, 1, 1, 1, 1).expand(1, 3, 19, 8, 2, 4),
        masks=torch.ones(1, 3, 4, 4) / 3,
    )


def test_each_study_takes_one_thing_away_and_nothing_else() -> None:
    given = conditions()
    assert hide_reference(given).reference is None
    assert hide_reference(conditions(history=False)).reference is not None
    assert hide_history(given).motion is None
    alone = hide_silence(given)
    assert alone.masks is None
    assert alone.audio.shape[1] == 1
    assert float(alone.audio.max()) == 0.0  # the first stream's
    for hidden in (hide_reference(given), hide_history(given), alone):
        assert torch.equal(hidden.text, given.text)


def test_every_long_clip_lasts_thirty_seconds_and_every_study_has_an_interval() -> None:
    for study in studies():
        assert len(study.sketches) >= 8
        assert study.figures
        if study.name in ("no-last-frame", "no-motion-frames", "one-prompt"):
            assert all(sketch.seconds >= 30 for sketch in study.sketches)
    names = [study.name for study in studies()]
    assert len(names) == len(set(names))
    assert not {study.group for study in studies()} & set(names)  # files of their own


@pytest.fixture
def pipeline() -> Unaware:
    return Unaware(**build_tiny_pipeline(0, experts=1).components)


def test_the_whole_loop_is_the_pipeline_itself_and_its_parts_count_from_the_second_segment(
    pipeline: Unaware,
) -> None:
    network = pipeline.transformer
    for value in network.parameters():  # fresh audio layers and kernels would hide a difference
        value.data += 0.02 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    image = np.full((64, 64, 3), 90, np.uint8)
    sound = speak(VOICES[0], 2 * PASS_FRAMES / 25, np.random.default_rng(0))
    plain = JoyStreamerPipeline(**pipeline.components)

    def frames(one: JoyStreamerPipeline) -> np.ndarray:
        return np.asarray(
            one(image, sound, ["The puppet talks."], options=OPTIONS, output_type="np").frames
        )

    whole = frames(plain)
    assert np.array_equal(frames(pipeline), whole)
    for hide in (hide_reference, hide_history):
        pipeline.hide = hide
        changed = frames(pipeline)
        assert np.array_equal(changed[:PASS_FRAMES], whole[:PASS_FRAMES])
        assert not np.array_equal(changed[PASS_FRAMES:], whole[PASS_FRAMES:])


def played(*programs: Program) -> tuple[np.ndarray, list[np.ndarray], dict]:
    """A true clip of programs, one pass each, with its sound and facts."""
    draw = np.random.default_rng(3)
    count = PASS_FRAMES * len(programs)
    sound = speak(VOICES[1], count / 25, draw)
    poses = perform(programs, [PASS_FRAMES] * len(programs), x=0.5)
    actor = Actor(identity=draw_identity(draw), poses=poses, mouth=mouth_opening(sound, count))
    scene = Scene(actors=(actor,), wall=WALLS[0])
    starts = [index * PASS_FRAMES / 25 for index in range(len(programs))]
    return render(scene), [sound], puppet_facts(scene, programs, starts)


def test_truth_is_whole_and_a_repeated_jump_is_found() -> None:
    asked = (Program(body="jump"), Program(), Program())
    frames, sounds, facts = played(*asked)
    found = judge_clip(frames, sounds, facts)
    assert found["program"] == 1.0
    assert found["repeated"] == 0.0
    assert abs(found["seam"] or 0.0) < 3
    again, _, _ = played(Program(body="jump"), Program(body="jump"), Program())
    assert judge_clip(again, sounds, facts)["repeated"] == 0.5


def test_a_jump_at_the_borders_is_a_seam() -> None:
    frames, sounds, facts = played(Program(), Program())
    broken = frames.copy()
    broken[PASS_FRAMES:] = np.roll(broken[PASS_FRAMES:], 6, axis=2)
    seam, calm = (judge_clip(each, sounds, facts)["seam"] for each in (broken, frames))
    assert seam is not None
    assert calm is not None
    assert seam > calm + 10


def test_results_are_kept_one_by_one(tmp_path, pipeline: Unaware) -> None:
    pipeline.save_pretrained(tmp_path / "model")
    study = next(each for each in studies(1, 2) if each.name == "no-silence")
    study = replace(study, sketches=study.sketches[:1])
    told: list[str] = []
    first = run_studies(tmp_path, tmp_path / "model", OPTIONS, told.append, [study])
    assert len(told) == 2
    again = run_studies(tmp_path, tmp_path / "model", OPTIONS, told.append, [study])
    assert len(told) == 2
    assert first[0].whole == again[0].whole
    assert set(first[0].study.figures) <= set(first[0].whole)
    assert render_study(pipeline, study, OPTIONS, whole=True).keys() == first[0].whole.keys()
