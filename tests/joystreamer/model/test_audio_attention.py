import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from joystreamer.errors import InputError
from joystreamer.model.audio_attention import AudioAttention, AudioProjector
from joystreamer.model.speaker_routing import SpeakerRoute, route_speakers

WIDTH, HEADS, FRAMES, ROWS, COLUMNS, AUDIO = 24, 2, 3, 4, 4, 8


@pytest.fixture
def attention() -> AudioAttention:
    torch.manual_seed(0)
    layer = AudioAttention(WIDTH, HEADS, 1e-6, AUDIO)
    torch.nn.init.normal_(layer.to_out[0].weight)
    return layer


def make_projector(**overrides) -> AudioProjector:
    torch.manual_seed(0)
    sizes = {
        "audio_dim": 6,
        "audio_layers": 3,
        "audio_window": 8,
        "audio_tokens": 5,
        "audio_token_dim": AUDIO,
        "audio_hidden_dim": 16,
        "audio_layer_fusion": "concatenate",
    }
    return AudioProjector(**{**sizes, **overrides})


def half_masks(batch: int = 1) -> Tensor:
    """Left half speaker 0, right half speaker 1, bottom row silence."""
    masks = torch.zeros(batch, 3, ROWS, COLUMNS)
    masks[:, 0, :-1, :2] = 1
    masks[:, 1, :-1, 2:] = 1
    masks[:, 2, -1] = 1
    return masks


