"""What a stage of training is to the loop: roles that train, whose turn it is, what a batch costs.

Every stage is a `Task`; the loop in `loop.py` drives any of them and knows none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from joystreamer.training.batches import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Settings of one AdamW optimiser.

    Attributes:
        rate: Learning rate.
        betas: Decay of the two moments.
        weight_decay: Decoupled weight decay.
    """

    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01


@dataclass(kw_only=True, slots=True)
class Trained:
    """A set of parameters with an optimiser of its own.

    Attributes:
        name: Of the role: `network`, `student`, `fake`.
        network: The module that holds the parameters; roles may share one.
        parameters: What trains, by name in the network.
        rates: Of the optimiser.
        averaged: Whether a moving average is kept.
    """

    name: str
    network: nn.Module
    parameters: dict[str, nn.Parameter]
    rates: Rates
    averaged: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """Sources of randomness of one micro-batch.

    Attributes:
        shared: The same on every process and in every micro-batch of an update, for decisions that
            all must share (expert, exit step, dropping of history).
        samples: One per sample, by its place in the global batch.
    """

    shared: torch.Generator
    samples: list[torch.Generator]


class Task(Protocol):
    """What a stage of training is to the loop."""

    trained: Sequence[Trained]

    def phase(self, update: int) -> str:
        """Name of the trained role that steps in this update."""
        ...

    def start(self, accelerator: Any, networks: Mapping[str, Any], *, sharded: bool) -> None:
        """Take the wrapped networks by role, and bring (or shard) frozen ones to the device."""
        ...

    def loss(self, phase: str, batch: Batch, draws: Draws) -> tuple[Tensor, Mapping[str, float]]:
        """Loss of a micro-batch and what to log about it."""
        ...

    def report(self, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Further figures since the last report; `total` sums a tensor over processes."""
        ...


class Validate(Protocol):
    """Measures samples: called with the number of finished updates, on the main process only.

    Attributes:
        stop: Whether a stop rule was broken; the run then goes back to its newest checkpoint.
    """

    stop: bool

    def __call__(self, update: int) -> Mapping[str, float]:
        """Figures to log, with averaged weights in place."""
        ...
