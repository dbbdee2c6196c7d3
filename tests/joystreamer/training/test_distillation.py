"""Distillation of the real classes: isolation of gradients, turns, experts, refusals."""

import pytest
import torch

from joystreamer.errors import InputError
from joystreamer.training.casts import FullCast
from joystreamer.training.distillation import DistillationOptions, DistillationTask
from joystreamer.training.dmd import Guidance
from joystreamer.training.randomness import per_sample, seeded
from joystreamer.training.schedules import TEXT_TEACHER_BOUNDARY, expert_run
from joystreamer.training.task import Draws, Rates
from joystreamer.training.teachers import Experts
from tests.joystreamer.training.tiny_runs import (
    RandomClips,
    constants,
    distillation_task,
    make_loop,
    network,
)

RATES = Rates(rate=1e-3)


def backward(task, loop, update):
    """One micro-batch of an update, up to its gradients."""
    phase = task.phase(update)
    draws = Draws(shared=seeded(0, update, "shared"), samples=per_sample(0, update, [0, 1]))
    loss, figures = task.loss(phase, RandomClips().read([0, 1]), draws)
    loop.accelerator.backward(loss)
    return phase, figures


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("update", "steps"), [(0, "both-fake"), (3, "both-student")])
def test_gradients_reach_the_role_whose_turn_it_is_and_nobody_else(tmp_path, shared, update, steps):
    task = distillation_task(shared=shared, checkpointing=shared)
    loop = make_loop(task, tmp_path, global_batch=2, micro_batch=2)
    phase, _ = backward(task, loop, update)
    assert phase == steps
    reached = {
        trained.name
        for trained in task.trained
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.parameters.values())
    }
    assert reached == {steps}
    assert task.text_teacher is not None
    frozen = [task.text_teacher.high]
    if isinstance(task.casts["high"], FullCast):
        frozen.append(task.casts["high"].networks["teacher"])
    for teacher in frozen:
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_turns_are_a_warm_up_and_then_five_to_one():
    options = DistillationOptions(critic_warmup=3, critic_updates=5)
    kinds = [options.kind(update) for update in range(15)]
    assert kinds == ["fake"] * 3 + (["fake"] * 5 + ["student"]) * 2
    assert [options.student_updates(n) for n in (0, 8, 9, 15)] == [0, 0, 1, 2]


def test_decisions_stay_inside_the_run_and_repeat():
    options = DistillationOptions(run=expert_run("joint"), critic_warmup=0, critic_updates=1)
    task = distillation_task(options=options)
    seen = []
    for update in range(60):
        task.phase(update)
        decision = task.decision
        assert decision is not None
        seen.append((decision.exit_index, decision.bucket.low, decision.history))
    task.phase(7)
    assert task.decision is not None
    assert (task.decision.exit_index, task.decision.bucket.low, task.decision.history) == seen[7]
    assert {exit_index for exit_index, _, _ in seen} == {0, 1, 2, 3}
    assert {low for _, low, _ in seen} == {0.0, 875.0, 900.0}


def two_casts():
    return {
        side: FullCast(network(seed), side, RATES, RATES)
        for seed, side in enumerate(("high", "low"))
    }


def text_experts(high=True, low=True):
    return Experts(
        network(5, in_channels=36) if high else None,
        network(6, in_channels=36) if low else None,
        TEXT_TEACHER_BOUNDARY,
        "the text teacher",
    )


def test_in_the_joint_mode_the_student_steps_by_its_exit_and_the_critic_by_tau():
    options = DistillationOptions(run=expert_run("joint"), critic_warmup=0, critic_updates=1)
    task = DistillationTask(two_casts(), text_experts(), options, constants())
    for update in range(40):
        phase = task.phase(update)
        decision = task.decision
        assert decision is not None
        if decision.kind == "student":
            assert phase == ("high-student" if decision.exit_index < 2 else "low-student")
        else:
            assert phase == ("high-fake" if decision.bucket.low >= 875 else "low-fake")


