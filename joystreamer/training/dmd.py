"""Distribution matching distillation: the student's update, the critic's loss, the rollout.

Pure functions of tensors and of callables that predict velocities; knows neither networks nor
devices. Source: paper, Eq. 1-3 and Sec. 3.3, in the form that DMD2 and Self-Forcing implement.

Sign. Read literally with noise predictions, the paper's Eq. 1 pushes the student *away* from the
teacher, because a score is minus a noise prediction over sigma. Here the gradient on the student's
clean sample is `fake - real` of the clean predictions, so that descending it moves towards `real`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import torch
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.guidance import (
    AUDIO_SCALE_HIGH_NOISE,
    AUDIO_SCALE_LOW_NOISE,
    AUDIO_SCALE_THRESHOLD,
    TEXT_SCALE,
    TeacherWeights,
    add_noise,
    combine_eq2,
    combine_eq3,
    dynamic_audio_scale,
    require_text_teacher_pull,
    twin_weights,
    vanilla_weights,
    velocity_to_clean,
)
from joystreamer.training.randomness import Randomness, normal

# Ours. The published recipes divide without a floor and replace NaN by zero; a floor keeps a
# sample whose student already equals the teacher from blowing up.
NORMALISER_FLOOR = 1e-3

VelocityField = Callable[[Tensor, Tensor], Tensor]
"""Velocity at (sample, tau of shape (batch,)), its conditions already bound."""

StudentStep = Callable[[Tensor, float], Tensor]
"""The student's velocity at (sample, timestep), dispatched to the expert of that timestep."""


