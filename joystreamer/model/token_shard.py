"""Which part of the token sequence this process holds under context parallelism.

diffusers splits the sequence into contiguous parts in rank order, before the first block. What
depends on a token's place (noise level, latent frame, speaker) is derived here from the rank, so
that no process ever needs the whole sequence.
"""

from dataclasses import dataclass
from typing import Any

from joystreamer.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenShard:
    """A process's part [start, stop) of a sequence of noisy tokens followed by clean ones.

    Attributes:
        noisy: Noisy tokens in the whole sequence.
        total: All tokens in the whole sequence, without padding.
        padding: Tokens appended so that the sequence divides by the processes; never attended to.
        start: First token held.
        stop: One past the last token held, padding included.
    """

    noisy: int
    total: int
    padding: int = 0
    start: int = 0
    stop: int

    @property
    def is_whole(self) -> bool:
        """Whether one process holds the whole sequence."""
        return self.start == 0 and self.stop == self.total

    @property
    def noisy_start(self) -> int:
        """First noisy token held, counted among all noisy tokens."""
        return min(self.start, self.noisy)

    @property
    def noisy_stop(self) -> int:
        """One past the last noisy token held."""
        return min(self.stop, self.noisy)

    @property
    def noisy_held(self) -> int:
        """Number of noisy tokens held; they come first."""
        return self.noisy_stop - self.noisy_start


def shard_tokens(noisy: int, total: int, parallel_config: Any | None) -> TokenShard:
    """Work out this process's part of the sequence.

    Args:
        noisy: Noisy tokens (they come first).
        total: All tokens.
        parallel_config: The `ParallelConfig` of the model, or None for a single process.

    Returns:
        The part held here; the whole sequence for a single process.

    Raises:
        InputError: Ring attention needs padding, which it cannot mask.
    """
    context = None if parallel_config is None else parallel_config.context_parallel_config
    if context is None:
        return TokenShard(noisy=noisy, total=total, stop=total)
    mesh = context._flattened_mesh
    processes = mesh.size()
    rank = mesh.get_local_rank()
    if context.ulysses_anything or context.ring_anything:
        even, extra = divmod(total, processes)  # as `torch.tensor_split` divides
        start = rank * even + min(rank, extra)
        return TokenShard(noisy=noisy, total=total, start=start, stop=start + even + (rank < extra))
    padding = -total % processes
    if padding and context.ring_degree > 1:
        raise InputError(
            f"{total} tokens do not divide by {processes} processes, and ring attention cannot "
            "skip padding; use ulysses_degree alone, ring_anything=True, or another image size"
        )
    part = (total + padding) // processes
    return TokenShard(
        noisy=noisy, total=total, padding=padding, start=rank * part, stop=(rank + 1) * part
    )
