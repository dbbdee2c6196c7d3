"""Moving average of trained parameters, made when it starts and not before.

A shadow made at the very beginning stays anchored to the undistilled weights, which makes short runs
blurry; with a few hundred student updates use a decay of 0.95 to 0.99.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from joystreamer.training.parallel import assign


class MovingAverage:
    """Float32 shadow of named parameters; works on sharded ones.

    Args:
        parameters: What to average, by name.
        decay: Weight of the past, in [0, 1).
        start: Optimiser steps after which the average begins.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float, start: int) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.start = start
        self.shadow: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after their `step`-th optimiser step (the first is 1)."""
        if step < self.start:
            return
        if not self.shadow:
            self.shadow = {
                name: value.detach().clone().float() for name, value in self.parameters.items()
            }
            return
        for name, value in self.parameters.items():
            self.shadow[name].lerp_(value.detach().float(), 1.0 - self.decay)

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Take up a stored shadow; an empty one means that the average had not begun."""
        self.shadow = {}
        if values:
            self.shadow = {
                name: torch.empty_like(value, dtype=torch.float32)
                for name, value in self.parameters.items()
            }
            for name, target in self.shadow.items():
                assign(target, values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in place of the parameters inside the block."""
        if not self.shadow:
            yield
            return
        kept = {name: value.detach().clone() for name, value in self.parameters.items()}
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(self.shadow[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in self.parameters.items():
                    value.copy_(kept[name])
