"""What a run keeps in device memory, from parameter counts alone.

Weights, gradients, optimiser states and moving averages are exact arithmetic; activations are not
estimated (they depend on the kernels; with checkpointing they are one block's and each block's
input, which is given).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from joystreamer.errors import InputError
from joystreamer.training.configuration import TrainingPreset

_GB = 1e9
_FULL, _HALF = 4, 2
# AdamW keeps two moments, the gradient is a third copy, all in float32 beside the masters.
_ADAM_COPIES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryLine:
    """One thing that occupies memory.

    Attributes:
        what: In words.
        gigabytes: 10^9 bytes.
    """

    what: str
    gigabytes: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSize:
    """Sizes that the estimate needs.

    Attributes:
        expert: Parameters of one avatar expert.
        trained: Parameters that train in one role.
        text_teacher: Parameters of one text-teacher expert; 0 without one.
        tokens: Tokens of a segment.
        width: Channels of a token.
        blocks: Blocks of the transformer.
    """

    expert: int
    trained: int
    text_teacher: int
    tokens: int
    width: int
    blocks: int


def estimate(preset: TrainingPreset, size: ModelSize) -> list[MemoryLine]:
    """Return what one process keeps on its device, without sharding.

    Args:
        preset: The run.
        size: Of its networks.

    Raises:
        InputError: The preset trains a codec, whose size is its activations'.
    """
    if preset.stage == "codec":
        raise InputError("a codec's memory is its activations'; measure one step instead")
    half = _HALF if preset.loop.precision != "no" else _FULL
    average = _FULL * size.trained if preset.loop.ema_decay else 0
    lines: dict[str, float] = {}
    if preset.stage != "distill":
        frozen = size.expert - size.trained
        lines["frozen weights of the network"] = half * frozen
        lines["trained weights, gradients, AdamW (float32)"] = _FULL * _ADAM_COPIES * size.trained
    elif preset.adapters is not None:
        lines["one frozen base (audio teacher, student, fake score)"] = half * size.expert
        lines["two adapters, gradients, AdamW (float32)"] = 2 * _FULL * _ADAM_COPIES * size.trained
    else:
        lines["frozen audio teacher"] = half * size.expert
        lines["student and fake score, gradients, AdamW (float32)"] = (
            2 * _FULL * _ADAM_COPIES * size.expert
        )
    if average:
        lines["moving average (float32)"] = average
    twin = preset.distillation is not None and preset.distillation.guidance.equation == "twin"
    if twin and size.text_teacher:
        lines["frozen text teacher, one expert"] = half * size.text_teacher
    inputs = preset.loop.micro_batch * size.tokens * size.width * half
    if preset.checkpointing:
        lines["block inputs kept for recomputation"] = inputs * size.blocks
    return [MemoryLine(what=what, gigabytes=value / _GB) for what, value in lines.items()]


def total(lines: list[MemoryLine]) -> float:
    """Return the sum in gigabytes."""
    return sum(line.gigabytes for line in lines)


def segment_tokens(height: int, width: int) -> int:
    """Return the tokens of a full segment at a size: 19 noisy latents, reference, 1x and 2x motion.

    480x832 gives 33,150.
    """
    frame = (height // 16) * (width // 16)
    return 19 * frame + frame + frame + (height // 32) * (width // 32)


def shares(weights: Mapping[str, float]) -> str:
    """Return weights as one line: `N -4, B +4, T +1`."""
    return ", ".join(f"{name} {value:+g}" for name, value in weights.items() if value)
