"""Where every token of a segment stands in time and space, and the rotary embedding of it.

Knows nothing of networks or latents: it turns a segment's shape into positions and positions into
cosines and sines. Positions are plain numbers, negative or fractional as may be; there is no table
that would limit them.
"""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from torch import Tensor, nn

ROPE_THETA = 10000.0  # Wan, `WanRotaryPosEmbed`
CACHED_SEGMENT_SHAPES = 4  # a run alternates between two shapes: first segment and all others


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrid:
    """A block of tokens: every combination of these times, rows and columns, time slowest.

    Attributes:
        times: Temporal positions in latents; 0 is the first noisy latent, the past is negative.
        rows: Vertical positions in patches of the finest grid.
        columns: Horizontal positions in patches of the finest grid.
    """

    times: tuple[float, ...]
    rows: tuple[float, ...]
    columns: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.times) * len(self.rows) * len(self.columns)


def sample_evenly(start: int, length: int, count: int) -> tuple[float, ...]:
    """Positions of `count` coarse tokens that span `length` fine positions from `start`.

    Both ends are met, and the rest is truncated to whole positions, as Wan-S2V places its packed
    motion tokens (`rope_precompute`); FramePack itself averages fine embeddings instead.

    Args:
        start: First fine position.
        length: Number of fine positions spanned.
        count: Number of coarse tokens, at most `length`.
    """
    return tuple(float(p) for p in np.linspace(start, start + length - 1, count).astype(int))


def motion_grids(buckets: tuple[int, ...], rows: int, columns: int) -> list[TokenGrid]:
    """Positions of the FramePack motion tokens, newest bucket first.

    Bucket i holds `buckets[i]` latents, merged 2**i times in time, height and width. With buckets
    (1, 2, 16): times -1; -3; -19, -14, -9, -4 (the paper uses 3 latents: the first two buckets).

    Args:
        buckets: Latents per bucket, newest first.
        rows: Height of the finest grid in patches.
        columns: Width of the finest grid in patches.
    """
    grids = []
    ends = accumulate(buckets)
    for level, (latents, end) in enumerate(zip(buckets, ends, strict=True)):
        merge = 2**level
        grids.append(
            TokenGrid(
                times=sample_evenly(-end, latents, latents // merge),
                rows=sample_evenly(0, rows, rows // merge),
                columns=sample_evenly(0, columns, columns // merge),
            )
        )
    return grids


def segment_grids(
    *,
    frames: int,
    rows: int,
    columns: int,
    reference_offset: float | None = None,
    motion_buckets: tuple[int, ...] = (),
) -> tuple[TokenGrid, ...]:
    """Positions of a whole segment: noisy latents, then the reference, then the motion history.

    The reference is the pseudo last frame: its place among the noisy latents would be `frames`,
    and the offset moves it further away (paper Sec. 4.1: 10; 3 for trivial prompts, Sec. 4.3).

    Args:
        frames: Noisy latents (19 in a full segment).
        rows: Height in patches.
        columns: Width in patches.
        reference_offset: Added to the reference's place; None when there is no reference.
        motion_buckets: Latents per motion bucket, newest first; empty when there is no history.
    """
    full_rows = tuple(float(row) for row in range(rows))
    full_columns = tuple(float(column) for column in range(columns))
    noisy_times = tuple(float(time) for time in range(frames))
    grids = [TokenGrid(times=noisy_times, rows=full_rows, columns=full_columns)]
    if reference_offset is not None:
        time = float(frames) + float(reference_offset)
        grids.append(TokenGrid(times=(time,), rows=full_rows, columns=full_columns))
    grids.extend(motion_grids(motion_buckets, rows, columns))
    return tuple(grids)


class SegmentRotaryEmbedding(nn.Module):
    """Rotary embedding of token grids, split over time, height and width as in Wan.

    A head of 128 channels gives 44 to time and 42 each to height and width. Angles are computed in
    float64 and returned in float32. It is a module (without parameters) because diffusers' context
    parallelism splits the outputs of modules.
    """

    def __init__(self, attention_head_dim: int, theta: float = ROPE_THETA) -> None:
        super().__init__()
        self.row_dim = self.column_dim = 2 * (attention_head_dim // 6)
        self.time_dim = attention_head_dim - self.row_dim - self.column_dim
        self.theta = theta
        self._cache: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    @torch.compiler.disable  # made once and kept: nothing in it is worth compiling
    def forward(
        self, grids: tuple[TokenGrid, ...], device: torch.device, padding: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Compute cosines and sines, each (1, tokens + padding, 1, head channels), float32.

        Args:
            grids: Blocks of tokens in the order of the sequence.
            device: Where the result is needed.
            padding: Tokens at position zero to append.
        """
        key = (grids, device, padding)
        if key not in self._cache:
            while len(self._cache) >= CACHED_SEGMENT_SHAPES:
                self._cache.pop(next(iter(self._cache)))
            if padding:
                origin = TokenGrid(times=(0.0,) * padding, rows=(0.0,), columns=(0.0,))
                grids = (*grids, origin)
            # What is kept must serve training too, even if it is first needed in inference mode.
            with torch.inference_mode(mode=False), torch.no_grad():
                parts = [self._embed(grid) for grid in grids]
                cosines, sines = (
                    torch.cat(part, dim=0)[None, :, None].to(device)
                    for part in zip(*parts, strict=True)
                )
            self._cache[key] = (cosines, sines)
        return self._cache[key]

    def _embed(self, grid: TokenGrid) -> tuple[Tensor, Tensor]:
        """Cosines and sines (tokens, head channels) of one grid, on the CPU."""
        shape = (len(grid.times), len(grid.rows), len(grid.columns))
        axes = (
            (self.time_dim, grid.times, (-1, 1, 1)),
            (self.row_dim, grid.rows, (1, -1, 1)),
            (self.column_dim, grid.columns, (1, 1, -1)),
        )
        cosines: list[Tensor] = []
        sines: list[Tensor] = []
        for dim, positions, view in axes:
            pair = get_1d_rotary_pos_embed(
                dim,
                torch.tensor(positions, dtype=torch.float64, device="cpu"),
                self.theta,
                use_real=True,
                repeat_interleave_real=True,
                freqs_dtype=torch.float64,
            )
            for collected, values in zip((cosines, sines), pair, strict=True):
                collected.append(values.view(*view, dim).expand(*shape, dim))
        return torch.cat(cosines, dim=-1).flatten(0, 2), torch.cat(sines, dim=-1).flatten(0, 2)
