"""S3FD's layers through ncnn, whose 3x3 convolutions on a processor are Winograd's F(4x4, 3x3).

Nearly all of the detector's 38 thousand million operations per 720p frame are 3x3 convolutions of
stride 1. Winograd's algorithm does them with a quarter of the multiplications in single precision
(deep layers: with less than half); with ncnn's transforms around them a frame takes about half the time of syncnet-python's, and errors
against double precision are of the size of a plain convolution's (tests/parity). torch has no such
convolution, and one put together from its operations loses the gain to reading and writing memory.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2016); ncnn by Tencent. Knows
nothing of pictures, anchors or faces.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from joystreamer.errors import MissingExtra

MAGIC: Final = 7767517
"""First line of ncnn's text format."""
_SMALL_MAP: Final = "-23330=4,3,20,11,512"
"""Shape hint (columns, rows, channels): for maps of this kind ncnn picks F(2x2, 3x3), whose weights
take less than half the memory of F(4x4, 3x3). On the smallest maps it is as fast; on those before
them it is slower, and taken for the 50 MB."""
_STRIPES: Final = tuple(f"stripe{index}" for index in range(12))
"""The first block, whose maps are the largest, runs in stripes of a picture, whose maps stay in a
core's cache and take little memory. The lowest picture, of 28 rows, still has two rows for each."""
_FIRST_BLOCK: Final = 5
"""Backbone layers in it."""
_NO_WINOGRAD: Final = "31=64"
"""Three channels are too few for its transforms."""
_SMALL_FROM: Final = 16
"""Index of the backbone's layer after which maps are small."""
_HALF_PRECISION: Final = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)


def has_ncnn() -> bool:
    """Say whether the package is installed."""
    return find_spec("ncnn") is not None


