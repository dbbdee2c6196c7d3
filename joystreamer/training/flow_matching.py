"""Flow matching: the objective of every stage before distillation, and which parameters train.

Pure functions; knows no network. Paper, Sec. 3.2: stage 1 trains FramePack and self-attention,
stage 2 the audio layers. How conditions are dropped out is ours (the paper is silent): guidance
needs a negative prompt and null audio that the network has seen.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from joystreamer.errors import InputError
from joystreamer.guidance import add_noise
from joystreamer.training.randomness import Randomness, normal, uniform

# Names of parameters that train, as regular expressions that match the beginning of a name.
ALL_PARAMETERS = r".*"
STAGE_1_PARAMETERS = r"(frame_pack\.|blocks\.\d+\.attn1\.)"
STAGE_2_PARAMETERS = r"(audio_projector\.|blocks\.\d+\.audio_(attn|norm)\.)"
FOUNDATION_PARAMETERS = r"(?!frame_pack\.|audio_projector\.|blocks\.\d+\.audio_)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionDropout:
    """How often a condition is taken away, per sample; ours.

    Attributes:
        text: Share of samples whose prompt becomes the empty one.
        audio: Share whose audio becomes null (zeros), independent of the text.
        motion: Share of batches without history, as in the first segment of a clip.
    """

    text: float = 0.1
    audio: float = 0.1
    motion: float = 0.1

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1."""
        for name in ("text", "audio", "motion"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(
                    f"{name} dropout is {getattr(self, name)}; give a share from 0 to 1"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisedBatch:
    """A clean batch, its noised form and what the network should answer.

    Attributes:
        sample: `(1 - sigma) clean + sigma noise`.
        target: Velocity `noise - clean`.
    """

    sample: Tensor
    target: Tensor


def noise_batch(clean: Tensor, tau: Tensor, source: Randomness) -> NoisedBatch:
    """Noise a clean batch to its levels.

    Args:
        clean: (B, ...) clean latents.
        tau: (B,) noise levels, 0-1000.
        source: Of the noise.
    """
    noise = normal(clean, source)
    return NoisedBatch(sample=add_noise(clean, noise, tau), target=noise - clean)


def flow_matching_loss(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error of a velocity, in float32.

    Args:
        prediction: The network's velocity.
        target: `noise - clean`.
        mask: Weights broadcastable to `target` (1 counts, 0 does not); everywhere by default.
    """
    error = (prediction.float() - target.float()) ** 2
    if mask is None:
        return error.mean()
    weight = mask.to(error).expand_as(error)
    return (error * weight).sum() / weight.sum().clamp(min=1.0)


def drop_rows(value: Tensor, replacement: Tensor, share: float, source: Randomness) -> Tensor:
    """Replace a share of the samples.

    Args:
        value: (B, ...).
        replacement: Broadcastable to `value`: the empty prompt's states, or zeros.
        share: Probability per sample.
        source: Of the decision.
    """
    dropped = (uniform(len(value), source) < share).to(value.device)
    return torch.where(dropped.reshape(-1, *([1] * (value.ndim - 1))), replacement, value)


def select_parameters(network: nn.Module, patterns: Iterable[str]) -> dict[str, nn.Parameter]:
    """Freeze a network except for the parameters whose names match.

    Args:
        network: Any module.
        patterns: Regular expressions, matched from the beginning of a name.

    Returns:
        The trained parameters by name, in the network's order.

    Raises:
        InputError: Nothing matches.
    """
    rules = [re.compile(pattern) for pattern in patterns]
    chosen: dict[str, nn.Parameter] = {}
    for name, parameter in network.named_parameters():
        trains = any(rule.match(name) for rule in rules)
        parameter.requires_grad_(trains)
        if trains:
            chosen[name] = parameter
    if not chosen:
        raise InputError(
            f"no parameter of {type(network).__name__} matches "
            f"{', '.join(rule.pattern for rule in rules)}; name parameters such as frame_pack."
        )
    return chosen
