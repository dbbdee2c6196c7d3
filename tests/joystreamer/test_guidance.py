"""Guidance: identities, affine equivalence, per-sample scales, and the refusals."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.guidance import (
    add_noise,
    clean_to_velocity,
    combine_eq2,
    combine_eq3,
    combine_within_teacher,
    dynamic_audio_scale,
    noise_to_velocity,
    require_text_teacher_pull,
    scale_from_conditional_form,
    scale_to_conditional_form,
    twin_weights,
    vanilla_weights,
    velocity_to_clean,
    velocity_to_noise,
)

SCALES = st.floats(min_value=-2.0, max_value=8.0)
LEVELS = st.floats(min_value=20.0, max_value=980.0)


def predictions(seed: int, count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(3, 4, 2, 2, 2, generator=generator, dtype=torch.float64) for _ in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), a_t=SCALES, a_a=SCALES, level=LEVELS)
def test_clean_velocity_and_noise_space_give_the_same_combination(seed, a_t, a_a, level):
    sample, *velocities = predictions(seed, 6)
    tau = torch.tensor([level, 20.0, 980.0], dtype=torch.float64)
    equations: tuple[tuple[Callable[..., torch.Tensor], list[torch.Tensor]], ...] = (
        (combine_eq2, velocities[:3]),
        (combine_eq3, velocities[:3]),
        (combine_within_teacher, velocities),
    )
    for combine, terms in equations:
        in_velocity = combine(*terms, a_t, a_a)
        clean = combine(*[velocity_to_clean(v, sample, tau) for v in terms], a_t, a_a)
        noise = combine(*[velocity_to_noise(v, sample, tau) for v in terms], a_t, a_a)
        torch.testing.assert_close(
            clean, velocity_to_clean(in_velocity, sample, tau), rtol=0, atol=1e-10
        )
        torch.testing.assert_close(
            noise, velocity_to_noise(in_velocity, sample, tau), rtol=0, atol=1e-10
        )


def test_both_scales_at_one_give_the_fully_conditioned_prediction():
    N, A, B, T = predictions(1, 4)
    torch.testing.assert_close(combine_eq2(N, A, B, 1.0, 1.0), B, rtol=0, atol=1e-14)
    torch.testing.assert_close(combine_eq3(N, B, T, 1.0, 1.0), B, rtol=0, atol=1e-14)


def test_equal_scales_make_the_twin_combination_free_of_the_text_teacher():
    N, B, T, other = predictions(2, 4)
    torch.testing.assert_close(
        combine_eq3(N, B, T, 4.0, 4.0), combine_eq3(N, B, other, 4.0, 4.0), rtol=0, atol=1e-13
    )


def test_audio_teacher_as_its_own_text_teacher_turns_eq3_into_eq2():
    N, A, B = predictions(3, 3)
    torch.testing.assert_close(
        combine_eq3(N, B, A, 5.0, 4.0), combine_eq2(N, A, B, 5.0, 4.0), rtol=0, atol=1e-13
    )
    torch.testing.assert_close(
        combine_within_teacher(N, A, B, A, N, 5.0, 4.0), combine_eq2(N, A, B, 5.0, 4.0)
    )


@given(a_t=SCALES, a_a=SCALES)
def test_weights_are_those_of_the_equations_and_sum_to_one(a_t, a_a):
    N, A, B, T = predictions(4, 4)
    two, three = vanilla_weights(a_t, a_a), twin_weights(a_t, a_a)
    for weights in (two, three):
        total = weights.negative + weights.text + weights.audio + weights.text_teacher
        assert total == pytest.approx(1.0, abs=1e-12)
    by_weights = two.negative * N + two.text * A + two.audio * B
    torch.testing.assert_close(combine_eq2(N, A, B, a_t, a_a), by_weights, rtol=0, atol=1e-12)
    by_weights = three.negative * N + three.audio * B + three.text_teacher * T
    torch.testing.assert_close(combine_eq3(N, B, T, a_t, a_a), by_weights, rtol=0, atol=1e-12)


def test_text_teacher_weight_at_the_papers_audio_scales():
    assert twin_weights(5.0, 4.0).text_teacher == 1.0
    assert twin_weights(4.0, 4.0).text_teacher == 0.0
    assert twin_weights(3.5, 4.0).text_teacher == -0.5
    assert twin_weights(5.0, 0.1).text_teacher == pytest.approx(4.9)


def test_dynamic_scale_is_chosen_per_sample_and_the_threshold_itself_is_low_noise():
    tau = torch.tensor([20.0, 949.9, 950.0, 950.1, 980.0])
    assert dynamic_audio_scale(tau).tolist() == pytest.approx([4.0, 4.0, 4.0, 0.1, 0.1])
    assert dynamic_audio_scale(torch.tensor([951, 950])).tolist() == pytest.approx([0.1, 4.0])
    custom = dynamic_audio_scale(tau, threshold=800.0, high_noise=1.0, low_noise=2.0)
    assert custom.tolist() == [2.0, 1.0, 1.0, 1.0, 1.0]


def test_one_batch_may_mix_scales():
    N, B, T = predictions(5, 3)
    tau = torch.tensor([960.0, 900.0, 950.0])
    mixed = combine_eq3(N, B, T, 5.0, dynamic_audio_scale(tau).double())
    for row, a_a in enumerate((0.1, 4.0, 4.0)):
        alone = combine_eq3(N[row], B[row], T[row], 5.0, a_a)
        torch.testing.assert_close(mixed[row], alone, rtol=1e-6, atol=1e-6)


def test_half_precision_terms_are_combined_in_single_precision():
    N, B, T = (value.bfloat16() for value in predictions(6, 3))
    assert combine_eq3(N, B, T, 5.0, 4.0).dtype == torch.float32


@given(level=LEVELS, seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_spaces_invert_each_other_and_the_true_velocity_recovers_both_ends(level, seed):
    clean, noise, velocity = predictions(seed, 3)
    sample = add_noise(clean, noise, level)
    torch.testing.assert_close(velocity_to_clean(noise - clean, sample, level), clean)
    torch.testing.assert_close(velocity_to_noise(noise - clean, sample, level), noise)
    back = clean_to_velocity(velocity_to_clean(velocity, sample, level), sample, level)
    torch.testing.assert_close(back, velocity)
    back = noise_to_velocity(velocity_to_noise(velocity, sample, level), sample, level)
    torch.testing.assert_close(back, velocity)


def test_published_scales_of_the_other_convention_are_one_unit_larger_here():
    assert scale_from_conditional_form(3.0) == 4.0
    assert scale_to_conditional_form(scale_from_conditional_form(5.5)) == 5.5


def test_a_repelling_text_teacher_is_refused_unless_allowed_by_name():
    with pytest.raises(
        InputError, match=r"text scale 3 with audio scale 4 .* weight -1,"
    ) as caught:
        require_text_teacher_pull(3.0, (0.1, 4.0))
    assert "allow_negative_text_teacher" in str(caught.value)
    require_text_teacher_pull(3.0, (0.1, 4.0), allow_negative=True)
    require_text_teacher_pull(4.0, (0.1, 4.0))


def test_a_scale_that_fits_no_batch_is_refused():
    N, B, T = predictions(7, 3)
    with pytest.raises(InputError, match=r"shape \(2,\) does not fit a batch"):
        combine_eq3(N, B, T, torch.ones(2), 4.0)
