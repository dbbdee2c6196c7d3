"""Noise levels of training: published table, expert dispatch, buckets, agreement."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.training.schedules import (
    AVATAR_BOUNDARY,
    TEXT_TEACHER_BOUNDARY,
    TauSchedule,
    draw_index,
    expert_of,
    expert_of_batch,
    expert_run,
    student_timesteps,
    unwarp_timestep,
)

# shift: warped list of 1000/750/500/250, P(>950), P(>=900), P(>=875), P(at the clamp 980),
# P(>950 given >=875); percentages rounded as in the study of published recipes.
TABLE = {
    1: ((1000, 750, 500, 250), 5.0, 10.0, 12.5, 2.0, 40),
    3: ((1000, 900, 750, 500), 13.6, 25.0, 30.0, 5.8, 45),
    5: ((1000, 937.5, 833.3, 625), 20.8, 35.7, 41.7, 9.3, 50),
    8: ((1000, 960, 888.9, 727.3), 29.6, 47.1, 53.3, 14.0, 56),
    12: ((1000, 973, 923.1, 800), 38.7, 57.1, 63.2, 19.7, 61),
}


@pytest.mark.parametrize("shift", TABLE)
def test_warped_steps_and_shares_of_tau_equal_the_table(shift):
    steps, above_950, above_900, above_875, clamped, given_high = TABLE[shift]
    assert student_timesteps(shift=shift) == pytest.approx(steps, abs=0.06)
    tau = TauSchedule(shift=shift)
    assert 100 * tau.share(950) == pytest.approx(above_950, abs=0.05)
    assert 100 * tau.share(900) == pytest.approx(above_900, abs=0.05)
    assert 100 * tau.share(875) == pytest.approx(above_875, abs=0.05)
    assert 100 * tau.share(980) == pytest.approx(clamped, abs=0.06)
    assert 100 * tau.share(950) / tau.share(875) == pytest.approx(given_high, abs=0.5)


@pytest.mark.parametrize("shift", TABLE)
def test_drawn_levels_have_the_stated_shares(shift):
    tau = TauSchedule(shift=shift)
    drawn = tau.sample(40_000, torch.Generator().manual_seed(shift))
    assert drawn.min() >= 20
    assert drawn.max() == 980
    for level in (500.0, 875.0, 900.0, 950.0, 980.0):
        assert (drawn >= level).double().mean().item() == pytest.approx(tau.share(level), abs=0.012)


@pytest.mark.parametrize(
    ("level", "avatar", "text_teacher"),
    [
        (874.9, "low", "low"),
        (875.0, "high", "low"),
        (899.9, "high", "low"),
        (900.0, "high", "high"),
        (950.0, "high", "high"),
        (950.1, "high", "high"),
    ],
)
def test_each_network_is_dispatched_by_its_own_boundary(level, avatar, text_teacher):
    assert expert_of(level, AVATAR_BOUNDARY) == avatar
    assert expert_of(level, TEXT_TEACHER_BOUNDARY) == text_teacher
    assert expert_of_batch(torch.tensor([level]), AVATAR_BOUNDARY) == avatar


def test_student_steps_fall_two_and_two_on_the_experts():
    assert [expert_of(t, AVATAR_BOUNDARY) for t in student_timesteps()] == [
        "high", "high", "low", "low",
    ]  # fmt: skip


def test_a_batch_across_a_boundary_is_refused():
    with pytest.raises(InputError, match="874 to 876 lie on both sides of the expert boundary 875"):
        expert_of_batch(torch.tensor([874.0, 876.0]), AVATAR_BOUNDARY)


def test_runs_keep_their_intervals_and_exits():
    generator = torch.Generator().manual_seed(0)
    high, low, joint = (expert_run(name) for name in ("high", "low", "joint"))
    assert (high.exits, low.exits, joint.exits) == ((0, 1), (2, 3), (0, 1, 2, 3))
    drawn = high.tau.sample(5000, generator)
    assert drawn.min() >= 900
    assert drawn.max() == 980
    drawn = low.tau.sample(5000, generator)
    assert drawn.min() == 20
    assert drawn.max() < 875
    assert low.tau.share(950) == 0
    assert joint.tau.share(950) == pytest.approx(0.208, abs=0.001)
    # From 875 up, half of the draws lie above 950; from 900 up, 58 % do, clamped mass included.
    from_875 = TauSchedule(low=875.0)
    assert from_875.share(950) == pytest.approx(0.5, abs=1e-9)
    assert high.tau.share(950) == pytest.approx(7 / 12, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(0.5, 12.0), seed=st.integers(0, 2**31))
def test_buckets_share_the_whole_interval_and_hold_one_expert_of_every_network(shift, seed):
    tau = TauSchedule(shift=shift)
    buckets = tau.buckets(AVATAR_BOUNDARY, TEXT_TEACHER_BOUNDARY)
    assert sum(bucket.probability for bucket in buckets) == pytest.approx(1.0)
    generator = torch.Generator().manual_seed(seed)
    for bucket in buckets:
        drawn = tau.within(bucket).sample(64, generator)
        for boundary in (AVATAR_BOUNDARY, TEXT_TEACHER_BOUNDARY):
            assert expert_of_batch(drawn, boundary) == expert_of(bucket.low, boundary)


def test_unwarp_undoes_the_warp():
    for nominal, warped in zip((1000.0, 750.0, 500.0, 250.0), student_timesteps(), strict=True):
        assert unwarp_timestep(warped, 5.0) == pytest.approx(nominal)


def test_impossible_schedules_are_refused():
    with pytest.raises(InputError, match="tau interval 900 to 800"):
        TauSchedule(low=900, high=800)
    with pytest.raises(InputError, match="leaves nothing of the interval 990 to 1000"):
        TauSchedule(low=990)


def test_drawn_indices_follow_their_weights_and_repeat_with_the_seed():
    draws = [
        [draw_index([1.0, 3.0], generator) for _ in range(400)]
        for generator in (torch.Generator().manual_seed(5), torch.Generator().manual_seed(5))
    ]
    assert draws[0] == draws[1]
    assert sum(draws[0]) / 400 == pytest.approx(0.75, abs=0.07)
