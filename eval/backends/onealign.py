"""Q-Align scores by OneAlign: loading, preparation of pictures, the five levels' logits.

Needs the two published files and LLaMA's tokenizer; 16 GB for half precision, 8 and 5 for 8 and 4
bits.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from eval.measure import CannotMeasure
from eval.quality import LEVELS

if TYPE_CHECKING:
    from eval.backends.onealign_network import OneAlign

MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
STD: Final = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's image statistics."""

BEFORE: Final = "USER: How would you rate the quality of this {}?\n"
AFTER: Final = "\nASSISTANT: The quality of the {} is"
GIGABYTES: Final = {16: 16.5, 8: 9.0, 4: 6.0}
"""Free memory needed by bits per weight."""

Bits = Literal[16, 8, 4]
Kind = Literal["image", "video"]


def prepare(rgb: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Pad a picture to a square with CLIP's mean colour and scale it, as the reference does.

    Args:
        rgb: uint8, (height, width, 3).
        size: Pixels per side of the network's input.

    Returns:
        float32, (3, size, size), normalised.
    """
    from PIL import Image

    height, width = rgb.shape[:2]
    side = max(height, width)
    square = Image.new("RGB", (side, side), tuple(int(255 * each) for each in MEAN))
    square.paste(Image.fromarray(rgb), ((side - width) // 2, (side - height) // 2))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255
    scaled = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


class Wording:
    """The prompt and the five levels as LLaMA's tokens.

    Args:
        encode: Text to token ids without a start token, as SentencePiece does.
        start: Id of the start token.
    """

    def __init__(self, encode: Any, start: int) -> None:
        self._encode = encode
        self._start = start
        self.levels = [int(encode(word)[0]) for word in LEVELS]

    def ends(self, kind: Kind) -> tuple[list[int], list[int]]:
        """Return the tokens before and after the picture."""
        before = [self._start, *self._encode(BEFORE.format(kind))]
        return before, list(self._encode(AFTER.format(kind)))


class QAlignScorer:
    """Answers with the logits of the five levels.

    Args:
        network: In evaluation mode, on its device.
        wording: Its tokens.
        device: Torch device string.
    """

    def __init__(self, network: "OneAlign", wording: Wording, device: str) -> None:
        self._network = network
        self._wording = wording
        self._device = device

    @property
    def image_size(self) -> int:
        """Pixels per side that `prepare` must produce."""
        return self._network.config.image_size

    def look(self, picture: NDArray[np.float32]) -> Any:
        """Return the visual tokens of one prepared picture, (queries + 1, C), on the device."""
        import torch

        kind = self._network.model.embed_tokens.weight.dtype
        with torch.inference_mode():
            batch = torch.from_numpy(picture)[None].to(self._device, kind)
            return self._network.look(batch)[0]

    def judge(self, looked: list[Any], kind: Kind) -> NDArray[np.float64]:
        """Return the five logits, (5,), for one picture or for the pictures of a video."""
        import torch

        before, after = (torch.tensor(ids, device=self._device) for ids in self._wording.ends(kind))
        with torch.inference_mode():
            logits = self._network(before, torch.cat(looked), after)
        chosen = logits[self._wording.levels].float().cpu().numpy()
        return np.asarray(chosen, dtype=np.float64)


@lru_cache(maxsize=1)
def load_scorer(files: tuple[Path, ...], tokenizer: Path, bits: Bits, device: str) -> QAlignScorer:
    """Return the scorer, kept for the life of the process.

    Args:
        files: The published files of parameters.
        tokenizer: LLaMA's `tokenizer.model`.
        bits: Per weight of the linear layers.
        device: Torch device string.

    Raises:
        CannotMeasure: Too little memory is free.
    """
    import sentencepiece
    import torch

    from eval.backends.onealign_network import OneAlign, OneAlignConfig
    from eval.backends.quantisation import quantise

    free = free_gigabytes(device)
    if free < GIGABYTES[bits]:
        raise CannotMeasure(
            "memory_missing",
            f"OneAlign at {bits} bits needs {GIGABYTES[bits]:g} GB of free memory on {device}, "
            f"there are {free:.1f}: choose quality/qalign-8bit, quality/qalign-4bit or "
            f"quality/light",
        )
    with torch.device("meta"):
        network = OneAlign(OneAlignConfig())
    load_parameters(network, files)
    if bits != 16:
        quantise(network.model.layers, bits)
    reader = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    network = network.eval().requires_grad_(False).to(device)
    return QAlignScorer(network, Wording(reader.encode, reader.bos_id()), device)


def load_parameters(network: "OneAlign", files: tuple[Path, ...]) -> None:
    """Give a network (also one without memory yet) the half-precision parameters of files.

    Raises:
        RuntimeError: The files are not those of this network.
    """
    import torch

    state: dict[str, Any] = {}
    for file in files:
        state |= torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    # Rotary frequencies are computed; some files carry them.
    wanted = {key: value.half() for key, value in state.items() if "rotary_emb" not in key}
    network.load_state_dict(wanted, strict=True, assign=True)


def free_gigabytes(device: str) -> float:
    """Return free memory of a device in GB; of the machine for 'cpu'."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.mem_get_info(device)[0]) / 1e9
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024 / 1e9
    return 0.0
