"""The distillation update: sign, spaces, normaliser, masks, isolation of gradients."""

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.guidance import (
    add_noise,
    combine_eq3,
    velocity_to_clean,
    velocity_to_noise,
)
from joystreamer.training.analytic import audio_teacher, mixture_velocity, text_teacher
from joystreamer.training.dmd import (
    NORMALISER_FLOOR,
    Guidance,
    Role,
    compare,
    critic_loss,
    matching_gradient,
    roll_out,
    student_loss,
)
from joystreamer.training.schedules import student_timesteps


def gaussian_velocity(sample, tau, mean, spread):
    means = torch.full((len(sample), 1, sample.shape[1]), mean, dtype=sample.dtype)
    spreads = torch.tensor([spread], dtype=sample.dtype)
    weights = torch.ones(len(sample), 1, dtype=sample.dtype)
    return mixture_velocity(sample, tau, means, spreads, weights)


def tensors(seed, count, shape=(4, 3)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def test_a_step_moves_the_student_towards_the_teacher_when_the_fake_score_knows_the_student():
    generator = torch.Generator().manual_seed(0)
    # The student's samples are N(0, 0.3), the teacher's are N(1, 0.3); both fields are exact.
    sample = (0.3 * torch.randn(512, 2, generator=generator)).requires_grad_()
    tau = torch.full((512,), 600.0)
    noised = add_noise(sample.detach(), torch.randn(512, 2, generator=generator), tau)
    real = velocity_to_clean(gaussian_velocity(noised, tau, 1.0, 0.3), noised, tau)
    fake = velocity_to_clean(gaussian_velocity(noised, tau, 0.0, 0.3), noised, tau)
    student_loss(sample, matching_gradient(sample, real, fake).gradient).backward()
    assert sample.grad is not None
    moved = sample.detach() - 100 * sample.grad
    assert (moved.mean() - 1.0).abs() < (sample.detach().mean() - 1.0).abs()


def test_the_papers_formula_read_with_noise_predictions_points_the_other_way():
    (sample, noise, real_v, fake_v) = tensors(1, 4)
    tau = torch.tensor([500.0] * 4, dtype=torch.float64)
    noised = add_noise(sample, noise, tau)
    literal = -(velocity_to_noise(real_v, noised, tau) - velocity_to_noise(fake_v, noised, tau))
    real, fake = (velocity_to_clean(v, noised, tau) for v in (real_v, fake_v))
    ours = matching_gradient(sample, real, fake).gradient
    cosine = torch.cosine_similarity(literal.flatten(), ours.flatten(), dim=0)
    per_row = torch.cosine_similarity(literal, ours, dim=1)
    torch.testing.assert_close(per_row, -torch.ones_like(per_row), rtol=0, atol=1e-12)
    assert cosine < 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), level=st.floats(20.0, 980.0))
def test_the_normalised_update_is_the_same_in_clean_velocity_and_noise_space(seed, level):
    sample, noise, real_v, fake_v = tensors(seed, 4)
    noised = add_noise(sample, noise, level)
    clean = matching_gradient(
        sample,
        velocity_to_clean(real_v, noised, level),
        velocity_to_clean(fake_v, noised, level),
        floor=0.0,
    )
    velocity = matching_gradient(noise - sample, real_v, fake_v, floor=0.0)
    noises = matching_gradient(
        noise,
        velocity_to_noise(real_v, noised, level),
        velocity_to_noise(fake_v, noised, level),
        floor=0.0,
    )
    # Clean space and the other two have opposite signs: real and fake swap.
    torch.testing.assert_close(clean.gradient, -velocity.gradient, rtol=0, atol=1e-10)
    torch.testing.assert_close(clean.gradient, -noises.gradient, rtol=0, atol=1e-10)


def test_the_loss_has_the_gradient_it_is_given_and_half_its_mean_square_as_value():
    sample, gradient = tensors(2, 2)
    sample.requires_grad_()
    loss = student_loss(sample, gradient)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * gradient.square().mean().item())
    torch.testing.assert_close(sample.grad, gradient / gradient.numel())


def test_masked_slots_count_neither_in_the_gradient_nor_in_the_normaliser():
    sample, real, fake = tensors(3, 3, (2, 4, 5))
    mask = torch.ones(1, 1, 5, dtype=torch.float64)
    mask[..., 3:] = 0
    masked = matching_gradient(sample, real, fake, mask=mask)
    alone = matching_gradient(sample[..., :3], real[..., :3], fake[..., :3])
    torch.testing.assert_close(masked.gradient[..., :3], alone.gradient)
    torch.testing.assert_close(masked.normaliser, alone.normaliser)
    torch.testing.assert_close(masked.distance, alone.distance)
    assert masked.gradient[..., 3:].abs().max() == 0
    torch.testing.assert_close(
        student_loss(sample, masked.gradient, mask), student_loss(sample[..., :3], alone.gradient)
    )


def test_each_sample_has_its_own_normaliser_and_a_floor():
    sample, real, fake = tensors(4, 3)
    result = matching_gradient(sample, real, fake)
    for row in range(4):
        alone = matching_gradient(sample[row : row + 1], real[row : row + 1], fake[row : row + 1])
        torch.testing.assert_close(result.gradient[row : row + 1], alone.gradient)
    perfect = matching_gradient(real, real, fake)
    assert perfect.normaliser.tolist() == [NORMALISER_FLOOR] * 4
    assert perfect.gradient.isfinite().all()


