"""Which noise levels training visits: tau, the student's steps, experts, and agreement of ranks.

Pure arithmetic on numbers; knows no network. Levels are timesteps on the 0-1000 scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.samplers import STUDENT_TIMESTEPS, TRAIN_TIMESTEPS, warp_timestep
from joystreamer.training.randomness import Randomness, uniform

Expert = Literal["high", "low"]

# Wan2.2-T2V-A14B, from which audio teacher, student and fake score descend; and Wan2.2-I2V-A14B,
# the text teacher (both from the published model configurations).
AVATAR_BOUNDARY = 875.0
TEXT_TEACHER_BOUNDARY = 900.0
# Self-Forcing and its heirs.
TAU_SHIFT = 5.0
TAU_MINIMUM = 20.0
TAU_MAXIMUM = 980.0
# Largest level inside a half-open interval [low, high); far above float32 spacing at 1000.
_OPEN_END = 1e-3


def expert_of(level: float, boundary: float) -> Expert:
    """Return the expert in charge of a level: `high` at or above the boundary."""
    return "high" if level >= boundary else "low"


def expert_of_batch(levels: Tensor, boundary: float) -> Expert:
    """Return the one expert in charge of a whole batch.

    Raises:
        InputError: The levels lie on both sides of the boundary; a batch runs through one expert.
    """
    experts = {expert_of(float(level), boundary) for level in levels.flatten().tolist()}
    if len(experts) != 1:
        raise InputError(
            f"noise levels {levels.min():g} to {levels.max():g} lie on both sides of the expert "
            f"boundary {boundary:g}; draw them from one bucket (TauSchedule.buckets)"
        )
    return experts.pop()


def unwarp_timestep(level: float, shift: float) -> float:
    """Undo `joystreamer.samplers.warp_timestep`."""
    sigma = level / TRAIN_TIMESTEPS
    return TRAIN_TIMESTEPS * sigma / (shift - (shift - 1.0) * sigma)


def student_timesteps(
    nominal: Sequence[float] = STUDENT_TIMESTEPS, shift: float = TAU_SHIFT
) -> tuple[float, ...]:
    """Return the student's levels, warped once: 1000, 937.5, 833.3, 625 by default."""
    return tuple(warp_timestep(level, shift) for level in nominal)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """A stretch of noise levels inside which no network changes its expert.

    Attributes:
        low: Lowest level, included.
        high: Highest level, not included unless it is the schedule's end.
        probability: Share of the schedule's draws that fall here.
    """

    low: float
    high: float
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TauSchedule:
    """Distribution of a noise level: uniform, warped by a shift, clamped, kept in an interval.

    Attributes:
        shift: Warp towards noise.
        minimum: Levels below are raised to it.
        maximum: Levels above are lowered to it; about 9 % of all draws at shift 5.
        low: Lower end of the interval drawn from, before clamping.
        high: Upper end; not included when below 1000.
    """

    shift: float = TAU_SHIFT
    minimum: float = TAU_MINIMUM
    maximum: float = TAU_MAXIMUM
    low: float = 0.0
    high: float = float(TRAIN_TIMESTEPS)

    def __post_init__(self) -> None:
        """Refuse intervals that hold no level."""
        if not (0.0 <= self.low < self.high <= TRAIN_TIMESTEPS and self.shift > 0):
            raise InputError(
                f"tau interval {self.low:g} to {self.high:g} with shift {self.shift:g} came; it needs "
                "0 <= low < high <= 1000 and a shift above 0"
            )
        if not self.minimum < self.maximum or self.high <= self.minimum or self.low >= self.maximum:
            raise InputError(
                f"tau clamp {self.minimum:g} to {self.maximum:g} leaves nothing of the interval "
                f"{self.low:g} to {self.high:g}; widen one of them"
            )

    def sample(self, count: int, source: Randomness) -> Tensor:
        """Draw levels.

        Args:
            count: Number of samples.
            source: Of randomness.

        Returns:
            Levels (count,), float32, on the CPU.
        """
        start, end = unwarp_timestep(self.low, self.shift), unwarp_timestep(self.high, self.shift)
        sigma = (start + (end - start) * uniform(count, source)) / TRAIN_TIMESTEPS
        level = TRAIN_TIMESTEPS * self.shift * sigma / (1.0 + (self.shift - 1.0) * sigma)
        lowest = max(self.low, self.minimum)
        highest = self.high - _OPEN_END if self.high < TRAIN_TIMESTEPS else self.high
        return level.clamp(lowest, min(highest, self.maximum)).float()

    def share(self, low: float, high: float = float(TRAIN_TIMESTEPS)) -> float:
        """Return the exact probability that a draw lies in [low, high) (a closed end at 1000)."""
        start, end = unwarp_timestep(self.low, self.shift), unwarp_timestep(self.high, self.shift)

        def below(level: float) -> float:
            if level > min(self.maximum, self.high):
                return 1.0
            if level <= max(self.minimum, self.low):
                return 0.0
            return (unwarp_timestep(level, self.shift) - start) / (end - start)

        return below(high) - below(low)

    def buckets(self, *boundaries: float) -> tuple[Bucket, ...]:
        """Cut the interval at the boundaries of every network, lowest bucket first."""
        inside = sorted({edge for edge in boundaries if self.low < edge < self.high})
        edges = [self.low, *(edge for edge in inside if edge < self.maximum), self.high]
        return tuple(
            Bucket(low=low, high=high, probability=self.share(low, high))
            for low, high in pairwise(edges)
            if self.share(low, high) > 0
        )

    def within(self, bucket: Bucket) -> "TauSchedule":
        """Return this schedule restricted to a bucket."""
        return TauSchedule(
            shift=self.shift,
            minimum=self.minimum,
            maximum=self.maximum,
            low=bucket.low,
            high=bucket.high,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertRun:
    """Where one distillation run works: which steps it may exit at and which tau it draws.

    Attributes:
        exits: Indices into the student's steps at which a rollout may stop with gradients.
        tau: Levels at which teachers and fake score are compared.
    """

    exits: tuple[int, ...]
    tau: TauSchedule


def expert_run(
    expert: Literal["high", "low", "joint"], tau: TauSchedule | None = None
) -> ExpertRun:
    """Return the two runs of a two-expert student, or the joint one.

    The paper trains the experts separately. The high run exits at 1000 and 937.5 and draws tau from
    900 up, so that the text teacher's high expert suffices; the low run exits at 833.3 and 625 and
    draws tau below 875. The joint run does everything.

    Args:
        expert: Which run.
        tau: Shift and clamp; its interval is replaced for `high` and `low`.
    """
    tau = tau or TauSchedule()
    clamp = {"shift": tau.shift, "minimum": tau.minimum, "maximum": tau.maximum}
    if expert == "high":
        return ExpertRun(exits=(0, 1), tau=TauSchedule(low=TEXT_TEACHER_BOUNDARY, **clamp))
    if expert == "low":
        return ExpertRun(exits=(2, 3), tau=TauSchedule(high=AVATAR_BOUNDARY, **clamp))
    return ExpertRun(exits=(0, 1, 2, 3), tau=tau)


def draw_index(weights: Sequence[float], generator: torch.Generator) -> int:
    """Draw an index with the given weights, the same on every rank (rank 0 decides)."""
    table = torch.tensor(weights, dtype=torch.float64)
    drawn = torch.multinomial(table, 1, generator=generator)
    return agree(int(drawn.item()))


def agree(value: int) -> int:
    """Return rank 0's value on every rank.

    Under sharding every rank must run the same number of forwards through the same expert, or
    their collectives no longer match and training hangs.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    on_gpu = torch.distributed.get_backend() == "nccl"
    message = torch.tensor([value], device="cuda" if on_gpu else "cpu")
    torch.distributed.broadcast(message, src=0)
    return int(message.item())
