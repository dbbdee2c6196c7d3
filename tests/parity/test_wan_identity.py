"""With our additions absent, or new, the network is diffusers' `WanTransformer3DModel`, bit by bit."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel

from joystreamer.model.configurations import tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel

pytestmark = pytest.mark.parity
TEXT_TOKENS = 512  # Wan pads text to this length


def make_pair(**overrides: Any) -> tuple[JoyStreamerTransformer3DModel, WanTransformer3DModel]:
    torch.manual_seed(0)
    ours = JoyStreamerTransformer3DModel(**{**tiny_transformer_config(), **overrides}).eval()
    names = inspect.signature(WanTransformer3DModel.__init__).parameters
    wan = WanTransformer3DModel(**{k: v for k, v in ours.config.items() if k in names}).eval()
    mine = ours.state_dict()
    wan.load_state_dict({name: mine[name] for name in wan.state_dict()})
    return ours, wan


def noise(channels: int, batch: int = 2, frames: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "hidden_states": torch.randn(batch, channels, frames, 12, 16),
        "timestep": torch.tensor([937.5, 21.0])[:batch],
        "encoder_hidden_states": torch.randn(batch, TEXT_TOKENS, 32),
    }


@pytest.mark.parametrize("channels", [16, 36], ids=["text-to-video", "image-to-video"])
@pytest.mark.parametrize("audio", [None, "given"])
def test_equals_wan_while_additions_are_absent_or_new(channels, audio):
    ours, wan = make_pair(in_channels=channels)
    inputs = noise(channels)
    extra = {} if audio is None else {"audio_features": torch.randn(2, 1, 5, 8, 4, 32)}
    with torch.no_grad():
        assert torch.equal(ours(**inputs, **extra).sample, wan(**inputs).sample)


def test_equals_wan_with_several_new_speakers():
    ours, wan = make_pair()
    inputs = noise(16)
    masks = torch.zeros(2, 3, 6, 8)
    masks[:, 0, :, :3], masks[:, 1, :, 3:6], masks[:, 2, :, 6:] = 1, 1, 1
    with torch.no_grad():
        sample = ours(
            **inputs, audio_features=torch.randn(2, 3, 5, 8, 4, 32), speaker_masks=masks
        ).sample
        assert torch.equal(sample, wan(**inputs).sample)


def test_equals_wan_with_clip_image_tokens():
    """The Wan2.1 image-to-video family, whose text attention also sees image tokens."""
    ours, wan = make_pair(in_channels=36, image_dim=20, added_kv_proj_dim=96)
    inputs = noise(36, batch=1)
    image = torch.randn(1, 257, 20)
    with torch.no_grad():
        expected = wan(**inputs, encoder_hidden_states_image=image).sample
        assert torch.equal(ours(**inputs, encoder_hidden_states_image=image).sample, expected)


def test_gradients_equal_wans():
    ours, wan = make_pair()
    inputs = noise(16, batch=1, frames=2)
    for model in (ours, wan):
        model(**inputs).sample.square().sum().backward()
    theirs = dict(wan.named_parameters())
    for name, parameter in ours.named_parameters():
        if name in theirs:
            assert torch.equal(parameter.grad, theirs[name].grad), name
        else:
            assert parameter.grad is None, name


def test_equals_wan_in_bfloat16(tmp_path: Path):
    """Loaded in half precision, the same weights stay float32 in both."""
    ours, wan = make_pair()
    inputs = noise(16)
    samples = []
    for model in (ours, wan):
        model.save_pretrained(tmp_path / type(model).__name__)
        half = (
            type(model)
            .from_pretrained(tmp_path / type(model).__name__, torch_dtype=torch.bfloat16)
            .eval()
        )
        halved = {name: value.to(torch.bfloat16) for name, value in inputs.items()}
        with torch.no_grad():
            samples.append(half(**halved).sample)
        assert half.blocks[0].norm2.weight.dtype == torch.float32
        assert half.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert samples[0].dtype == torch.bfloat16
    assert torch.equal(*samples)