def test_a_high_run_needs_no_low_expert_and_a_low_run_starts_from_the_distilled_high_one(tmp_path):
    casts = two_casts()
    high = DistillationOptions(run=expert_run("high"), critic_warmup=0, critic_updates=1)
    DistillationTask({"high": casts["high"]}, text_experts(low=False), high, constants())
    low = DistillationOptions(run=expert_run("low"), critic_warmup=0, critic_updates=1)
    with pytest.raises(
        InputError, match="first exit is step 2 starts from samples of the distilled"
    ):
        DistillationTask({"low": casts["low"]}, text_experts(high=False), low, constants())
    task = DistillationTask(
        {"low": casts["low"]}, text_experts(high=False), low, constants(), earlier=network(9)
    )
    loop = make_loop(task, tmp_path, global_batch=2, micro_batch=2)
    phase, figures = backward(task, loop, 1)
    assert phase == "low-student"
    assert figures["exit_level"] in (pytest.approx(833.33, abs=0.01), 625.0)
    assert all(p.grad is None for p in task.earlier.parameters())


def test_missing_networks_are_named():
    casts = two_casts()
    joint = DistillationOptions(run=expert_run("joint"))
    with pytest.raises(InputError, match="needs the low-noise expert of the avatar"):
        DistillationTask({"high": casts["high"]}, text_experts(), joint, constants())
    with pytest.raises(InputError, match="needs the low-noise expert of the text teacher"):
        DistillationTask(casts, text_experts(low=False), joint, constants())
    with pytest.raises(InputError, match="needs a text teacher and none was given"):
        DistillationTask(casts, None, joint, constants())


def test_a_vanilla_round_needs_no_text_teacher(tmp_path):
    guidance = Guidance(equation="vanilla", dynamic="never")
    options = DistillationOptions(guidance=guidance, critic_warmup=0, critic_updates=1)
    task = DistillationTask(two_casts(), None, options, constants())
    loop = make_loop(task, tmp_path, global_batch=2, micro_batch=2)
    phase, figures = backward(task, loop, 1)
    assert phase.endswith("student")
    assert figures["amplitude"] > 0


def test_a_parked_expert_lives_on_the_cpu_and_the_needed_one_on_the_device(tmp_path, monkeypatch):
    options = DistillationOptions(run=expert_run("joint"), critic_warmup=0, critic_updates=1)
    task = DistillationTask(two_casts(), text_experts(), options, constants(), park_idle=True)
    moved: list[tuple[str, torch.device]] = []
    for side, cast in task.casts.items():
        monkeypatch.setattr(cast, "move", lambda device, side=side: moved.append((side, device)))
    loop = make_loop(task, tmp_path, global_batch=2, micro_batch=2)
    moved.clear()
    task.phase(0)
    assert {side for side, _ in moved} == {"high", "low"}
    assert loop.accelerator.device == torch.device("cpu")


def test_the_log_explains_the_update_by_noise_level(tmp_path):
    task = distillation_task(options=DistillationOptions(critic_warmup=0, critic_updates=1))
    loop = make_loop(task, tmp_path, global_batch=2, micro_batch=2)
    levels = []
    for update in (1, 3, 5, 7):
        backward(task, loop, update)
    report = task.report(lambda sums: sums)
    draws = {name: value for name, value in report.items() if name.endswith("/draws")}
    assert sum(draws.values()) == 8
    levels = [name.split("/")[1] for name in draws]
    above = sum(v for name, v in draws.items() if "0950-1000" in name)
    assert report["tau/share_above_threshold"] == above / 8
    for level in levels:
        assert report[f"tau/{level}/normaliser"] > 0
        assert report[f"tau/{level}/real_minus_fake"] > 0
        assert -1 <= report[f"tau/{level}/cosine_text_audio"] <= 1
    assert task.report(lambda sums: sums) == {"student/skipped_samples": 0.0}
