"""Velocity fields that sit an exam: single networks, and the real score that a distillation follows.

The combined field is what DMD approximates; integrating it directly shows in seconds whether an equation
restores text control, before any student is trained.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.puppet.exam import Field
from joystreamer.training.batches import Batch
from joystreamer.training.dmd import Guidance, Role
from joystreamer.training.teachers import (
    AvatarConditions,
    TextTeacherConditions,
    avatar_velocity,
    text_teacher_velocity,
)

Told = Callable[[Batch], Batch]
"""Changes what a network is told, such as another question's text."""


def as_it_is(batch: Batch) -> Batch:
    """Tell the truth."""
    return batch


def another_text(batch: Batch) -> Batch:
    """Tell every question the text of its neighbour: what a control must not be able to answer."""
    return {**batch, "text": batch["text"].roll(1, 0)}


def another_sound(batch: Batch) -> Batch:
    """Let every question hear its neighbour's sound."""
    return {**batch, "audio": batch["audio"].roll(1, 0)}


def avatar_field(network: Any, told: Told = as_it_is) -> Field:
    """Return the field of an avatar network: text, sound and reference, no guidance."""

    def field(sample: Tensor, level: Tensor, batch: Batch) -> Tensor:
        return avatar_velocity(network, _avatar(told(batch)), sample, level)

    return field


def text_field(network: Any, negative: Tensor | None = None, scale: float = 1.0) -> Field:
    """Return the field of an image-to-video text teacher.

    Args:
        network: The teacher.
        negative: (1, tokens, dim) states that guidance turns away from; None for no guidance.
        scale: Of that guidance.
    """

    def field(sample: Tensor, level: Tensor, batch: Batch) -> Tensor:
        conditions = _text_teacher(batch)
        found = text_teacher_velocity(network, conditions, sample, level)
        if negative is None or scale == 1.0:
            return found
        away = replace(conditions, text=negative.expand_as(conditions.text))
        other = text_teacher_velocity(network, away, sample, level)
        return other + scale * (found - other)

    return field


def blank_field(network: Any, empty: Tensor) -> Field:
    """Return a text teacher's field without text: what the noised sample alone still tells."""

    def field(sample: Tensor, level: Tensor, batch: Batch) -> Tensor:
        conditions = _text_teacher(batch)
        blank = replace(conditions, text=empty.expand_as(conditions.text))
        return text_teacher_velocity(network, blank, sample, level)

    return field


def guided_field(avatar: Any, text_teacher: Any, negative: Tensor, guidance: Guidance) -> Field:
    """Return the real score of a distillation as a field: Eq. 2 or Eq. 3 of the paper.

    Args:
        avatar: Audio teacher.
        text_teacher: Image-to-video text teacher; unused by Eq. 2.
        negative: (1, tokens, dim) states of the negative prompt.
        guidance: Equation and scales.
    """

    def field(sample: Tensor, level: Tensor, batch: Batch) -> Tensor:
        conditions = _avatar(batch)
        deaf = conditions.without_audio()
        away = deaf.with_text(negative.expand_as(conditions.text))
        terms = {
            Role.NEGATIVE: avatar_velocity(avatar, away, sample, level),
            Role.AUDIO: avatar_velocity(avatar, conditions, sample, level),
        }
        if guidance.equation == "twin":
            told = _text_teacher(batch)
            terms[Role.TEXT_TEACHER] = text_teacher_velocity(text_teacher, told, sample, level)
        else:
            terms[Role.TEXT] = avatar_velocity(avatar, deaf, sample, level)
        scale = guidance.audio_scale_at(level, float(level[0]))
        return guidance.combine(terms, scale)

    return field


def _avatar(batch: Batch) -> AvatarConditions:
    """A first segment's conditions: a reference and no history."""
    return AvatarConditions(text=batch["text"], reference=batch["reference"], audio=batch["audio"])


def _text_teacher(batch: Batch) -> TextTeacherConditions:
    """The anchor of a first segment is its reference, noised alike in every run."""
    encoded = batch["reference_condition"]
    shape = encoded[:, :, :1].shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return TextTeacherConditions(text=batch["text"], encoded=encoded, anchor_noise=noise)
