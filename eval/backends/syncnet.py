"""SyncNet, and any network of its interface, as an embedder of lips and sound.

The network itself comes from `syncnet_python`; here it is loaded safely and run fast. Its visual
branch has one kernel that spans the five frames of a window and otherwise only kernels of one frame,
so the whole track goes through as pictures: five frames side by side as channels, all further layers
as two-dimensional ones with batch norms folded in. That is the same arithmetic in another order
(relative difference about 1e-6). The audio branch pads in time and therefore stays windowed.
"""

from copy import copy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from eval.sync.networks import VIDEO_WINDOW
from joystreamer.errors import InputError, MissingExtra

WINDOWS_AT_ONCE: Final = 4
"""Windows per forward pass: enough to keep two cores busy, 20 MB of activations."""
_VISUAL: Final = ("netcnnlip", "netfclip")
"""SyncNet's names for the layers and the head of its visual branch."""

_FOREIGN_FILE: Final = (
    AttributeError,
    EOFError,
    KeyError,
    OSError,
    LookupError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
)
"""What torch raises for a file that is cut off, of another format, or of another network."""


def load_syncnet(path: Path, device: str = "cpu") -> "NetworkEmbedder":
    """Load the authors' network from their weights file.

    Args:
        path: `syncnet_v2.model`, a plain state dict.
        device: Torch device string.

    Raises:
        MissingExtra: `syncnet-python` is not installed.
        InputError: The file is not SyncNet's state dict.
    """
    network = new_syncnet()
    load_state(network, path, "SyncNet")
    return NetworkEmbedder(network, device=device)


def new_syncnet() -> nn.Module:
    """Return the authors' network with fresh random weights.

    Raises:
        MissingExtra: `syncnet-python` is not installed.
    """
    try:
        from syncnet_python.SyncNetModel import S
    except ImportError as error:
        raise MissingExtra(
            f"SyncNet needs the package syncnet-python ({error}); install the extra 'eval'."
        ) from error
    network: nn.Module = S()
    return network