def test_a_sample_with_a_broken_prediction_is_left_out_and_counted():
    sample, real, fake = tensors(5, 3)
    real[1, 2] = float("nan")
    result = matching_gradient(sample, real, fake)
    assert result.skipped == 1
    assert result.gradient[1].abs().max() == 0
    assert result.gradient[0].abs().max() > 0


def test_only_the_exit_step_carries_gradients_and_it_is_the_right_one():
    timesteps = student_timesteps()
    for exit_index in range(4):
        seen: list[tuple[float, bool]] = []
        weight = torch.ones(3, requires_grad=True)

        def student(sample, level, seen=seen, weight=weight):
            seen.append((level, torch.is_grad_enabled()))
            return sample * weight

        noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
        clean = roll_out(student, noise, timesteps, exit_index, torch.Generator().manual_seed(1))
        assert [level for level, _ in seen] == list(timesteps[: exit_index + 1])
        assert [grad for _, grad in seen] == [False] * exit_index + [True]
        assert clean.requires_grad
    silent = roll_out(student, noise, timesteps, 1, torch.Generator().manual_seed(1), grad=False)
    assert not silent.requires_grad


def test_a_perfect_student_reaches_the_data_through_all_four_steps():
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))

    def student(sample, level):
        return gaussian_velocity(sample, torch.full((len(sample),), level), 2.0, 1e-3)

    clean = roll_out(student, noise, student_timesteps(), 3, torch.Generator().manual_seed(1))
    assert clean.mean().item() == pytest.approx(2.0, abs=1e-2)


def field_set(network):
    prompt, audio = torch.tensor([1, 2, 3, 4]), torch.tensor([0.5, -0.5, 1.0, 0.0])
    return {
        Role.NEGATIVE: lambda x, t: audio_teacher(x, t, None, None),
        Role.TEXT: lambda x, t: audio_teacher(x, t, prompt, None),
        Role.AUDIO: lambda x, t: audio_teacher(x, t, prompt, audio),
        Role.TEXT_TEACHER: lambda x, t: text_teacher(x, t, prompt),
        Role.FAKE: lambda x, t: network(x),
    }


def test_real_and_fake_are_those_of_equation_three_with_one_scale_per_sample():
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 3)
    sample, noise = torch.randn(4, 3), torch.randn(4, 3)
    tau = torch.tensor([960.0, 950.0, 400.0, 951.0])
    fields = field_set(network)
    result = compare(sample, tau, noise, fields, Guidance(), student_step=1000.0)
    assert result.audio_scale.tolist() == pytest.approx([0.1, 4.0, 4.0, 0.1])
    noised = add_noise(sample, noise, tau)
    expected = combine_eq3(
        fields[Role.NEGATIVE](noised, tau),
        fields[Role.AUDIO](noised, tau),
        fields[Role.TEXT_TEACHER](noised, tau),
        5.0,
        torch.tensor([0.1, 4.0, 4.0, 0.1]),
    )
    torch.testing.assert_close(result.real, velocity_to_clean(expected, noised, tau))
    torch.testing.assert_close(result.fake, velocity_to_clean(network(noised), noised, tau))
    assert Role.TEXT not in result.terms
    assert not result.real.requires_grad
    assert not result.fake.requires_grad


def test_the_switch_may_follow_the_students_step_or_be_off():
    tau = torch.tensor([960.0, 400.0])
    on_step = Guidance(dynamic="student_step")
    assert on_step.audio_scale_at(tau, 1000.0).tolist() == pytest.approx([0.1, 0.1])
    assert on_step.audio_scale_at(tau, 937.5).tolist() == pytest.approx([4.0, 4.0])
    assert Guidance(dynamic="never").audio_scale_at(tau, 1000.0).tolist() == [4.0, 4.0]


def test_the_critics_loss_reaches_the_critic_and_nobody_else():
    torch.manual_seed(0)
    network, student = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    sample, noise = student(torch.randn(4, 3)), torch.randn(4, 3)
    tau = torch.full((4,), 300.0)
    loss = critic_loss(sample, tau, noise, lambda x, t: network(x))
    loss.backward()
    assert student.weight.grad is None
    assert network.weight.grad is not None
    target = noise - sample.detach()
    expected = ((network(add_noise(sample.detach(), noise, tau)) - target) ** 2).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_students_loss_reaches_the_student_and_nobody_else():
    torch.manual_seed(0)
    network, student = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    sample = student(torch.randn(4, 3))
    tau = torch.full((4,), 300.0)
    judged = compare(sample, tau, torch.randn(4, 3), field_set(network), Guidance(), 1000.0)
    gradient = matching_gradient(sample, judged.real, judged.fake).gradient
    student_loss(sample, gradient).backward()
    assert network.weight.grad is None
    assert student.weight.grad is not None


def test_guidance_reports_and_refuses_weights():
    weights = Guidance().weights()
    assert weights["at or below threshold"].text_teacher == 1.0
    assert weights["above threshold"].text_teacher == pytest.approx(4.9)
    assert Guidance(equation="vanilla", dynamic="never").weights()["everywhere"].text == 1.0
    with pytest.raises(InputError, match="gives the text teacher weight -1"):
        Guidance(text_scale=3.0)
    assert Guidance(text_scale=3.0, allow_negative_text_teacher=True).text_scale == 3.0
    with pytest.raises(InputError, match="equation is 'triple'; choose one of twin, vanilla"):
        Guidance(equation=cast(Any, "triple"))