def slow_attention(layer: AudioAttention, video: Tensor, audio: Tensor, masks: Tensor) -> Tensor:
    """The paper's formula read literally: a full pass per stream and frame, masked and summed."""
    batch, streams = masks.shape[:2]
    spread = audio.view(batch, streams, FRAMES, -1, AUDIO)
    out = torch.zeros_like(video)
    pixels = ROWS * COLUMNS
    for sample in range(batch):
        for frame in range(FRAMES):
            part = slice(frame * pixels, (frame + 1) * pixels)
            query = layer.norm_q(layer.to_q(video[sample, part]))
            for stream in range(streams):
                heard = spread[sample, stream, frame]
                key, value = layer.norm_k(layer.to_k(heard)), layer.to_v(heard)
                heads = [
                    tensor.view(-1, HEADS, WIDTH // HEADS).transpose(0, 1)
                    for tensor in (query, key, value)
                ]
                scores = heads[0] @ heads[1].transpose(1, 2) / (WIDTH // HEADS) ** 0.5
                answer = (scores.softmax(-1) @ heads[2]).transpose(0, 1).flatten(1)
                out[sample, part] += masks[sample, stream].flatten()[:, None] * answer
    return F.linear(out, layer.to_out[0].weight, layer.to_out[0].bias)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_one_grouped_call_equals_a_masked_pass_per_speaker(attention, soft):
    video = torch.randn(2, FRAMES * ROWS * COLUMNS, WIDTH)
    audio = torch.randn(2 * 3 * FRAMES, 5, AUDIO)
    masks = torch.rand(2, 3, ROWS, COLUMNS).softmax(dim=1) if soft else half_masks(2)
    fast = attention(video, audio, route_speakers(masks, FRAMES))
    torch.testing.assert_close(
        fast, slow_attention(attention, video, audio, masks), atol=1e-5, rtol=1e-4
    )


def test_one_stream_needs_no_routing(attention):
    video = torch.randn(2, FRAMES * ROWS * COLUMNS, WIDTH)
    audio = torch.randn(2 * FRAMES, 5, AUDIO)
    ones = torch.ones(2, 1, ROWS, COLUMNS)
    plain = attention(video, audio, SpeakerRoute())
    routed = attention(video, audio, route_speakers(ones, FRAMES))
    torch.testing.assert_close(plain, routed, atol=1e-6, rtol=1e-5)


def test_a_speakers_audio_moves_only_its_own_region(attention):
    video = torch.randn(1, FRAMES * ROWS * COLUMNS, WIDTH)
    audio = torch.randn(1, 3, FRAMES, 5, AUDIO)
    masks = half_masks()
    route = route_speakers(masks, FRAMES)
    before = attention(video, audio.flatten(0, 2), route)
    for stream in range(3):
        other = audio.clone()
        other[:, stream] += 1
        moved = (attention(video, other.flatten(0, 2), route) != before).any(dim=-1)
        region = masks[0, stream].flatten().bool().repeat(FRAMES)
        assert torch.equal(moved[0], region)


def test_a_moment_of_audio_moves_only_its_own_latent(attention):
    video = torch.randn(1, FRAMES * ROWS * COLUMNS, WIDTH)
    audio = torch.randn(FRAMES, 5, AUDIO)
    before = attention(video, audio, SpeakerRoute())
    audio[1] += 1
    moved = (attention(video, audio, SpeakerRoute()) != before).any(dim=-1)
    assert moved.view(FRAMES, -1).float().mean(dim=1).tolist() == [0.0, 1.0, 0.0]


def test_a_part_of_the_sequence_gives_that_part_of_the_answer(attention):
    """What a process of a context-parallel group computes from its own tokens alone."""
    video = torch.randn(1, FRAMES * ROWS * COLUMNS, WIDTH)
    audio = torch.randn(3 * FRAMES, 5, AUDIO)
    whole = attention(video, audio, route_speakers(half_masks(), FRAMES))
    parts = [
        attention(video[:, start:stop], audio, route_speakers(half_masks(), FRAMES, start, stop))
        for start, stop in ((0, 7), (7, 30), (30, 48))
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-6, rtol=1e-5)


def test_gradients_flow_to_video_audio_and_soft_masks(attention):
    video = torch.randn(1, FRAMES * ROWS * COLUMNS, WIDTH, requires_grad=True)
    audio = torch.randn(3 * FRAMES, 5, AUDIO, requires_grad=True)
    logits = torch.randn(1, 3, ROWS, COLUMNS, requires_grad=True)
    attention(video, audio, route_speakers(logits.softmax(1), FRAMES)).square().sum().backward()
    for leaf in (video, audio, logits):
        assert leaf.grad is not None
        assert bool((leaf.grad != 0).any())


def test_a_new_layer_is_silent():
    layer = AudioAttention(WIDTH, HEADS, 1e-6, AUDIO)
    video = torch.randn(1, FRAMES * ROWS * COLUMNS, WIDTH)
    assert not layer(video, torch.randn(FRAMES, 5, AUDIO), SpeakerRoute()).any()


def test_the_projector_groups_by_sample_stream_and_frame():
    projector = make_projector()
    features = torch.randn(2, 3, 4, 8, 3, 6)
    tokens = projector(features)
    assert tokens.shape == (2 * 3 * 4, 5, AUDIO)
    alone = projector(features[1:, 2:, 3:])
    torch.testing.assert_close(tokens[(1 * 3 + 2) * 4 + 3], alone[0])
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(24, 5), atol=1e-5, rtol=0)


def test_silence_and_null_audio_differ():
    projector = make_projector()
    null = projector(torch.zeros(1, 1, 1, 8, 3, 6))
    silence = projector(torch.full((1, 1, 1, 8, 3, 6), 0.05))
    assert not torch.allclose(null, silence)


def test_a_weighted_mixture_of_layers_starts_even_and_learns():
    projector = make_projector(audio_layer_fusion="weighted")
    features = torch.randn(1, 1, 2, 8, 3, 6)
    even = features.mean(dim=4, keepdim=True).expand_as(features)
    torch.testing.assert_close(projector(features), projector(even))
    projector(features).square().sum().backward()
    assert projector.layer_logits is not None
    assert projector.layer_logits.grad is not None
    assert projector.linear_1.in_features == 8 * 6


def test_features_of_another_encoder_are_refused():
    with pytest.raises(
        InputError, match=r"takes \(batch, streams, latents, 8, 3, 6\); use the speech"
    ):
        make_projector()(torch.zeros(1, 1, 1, 8, 12, 768))
    with pytest.raises(InputError, match="'sum'; it must be one of concatenate, weighted"):
        make_projector(audio_layer_fusion="sum")
