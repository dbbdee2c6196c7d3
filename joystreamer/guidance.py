"""Guidance of Eq. 2 and Eq. 3, the dynamic audio scale, and changes between prediction spaces.

Pure functions of tensors: nothing here knows a network, a schedule or a device. The letters follow
the paper: `N` is the audio teacher with the negative prompt and null audio, `A` with the text and
null audio, `B` with text and audio; `T` is the text teacher with the text.

Flow-matching convention, as in Wan: a sample at noise level sigma is
`(1 - sigma) * clean + sigma * noise` and a network predicts the velocity `noise - clean`. Noise
levels called `tau` are on the 0-1000 scale of timesteps, `sigma = tau / 1000`.

Both equations have weights that sum to one, so combining clean predictions, velocities or noises
gives the same result, provided every term was predicted at the same sample and noise level.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from joystreamer.errors import InputError

# Paper, Sec. 3.3: "alpha_a to 0.1 when the denoising timestep exceeds t_spot (typically 950) ... to
# 4.0 below".
AUDIO_SCALE_THRESHOLD = 950.0
AUDIO_SCALE_HIGH_NOISE = 0.1
AUDIO_SCALE_LOW_NOISE = 4.0
# The paper does not print alpha_t. It must exceed 4, or the text teacher cancels (see
# `twin_weights`); MultiTalk ships text 5 with audio 4.
TEXT_SCALE = 5.0
TIMESTEP_RANGE = 1000.0

Scale = float | Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherWeights:
    """Net weight of each term of a guided prediction; the four always sum to one.

    Attributes:
        negative: Weight of `N`.
        text: Weight of `A`; zero for Eq. 3.
        audio: Weight of `B`.
        text_teacher: Weight of `T`; zero for Eq. 2. Negative means that training pushes the
            student away from the text teacher.
    """

    negative: float
    text: float
    audio: float
    text_teacher: float


def vanilla_weights(text_scale: float, audio_scale: float) -> TeacherWeights:
    """Return the net weights of Eq. 2: `1 - a_t`, `a_t - a_a`, `a_a`, none for the text teacher."""
    return TeacherWeights(
        negative=1.0 - text_scale,
        text=text_scale - audio_scale,
        audio=audio_scale,
        text_teacher=0.0,
    )


def twin_weights(text_scale: float, audio_scale: float) -> TeacherWeights:
    """Return the net weights of Eq. 3; the text teacher's is `text_scale - audio_scale`."""
    return TeacherWeights(
        negative=1.0 - text_scale,
        text=0.0,
        audio=audio_scale,
        text_teacher=text_scale - audio_scale,
    )


def require_text_teacher_pull(
    text_scale: float, audio_scales: tuple[float, ...], *, allow_negative: bool = False
) -> None:
    """Refuse scales under which Eq. 3 repels the student from its text teacher.

    Args:
        text_scale: alpha_t of Eq. 3.
        audio_scales: Every value that alpha_a takes in the run.
        allow_negative: Accept a negative weight all the same, for an experiment that means it.

    Raises:
        InputError: The text teacher's weight is negative somewhere and that was not allowed.
    """
    worst = max(audio_scales)
    weight = twin_weights(text_scale, worst).text_teacher
    if weight < 0 and not allow_negative:
        raise InputError(
            f"text scale {text_scale:g} with audio scale {worst:g} gives the text teacher weight "
            f"{weight:g}, which pushes the student away from it; use a text scale of at least "
            f"{worst:g} (5 by default), or set allow_negative_text_teacher to mean it"
        )


def combine_eq2(N: Tensor, A: Tensor, B: Tensor, text_scale: Scale, audio_scale: Scale) -> Tensor:
    """Combine the audio teacher's three predictions: paper, Eq. 2.

    Args:
        N: Prediction with the negative prompt and null audio, any shape with the batch first.
        A: Prediction with the text and null audio, shape of `N`.
        B: Prediction with text and audio, shape of `N`.
        text_scale: alpha_t, one number or one per sample (shape `(batch,)`).
        audio_scale: alpha_a, one number or one per sample.

    Returns:
        `N + a_a (B - A) + a_t (A - N)`, in float32 for half-precision inputs (large scales amplify
        rounding), otherwise in the precision of the inputs.
    """
    N, A, B = _at_least_single(N), _at_least_single(A), _at_least_single(B)
    a_t, a_a = _per_sample(text_scale, N), _per_sample(audio_scale, N)
    return N + a_a * (B - A) + a_t * (A - N)


def combine_eq3(N: Tensor, B: Tensor, T: Tensor, text_scale: Scale, audio_scale: Scale) -> Tensor:
    """Combine audio teacher and text teacher: paper, Eq. 3.

    Args:
        N: Audio teacher with the negative prompt and null audio, batch first.
        B: Audio teacher with text and audio, shape of `N`.
        T: Text teacher with the text, on the same latent slots, shape of `N`.
        text_scale: alpha_t, one number or one per sample (shape `(batch,)`).
        audio_scale: alpha_a, one number or one per sample.

    Returns:
        `N + a_a (B - T) + a_t (T - N)`, in float32 for half-precision inputs.
    """
    N, B, T = _at_least_single(N), _at_least_single(B), _at_least_single(T)
    a_t, a_a = _per_sample(text_scale, N), _per_sample(audio_scale, N)
    return N + a_a * (B - T) + a_t * (T - N)


