"""A narrow network of SyncNet's shape that was trained on puppets: the embedder of `sync/puppet`.

Same interface and order of layers as SyncNet's, a quarter of the widths, smaller kernels for crops of 40
pixels. Its weights are the project's own and come with it (`benchmarks.puppet.sync_training` makes them).
Distances are in nats: it was trained so that the difference of two distances is the log odds of two shifts.
"""

from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from eval.backends.syncnet import NetworkEmbedder
from eval.puppet.faces import CROP_PX
from joystreamer.errors import InputError

QUIET: Final = 5.0
"""Least log energy that it hears: below lies a signal of one step of 16 bits, which is silence. Without
this floor digital silence (-36) and the faint noise that a codec makes of it (-4 to 5) differ more than
speech and silence do."""
SIZE: Final = 128
"""Numbers per embedding."""


class NarrowSyncNet(nn.Module):
    """Embeds five frames around a mouth, and 0.2 s of sound, as `SIZE` numbers each."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnlip = nn.Sequential(
            *_seen(3, 24, (5, 5, 5), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_seen(24, 64, (1, 5, 5), padding=(0, 1, 1)),
            *_seen(64, 64, (1, 3, 3), padding=(0, 1, 1)),
            *_seen(64, 64, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_seen(64, 128, (1, 2, 2)),
        )
        self.netcnnaud = nn.Sequential(
            *_heard(1, 16, (3, 3), padding=1),
            *_heard(16, 32, (3, 3), padding=1),
            nn.MaxPool2d((3, 3), stride=(1, 2)),
            *_heard(32, 64, (3, 3), padding=1),
            *_heard(64, 64, (3, 3), padding=1),
            nn.MaxPool2d((3, 3), stride=(2, 2)),
            *_heard(64, 128, (5, 4)),
        )
        self.netfclip = _head()
        self.netfcaud = _head()

    def forward_lip(self, crops: torch.Tensor) -> torch.Tensor:
        """Embed windows of pictures.

        Args:
            crops: float, (n, 3, 5, 40, 40), BGR from 0 to 255.

        Returns:
            (n, `SIZE`).
        """
        embedded: torch.Tensor = self.netfclip(self.netcnnlip(crops).flatten(1))
        return embedded

    def forward_aud(self, rows: torch.Tensor) -> torch.Tensor:
        """Embed windows of sound.

        Args:
            rows: float, (n, 1, 13, 20), MFCCs of `eval.mfcc`, log energy first.

        Returns:
            (n, `SIZE`).
        """
        energy = rows[:, :, :1].clamp(min=QUIET)
        heard = self.netcnnaud(torch.cat([energy, rows[:, :, 1:]], dim=2))
        embedded: torch.Tensor = self.netfcaud(heard.flatten(1))
        return embedded


def load_puppet_syncnet(path: Path, device: str = "cpu") -> NetworkEmbedder:
    """Load the network from its weights file.

    Args:
        path: Safetensors of `NarrowSyncNet`; convolutions may be stored in 16 bits.
        device: Torch device string.

    Raises:
        InputError: The file holds something else.
    """
    network = NarrowSyncNet()
    try:
        network.load_state_dict({name: part.float() for name, part in load_file(path).items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"'{path}' does not hold the puppets' sync network ({type(error).__name__}); restore it "
            "from the repository, or train it with 'python -m benchmarks.puppet.sync_training'."
        ) from error
    return NetworkEmbedder(network, side=CROP_PX, device=device)


def _seen(into: int, out: int, kernel: tuple[int, int, int], **how: Any) -> list[nn.Module]:
    return [nn.Conv3d(into, out, kernel, **how), nn.BatchNorm3d(out), nn.ReLU(inplace=True)]


def _heard(into: int, out: int, kernel: tuple[int, int], **how: Any) -> list[nn.Module]:
    return [nn.Conv2d(into, out, kernel, **how), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def _head() -> nn.Sequential:
    layers = [nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(128, SIZE))