class Role(StrEnum):
    """The predictions that a step of distillation asks for."""

    NEGATIVE = "negative"  # N: audio teacher, negative prompt, null audio
    TEXT = "text"  # A: audio teacher, text, null audio
    AUDIO = "audio"  # B: audio teacher, text, audio
    TEXT_TEACHER = "text_teacher"  # T: text teacher, text
    FAKE = "fake"  # F: fake score, text, audio


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """The real score of a run: which equation, with which scales.

    Attributes:
        equation: `twin` is Eq. 3, `vanilla` is Eq. 2.
        text_scale: alpha_t. The paper does not print it; 5 is ours (it must exceed 4, or the text
            teacher has no weight below the threshold).
        audio_scale: alpha_a in general (paper: 4.0).
        audio_scale_high_noise: alpha_a above the threshold (paper: 0.1).
        threshold: t_spot (paper: 950).
        dynamic: What is compared with the threshold: the noise level `tau` of the comparison
            (default), the level of the student's last step (`student_step`), or nothing (`never`).
        allow_negative_text_teacher: Accept scales under which Eq. 3 repels from the text teacher.
    """

    equation: Literal["twin", "vanilla"] = "twin"
    text_scale: float = TEXT_SCALE
    audio_scale: float = AUDIO_SCALE_LOW_NOISE
    audio_scale_high_noise: float = AUDIO_SCALE_HIGH_NOISE
    threshold: float = AUDIO_SCALE_THRESHOLD
    dynamic: Literal["tau", "student_step", "never"] = "tau"
    allow_negative_text_teacher: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown words and a repelling text teacher."""
        choices = {"equation": ("twin", "vanilla"), "dynamic": ("tau", "student_step", "never")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}"
                )
        if self.equation == "twin":
            require_text_teacher_pull(
                self.text_scale,
                self.audio_scales(),
                allow_negative=self.allow_negative_text_teacher,
            )

    def audio_scales(self) -> tuple[float, ...]:
        """Every value that alpha_a takes: in general, and above the threshold if it differs."""
        if self.dynamic == "never":
            return (self.audio_scale,)
        return (self.audio_scale, self.audio_scale_high_noise)

    def audio_scale_at(self, tau: Tensor, student_step: float) -> Tensor:
        """Return alpha_a per sample, shape of `tau`."""
        if self.dynamic == "never":
            return torch.full_like(tau, self.audio_scale)
        level = tau if self.dynamic == "tau" else torch.full_like(tau, student_step)
        return dynamic_audio_scale(
            level, self.threshold, self.audio_scale_high_noise, self.audio_scale
        )

    def weights(self) -> dict[str, TeacherWeights]:
        """Return the net weight of every term, below and above the threshold."""
        rule = twin_weights if self.equation == "twin" else vanilla_weights
        names = ("at or below threshold", "above threshold")
        scales = self.audio_scales()
        if len(scales) == 1:
            names = ("everywhere",)  # type: ignore[assignment]
        return {
            name: rule(self.text_scale, scale) for name, scale in zip(names, scales, strict=True)
        }

    def needs(self) -> tuple[Role, ...]:
        """Return the teacher predictions that the equation uses."""
        last = Role.TEXT_TEACHER if self.equation == "twin" else Role.TEXT
        return (Role.NEGATIVE, Role.AUDIO, last)

    def combine(self, terms: Mapping[Role, Tensor], audio_scale: Tensor) -> Tensor:
        """Form the real prediction from the terms, all in one space."""
        negative, audio = terms[Role.NEGATIVE], terms[Role.AUDIO]
        if self.equation == "twin":
            teacher = terms[Role.TEXT_TEACHER]
            return combine_eq3(negative, audio, teacher, self.text_scale, audio_scale)
        return combine_eq2(negative, terms[Role.TEXT], audio, self.text_scale, audio_scale)

    def text_and_audio_terms(
        self, terms: Mapping[Role, Tensor], audio_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return `a_t (text - N)` and `a_a (B - text)`, whose angle shows how the two disagree."""
        text = terms[Role.TEXT_TEACHER if self.equation == "twin" else Role.TEXT]
        scale = audio_scale.reshape(-1, *([1] * (text.ndim - 1)))
        return (
            self.text_scale * (text - terms[Role.NEGATIVE]),
            scale * (terms[Role.AUDIO] - text),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchingGradient:
    """Gradient on the student's clean sample and what explains it.

    Attributes:
        gradient: Shape of the sample, float32 or float64; zero for samples with non-finite values.
        normaliser: Mean absolute distance of the sample to `real`, floored, shape (batch,).
        distance: Mean absolute `real - fake`, shape (batch,).
        skipped: Number of samples whose gradient was not finite.
    """

    gradient: Tensor
    normaliser: Tensor
    distance: Tensor
    skipped: int


def matching_gradient(
    sample: Tensor,
    real: Tensor,
    fake: Tensor,
    *,
    mask: Tensor | None = None,
    floor: float = NORMALISER_FLOOR,
) -> MatchingGradient:
    """Return `(fake - real) / mean|sample - real|`, the mean per sample.

    All three must live in the same space; the direction is then the same in clean, velocity and
    noise space (for the latter two give the true target in place of `sample` and swap the sign by
    swapping `real` and `fake`).

    Args:
        sample: The student's clean sample, batch first.
        real: Guided prediction of the teachers, shape of `sample`.
        fake: Prediction of the fake score, shape of `sample`.
        mask: 1 where the loss counts and 0 elsewhere, broadcastable; everywhere by default.
        floor: Smallest normaliser.
    """
    precision = torch.float64 if sample.dtype == torch.float64 else torch.float32
    sample, real, fake = (value.detach().to(precision) for value in (sample, real, fake))
    weight = torch.ones_like(sample) if mask is None else mask.to(sample).expand_as(sample)
    axes = tuple(range(1, sample.ndim))
    count = weight.sum(axes).clamp(min=1.0)
    normaliser = ((sample - real).abs() * weight).sum(axes) / count
    normaliser = normaliser.clamp(min=floor)
    gradient = (fake - real) * weight / normaliser.reshape(-1, *([1] * len(axes)))
    finite = gradient.flatten(1).isfinite().all(dim=1)
    gradient = torch.where(
        finite.reshape(-1, *([1] * len(axes))), gradient, torch.zeros_like(gradient)
    )
    return MatchingGradient(
        gradient=gradient,
        normaliser=normaliser,
        distance=((real - fake).abs() * weight).sum(axes) / count,
        skipped=int((~finite).sum()),
    )


def student_loss(sample: Tensor, gradient: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return a loss whose gradient on `sample` is `gradient` over the number of counted elements.

    Its value is half the mean squared gradient: it monitors, and is not expected to fall.

    Args:
        sample: The student's clean sample, with its graph.
        gradient: From `matching_gradient`.
        mask: As in `matching_gradient`.
    """
    precise = sample.double()
    target = (precise - gradient.double()).detach()
    error = (precise - target) ** 2
    if mask is None:
        return 0.5 * error.mean()
    weight = mask.to(error).expand_as(error)
    return 0.5 * (error * weight).sum() / weight.sum().clamp(min=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RealAndFake:
    """What the teachers and the fake score say about one re-noised sample.

    Attributes:
        real: Guided clean prediction.
        fake: Clean prediction of the fake score.
        terms: Clean prediction of every role that was asked.
        audio_scale: alpha_a per sample.
    """

    real: Tensor
    fake: Tensor
    terms: Mapping[Role, Tensor]
    audio_scale: Tensor


@torch.no_grad()
def compare(
    sample: Tensor,
    tau: Tensor,
    noise: Tensor,
    fields: Mapping[Role, VelocityField],
    guidance: Guidance,
    student_step: float,
) -> RealAndFake:
    """Re-noise the student's sample and ask teachers and fake score for its clean version.

    No gradient flows through any of it.

    Args:
        sample: The student's clean sample; detached here.
        tau: Noise levels (batch,).
        noise: Fresh noise, shape of `sample`.
        fields: A velocity field for every role the guidance needs, and for the fake score.
        guidance: Equation and scales.
        student_step: Level of the student's last step, for `dynamic="student_step"`.
    """
    noised = add_noise(sample.detach().float(), noise.float(), tau)
    terms = {
        role: velocity_to_clean(fields[role](noised, tau).float(), noised, tau)
        for role in (*guidance.needs(), Role.FAKE)
    }
    audio_scale = guidance.audio_scale_at(tau, student_step)
    return RealAndFake(
        real=guidance.combine(terms, audio_scale),
        fake=terms[Role.FAKE],
        terms=terms,
        audio_scale=audio_scale,
    )


def critic_loss(
    sample: Tensor, tau: Tensor, noise: Tensor, fake: VelocityField, mask: Tensor | None = None
) -> Tensor:
    """Return the flow-matching loss of the fake score on a sample of the student.

    Args:
        sample: Clean sample; detached here, so the student gets no gradient.
        tau: Noise levels (batch,).
        noise: Fresh noise, shape of `sample`.
        fake: The fake score's velocity field, with text and audio and without guidance.
        mask: 1 where the loss counts, broadcastable; everywhere by default.
    """
    sample = sample.detach()
    predicted = fake(add_noise(sample, noise, tau), tau)
    error = (predicted.float() - (noise - sample).float()) ** 2
    if mask is None:
        return error.mean()
    weight = mask.to(error).expand_as(error)
    return (error * weight).sum() / weight.sum().clamp(min=1.0)


def roll_out(
    student: StudentStep,
    noise: Tensor,
    timesteps: Sequence[float],
    exit_index: int,
    source: Randomness,
    *,
    grad: bool = True,
) -> Tensor:
    """Run the student from noise to its exit step and return the clean sample there.

    Every step jumps to a clean estimate and re-noises it with fresh noise to the next level, as
    `joystreamer.samplers.sample_distilled` does at inference. Only the exit step carries gradients.

    Args:
        student: Velocity at (sample, timestep).
        noise: Start, standard normal.
        timesteps: Warped levels, falling.
        exit_index: Step to stop at, the same on every rank.
        source: Of the fresh noise.
        grad: Whether the last step keeps its graph (the critic's phase needs none).
    """
    sample = noise
    for step in range(exit_index + 1):
        level = timesteps[step]
        with torch.set_grad_enabled(grad and step == exit_index):
            clean = velocity_to_clean(student(sample, level).float(), sample.float(), level)
        if step < exit_index:
            sample = add_noise(clean, normal(clean, source), timesteps[step + 1])
    return clean
