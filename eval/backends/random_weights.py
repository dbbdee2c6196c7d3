"""Seeded stand-ins for weights that cannot be shipped: for parity and timing, never for scores.

A freshly built network maps everything to nearly the same embedding. Kaiming initialisation and
batch-norm statistics of one seeded batch give it activations of trained size, so that differences in
arithmetic show.
"""

from collections.abc import Callable

import torch
from torch import nn

from eval.backends.s3fd import new_s3fd
from eval.backends.syncnet import new_syncnet


def random_syncnet(seed: int) -> nn.Module:
    """Return SyncNet with calibrated random weights, in eval mode."""
    network = new_syncnet()
    dice = torch.Generator().manual_seed(seed)
    fill(network, dice)
    coarse = torch.rand(16, 15, 14, 14, generator=dice) * 255  # smooth pictures, as faces are
    pictures = nn.functional.interpolate(coarse, size=(224, 224), mode="bilinear")
    pictures = pictures.reshape(16, 5, 3, 224, 224).transpose(1, 2)
    sound = torch.randn(64, 1, 13, 20, generator=dice) * 8
    calibrate(network, lambda: (network.forward_lip(pictures), network.forward_aud(sound)))  # type: ignore[operator]
    return network


def random_s3fd(seed: int) -> nn.Module:
    """Return S3FD with Kaiming weights of the seed, in eval mode (it has no batch norm)."""
    network = new_s3fd()
    fill(network, torch.Generator().manual_seed(seed))
    return network.eval().requires_grad_(False)


def fill(network: nn.Module, dice: torch.Generator) -> None:
    """Draw every convolution and linear layer from Kaiming's normal distribution."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=dice)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.01, generator=dice)


def calibrate(network: nn.Module, run: Callable[[], object]) -> None:
    """Set the statistics of all batch norms from one pass."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean over all passes: here, of one
        norm.reset_running_stats()
    network.train()
    with torch.inference_mode(False), torch.no_grad():
        run()
    network.eval().requires_grad_(False)
