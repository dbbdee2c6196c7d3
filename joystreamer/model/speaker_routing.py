"""Which audio each video token listens to, arranged so that one attention call serves all speakers.

Every token of a region attends to its own speaker's stream of its own latent frame (paper Sec. 3.4,
Fig. 6). Instead of one full pass per speaker, tokens are sorted into tiles that share a frame and a
stream; the attention runs once over the tiles, so its cost hardly depends on how many speak.
Knows nothing of projections or weights: it only makes index lists.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from joystreamer.errors import InputError

QUERY_TILE = 128  # rows of one tile: the usual block of a fused attention kernel
MASK_TOLERANCE = 1e-2  # by which a token's shares may miss a sum of one: rounding of bfloat16


class SpeakerRoute(NamedTuple):
    """Index lists of one grouped attention; a tuple, so that device hooks move its tensors along.

    With every field None the sequence is one stream in whole frames, and no gathering is needed.

    Attributes:
        queries: (tiles, tile rows) int64 into the tokens (batch and token flattened); rows that
            merely fill a tile repeat token 0 and are never read back.
        streams: (tiles,) int64 into the audio groups, ordered (batch, stream, frame); None when
            every group has exactly one tile, so that keys and values need no copy.
        slots: (tokens, M) int64 into the flattened tile rows: where a token's M answers are.
        weights: (tokens, M) float32 shares of the answers, or None when M = 1 and all are one.
    """

    queries: Tensor | None = None
    streams: Tensor | None = None
    slots: Tensor | None = None
    weights: Tensor | None = None


def check_speaker_masks(masks: Tensor, shape: tuple[int, int, int, int]) -> None:
    """Refuse masks that are not a partition of the picture.

    Args:
        masks: (B or 1, S, rows, columns), shares per token and stream.
        shape: The expected (B, S, rows, columns).

    Raises:
        InputError: Wrong shape, negative share, or shares that do not sum to one.
    """
    if masks.ndim != 4 or masks.shape[0] not in (1, shape[0]) or masks.shape[1:] != shape[1:]:
        raise InputError(
            f"speaker_masks have shape {tuple(masks.shape)}; audio and latents need {shape} "
            "(batch, streams, rows, columns of tokens); make one mask per stream, silence last"
        )
    if masks.is_meta:
        return
    shares = masks.float()
    error = (shares.sum(dim=1) - 1).abs().max().item()
    if shares.min().item() < 0 or error > MASK_TOLERANCE:
        raise InputError(
            f"speaker_masks must be shares that sum to one for every token, but the sum is off by "
            f"{error:.3g} or a share is negative; make them disjoint and give the rest to silence"
        )


def route_speakers(
    masks: Tensor, frames: int, start: int = 0, stop: int | None = None
) -> SpeakerRoute:
    """Sort the noisy tokens into tiles of one frame and one stream.

    Binary masks route each token to one stream; a token with fractional shares visits each of its
    streams and the answers are averaged by share.

    Args:
        masks: (B, S, rows, columns) shares that sum to one over S; the same for every frame.
        frames: Latent frames of noisy tokens.
        start: First noisy token held here (context parallelism), counted in the whole sequence.
        stop: One past the last noisy token held here; all of them if None.

    Returns:
        The index lists, on the device of the masks.
    """
    batch, streams = masks.shape[:2]
    shares = masks.float().flatten(2)  # (B, S, P)
    positions = shares.shape[-1]
    stop = frames * positions if stop is None else stop
    held = torch.arange(frames * positions, device=masks.device).view(frames, positions)
    present = (shares[:, :, None] > 0) & ((held >= start) & (held < stop))  # (B, S, F, P)
    sample, stream, frame, position = present.nonzero(as_tuple=True)  # sorted by audio group
    group = (sample * streams + stream) * frames + frame
    token = sample * (stop - start) + frame * positions + position - start
    queries, groups, slot = _fill_tiles(token, group, batch * streams * frames)
    slots, weights = _collect_answers(
        token, slot, shares[sample, stream, position], batch * (stop - start)
    )
    return SpeakerRoute(queries, groups, slots, weights)


def _fill_tiles(token: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Cut every group of tokens into tiles; return tiles, their groups and each token's row."""
    counts = torch.bincount(group, minlength=groups)
    rows = min(QUERY_TILE, int(counts.max()))
    tiles = (counts + rows - 1) // rows
    first_row = (tiles.cumsum(0) - tiles) * rows
    first_token = counts.cumsum(0) - counts
    slot = first_row[group] + torch.arange(len(group), device=group.device) - first_token[group]
    queries = token.new_zeros(int(tiles.sum()) * rows)
    queries[slot] = token
    queries = queries.view(-1, rows)
    if bool((tiles == 1).all()):
        return queries, None, slot
    return queries, torch.arange(groups, device=group.device).repeat_interleave(tiles), slot


def _collect_answers(
    token: Tensor, slot: Tensor, share: Tensor, tokens: int
) -> tuple[Tensor, Tensor | None]:
    """For every token, the rows of its answers (padded to the most any token has) and shares."""
    visits = torch.bincount(token, minlength=tokens)
    most = int(visits.max())
    order = token.argsort(stable=True)
    visit = (
        torch.arange(len(token), device=token.device) - (visits.cumsum(0) - visits)[token[order]]
    )
    slots = slot.new_zeros(tokens, most)
    slots[token[order], visit] = slot[order]
    weights = share.new_zeros(tokens, most)
    weights[token[order], visit] = share[order]
    if most == 1 and bool((weights == 1).all()):
        return slots, None
    return slots, weights
