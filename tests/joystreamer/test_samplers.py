"""Samplers against a closed-form toy: their order of accuracy, their levels, their randomness."""

import math

import pytest
import torch

from joystreamer.errors import InputError
from joystreamer.samplers import (
    STUDENT_TIMESTEPS,
    ExpertDenoiser,
    SamplerName,
    make_scheduler,
    sample_distilled,
    sample_flow,
    warp_timestep,
)

MEAN, SPREAD = 0.7, 0.5


def spread_at(sigma: float) -> float:
    return math.sqrt((1 - sigma) ** 2 * SPREAD**2 + sigma**2)


def gaussian_velocity(sample: torch.Tensor, timestep: float) -> torch.Tensor:
    """E[noise - x0 | x] for x0 ~ N(MEAN, SPREAD^2), which is exact."""
    sigma = timestep / 1000
    centred = (sample - (1 - sigma) * MEAN) / spread_at(sigma) ** 2
    clean = MEAN + (1 - sigma) * SPREAD**2 * centred
    return sigma * centred - clean


def flow_error(name: SamplerName, steps: int) -> float:
    """Largest distance from the flow's closed-form end point."""
    noise = torch.linspace(-2, 2, 9, dtype=torch.float32).reshape(1, 9, 1)
    scheduler = make_scheduler(name, 3.0)
    got = sample_flow(gaussian_velocity, noise, scheduler, steps)
    scheduler.set_timesteps(steps)
    first = float(scheduler.sigmas[0])
    exact = MEAN + SPREAD * (noise - (1 - first) * MEAN) / spread_at(first)
    return float((got - exact).abs().max())


@pytest.mark.parametrize(("name", "order"), [("euler", 1.0), ("unipc", 2.0)])
def test_order_of_accuracy(name, order):
    coarse, fine = flow_error(name, 20), flow_error(name, 80)
    slope = math.log(coarse / fine) / math.log(4)
    assert slope > order - 0.2, (coarse, fine, slope)
    assert slope < order + 1.6, (coarse, fine, slope)


def test_unipc_beats_euler_at_equal_cost():
    assert flow_error("unipc", 20) < flow_error("euler", 20) / 3


def test_no_state_leaks_between_two_runs_of_one_scheduler():
    noise = torch.randn(1, 7, 1, generator=torch.Generator().manual_seed(0))
    scheduler = make_scheduler("unipc", 5.0)
    first = sample_flow(gaussian_velocity, noise, scheduler, 6)
    second = sample_flow(gaussian_velocity, noise, scheduler, 6)
    assert torch.equal(first, second)


def test_the_denoiser_is_asked_at_exact_levels_from_noise_downwards():
    asked: list[float] = []

    def record(sample, timestep):
        asked.append(timestep)
        return gaussian_velocity(sample, timestep)

    for name in ("euler", "unipc"):
        asked.clear()
        sample_flow(record, torch.zeros(1, 3, 1), make_scheduler(name, 5.0), 8)
        assert len(asked) == 8
        assert asked == sorted(asked, reverse=True)
        assert asked[0] > 995
        assert any(timestep != round(timestep) for timestep in asked)


def test_student_timesteps_warped_by_five():
    warped = [warp_timestep(value, 5.0) for value in STUDENT_TIMESTEPS]
    assert warped == pytest.approx([1000.0, 937.5, 833.3333, 625.0])
    assert warp_timestep(500, 7.0) == pytest.approx(875.0)
    assert warp_timestep(321.0, 1.0) == pytest.approx(321.0)


def test_a_perfect_student_keeps_the_distribution():
    """A student that maps any level to its clean sample exactly leaves mean and spread alone."""

    def perfect(sample, timestep):
        sigma = timestep / 1000
        clean = MEAN + SPREAD * (sample - (1 - sigma) * MEAN) / spread_at(sigma)
        return (sample - clean) / sigma

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200_000, generator=generator)
    got = sample_distilled(perfect, noise, generator)
    assert float(got.mean()) == pytest.approx(MEAN, abs=0.005)
    assert float(got.std()) == pytest.approx(SPREAD, abs=0.005)


def test_distilled_steps_are_noised_afresh_and_repeatable():
    noise = torch.randn(1000, generator=torch.Generator().manual_seed(1))

    def run(seed):
        seen: list[float] = []

        def note(step, timestep, sample):
            seen.append(timestep)
            return sample

        got = sample_distilled(
            gaussian_velocity,
            noise,
            torch.Generator().manual_seed(seed),
            on_step=note,
        )
        return got, seen

    (one, seen), (again, _), (other, _) = run(5), run(5), run(6)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert seen == pytest.approx([1000.0, 937.5, 833.3333, 625.0])


def test_a_point_mass_is_hit_exactly_by_every_sampler():
    target = torch.tensor([0.25, -1.5, 3.0]).reshape(1, 3, 1)

    def point(sample, timestep):
        return (sample - target) / (timestep / 1000)

    noise = torch.randn(1, 3, 1, generator=torch.Generator().manual_seed(2))
    for name in ("euler", "unipc"):
        got = sample_flow(point, noise, make_scheduler(name, 5.0), 5)
        torch.testing.assert_close(got, target, atol=1e-4, rtol=0)
    got = sample_distilled(point, noise, torch.Generator().manual_seed(3))
    torch.testing.assert_close(got, target, atol=1e-5, rtol=0)


def test_hook_replaces_the_sample():
    got = sample_flow(
        gaussian_velocity,
        torch.ones(2),
        make_scheduler("euler", 1.0),
        3,
        on_step=lambda step, timestep, sample: torch.full_like(sample, 9.0),
    )
    assert got.tolist() == [9.0, 9.0]


def test_experts_change_hands_at_the_boundary():
    asked: list[str] = []

    def named(name):
        def denoise(sample, timestep):
            asked.append(name)
            return gaussian_velocity(sample, timestep)

        return denoise

    experts = ExpertDenoiser(named("high"), named("low"), 875.0)
    for timestep in (1000.0, 875.0, 874.999, 0.0):
        experts(torch.zeros(1), timestep)
    assert asked == ["high", "high", "low", "low"]
    asked.clear()
    sample_distilled(experts, torch.zeros(4), torch.Generator().manual_seed(0))
    assert asked == ["high", "high", "low", "low"]


def test_shift_must_be_positive():
    with pytest.raises(InputError, match="shift 0 came; it must be above 0"):
        make_scheduler("euler", 0)
