"""Random draws that depend on which sample is drawn, never on which process draws it.

Every sample of every update has its own generator, seeded by (run seed, update, place in the global
batch). So two processes train on the same noise as one, and a run that was killed goes on with the
same noise without any generator state being stored.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Randomness = torch.Generator | Sequence[torch.Generator]
"""One generator for a whole batch, or one per sample of it."""


def seeded(*parts: int | str) -> torch.Generator:
    """Return a CPU generator whose seed is a hash of the parts, so that no two streams overlap."""
    text = " ".join(map(str, ("joystreamer training", *parts)))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def per_sample(seed: int, update: int, places: Sequence[int]) -> list[torch.Generator]:
    """Return one generator per sample.

    Args:
        seed: Seed of the run.
        update: Number of the update.
        places: Position of each sample in the global batch.
    """
    return [seeded(seed, update, "sample", place) for place in places]


def normal(like: Tensor, source: Randomness) -> Tensor:
    """Draw standard normal noise in the shape, dtype and place of `like`."""
    return _draw(torch.randn, tuple(like.shape), source, like.dtype).to(like.device)


def uniform(count: int, source: Randomness) -> Tensor:
    """Draw `count` numbers in [0, 1), float64, on the CPU."""
    return _draw(torch.rand, (count,), source, torch.float64).cpu()


def _draw(
    function: Callable[..., Tensor], shape: tuple[int, ...], source: Randomness, dtype: torch.dtype
) -> Tensor:
    if isinstance(source, torch.Generator):
        return function(shape, generator=source, dtype=dtype, device=source.device)
    if len(source) != shape[0]:
        raise ValueError(f"{len(source)} generators cannot serve a batch of {shape[0]}")
    rows = [function(shape[1:], generator=g, dtype=dtype, device=g.device) for g in source]
    return torch.stack(rows)
