"""DINOv2 embeddings by timm, or with the numerics of transformers, from the same file of weights.

At the native 518 pixels both agree to 1e-5. At 224 they resample the position embeddings
differently (timm with antialiasing, transformers without), which moves cosines by up to 2e-3: two
specs.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
"""ImageNet statistics, as DINOv2 was trained with."""

PATCH: Final = 14

Size = Literal["small", "base", "large", "giant"]
Numerics = Literal["timm", "transformers"]
Fit = Literal["crop", "letterbox"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DinoSpec:
    """Which network sees a picture, and how the picture is brought to it.

    Attributes:
        size: ViT-S, B, L or G, all with patches of 14.
        image_size: Pixels per side of the network's input.
        resize: Short side (crop) to which the picture is scaled first; bicubic, antialiased.
        fit: Centre crop, or padding to a square with the mean colour.
        numerics: Whose position embeddings.
    """

    size: Size = "base"
    image_size: int = 224
    resize: int = 256
    fit: Fit = "crop"
    numerics: Numerics = "timm"


def prepare(rgb: NDArray[np.uint8], spec: DinoSpec) -> NDArray[np.float32]:
    """Bring a picture to the network's input.

    Args:
        rgb: uint8, (height, width, 3).
        spec: How.

    Returns:
        float32, (3, image_size, image_size), normalised.
    """
    from PIL import Image

    side = spec.image_size
    height, width = rgb.shape[:2]
    image = Image.fromarray(rgb)
    if spec.fit == "crop":
        scale = spec.resize / min(height, width)
        # The short side exactly, the long side rounded down: torchvision's rule.
        size = tuple(
            spec.resize if each == min(height, width) else int(each * scale)
            for each in (width, height)
        )
        image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
        pixels = np.asarray(image.crop((left, top, left + side, top + side)))
    else:
        scale = side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        colour = tuple(round(255 * each) for each in MEAN)
        square = Image.new("RGB", (side, side), colour)
        place = ((side - size[0]) // 2, (side - size[1]) // 2)
        square.paste(image.resize(size, Image.Resampling.BICUBIC), place)
        pixels = np.asarray(square)
    scaled = (pixels.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(
        STD, np.float32
    )
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


@lru_cache(maxsize=2)
def load_embedder(path: Path, spec: DinoSpec, device: str) -> "DinoEmbedder":
    """Return the network of a spec, kept for the life of the process."""
    if spec.numerics == "timm":
        return DinoEmbedder(load_timm(path, spec), device)
    from safetensors.torch import load_file

    return DinoEmbedder(as_transformers(load_file(path)), device)


def load_timm(path: Path, spec: DinoSpec) -> Any:
    """Return timm's network for the spec's input size with the weights of a safetensors file."""
    import timm

    return timm.create_model(
        f"vit_{spec.size}_patch14_dinov2.lvd142m",
        pretrained=True,
        pretrained_cfg_overlay={"file": str(path)},
        img_size=spec.image_size,
        num_classes=0,
    )


def as_transformers(state: dict[str, Any]) -> Any:
    """Return transformers' network with timm's weights, at their position embeddings' size."""
    from transformers import Dinov2Config, Dinov2Model

    width = state["cls_token"].shape[-1]
    side = round((state["pos_embed"].shape[1] - 1) ** 0.5)
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
        num_attention_heads=width // 64,
        image_size=side * PATCH,
        patch_size=PATCH,
        use_swiglu_ffn=_is_gated(state),
        use_mask_token=False,
    )
    model = Dinov2Model(config)
    model.load_state_dict(transformers_state(state), strict=True)
    return model


def transformers_state(state: dict[str, Any]) -> dict[str, Any]:
    """Rename timm's parameters to transformers' names; the fused query-key-value is split."""
    renamed: dict[str, Any] = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
    }
    gated = _is_gated(state)
    inner = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "mlp.weights_in" if gated else "mlp.fc1",
        "mlp.fc2": "mlp.weights_out" if gated else "mlp.fc2",
    }
    for key, value in state.items():
        if not key.startswith("blocks."):
            continue
        _, index, rest = key.split(".", 2)
        layer = f"encoder.layer.{index}"
        module, _, kind = rest.rpartition(".")
        if module == "attn.qkv":
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"{layer}.attention.attention.{name}.{kind}"] = part
        elif kind == "gamma":
            renamed[f"{layer}.layer_scale{module[-1]}.lambda1"] = value
        else:
            renamed[f"{layer}.{inner[module]}.{kind}"] = value
    return renamed


def _is_gated(state: dict[str, Any]) -> bool:
    """Whether the feed-forward layers are gated (ViT-G): their first half feeds the second."""
    first, second = state["blocks.0.mlp.fc1.weight"], state["blocks.0.mlp.fc2.weight"]
    return bool(first.shape[0] == 2 * second.shape[1])


class DinoEmbedder:
    """A network that turns prepared pictures into CLS embeddings after the final norm."""

    def __init__(self, model: Any, device: str) -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._device = device

    def embed(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings.

        Args:
            pictures: (n, 3, size, size) from `prepare`.

        Returns:
            float32, (n, channels).
        """
        import torch

        with torch.inference_mode():
            result = self._model(torch.from_numpy(pictures).to(self._device))
        vectors = result if isinstance(result, torch.Tensor) else result.pooler_output
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
