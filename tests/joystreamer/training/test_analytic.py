"""Distillation against teachers known in closed form: what the update rule does and does not do.

About half a minute: all arms and seeds are stacked into one run. A failure here is a failure of the
update rule, since the teachers are exact.
"""

import copy

import numpy as np
import pytest
import torch

from joystreamer.guidance import add_noise
from joystreamer.training.analytic import (
    DIRECTIONS,
    Conditions,
    audio_teacher,
    mixture_velocity,
    places,
    read_clips,
    text_teacher,
)
from joystreamer.training.analytic_distillation import AnalyticAblation, AnalyticRecipe
from joystreamer.training.dmd import Guidance

ARMS = {
    "vanilla 5/4": Guidance(equation="vanilla", dynamic="never"),
    "twin 5/4": Guidance(dynamic="never"),
    "twin 4/4": Guidance(text_scale=4.0, dynamic="never"),
    "twin 4/4 dynamic": Guidance(text_scale=4.0, dynamic="tau"),
}
SEEDS = 3
UPDATES = 400


@pytest.fixture(scope="module")
def ablation():
    torch.set_num_threads(1)
    trained = AnalyticAblation(list(ARMS.values()), SEEDS)
    for _ in range(UPDATES):
        trained.update()
    return trained


def accuracy(ablation, arm):
    return [reading.text_accuracy for reading in ablation.read()[list(ARMS).index(arm)]]


def test_vanilla_distillation_does_not_learn_the_text(ablation):
    assert max(accuracy(ablation, "vanilla 5/4")) < 0.2


def test_the_twin_teacher_brings_the_text_back_and_keeps_the_mouth(ablation):
    assert min(accuracy(ablation, "twin 5/4")) > 0.9
    for reading in ablation.read()[list(ARMS).index("twin 5/4")]:
        assert reading.mouth_correlation > 0.95


def test_equal_scales_cancel_the_text_teacher_and_the_dynamic_scale_rescues_it(ablation):
    static, dynamic = accuracy(ablation, "twin 4/4"), accuracy(ablation, "twin 4/4 dynamic")
    assert max(static) < 0.1
    assert [after - before >= 0.25 for before, after in zip(static, dynamic, strict=True)] == [
        True
    ] * SEEDS


def test_a_closing_vanilla_round_erases_the_text_unless_it_is_short_and_slow(ablation):
    closing = copy.deepcopy(ablation)
    closing.keep(list(ARMS).index("twin 5/4"))
    closing.set_guidance([ARMS["vanilla 5/4"]])
    before = copy.deepcopy(closing.state_dict())

    def course(rate, stops):
        closing.load_state_dict(before)
        closing.set_rates(rate * closing.recipe.student_rate, rate * closing.recipe.critic_rate)
        curve, done = [], 0
        for stop in stops:
            for _ in range(stop - done):
                closing.update()
            done = stop
            curve.append(float(np.mean([r.text_accuracy for r in closing.read()[0]])))
        return curve

    full = course(1.0, (5, 50, 200))
    assert full[0] > 0.9
    assert full[0] > full[1] > full[2]
    assert full[2] < 0.5
    assert course(0.1, (20,))[0] > 0.95  # 5 % of the updates at a tenth of the rate


def test_resuming_continues_bit_for_bit():
    recipe = AnalyticRecipe(width=8, batch=8, pretraining=5)
    whole, stopped = (AnalyticAblation([ARMS["twin 5/4"]], 2, recipe) for _ in range(2))
    straight = [whole.update() for _ in range(6)]
    for _ in range(3):
        stopped.update()
    state = copy.deepcopy(stopped.state_dict())
    resumed = AnalyticAblation([ARMS["twin 5/4"]], 2, recipe, seed=1)
    resumed.load_state_dict(state)
    assert [resumed.update() for _ in range(3)] == straight[3:]
    for name, value in whole.student.state_dict().items():
        assert torch.equal(value, resumed.student.state_dict()[name]), name


def test_arms_of_one_seed_start_alike_and_do_not_touch_each_other():
    recipe = AnalyticRecipe(width=8, batch=8, pretraining=5)
    both = AnalyticAblation([ARMS["twin 5/4"], ARMS["vanilla 5/4"]], 1, recipe)
    for value in both.student.state_dict().values():
        assert torch.equal(value[0], value[1])
    conditions = Conditions(prompt=torch.tensor([1, 2]), audio=torch.tensor([0.3, -0.3]))
    sample, tau = torch.randn(2, 3), torch.tensor([500.0, 500.0])
    before = both.student(sample, tau, conditions).detach()
    with torch.no_grad():
        both.student.biases[-1][1] += 1.0
    after = both.student(sample, tau, conditions).detach()
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_the_mixture_velocity_is_the_regression_optimum():
    # Monte Carlo: the mean of (noise - clean) over pairs that land near a point.
    generator = torch.Generator().manual_seed(0)
    clean = torch.where(torch.rand(400_000, 1, generator=generator) < 0.3, -1.0, 2.0)
    clean = clean + 0.4 * torch.randn(400_000, 1, generator=generator)
    noise = torch.randn(400_000, 1, generator=generator)
    tau = torch.full((400_000,), 500.0)
    noised = add_noise(clean, noise, tau)
    near = ((noised - 0.4).abs() < 0.05)[:, 0]
    expected = (noise - clean)[near].mean()
    exact = mixture_velocity(
        torch.tensor([[0.4]]),
        torch.tensor([500.0]),
        torch.tensor([[[-1.0], [2.0]]]),
        torch.tensor([0.4]),
        torch.tensor([[0.3, 0.7]]),
    )
    assert exact.item() == pytest.approx(expected.item(), abs=0.03)


def test_at_low_noise_every_teacher_returns_the_sample_it_was_given():
    prompt = torch.tensor([1, 3])
    audio = torch.tensor([0.5, -1.0])
    point = torch.cat([places()[prompt], audio[:, None]], dim=1)
    tau = torch.full((2,), 0.5)
    for velocity in (
        audio_teacher(point, tau, prompt, audio),
        text_teacher(point, tau, prompt),
    ):
        clean = point - tau[:, None] / 1000 * velocity
        torch.testing.assert_close(clean, point, rtol=0, atol=5e-3)


def test_readings_of_perfect_and_still_clips():
    prompt = torch.arange(DIRECTIONS)
    audio = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    perfect = torch.cat([places()[prompt], audio[:, None]], dim=1)
    conditions = Conditions(prompt=prompt, audio=audio)
    reading = read_clips(perfect, conditions)
    assert reading.text_accuracy == 1.0
    assert reading.radius == pytest.approx(2.0)
    assert reading.mouth_gain == pytest.approx(1.0)
    still = torch.cat([torch.zeros(5, 2), 2 * audio[:, None]], dim=1)
    assert read_clips(still, conditions).text_accuracy == 0.0
    assert read_clips(still, conditions).mouth_gain == pytest.approx(2.0)
