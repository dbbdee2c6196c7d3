"""The chain of tiny trainings, and the exam that its checkpoints sit."""

from typing import Any

import pytest
import torch

from benchmarks.puppet.chain import TEACHERS, Chain, StageFailed, arms
from benchmarks.puppet.codec_gate import Ceiling
from benchmarks.puppet.exam import (
    Exam,
    answer_by_steps,
    answer_in_few,
    answer_in_one,
    draw_question,
    summarise,
    write_exam,
)
from benchmarks.puppet.program import HELD_OUT
from eval.puppet.case import read_puppet_case
from joystreamer.errors import InputError
from joystreamer.training.configuration import change
from joystreamer.training.presets import training_preset
from joystreamer.training.shards import ShardWriter


def settings(command: list[str]) -> list[str]:
    return [command[i + 1] for i, word in enumerate(command) if word == "--set"]


def test_stages_build_on_each_other_and_their_commands_fit_their_presets(tmp_path) -> None:
    chain = Chain(folder=tmp_path, short=("loop.updates=2",))
    known = {""}
    for stage in (*TEACHERS, *(arm.stage(0, 100) for arm in arms(800))):
        assert set(stage.needs) <= known, stage.name
        known.add(stage.name)
        command = chain.command(stage)
        assert command[:3] == ["joystreamer", "distill" if stage.distils else "train", "--preset"]
        preset = change(training_preset(stage.preset), settings(command))
        assert preset.loop.updates == 2


def test_a_chain_may_go_on_from_another_ones_networks(tmp_path) -> None:
    anew, on = Chain(folder=tmp_path), Chain(folder=tmp_path, start="checkpoints/base")
    for stage in TEACHERS:
        before, after = anew.command(stage), on.command(stage)
        assert ("tiny" in before) == (stage.name == "codec")
        assert ("checkpoints/base" in after) == (stage.name == "codec")
        first = change(training_preset(stage.preset), settings(before)).loop
        second = change(training_preset(stage.preset), settings(after)).loop
        assert (second.updates < first.updates) == (stage.name in ("codec", "decoder"))


def test_arms_differ_in_nothing_but_guidance(tmp_path) -> None:
    chain = Chain(folder=tmp_path)
    found = {}
    for arm in arms(812.5):
        command = chain.command(arm.stage(3, 100))
        preset = change(training_preset("tiny-distill"), settings(command))
        assert preset.distillation is not None
        found[arm.name] = preset.distillation.guidance
        assert preset.loop.updates == 320
        assert preset.loop.seed == preset.distillation.seed == 3
        assert ("--text-teacher" in command) == (arm.equation == "twin")
        assert command[-4:] == [
            "--text-scale", f"{arm.text_scale:g}", "--audio-scale", f"{arm.audio_scale:g}",
        ]  # fmt: skip
    assert found["vanilla-3-2"].equation == "vanilla"
    assert found["dynamic-4-4"].threshold == 812.5
    assert found["dynamic-4-4"].dynamic == "tau"
    assert found["static-4-4"].dynamic == "never"


def test_a_stage_without_its_forerunner_is_refused(tmp_path) -> None:
    with pytest.raises(StageFailed, match="decoder needs codec first"):
        Chain(folder=tmp_path).run(TEACHERS[1])


def test_a_codec_that_loses_the_mouth_is_refused() -> None:
    good = {"psnr": 22.0, "mouth_correlation": 0.95, "worst_correlation": 0.9, "mouth_gain": 0.9,
            "colour_shift": 1.0, "program": 1.0, "response": 0.95, "flicker": 1.0}  # fmt: skip
    Ceiling(**good).require()
    for name, value in (("mouth_correlation", 0.8), ("mouth_gain", 0.5), ("colour_shift", 9.0)):
        with pytest.raises(InputError, match="train the codec longer"):
            Ceiling(**{**good, name: value}).require()


def test_questions_stand_still_and_half_of_them_are_held_out(tmp_path) -> None:
    programs = [draw_question(index)[0] for index in range(80)]
    moving = [program for program in programs if program.active]
    assert 0.6 < len(moving) / len(programs) < 0.9
    assert 0.3 < sum(program.held_out for program in moving) / len(moving) < 0.7
    _, scene, sound = draw_question(5)
    poses = scene.actors[0].poses
    assert poses.x.min() == poses.x.max()
    assert sound.any()
    assert len(HELD_OUT) == 5
    manifest = write_exam(tmp_path, 1)
    assert manifest.is_file()


@pytest.fixture
def exam(tmp_path) -> Exam:
    """Two questions whose windows are noise: conditions do not matter to closed-form fields."""
    write_exam(tmp_path / "exam", 2)
    writer = ShardWriter(tmp_path / "cache", 4)
    for index in range(2):
        generator = torch.Generator().manual_seed(index)
        parts = {
            "latents": torch.randn(16, 19, 8, 8, generator=generator),
            "reference": torch.randn(16, 1, 8, 8, generator=generator),
        }
        facts = {"clip": f"exam-{index:05d}", "start": 0, "bucket": "64x64", "tags": {}}
        writer.add(f"key-{index}", parts, facts)
    writer.flush()
    return Exam(tmp_path / "exam", tmp_path / "cache")


def test_every_way_of_answering_finds_the_truth_of_an_exact_field(exam) -> None:
    def exact(sample, level, batch):
        return (sample - batch["latents"]) / (level.reshape(-1, 1, 1, 1, 1) / 1000)

    truth = torch.cat([batch["latents"] for batch in exam.batches()])
    for answers in (
        answer_by_steps(exact, exam, steps=4),
        answer_in_few(exact, exam, shift=3.0),
        answer_in_one(exact, exam, list(truth), 700.0),
    ):
        torch.testing.assert_close(answers, truth, atol=1e-4, rtol=1e-4)
    assert all(read_puppet_case(question.facts) is not None for question in exam.questions)


def test_a_summary_keeps_standing_and_moving_apart() -> None:
    names = ("slots", "response", "mouth_gain", "identity_error", "flicker")
    rest: dict[str, Any] = dict.fromkeys(names, 1.0)
    rows: list[dict[str, Any]] = [
        {**rest, "program": 1.0, "mouth_correlation": 0.2, "moving": True, "held_out": False},
        {**rest, "program": 0.0, "mouth_correlation": 0.4, "moving": True, "held_out": True},
        {**rest, "program": 1.0, "mouth_correlation": 0.9, "moving": False, "held_out": False,
         "response": None},
    ]  # fmt: skip
    found = summarise(rows)
    assert found["program"] == 0.5
    assert found["held_out"] == 0.0
    assert found["sync_standing"] == pytest.approx(0.9)
    assert found["sync_moving"] == pytest.approx(0.3)
