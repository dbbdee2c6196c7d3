"""Trains the tiny stack's video codec (the Wan VAE class) and measures its latents.

The obstacle, measured on puppets: with a plain reconstruction loss the decoder paints the mean mouth
of every four-frame chunk. Hence the loss on differences between frames inside a region, and a
curriculum from single frames to longer clips. A decoder can be trained on alone, so that what was learned
on the latents stays valid.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from joystreamer.errors import InputError
from joystreamer.training.batches import Batch
from joystreamer.training.task import Draws, Rates, Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecOptions:
    """What a codec is trained for; all ours.

    Attributes:
        curriculum: Pairs (share of all updates done, frames per clip), rising; frames are one more
            than a multiple of four. Longer clips keep colours flat beyond the trained length.
        updates: Updates of the whole run, which the shares refer to.
        frames_per_clip: Frames per clip that an update aims at: of short stretches, several are
            taken from every clip, so that single frames are not wasted on a small batch.
        region_weight: Weight of the loss on frame differences inside the region; 0 for none.
        region_error_weight: Weight of the absolute error inside the region.
        divergence_weight: Weight of the Kullback-Leibler divergence to a standard normal.
        decoder_only: Whether the encoder, and so every latent, stays as it is.
        rates: Of the optimiser.
    """

    curriculum: tuple[tuple[float, int], ...] = ((0.0, 1), (0.25, 9), (0.7, 17))
    updates: int
    frames_per_clip: int = 4
    region_weight: float = 12.0
    region_error_weight: float = 1.0
    divergence_weight: float = 1e-6
    decoder_only: bool = False
    rates: Rates = field(default_factory=lambda: Rates(rate=2e-3, weight_decay=0.0))

    def __post_init__(self) -> None:
        """Refuse lengths that the causal codec cannot encode."""
        for share, frames in self.curriculum:
            if frames % 4 != 1 or not 0.0 <= share < 1.0:
                raise InputError(
                    f"codec curriculum has ({share:g}, {frames}); give shares from 0 to below 1 and "
                    "frames such as 1, 9 or 17 (one more than a multiple of 4)"
                )

    def frames_at(self, update: int) -> int:
        """Frames per clip in an update."""
        done = update / self.updates
        return [frames for share, frames in self.curriculum if done >= share][-1]


class CodecNetwork(nn.Module):
    """Encoding and decoding as one forward pass, to be wrapped for parallel training."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction, the latents' mean and their log-variance.

        Args:
            pixels: (B, 3, 4 n - 3, H, W) in -1..1.
            noise: Standard normal noise of the latents' shape, or None for the mean.
        """
        posterior = self.vae.encode(pixels).latent_dist
        latents = posterior.mean
        if noise is not None:
            latents = latents + posterior.std * noise
        decoded = self.vae.decode(latents, return_dict=False)[0]
        return decoded, posterior.mean, posterior.logvar


def start_gently(vae: Any) -> None:
    """Initialise a codec so that it learns: blocks begin as their shortcuts, latents nearly sharp.

    From the default initialisation a tiny Wan VAE hardly learns (12.5 dB after 120 s against 20.2
    dB after 240 s so prepared, measured on puppets).
    """
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            if ".conv2." in name or ".proj." in name:  # the last layer of every residual branch
                parameter.zero_()
        bias = vae.quant_conv.bias
        bias[len(bias) // 2 :] = -7.0


def region_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return masks (B, 1, T, H, W) of boxes (B, T, 4) given as shares of the picture."""
    rows = (torch.arange(height, device=boxes.device) + 0.5) / height
    columns = (torch.arange(width, device=boxes.device) + 0.5) / width
    left, top, right, bottom = (edge[..., None] for edge in boxes.unbind(-1))
    inside_x = (columns >= left) & (columns < right)
    inside_y = (rows >= top) & (rows < bottom)
    return (inside_y[..., :, None] & inside_x[..., None, :])[:, None].float()


def codec_loss(
    decoded: Tensor,
    pixels: Tensor,
    region: Tensor,
    region_weight: float,
    region_error_weight: float = 0.0,
) -> tuple[Tensor, dict[str, float]]:
    """Return the reconstruction loss and its parts.

    Args:
        decoded: (B, 3, T, H, W).
        pixels: The same shape, in -1..1.
        region: (B, 1, T, H, W), 1 inside.
        region_weight: Weight of the frame differences inside the region.
        region_error_weight: Weight of the absolute error inside it.
    """
    decoded, pixels = decoded.float(), pixels.float()
    absolute, square = F.l1_loss(decoded, pixels), F.mse_loss(decoded, pixels)
    total = absolute + square
    parts = {"psnr": float(-10 * torch.log10(square.detach() / 4 + 1e-12))}
    if region_error_weight:
        wide = region.expand_as(pixels)
        error = ((decoded - pixels).abs() * wide).sum() / wide.sum().clamp(min=1.0)
        total = total + region_error_weight * error
    if region_weight and decoded.shape[2] > 1:
        change = (decoded[:, :, 1:] - decoded[:, :, :-1]) - (pixels[:, :, 1:] - pixels[:, :, :-1])
        both = torch.maximum(region[:, :, 1:], region[:, :, :-1]).expand_as(change)
        inside = (change.abs() * both).sum() / both.sum().clamp(min=1.0)
        total = total + region_weight * inside
        parts["region_change"] = float(inside.detach())
    return total, parts


