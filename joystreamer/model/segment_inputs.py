"""Checks and small adjustments of what enters the transformer, with errors a user can act on."""

import torch
from torch import Tensor

from joystreamer.errors import InputError


def list_audio_blocks(indices: tuple[int, ...] | None, num_layers: int) -> frozenset[int]:
    """Blocks that get audio attention, all of them if not listed.

    Args:
        indices: Listed blocks, or None.
        num_layers: Blocks of the model.

    Raises:
        InputError: A listed block does not exist.
    """
    if indices is None:
        return frozenset(range(num_layers))
    wrong = [index for index in indices if not 0 <= index < num_layers]
    if wrong:
        raise InputError(
            f"audio_block_indices name blocks {wrong}; the blocks are 0 to {num_layers - 1}; "
            "list only those, or use None for all"
        )
    return frozenset(indices)


def measure_segment(
    noisy: Tensor,
    reference: Tensor | None,
    in_channels: int,
    patch_size: tuple[int, int, int],
) -> tuple[int, int, int]:
    """Frames, rows and columns of the noisy tokens.

    Args:
        noisy: (B, channels, T, H, W) noisy latents.
        reference: (B, channels, 1, H, W) clean reference, or None.
        in_channels: Channels that the model takes.
        patch_size: Patch in latents (time, height, width).

    Raises:
        InputError: Channels or sizes do not fit.
    """
    channels, frames, height, width = noisy.shape[1:]
    if channels != in_channels:
        raise InputError(
            f"latents have {channels} channels; this model takes {in_channels}; concatenate the "
            "condition of an image-to-video base, or use the matching model"
        )
    _, patch_height, patch_width = patch_size
    if height % patch_height or width % patch_width:
        raise InputError(
            f"latents of {height}x{width} do not divide by patches of {patch_height}x{patch_width}; "
            f"choose an image size that is a multiple of {patch_height * 8} x {patch_width * 8} "
            "pixels"
        )
    if reference is not None and reference.shape[2:] != (1, height, width):
        raise InputError(
            f"reference_latents have frames and size {tuple(reference.shape[2:])}; the noisy "
            f"latents need {(1, height, width)}; encode the reference alone, at the same image size"
        )
    return frames, height // patch_height, width // patch_width


def fill_channels(latents: Tensor, noisy: Tensor) -> Tensor:
    """Clean latents in the dtype of the noisy ones, with zero channels added up to their number.

    An image-to-video base has 36 input channels; for clean tokens its mask and condition are zero.

    Args:
        latents: (B, channels, frames, H, W).
        noisy: (B, at least as many channels, T, H, W).

    Raises:
        InputError: Another batch size, or more channels than the noisy latents.
    """
    missing = noisy.shape[1] - latents.shape[1]
    if missing < 0 or latents.shape[0] != noisy.shape[0]:
        raise InputError(
            f"clean latents have shape {tuple(latents.shape)}; beside noisy latents of shape "
            f"{tuple(noisy.shape)} they need the same batch and no more channels"
        )
    latents = latents.to(noisy.dtype)
    if missing == 0:
        return latents
    zeros = latents.new_zeros(latents.shape[0], missing, *latents.shape[2:])
    return torch.cat([latents, zeros], dim=1)
