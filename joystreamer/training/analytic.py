"""A world whose teachers are exact: Gaussian mixtures with closed-form velocity.

A clip is three numbers: where the body goes (two) and how far the mouth opens (one). A prompt names
one of five places (stay, or one of four directions at distance 2). The audio teacher's body obeys
its prompt in 5 % of cases and its mouth follows the audio; the text teacher's body always obeys and
its mouth ignores the audio. Since the fields are exact, whatever fails in a distillation here is a
failure of the update rule, not of a network.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

DIRECTIONS = 5
DISTANCE = 2.0
BODY_SPREAD = 0.25
MOUTH_SPREAD = 0.1
AUDIO_SPREAD = 1.0
OBEDIENT_SHARE = 0.05
NO_PROMPT = -1


def places() -> Tensor:
    """Where the body goes for each prompt: (5, 2), prompt 0 stays at the origin."""
    d = DISTANCE
    return torch.tensor([[0.0, 0.0], [d, 0.0], [-d, 0.0], [0.0, d], [0.0, -d]])


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What a batch of clips is asked for.

    Attributes:
        prompt: Index of the place, (batch,), int64; `NO_PROMPT` is the negative prompt.
        audio: How far the mouth should open, (batch,), float; standard normal.
    """

    prompt: Tensor
    audio: Tensor


def draw_conditions(count: int, generator: torch.Generator) -> Conditions:
    """Draw prompts uniformly and audio from a standard normal."""
    return Conditions(
        prompt=torch.randint(0, DIRECTIONS, (count,), generator=generator),
        audio=torch.randn(count, generator=generator),
    )


def mixture_velocity(
    sample: Tensor, tau: Tensor, means: Tensor, spreads: Tensor, weights: Tensor
) -> Tensor:
    """Return the exact velocity field of Gaussian mixtures with diagonal covariance.

    Args:
        sample: Noisy points (batch, dims).
        tau: Noise levels (batch,), above 0.
        means: Component means (batch, components, dims).
        spreads: Component standard deviations, broadcastable to `means`.
        weights: Component weights (batch, components), each row summing to one.

    Returns:
        `(sample - E[clean | sample]) / sigma`, shape of `sample`.
    """
    sigma = (tau / 1000.0).to(sample)[:, None, None]
    variance = spreads.to(sample) ** 2
    noisy_variance = (1 - sigma) ** 2 * variance + sigma**2
    offset = sample[:, None] - (1 - sigma) * means
    log_density = (-0.5 * (offset**2 / noisy_variance + noisy_variance.log())).sum(-1)
    responsibility = torch.softmax(weights.clamp(min=1e-30).log() + log_density, dim=1)
    clean = means + (1 - sigma) * variance / noisy_variance * offset
    expected = (responsibility[..., None] * clean).sum(1)
    return (sample - expected) / sigma[:, 0]


def _mouth(audio: Tensor | None, like: Tensor) -> tuple[Tensor, float]:
    """Mean and spread of the mouth: at the audio when heard, else the spread of all speech."""
    if audio is None:
        return torch.zeros(len(like)).to(like), math.hypot(AUDIO_SPREAD, MOUTH_SPREAD)
    return audio.to(like), MOUTH_SPREAD


def _velocity(
    sample: Tensor, tau: Tensor, place_weights: Tensor, mouth: Tensor, mouth_spread: float
) -> Tensor:
    means = torch.cat(
        [
            places().to(sample).expand(len(sample), -1, -1),
            mouth[:, None, None].expand(-1, DIRECTIONS, 1),
        ],
        dim=-1,
    )
    spreads = torch.tensor([BODY_SPREAD, BODY_SPREAD, mouth_spread])
    return mixture_velocity(sample, tau, means, spreads, place_weights.to(sample))


def audio_teacher(
    sample: Tensor,
    tau: Tensor,
    prompt: Tensor | None,
    audio: Tensor | None,
    obedient_share: float = OBEDIENT_SHARE,
) -> Tensor:
    """Velocity of the avatar model: hears, but mostly stands still whatever the prompt says.

    Args:
        sample: Noisy points (batch, 3).
        tau: Noise levels (batch,).
        prompt: Prompts (batch,), or None for the negative prompt (any of them).
        audio: Audio (batch,), or None for null audio (the average over all speech).
        obedient_share: Share of training clips that did what their prompt said.
    """
    still = torch.zeros(len(sample), DIRECTIONS)
    still[:, 0] = 1.0
    obeyed = (
        torch.full((len(sample), DIRECTIONS), 1.0 / DIRECTIONS)
        if prompt is None
        else torch.nn.functional.one_hot(prompt, DIRECTIONS).float()
    )
    weights = (1 - obedient_share) * still + obedient_share * obeyed
    return _velocity(sample, tau, weights, *_mouth(audio, sample))


def text_teacher(sample: Tensor, tau: Tensor, prompt: Tensor) -> Tensor:
    """Velocity of the foundation model: obeys the prompt and is deaf."""
    weights = torch.nn.functional.one_hot(prompt, DIRECTIONS).float()
    return _velocity(sample, tau, weights, *_mouth(None, sample))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a batch of clips did.

    Attributes:
        text_accuracy: Share of moving prompts whose body is nearest to the place named. Higher is
            better, 1 at best, chance 0.2.
        radius: Mean distance travelled on moving prompts; 2 is right.
        mouth_correlation: Pearson correlation of mouth and audio; 1 at best.
        mouth_gain: Slope of the mouth on the audio; 1 is right, above 1 overacts.
    """

    text_accuracy: float
    radius: float
    mouth_correlation: float
    mouth_gain: float


def read_clips(clips: Tensor, conditions: Conditions) -> Reading:
    """Measure clips (batch, 3) against what they were asked for."""
    moving = conditions.prompt > 0
    nearest = torch.cdist(clips[:, :2], places().to(clips)).argmin(1)
    mouth = clips[:, 2].double() - clips[:, 2].double().mean()
    audio = conditions.audio.double() - conditions.audio.double().mean()
    covariance = (mouth * audio).mean()
    return Reading(
        text_accuracy=float((nearest == conditions.prompt)[moving].double().mean()),
        radius=float(clips[moving, :2].norm(dim=1).mean()),
        mouth_correlation=float(covariance / (mouth.std() * audio.std()).clamp(min=1e-12)),
        mouth_gain=float(covariance / audio.square().mean()),
    )
