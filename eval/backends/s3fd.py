"""S3FD face detection, batched, with the reference's arithmetic.

The layers' weights come from `syncnet_python`. Its own forward pass builds the anchors in a Python
loop for every picture and decodes one picture at a time; here anchors are kept per picture size and
decoding is vectorised. The layers run through ncnn on a processor (`eval.backends.s3fd_winograd`) and
through torch elsewhere. Raw outputs agree within 1e-4 and boxes within 1e-3 px. Constants: eval docs
`metrics/sync.md`; source: Zhang et al., "S3FD" (2017), as used by joonson/syncnet_python.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eval.backends.s3fd_winograd import WinogradLayers, has_ncnn, joint_head
from eval.backends.syncnet import load_state
from eval.face_tracks import Boxes
from eval.measure import CannotMeasure
from joystreamer.errors import MissingExtra

SCALE: Final = 0.25
"""Pictures are shrunk to a quarter: the smallest anchor then fits a face of 64 px."""
MIN_SCORE: Final = 0.9
MEAN_RGB: Final = (123.0, 117.0, 104.0)
"""Subtracted per channel, on the scale 0 to 255."""
INNER_OVERLAP: Final = 0.3
OUTER_OVERLAP: Final = 0.1
CANDIDATES: Final = 5000
FACES: Final = 750
VARIANCES: Final = (0.1, 0.2)
ANCHORS_PX: Final = (16, 32, 64, 128, 256, 512)
STRIDES_PX: Final = (4, 8, 16, 32, 64, 128)

TAPS: Final = (16, 23, 30)
"""Where the backbone is tapped, each with its own norm."""

Layers = Callable[[NDArray[np.float32]], list[torch.Tensor]]


def load_s3fd(path: Path, device: str = "cpu") -> "S3FDFinder":
    """Load the detector from its weights file.

    Args:
        path: `sfd_face.pth`, a plain state dict.
        device: Torch device string.

    Raises:
        MissingExtra: `syncnet-python` is not installed.
        InputError: The file is not S3FD's state dict.
    """
    network = new_s3fd()
    load_state(network, path, "S3FD")
    return S3FDFinder(fastest_layers(network, device))


def fastest_layers(network: nn.Module, device: str = "cpu") -> Layers:
    """Return the layers as they run fastest: through ncnn on a processor where it is installed.

    Args:
        network: `S3FDNet` of syncnet-python.
        device: Torch device string.
    """
    if device == "cpu" and has_ncnn():
        return WinogradLayers(network, TAPS)
    return TorchLayers(network, device)


def new_s3fd() -> nn.Module:
    """Return the detector's layers with fresh random weights.

    Raises:
        MissingExtra: `syncnet-python` is not installed.
    """
    try:
        from syncnet_python.detectors.s3fd.nets import S3FDNet
    except ImportError as error:
        raise MissingExtra(
            f"S3FD needs the package syncnet-python ({error}); install the extra 'eval'."
        ) from error
    network: nn.Module = S3FDNet(device="cpu")
    return network


class TorchLayers:
    """The layers through torch, on any device.

    Args:
        network: `S3FDNet` of syncnet-python.
        device: Torch device string.
    """

    def __init__(self, network: Any, device: str = "cpu") -> None:
        self._device = torch.device(device)
        network = network.eval().requires_grad_(False).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)
        self._heads = [
            joint_head(network, index).to(self._device).to(memory_format=torch.channels_last)
            for index in range(len(STRIDES_PX))
        ]

    def __call__(self, pixels: NDArray[np.float32]) -> list[torch.Tensor]:
        """Return the answers of the six heads.

        Args:
            pixels: float32, (n, height, width, 3), RGB, mean subtracted.

        Returns:
            Per head, finest first: float32 (n, rows, columns, 4 + classes); box offsets, then the
            logits of "no face" (three on the finest head, else one) and "face".
        """
        with torch.inference_mode():
            x = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
            features = self._features(x)
            return [
                head(feature).permute(0, 2, 3, 1)
                for head, feature in zip(self._heads, features, strict=True)
            ]

    def _features(self, x: torch.Tensor) -> list[torch.Tensor]:
        network = self._network
        norms = (network.L2Norm3_3, network.L2Norm4_3, network.L2Norm5_3)
        features, start = [], 0
        for stop, norm in zip(TAPS, norms, strict=True):
            for layer in network.vgg[start:stop]:
                x = layer(x)
            features.append(norm(x))
            start = stop
        for layer in network.vgg[start:]:
            x = layer(x)
        features.append(x)
        for index, layer in enumerate(network.extras):
            x = torch.relu(layer(x))
            if index % 2:
                features.append(x)
        return features


class S3FDFinder:
    """Finds faces in batches.

    Args:
        layers: Answers the heads' maps for pictures; see `TorchLayers`.
        scale: Factor by which pictures are shrunk first.
        min_score: Faces below are dropped.
    """

    def __init__(
        self, layers: Layers, *, scale: float = SCALE, min_score: float = MIN_SCORE
    ) -> None:
        self._layers = layers
        self._scale = scale
        self._min_score = min_score

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return faces per picture; see `eval.sync.networks.FaceFinder`.

        Raises:
            CannotMeasure: The pictures are too small for the network.
        """
        if not images:
            return []
        height, width = images[0].shape[:2]
        batch = np.stack([self._shrink(image) for image in images])
        if min(map(min, _map_sizes(*batch.shape[1:3]))) < 1:
            raise CannotMeasure(
                "too_small",
                f"the picture measures {width} x {height}; no face in it is large enough",
            )
        places, scores = self.raw(batch)
        anchors = anchor_boxes(batch.shape[1], batch.shape[2])
        size = np.array([width, height, width, height], np.float32)
        faces = []
        for place, score in zip(places, scores, strict=True):
            keep = score > self._min_score
            order = np.argsort(-score[keep], kind="stable")[:CANDIDATES]
            boxes = decode_boxes(place[keep][order], anchors[keep][order])
            ranked = score[keep][order]
            inner = suppress(boxes, INNER_OVERLAP)[:FACES]
            pixels = np.column_stack([boxes[inner] * size, ranked[inner]]).astype(np.float64)
            faces.append(pixels[suppress(pixels[:, :4], OUTER_OVERLAP)])
        return faces

    def _shrink(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        small: NDArray[np.uint8] = cv2.resize(
            image, (0, 0), fx=self._scale, fy=self._scale, interpolation=cv2.INTER_LINEAR
        )
        return small

    def raw(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the network's answer for pictures of its own size.

        Args:
            images: uint8, (n, height, width, 3), RGB.

        Returns:
            Box offsets, float32 (n, anchors, 4), and face probabilities, float32 (n, anchors).
        """
        pixels = images.astype(np.float32) - np.array(MEAN_RGB, np.float32)
        places, logits = [], []
        for answer in self._layers(pixels):
            places.append(answer[..., :4].flatten(1, 2))
            nothing = answer[..., 4:-1].amax(dim=-1)  # the strongest of the finest head's three
            logits.append(torch.stack([nothing, answer[..., -1]], dim=-1).flatten(1, 2))
        scores = torch.softmax(torch.cat(logits, dim=1), dim=-1)[..., 1]
        return torch.cat(places, dim=1).cpu().numpy(), scores.cpu().numpy()


@lru_cache(maxsize=8)
def anchor_boxes(height: int, width: int) -> NDArray[np.float32]:
    """Return the anchors of a picture size as shares of it: float32, (n, 4), centre and size."""
    parts = []
    for rows, columns, anchor, stride in zip(
        *_map_sizes(height, width), ANCHORS_PX, STRIDES_PX, strict=True
    ):
        y, x = np.mgrid[:rows, :columns]
        centre = np.stack([(x + 0.5) * stride / width, (y + 0.5) * stride / height], axis=-1)
        size = np.broadcast_to([anchor / width, anchor / height], centre.shape)
        parts.append(np.concatenate([centre, size], axis=-1).reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)


def _map_sizes(height: int, width: int) -> tuple[list[int], list[int]]:
    """Rows and columns of the six feature maps."""
    sizes = []
    for side in (height, width):
        fine = side // 2 // 2
        middle = -(-fine // 2)  # this pooling rounds up, the others down
        coarse = middle // 2
        last = coarse // 2
        extra = (last - 1) // 2 + 1
        sizes.append([fine, middle, coarse, last, extra, (extra - 1) // 2 + 1])
    return sizes[0], sizes[1]


def decode_boxes(places: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn offsets into boxes.

    Args:
        places: (n, 4) offsets.
        anchors: (n, 4) centre and size.

    Returns:
        float32, (n, 4): left, top, right, bottom as shares of the picture.
    """
    centre = anchors[:, :2] + places[:, :2] * np.float32(VARIANCES[0]) * anchors[:, 2:]
    size = anchors[:, 2:] * np.exp(places[:, 2:] * np.float32(VARIANCES[1]))
    corner = centre - size / 2
    return np.concatenate([corner, corner + size], axis=1)


def suppress(boxes: NDArray[Any], max_overlap: float) -> NDArray[np.int64]:
    """Return which boxes stay when each removes the later ones it overlaps too much.

    Args:
        boxes: (n, 4), best first.
        max_overlap: Intersection over union above which the later box goes.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        left = left[shared / (areas[best] + areas[left] - shared) <= max_overlap]
    return np.array(kept, dtype=np.int64)