class WinogradLayers:
    """S3FD's layers on a processor; holds weights of its own.

    Args:
        network: `S3FDNet` of syncnet-python; may be let go afterwards.
        taps: Backbone layers before which the three normalised features are taken.

    Raises:
        MissingExtra: `ncnn` is not installed.
    """

    def __init__(self, network: Any, taps: tuple[int, ...]) -> None:
        try:
            self._ncnn: Any = import_module("ncnn")
        except ImportError as error:
            raise MissingExtra(
                "S3FD by Winograd's convolutions needs the package ncnn; install the extra 'eval'."
            ) from error
        self._net = self._ncnn.Net()
        options = self._net.opt
        options.num_threads = 1  # pictures run side by side instead, which wastes nothing
        options.use_winograd63_convolution = False  # its larger tiles cost two digits
        for name in _HALF_PRECISION:
            setattr(options, name, False)
        with tempfile.TemporaryDirectory(prefix="joystreamer-s3fd-") as folder:
            text, weights = Path(folder) / "s3fd.param", Path(folder) / "s3fd.bin"
            with weights.open("wb") as file:
                graph = _Graph(file)
                graph.add_detector(network, taps)
            text.write_text(graph.text(), encoding="ascii")
            if self._net.load_param(str(text)) or self._net.load_model(str(weights)):
                raise RuntimeError("ncnn refused S3FD's layers")

    def __call__(self, pixels: NDArray[np.float32]) -> list[torch.Tensor]:
        """Return the answers of the six heads; see `eval.backends.s3fd.TorchLayers`."""
        workers = min(len(pixels), torch.get_num_threads())
        with ThreadPoolExecutor(workers) as pool:
            answers = list(pool.map(self._answer, pixels))
        return [torch.from_numpy(np.stack(maps)) for maps in zip(*answers, strict=True)]

    def _answer(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(rows, columns, 3) to six maps of (rows, columns, channels)."""
        stripes = cut_stripes(picture.transpose(2, 0, 1), len(_STRIPES))
        run = self._net.create_extractor()
        for name, stripe in zip(_STRIPES, stripes, strict=True):
            run.input(name, self._ncnn.Mat(stripe))  # points to the numbers, which stay in the list
        maps = []
        for index in range(6):
            failed, answer = run.extract(f"head{index}")
            if failed:
                raise RuntimeError(f"ncnn could not run S3FD on a picture of {picture.shape}")
            maps.append(np.array(answer).transpose(1, 2, 0))
        return maps


def cut_stripes(planes: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
    """Cut a picture into stripes for two 3x3 convolutions and a pooling by two.

    Every convolution takes a row at a cut, so that stripes reach two rows beyond their own.

    Args:
        planes: (channels, rows, columns), of at least 2 * count rows.
        count: Number of stripes, at least 2.

    Returns:
        Stripes from top to bottom, each contiguous and starting at an even row.
    """
    pairs = planes.shape[1] // 2
    cuts = [2 * (pairs * index // count) for index in range(1, count)]
    starts = [0, *(cut - 2 for cut in cuts)]
    stops = [*(cut + 2 for cut in cuts), planes.shape[1]]
    return [
        np.ascontiguousarray(planes[:, start:stop])
        for start, stop in zip(starts, stops, strict=True)
    ]


class _Graph:
    """Writes layers in ncnn's format: one line of text each, weights one after the other."""

    def __init__(self, weights: BinaryIO) -> None:
        self._weights = weights
        self._lines = [f"Input {name} 0 1 {name}" for name in _STRIPES]
        self._blobs = len(_STRIPES)

    def text(self) -> str:
        """Return the text file."""
        return "\n".join([str(MAGIC), f"{len(self._lines)} {self._blobs}", *self._lines, ""])

    def add_detector(self, network: Any, taps: tuple[int, ...]) -> None:
        """Add all layers; the heads' answers are `head0` to `head5`, boxes first, then classes."""
        norms = (network.L2Norm3_3, network.L2Norm4_3, network.L2Norm5_3)
        features, name = [], self._add_first_block(network.vgg[:_FIRST_BLOCK])
        for index, layer in enumerate(network.vgg[_FIRST_BLOCK:], _FIRST_BLOCK):
            if index in taps:
                tapped, name = self._split(name)
                norm = norms[taps.index(index)]
                features.append(self._normalise(f"norm{index}", tapped, norm.weight))
            hint = _SMALL_MAP if _SMALL_FROM <= index < taps[-1] else ""
            if isinstance(layer, nn.Conv2d):
                name = self._convolve(f"vgg{index}", name, layer, settings=hint)
            elif isinstance(layer, nn.MaxPool2d):
                rounding = int(not layer.ceil_mode)
                name = self._add("Pooling", f"vgg{index}", name, f"0=0 1=2 2=2 5={rounding} {hint}")
        for index, layer in enumerate(network.extras):
            if index % 2 == 0:
                tapped, name = self._split(name)
                features.append(tapped)
            name = self._convolve(f"extra{index}", name, layer)
        features.append(name)
        for index, feature in enumerate(features):
            self._convolve(
                f"head{index}", feature, joint_head(network, index), relu=False, settings="31=32"
            )

    def _add_first_block(self, layers: Any) -> str:
        """Add two convolutions and a pooling for every stripe of a picture, and join the answers."""
        ends = []
        for stripe in _STRIPES:
            # Zeros above and below the picture only.
            outer = f"14={int(stripe == _STRIPES[0])} 16={int(stripe == _STRIPES[-1])}"
            name = self._convolve(
                f"{stripe}_0", stripe, layers[0], settings=f"{outer} {_NO_WINOGRAD}"
            )
            name = self._convolve(f"{stripe}_2", name, layers[2], settings=outer)
            ends.append(self._add("Pooling", f"{stripe}_4", name, "0=0 1=2 2=2 5=1"))
        self._lines.append(f"Concat first {len(ends)} 1 {' '.join(ends)} first 0=1")
        self._blobs += 1
        return "first"

    def _add(self, kind: str, name: str, source: str, settings: str) -> str:
        self._lines.append(f"{kind} {name} 1 1 {source} {name} {settings}".rstrip())
        self._blobs += 1
        return name

    def _split(self, source: str) -> tuple[str, str]:
        """Ncnn gives every answer one reader; two readers need two names."""
        one, other = f"{source}_tap", f"{source}_on"
        self._lines.append(f"Split {source}_split 1 2 {source} {one} {other}")
        self._blobs += 2
        return one, other

    def _convolve(
        self, name: str, source: str, layer: nn.Conv2d, *, relu: bool = True, settings: str = ""
    ) -> str:
        assert layer.bias is not None
        self._write(torch.zeros(1))  # what follows is float32
        self._write(layer.weight)
        self._write(layer.bias)
        sides = (layer.kernel_size, layer.dilation, layer.stride, layer.padding)
        shape = " ".join(f"{key}={side[0]}" for key, side in enumerate(sides, 1))
        size = f"0={layer.out_channels} {shape} 15={layer.padding[0]} 5=1 6={layer.weight.numel()}"
        return self._add("Convolution", name, source, f"{size} 9={int(relu)} {settings}")

    def _normalise(self, name: str, source: str, weight: torch.Tensor) -> str:
        """Divide by the length over channels, times a weight per channel."""
        self._write(weight)
        return self._add("Normalize", name, source, f"0=0 1=0 2=1e-10 3={weight.numel()} 4=1 9=1")

    def _write(self, values: torch.Tensor) -> None:
        plain = values.detach().cpu().float().contiguous()
        plain.numpy().tofile(self._weights)


def joint_head(network: Any, index: int) -> nn.Conv2d:
    """Return one convolution for a feature's boxes (4 channels) and classes (2, or 4 on the finest)."""
    boxes, classes = network.loc[index], network.conf[index]
    joint = nn.Conv2d(boxes.in_channels, boxes.out_channels + classes.out_channels, 3, padding=1)
    for name in ("weight", "bias"):
        values = torch.cat([getattr(boxes, name), getattr(classes, name)])
        setattr(joint, name, nn.Parameter(values, requires_grad=False))
    return joint
