"""Features for set metrics: Inception by torch-fidelity (FID), I3D as TorchScript (FVD).

Both are optional; the weights are the user's.
"""

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from joystreamer.errors import MissingExtra

I3D_SIZE: Final = 224
I3D_FRAMES: Final = 16


class InceptionFeatures:
    """The 2048 channels of TensorFlow's Inception before its last layer.

    Args:
        path: File of torch-fidelity's weights.
        device: Torch device string.

    Raises:
        MissingExtra: torch-fidelity is not installed.
    """

    frames: Final = 1

    def __init__(self, path: Path, device: str) -> None:
        try:
            library: Any = import_module("torch_fidelity.feature_extractor_inceptionv3")
        except ImportError as error:
            raise MissingExtra(
                "torch-fidelity is not installed: run `pip install joystreamer[sets]`"
            ) from error
        build: Any = library.FeatureExtractorInceptionV3
        network = build("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
        self._network = network.to(device).eval()
        self._device = device

    def features(self, clip: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return one feature per frame, (frames, 2048), of (frames, height, width, 3)."""
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(clip.transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            (found,) = self._network(batch.to(self._device))
        return np.asarray(found.double().cpu().numpy())


class I3DFeatures:
    """The I3D of Kinetics-400 as TorchScript, before its softmax.

    Pictures are squeezed to 224 x 224 (bilinear) and scaled to [-1, 1], as the network expects;
    LatentSync feeds [0, 1], so its FVD is on another footing.

    Args:
        path: File of `i3d_torchscript.pt`.
        device: Torch device string.
    """

    frames: Final = I3D_FRAMES

    def __init__(self, path: Path, device: str) -> None:
        import torch

        load: Any = torch.jit.load
        with warnings.catch_warnings():
            # The published file is TorchScript, which PyTorch has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            self._network = load(str(path), map_location=device).eval()
        self._device = device

    def features(self, clip: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return one feature, (1, channels), of a piece of 16 frames (16, height, width, 3)."""
        import torch
        from torch.nn import functional

        frames = torch.from_numpy(np.ascontiguousarray(clip.transpose(0, 3, 1, 2))).to(self._device)
        size = (I3D_SIZE, I3D_SIZE)
        scaled = functional.interpolate(frames.float(), size, mode="bilinear", align_corners=False)
        batch = (scaled / 127.5 - 1).transpose(0, 1)[None]
        with torch.inference_mode():
            found = self._network(batch, rescale=False, resize=False, return_features=True)
        return np.asarray(found.double().cpu().numpy())
