"""The tiny transformer and the inputs of one tiny segment (64x64 pixels)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from joystreamer.model.audio_attention import AudioAttention
from joystreamer.model.configurations import tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel

FRAMES, SIZE = 3, 8  # latents; 8 is 64 pixels


def teach_to_listen(model: nn.Module) -> None:
    """Give the zero-initialised audio outputs weights, as training would."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, AudioAttention):
            weight = module.to_out[0].weight
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1


@pytest.fixture
def make_model() -> Callable[..., JoyStreamerTransformer3DModel]:
    def make(*, listening: bool = True, **overrides: Any) -> JoyStreamerTransformer3DModel:
        torch.manual_seed(0)
        model = JoyStreamerTransformer3DModel(**{**tiny_transformer_config(), **overrides})
        if listening:
            teach_to_listen(model)
        return model.eval()

    return make


@pytest.fixture
def model(
    make_model: Callable[..., JoyStreamerTransformer3DModel],
) -> JoyStreamerTransformer3DModel:
    return make_model()


def make_segment(batch: int = 1, streams: int = 1, frames: int = FRAMES) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    inputs = {
        "hidden_states": noise(batch, 16, frames, SIZE, SIZE),
        "timestep": torch.linspace(900.0, 400.0, batch),
        "encoder_hidden_states": noise(batch, 16, 32),
        "reference_latents": noise(batch, 16, 1, SIZE, SIZE),
        "motion_latents": noise(batch, 16, 3, SIZE, SIZE),
        "audio_features": noise(batch, streams, frames, 8, 4, 32),
    }
    if streams > 1:
        labels = torch.arange((SIZE // 2) ** 2).view(SIZE // 2, SIZE // 2) % streams
        masks = nn.functional.one_hot(labels, streams).permute(2, 0, 1).float()
        inputs["speaker_masks"] = masks[None].expand(batch, -1, -1, -1)
    return inputs


@pytest.fixture
def segment() -> Callable[..., dict[str, Tensor]]:
    """A maker of inputs: `segment(batch=..., streams=..., frames=...)`."""
    return make_segment