class CodecTask:
    """Trains a Wan VAE on pixels.

    Args:
        vae: `AutoencoderKLWan`.
        options: Loss and curriculum.
    """

    ROLE = "codec"

    def __init__(self, vae: Any, options: CodecOptions) -> None:
        self.options = options
        vae.train().requires_grad_(True)
        if options.decoder_only:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)
        self.network = CodecNetwork(vae)
        self.trained: Sequence[Trained] = (
            Trained(
                name=self.ROLE,
                network=self.network,
                parameters={
                    name: parameter
                    for name, parameter in self.network.named_parameters()
                    if parameter.requires_grad
                },
                rates=options.rates,
            ),
        )
        self.wrapped: Any = self.network
        self.frames = 1

    def phase(self, update: int) -> str:
        """Always the codec; its clips grow by the curriculum."""
        self.frames = self.options.frames_at(update)
        return self.ROLE

    def start(self, accelerator: Any, networks: Mapping[str, Any], *, sharded: bool) -> None:  # noqa: ARG002
        """Take the wrapped codec."""
        self.wrapped = networks[self.ROLE]

    def loss(self, phase: str, batch: Batch, draws: Draws) -> tuple[Tensor, Mapping[str, float]]:  # noqa: ARG002
        """Reconstruction of a random stretch of each clip."""
        pixels, boxes = self._cut(batch, draws)
        latent_frames = (self.frames - 1) // 4 + 1
        shape = (len(pixels), 16, latent_frames, pixels.shape[3] // 8, pixels.shape[4] // 8)
        pieces = self._pieces()
        noise = torch.cat([torch.randn((pieces, *shape[1:]), generator=g) for g in draws.samples])
        decoded, mean, log_variance = self.wrapped(pixels, noise.to(pixels.device))
        region = region_mask(boxes, pixels.shape[3], pixels.shape[4])
        options = self.options
        total, parts = codec_loss(
            decoded, pixels, region, options.region_weight, options.region_error_weight
        )
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        return total + options.divergence_weight * divergence, parts

    def report(self, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:  # noqa: ARG002
        """Nothing beyond the loss."""
        return {}

    def _pieces(self) -> int:
        """Stretches taken from every clip."""
        return max(1, self.options.frames_per_clip // self.frames)

    def _cut(self, batch: Batch, draws: Draws) -> tuple[Tensor, Tensor]:
        """Random stretches of every sample: pixels (N, 3, T, H, W) in -1..1, boxes (N, T, 4)."""
        frames, boxes = batch["frames"], batch["regions"]
        spare = frames.shape[1] - self.frames
        if spare < 0:
            raise InputError(
                f"clips of {frames.shape[1]} frames came; the curriculum asks for {self.frames}"
            )
        starts = [
            (i, int(s))
            for i, g in enumerate(draws.samples)
            for s in torch.randint(spare + 1, (self._pieces(),), generator=g)
        ]
        cut = [frames[i, s : s + self.frames] for i, s in starts]
        pixels = torch.stack(cut).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return pixels, torch.stack([boxes[i, s : s + self.frames] for i, s in starts])


@torch.no_grad()
def measure_latents(vae: Any, clips: Iterable[Tensor]) -> tuple[list[float], list[float]]:
    """Measure mean and spread of each latent channel and enter them in the codec's configuration.

    Args:
        vae: A trained codec.
        clips: Pixels (1, 3, 4 n - 3, H, W) in -1..1.

    Returns:
        Means and spreads, one per channel.
    """
    count, total, square = 0, 0.0, 0.0
    for pixels in clips:
        latents = vae.encode(pixels).latent_dist.mode().double()
        count += latents.numel() // latents.shape[1]
        total = total + latents.sum((0, 2, 3, 4))
        square = square + latents.square().sum((0, 2, 3, 4))
    if not count:
        raise InputError("no clip came to measure the latents of; give at least one")
    mean = torch.as_tensor(total) / count
    spread = (torch.as_tensor(square) / count - mean**2).clamp(min=1e-12).sqrt()
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=spread.tolist())
    return mean.tolist(), spread.tolist()