def load_state(network: nn.Module, path: Path, what: str) -> None:
    """Load a state dict without running any code of the file.

    Raises:
        InputError: The file holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except _FOREIGN_FILE as error:
        raise InputError(
            f"'{path}' is not a state dict of {what} ({type(error).__name__}); fetch the weights "
            "again with 'python -m eval weights fetch'."
        ) from error


class NetworkEmbedder:
    """Runs a network of SyncNet's interface.

    Args:
        network: Has `forward_lip` for (n, 3, 5, side, side) float pictures in BGR from 0 to 255,
            and `forward_aud` for (n, 1, 13, 20) MFCCs. When it has SyncNet's `netcnnlip` and
            `netfclip` as well, the visual branch runs fully convolutionally.
        side: Height and width of the crops it was trained on.
        device: Torch device string.
    """

    def __init__(self, network: nn.Module, *, side: int = 224, device: str = "cpu") -> None:
        self.side = side
        self._device = torch.device(device)
        self._network: Any = network.eval().requires_grad_(False).to(self._device)
        self._flat = flatten_visual(self._network)
        if self._flat is not None:
            self._network = _without_visual(self._network)

    def see(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed every window of five consecutive crops; see `eval.sync.networks.SyncEmbedder`."""
        shape = (self.side, self.side, 3)
        if crops.ndim != 4 or crops.shape[1:] != shape or len(crops) < VIDEO_WINDOW:
            raise ValueError(f"crops are (n >= {VIDEO_WINDOW}, {shape}), got {crops.shape}")
        count = len(crops) - VIDEO_WINDOW + 1
        parts = []
        with torch.inference_mode():
            for start in range(0, count, WINDOWS_AT_ONCE):
                stop = min(count, start + WINDOWS_AT_ONCE)
                part = torch.from_numpy(crops[start : stop + VIDEO_WINDOW - 1]).to(self._device)
                parts.append(self._see(part).float().cpu().numpy())
        return np.concatenate(parts)

    def _see(self, crops: torch.Tensor) -> torch.Tensor:
        """(n, side, side, 3) uint8 to (n - 4, d)."""
        windows = crops.unfold(0, VIDEO_WINDOW, 1)  # (w, side, side, 3, 5)
        if self._flat is not None:
            stacked = windows.permute(0, 1, 2, 4, 3).reshape(len(windows), self.side, self.side, -1)
            features: torch.Tensor = self._flat(stacked.float().permute(0, 3, 1, 2))
            return features
        clips = windows.permute(0, 3, 4, 1, 2).float()
        embedded: torch.Tensor = self._network.forward_lip(clips)
        return embedded

    def hear(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed windows of sound; see `eval.sync.networks.SyncEmbedder`."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(windows), 32):
                part = torch.from_numpy(windows[start : start + 32]).to(self._device)
                heard: torch.Tensor = self._network.forward_aud(part.transpose(1, 2)[:, None])
                parts.append(heard.float().cpu().numpy())
        return np.concatenate(parts)


def flatten_visual(network: nn.Module) -> nn.Module | None:
    """Return SyncNet's visual branch as two-dimensional layers, or None if it is built otherwise.

    The result maps (n, 15, side, side), five frames of BGR as channels in time order, to (n, d).
    """
    layers, head = (getattr(network, name, None) for name in _VISUAL)
    if not (isinstance(layers, nn.Sequential) and isinstance(head, nn.Sequential)):
        return None
    flat: list[nn.Module] = []
    for index, layer in enumerate(layers):
        one = _flat_layer(layer, first=index == 0)
        if one is None:
            return None
        flat.append(one)
    folded = _fold(flat)
    return nn.Sequential(*folded, nn.Flatten(), *head).to(memory_format=torch.channels_last)


def _flat_layer(layer: nn.Module, *, first: bool) -> nn.Module | None:
    """Turn a layer that does not mix moments (or, as the first one, all five) into a flat one."""
    if isinstance(layer, nn.Conv3d):
        depth = layer.kernel_size[0]
        spans = depth == VIDEO_WINDOW if first else depth == 1
        plain = layer.groups == 1 and layer.dilation == (1, 1, 1) and layer.stride[0] == 1
        padding: Any = layer.padding
        if not (spans and plain) or isinstance(padding, str) or padding[0]:
            return None
        weight = layer.weight.permute(0, 2, 1, 3, 4).flatten(1, 2)
        flat = nn.Conv2d(
            weight.shape[1],
            weight.shape[0],
            (layer.kernel_size[1], layer.kernel_size[2]),
            stride=(layer.stride[1], layer.stride[2]),
            padding=padding[1:],
            bias=layer.bias is not None,
        )
        state = {"weight": weight} | ({} if layer.bias is None else {"bias": layer.bias})
        flat.load_state_dict(state)
        return flat.to(weight.device).requires_grad_(False)
    if isinstance(layer, nn.BatchNorm3d):
        norm = nn.BatchNorm2d(layer.num_features, eps=layer.eps)
        norm.load_state_dict(layer.state_dict())
        return norm.to(layer.weight.device).eval().requires_grad_(False)
    if isinstance(layer, nn.MaxPool3d):
        sizes = [_three(value) for value in (layer.kernel_size, layer.stride, layer.padding)]
        if [size[0] for size in sizes] != [1, 1, 0] or layer.ceil_mode:
            return None
        kernel, stride, padding = (size[1:] for size in sizes)
        return nn.MaxPool2d(kernel, stride, padding)
    return nn.ReLU(inplace=True) if isinstance(layer, nn.ReLU) else None


def _without_visual(network: nn.Module) -> nn.Module:
    """Return the same network without its visual layers, which would only take memory here."""
    rest = copy(network)
    kept = {name: one for name, one in network.named_children() if name not in _VISUAL}
    rest.__dict__["_modules"] = kept  # the given network keeps its own
    return rest


def _three(value: Any) -> tuple[int, int, int]:
    return (value, value, value) if isinstance(value, int) else tuple(value)


def _fold(layers: list[nn.Module]) -> list[nn.Module]:
    """Fold every batch norm into the convolution before it."""
    folded: list[nn.Module] = []
    for layer in layers:
        last = folded[-1] if folded else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(last, nn.Conv2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                last.weight,
                last.bias,
                layer.running_mean,
                layer.running_var,
                layer.eps,
                layer.weight,
                layer.bias,
            )
            last.weight, last.bias = weight, bias
            last.requires_grad_(False)
        else:
            folded.append(layer)
    return folded