def combine_within_teacher(
    N: Tensor, A: Tensor, B: Tensor, T: Tensor, T_negative: Tensor, text_scale: Scale,
    audio_scale: Scale,
) -> Tensor:  # fmt: skip
    """Take each difference inside one teacher: `N + a_a (B - A) + a_t (T - T_negative)`.

    An ablation of ours: Eq. 3 subtracts predictions of different networks, whose mismatch the
    scales amplify. Costs five evaluations in place of three.

    Args:
        N: Audio teacher with the negative prompt and null audio, `(batch, channels, frames, rows, columns)`.
        A: Audio teacher with the prompt and null audio.
        B: Audio teacher with prompt and audio.
        T: Text teacher with the prompt.
        T_negative: Text teacher with the negative prompt.
        text_scale: alpha_t, one number or one per sample.
        audio_scale: alpha_a, likewise.

    Returns:
        The real score's prediction, of N's shape, at least single precision.
    """
    N, A, B = _at_least_single(N), _at_least_single(A), _at_least_single(B)
    T, T_negative = _at_least_single(T), _at_least_single(T_negative)
    a_t, a_a = _per_sample(text_scale, N), _per_sample(audio_scale, N)
    return N + a_a * (B - A) + a_t * (T - T_negative)


def dynamic_audio_scale(
    tau: Tensor,
    threshold: float = AUDIO_SCALE_THRESHOLD,
    high_noise: float = AUDIO_SCALE_HIGH_NOISE,
    low_noise: float = AUDIO_SCALE_LOW_NOISE,
) -> Tensor:
    """Choose alpha_a for each sample from its noise level: paper, Sec. 3.3, "Dynamic CFG".

    Args:
        tau: Noise levels, shape `(batch,)`, on the 0-1000 scale.
        threshold: t_spot. A level *above* it counts as high noise; exactly at it does not.
        high_noise: alpha_a above the threshold, where motion is decided and the text leads.
        low_noise: alpha_a elsewhere, where the mouth is decided.

    Returns:
        Scales, shape of `tau`, floating point.
    """
    level = tau if tau.is_floating_point() else tau.float()
    return torch.where(
        level > threshold, torch.full_like(level, high_noise), torch.full_like(level, low_noise)
    )


def scale_from_conditional_form(scale: float) -> float:
    """Convert a scale written as `cond + w (cond - uncond)` to the paper's `uncond + w (...)`.

    Self-Forcing and CausVid publish their numbers in the first form: their 3.0 is 4.0 here.
    """
    return scale + 1.0


def scale_to_conditional_form(scale: float) -> float:
    """Undo `scale_from_conditional_form`."""
    return scale - 1.0


def add_noise(clean: Tensor, noise: Tensor, tau: Scale) -> Tensor:
    """Return `(1 - sigma) * clean + sigma * noise` with `sigma = tau / 1000`, per sample."""
    sigma = _sigma(tau, clean)
    return (1.0 - sigma) * clean + sigma * noise


def velocity_to_clean(velocity: Tensor, sample: Tensor, tau: Scale) -> Tensor:
    """Return the clean prediction `sample - sigma * velocity`."""
    return sample - _sigma(tau, sample) * velocity


def velocity_to_noise(velocity: Tensor, sample: Tensor, tau: Scale) -> Tensor:
    """Return the noise prediction `sample + (1 - sigma) * velocity`."""
    return sample + (1.0 - _sigma(tau, sample)) * velocity


def clean_to_velocity(clean: Tensor, sample: Tensor, tau: Scale) -> Tensor:
    """Return the velocity `(sample - clean) / sigma`; needs a noise level above zero."""
    return (sample - clean) / _sigma(tau, sample)


def noise_to_velocity(noise: Tensor, sample: Tensor, tau: Scale) -> Tensor:
    """Return the velocity `(noise - sample) / (1 - sigma)`; needs a noise level below 1000."""
    return (noise - sample) / (1.0 - _sigma(tau, sample))


def _sigma(tau: Scale, like: Tensor) -> Scale:
    """Noise level in [0, 1] that broadcasts over `like`, batch first."""
    if isinstance(tau, Tensor):
        tau = tau.to(torch.float64 if like.dtype == torch.float64 else torch.float32)
    return _per_sample(tau / TIMESTEP_RANGE, like)


def _per_sample(value: Scale, like: Tensor) -> Scale:
    """Give a per-sample tensor the trailing dimensions it needs to broadcast over `like`."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.ndim == like.ndim:
        return value.to(like.device)
    if value.ndim != 1 or value.shape[0] not in (1, like.shape[0]):
        raise InputError(
            f"a per-sample value of shape {tuple(value.shape)} does not fit a batch of shape "
            f"{tuple(like.shape)}; give one number, or one per sample of shape ({like.shape[0]},)"
        )
    return value.to(like.device).reshape(-1, *([1] * (like.ndim - 1)))


def _at_least_single(value: Tensor) -> Tensor:
    """Raise half-precision tensors to float32; leave float32 and float64 alone."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
