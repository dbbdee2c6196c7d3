"""FramePack: motion latents become few tokens, the older the coarser (paper Sec. 3.1, [46]).

The history of a segment is cut into buckets, newest first. Bucket i passes through a convolution
whose kernel is the patch size times 2**i in every axis. Positions live in `positions`; where the
history comes from is the pipeline's business.
"""

import torch
from torch import Tensor, nn

from joystreamer.errors import InputError


class FramePack(nn.Module):
    """Embeds motion latents, one convolution per bucket.

    The convolutions are named `proj`, `proj_2x`, `proj_4x` ... as in FramePack and Wan-S2V.

    Args:
        in_channels: Channels of a latent.
        inner_dim: Width of the transformer.
        patch_size: Patch of the transformer (time, height, width).
        buckets: Latents per bucket, newest first; bucket i must divide by 2**i.

    Raises:
        InputError: A bucket cannot be cut by its kernel.
    """

    def __init__(
        self,
        in_channels: int,
        inner_dim: int,
        patch_size: tuple[int, int, int],
        buckets: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.buckets = tuple(buckets)
        self.patch_size = patch_size
        for level, latents in enumerate(self.buckets):
            if latents < 1 or latents % 2**level:
                raise InputError(
                    f"motion bucket {level} holds {latents} latents; it must be a positive "
                    f"multiple of {2**level}; choose motion_buckets such as (1, 2) or (1, 2, 16)"
                )
            t, h, w = patch_size
            kernel = (t * 2**level, h * 2**level, w * 2**level)
            conv = nn.Conv3d(in_channels, inner_dim, kernel_size=kernel, stride=kernel)
            self.add_module("proj" if level == 0 else f"proj_{2**level}x", conv)

    @property
    def latents(self) -> int:
        """Motion latents that a history must have (3 for buckets (1, 2))."""
        return sum(self.buckets)

    @property
    def coarsest(self) -> tuple[int, int]:
        """Height and width in latents that a latent's size must divide by."""
        merge = 2 ** max(len(self.buckets) - 1, 0)
        return self.patch_size[1] * merge, self.patch_size[2] * merge

    @torch.no_grad()
    def start_from_patch_embedding(self, patch_embedding: nn.Conv3d) -> None:
        """Start every kernel as 'average, then embed as a patch'.

        The patch kernel is repeated 2**i times per axis and divided by 8**i (FramePack's own
        initialisation), so that a coarse token equals the patch embedding of the averaged latents.

        Args:
            patch_embedding: The transformer's own patch embedding.
        """
        state = patch_embedding.state_dict()
        for level, conv in enumerate(self.children()):
            kernel = state["weight"]
            for axis in (2, 3, 4):
                kernel = kernel.repeat_interleave(2**level, dim=axis)
            conv.load_state_dict({"weight": kernel / 8**level, "bias": state["bias"]})

    def forward(self, motion_latents: Tensor) -> Tensor:
        """Embed a history.

        Args:
            motion_latents: (B, channels, sum of buckets, height, width), oldest to newest.

        Returns:
            Tokens (B, tokens, inner_dim), newest bucket first.

        Raises:
            InputError: The history is too short or long, or its size does not divide.
        """
        frames, height, width = motion_latents.shape[2:]
        if frames != self.latents:
            raise InputError(
                f"motion_latents hold {frames} latents; the buckets {self.buckets} take exactly "
                f"{self.latents}; pass that many, oldest first, or None for no history"
            )
        rows, columns = self.coarsest
        if height % rows or width % columns:
            raise InputError(
                f"latents of {height}x{width} do not divide by {rows}x{columns}, which motion "
                f"buckets {self.buckets} need; choose an image size that is a multiple of "
                f"{rows * 8} x {columns * 8} pixels"
            )
        tokens, end = [], frames
        for conv, latents in zip(self.children(), self.buckets, strict=True):
            tokens.append(
                conv(motion_latents[:, :, end - latents : end]).flatten(2).transpose(1, 2)
            )
            end -= latents
        return torch.cat(tokens, dim=1)
