"""Memory plans: the 14B model on every tier, the ladder, the explanation, applying one."""

import pytest
import torch

from joystreamer.errors import InputError
from joystreamer.memory import (
    TIERS,
    Workload,
    apply_plan,
    choose_tier,
    free_device_gb,
    plan_memory,
)
from joystreamer.presets import build_tiny_pipeline, paper_workload


@pytest.fixture(scope="module")
def paper():
    return paper_workload(480, 832)


def test_paper_workload_counts_tokens_and_parameters(paper):
    assert paper.tokens == 33_150
    assert 14.2e9 < paper.parameters["transformer"] < 18e9
    assert 5.6e9 < paper.parameters["text_encoder"] < 5.8e9  # the encoder half of UMT5-XXL
    assert 120e6 < paper.parameters["vae"] < 130e6


def test_every_tier_gets_a_plan_that_fits_the_14b_model(paper):
    plans = {tier: plan_memory(paper, tier) for tier in TIERS}
    assert {tier: plan.residence for tier, plan in plans.items()} == {
        8: "block",
        12: "block",
        24: "component",
        48: "component",
        80: "component",
    }
    assert [plans[tier].fp8 for tier in (24, 48, 80)] == [True, False, False]
    assert [plans[tier].batch_guidance for tier in (24, 48, 80)] == [False, True, True]
    for tier, plan in plans.items():
        assert plan.peak_gb <= tier
        assert plan.explanation[0].startswith(f"planned for {tier} GB: ")
        assert any("an estimate from sizes, not a measurement" in line for line in plan.explanation)


def test_more_memory_never_means_a_slower_way(paper):
    speed = {"all": 0, "component": 1, "block": 2, "leaf": 3}
    order = [speed[plan_memory(paper, tier).residence] for tier in TIERS]
    assert order == sorted(order, reverse=True)


def test_too_large_a_clip_is_said_to_exceed_the_tier():
    huge = paper_workload(2048, 2048)
    assert plan_memory(huge, 8).explanation[-1].startswith("this exceeds the tier")


def test_a_tiny_pipeline_stays_on_the_device():
    workload = Workload.of(build_tiny_pipeline(), 64, 64)
    plan = plan_memory(workload, 8)
    assert (plan.residence, plan.fp8, plan.tiled, plan.batch_guidance) == (
        "all",
        False,
        False,
        True,
    )
    assert workload.tokens == 16 * 20 + 16 + 4


@pytest.mark.parametrize(
    ("free", "tier"), [(5.0, 8), (8.0, 8), (23.6, 24), (47.0, 48), (79.2, 80), (141.0, 80)]
)
def test_tier_from_free_memory(free, tier):
    assert choose_tier(free) == tier


def test_an_unknown_tier_is_refused(paper):
    with pytest.raises(InputError, match="memory tier 16 came; choose one of 8, 12, 24, 48, 80"):
        plan_memory(paper, 16)


def test_nothing_is_planned_off_cuda():
    assert free_device_gb(torch.device("cpu")) == 0.0


def test_streamed_weights_render_the_same_clip(portrait):
    """The tightest plan applied on the CPU: layers move in and out, results agree."""
    import numpy as np

    from joystreamer.memory import MemoryPlan
    from joystreamer.options import ScaleSchedule
    from joystreamer.presets import tiny_sampling
    from joystreamer.scene import Scene
    from tests.joystreamer.made_media import make_speech

    one = ScaleSchedule(1.0)
    options = tiny_sampling(height=32, width=32, steps=1, text_scale=one, audio_scale=one)
    scene = Scene(image=portrait, tracks=(make_speech(0.4),), fragments=("talks",))
    plan = MemoryPlan(tier=8, residence="block", fp8=False, tiled=False, batch_guidance=False,
                      peak_gb=0.0, explanation=())  # fmt: skip
    clips = []
    for applied in (False, True):
        pipeline = build_tiny_pipeline()
        pipeline.set_progress_bar_config(disable=True)
        if applied:
            apply_plan(pipeline, plan, torch.device("cpu"))
        clips.append(next(pipeline.stream(scene, options)).frames)
    assert np.array_equal(clips[0], clips[1])
