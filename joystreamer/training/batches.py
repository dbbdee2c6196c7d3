"""Which clips train in which update: a fixed plan that needs no stored position.

Clips of one shape form a bucket; every epoch shuffles each bucket with a seed of its own, cuts it
into global batches and shuffles those. The batch of update u follows from u alone, so a resumed run
sees exactly what an uninterrupted one would, with any number of processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.training.randomness import seeded

Batch = dict[str, Tensor]
"""Tensors by name, batch first."""


class ClipSource(Protocol):
    """Where training clips come from."""

    def buckets(self) -> Sequence[Sequence[int]]:
        """Indices of clips that share every shape, bucket by bucket."""
        ...

    def read(self, indices: Sequence[int]) -> Batch:
        """Clips of one bucket, stacked."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one process reads in one micro-batch.

    Attributes:
        indices: Clips.
        places: Positions of these clips in the global batch, which seed their noise.
    """

    indices: tuple[int, ...]
    places: tuple[int, ...]


class BatchPlan:
    """The clips of every update.

    Args:
        buckets: From a `ClipSource`.
        global_batch: Clips per update over all processes.
        micro_batch: Clips per forward pass of one process.
        processes: Number of processes.
        seed: Of the shuffles.

    Raises:
        InputError: There is no clip, or the global batch cannot be cut up.
    """

    def __init__(
        self,
        buckets: Sequence[Sequence[int]],
        *,
        global_batch: int,
        micro_batch: int,
        processes: int,
        seed: int,
    ) -> None:
        self.buckets = [tuple(bucket) for bucket in buckets if bucket]
        if not self.buckets:
            raise InputError("the training set holds no clip; check the manifest and its report")
        if global_batch < 1 or micro_batch < 1 or global_batch % (micro_batch * processes):
            raise InputError(
                f"global batch {global_batch} came with micro-batches of {micro_batch} on "
                f"{processes} processes; it must be a positive multiple of "
                f"{max(1, micro_batch) * processes}"
            )
        self.global_batch = global_batch
        self.micro_batch = micro_batch
        self.processes = processes
        self.seed = seed
        # A bucket smaller than a batch is repeated; otherwise clips that do not fill the last
        # batch of an epoch wait for another shuffle.
        self.per_epoch = sum(max(1, len(bucket) // global_batch) for bucket in self.buckets)
        self._epoch: tuple[int, list[tuple[int, ...]]] = (-1, [])

    @property
    def accumulation(self) -> int:
        """Micro-batches per update and process."""
        return self.global_batch // (self.micro_batch * self.processes)

    def clips(self, update: int) -> tuple[int, ...]:
        """Return the global batch of an update."""
        epoch, position = divmod(update, self.per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._shuffle(epoch))
        return self._epoch[1][position]

    def shares(self, update: int, process: int) -> list[Share]:
        """Return the micro-batches of one process in an update."""
        clips = self.clips(update)
        shares = []
        for micro in range(self.accumulation):
            start = (micro * self.processes + process) * self.micro_batch
            places = tuple(range(start, start + self.micro_batch))
            shares.append(Share(indices=tuple(clips[place] for place in places), places=places))
        return shares

    def _shuffle(self, epoch: int) -> list[tuple[int, ...]]:
        batches = []
        for number, bucket in enumerate(self.buckets):
            generator = seeded(self.seed, "epoch", epoch, "bucket", number)
            order = [bucket[i] for i in torch.randperm(len(bucket), generator=generator).tolist()]
            while len(order) < self.global_batch:
                order += order
            for start in range(0, len(order) - self.global_batch + 1, self.global_batch):
                batches.append(tuple(order[start : start + self.global_batch]))
                if len(bucket) < self.global_batch:
                    break
        order = torch.randperm(
            len(batches), generator=seeded(self.seed, "epoch", epoch, "batches")
        ).tolist()
        return [batches[i] for i in order]
