import pytest
import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch.utils.flop_counter import FlopCounterMode

from joystreamer.errors import InputError
from joystreamer.model.configurations import paper_transformer_config, tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.model.wan_keys import is_addition


def run(model, inputs, **changes):
    with torch.no_grad():
        return model(**{**inputs, **changes}).sample


def test_it_predicts_the_noisy_latents_only(model, segment):
    inputs = segment(batch=2)
    sample = run(model, inputs)
    assert sample.shape == inputs["hidden_states"].shape
    assert torch.equal(model(**inputs, return_dict=False)[0], sample)


def test_every_condition_matters(model, segment):
    inputs = segment(streams=3)
    before = run(model, inputs)
    for name in ("reference_latents", "motion_latents", "audio_features", "encoder_hidden_states"):
        assert not torch.allclose(run(model, inputs, **{name: inputs[name] + 1}), before), name
    for name in ("reference_latents", "motion_latents", "audio_features"):
        assert not torch.allclose(run(model, inputs, **{name: None}), before), name


def test_clean_tokens_stand_at_level_zero(model, segment):
    """At level 0 the noisy and the clean modulation coincide, so the split must not matter."""
    inputs = segment()
    inputs["timestep"] = torch.zeros(1)
    split = run(model, inputs)
    blocks = model.blocks
    whole = [block.forward for block in blocks]
    for block, forward in zip(blocks, whole, strict=True):

        def one_level(hidden, text, temb, rope, noisy, mask, audio, route, forward=forward):
            assert temb.shape[1] == 2
            torch.testing.assert_close(temb[:, 0], temb[:, 1])
            return forward(hidden, text, temb[:, :1], rope, noisy, mask, audio, route)

        block.forward = one_level
    torch.testing.assert_close(run(model, inputs), split, atol=1e-5, rtol=1e-4)


def test_the_noise_level_reaches_noisy_tokens_only(model, segment):
    """The first block's modulation of clean tokens does not depend on the timestep."""
    inputs = segment()
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    run(model, inputs)
    run(model, inputs, timestep=inputs["timestep"] / 2)
    assert not torch.allclose(seen[0][:, 0], seen[1][:, 0])
    assert torch.equal(seen[0][:, 1], seen[1][:, 1])


def test_a_batch_equals_its_samples(model, segment):
    inputs = segment(batch=2, streams=3)
    both = run(model, inputs)
    for sample in range(2):
        alone = run(model, {name: value[sample : sample + 1] for name, value in inputs.items()})
        torch.testing.assert_close(both[sample : sample + 1], alone, atol=1e-5, rtol=1e-4)


def test_one_mask_serves_a_whole_batch(model, segment):
    inputs = segment(batch=2, streams=3)
    assert torch.equal(
        run(model, inputs, speaker_masks=inputs["speaker_masks"][:1]), run(model, inputs)
    )


def test_equal_streams_equal_one_stream(model, segment):
    inputs = segment()
    one = run(model, inputs)
    three = segment(streams=3)
    features = inputs["audio_features"].expand(-1, 3, -1, -1, -1, -1)
    many = run(model, inputs, audio_features=features, speaker_masks=three["speaker_masks"])
    torch.testing.assert_close(many, one, atol=1e-5, rtol=1e-4)


def test_null_audio_is_neither_absent_nor_silence(model, segment):
    inputs = segment()
    null = run(model, inputs, audio_features=torch.zeros_like(inputs["audio_features"]))
    silence = run(model, inputs, audio_features=torch.full_like(inputs["audio_features"], 0.05))
    absent = run(model, inputs, audio_features=None)
    assert not torch.allclose(null, silence)
    assert not torch.allclose(null, absent)


def test_the_reference_offset_comes_from_the_configuration_or_the_call(make_model, segment):
    inputs = segment()
    ten, three = make_model(), make_model(reference_offset=3.0)
    assert torch.equal(run(ten, inputs), run(ten, inputs, reference_offset=10.0))
    assert torch.equal(run(ten, inputs, reference_offset=3), run(three, inputs))
    assert not torch.allclose(run(ten, inputs), run(three, inputs))


def test_audio_can_be_limited_to_some_blocks(make_model, segment):
    model = make_model(audio_block_indices=(1, 3))
    assert [block.audio_attn is not None for block in model.blocks] == [False, True, False, True]
    run(model, segment())
    with pytest.raises(InputError, match=r"name blocks \[4, 12\]; the blocks are 0 to 3"):
        make_model(audio_block_indices=(0, 4, 12))


def test_three_buckets_and_an_image_to_video_base_work(make_model, segment):
    wide = make_model(motion_buckets=(1, 2, 16), in_channels=36)
    inputs = segment(frames=2)
    inputs["hidden_states"] = torch.randn(1, 36, 2, 16, 16)
    inputs["reference_latents"] = torch.randn(1, 16, 1, 16, 16)
    inputs["motion_latents"] = torch.randn(1, 16, 19, 16, 16)
    assert run(wide, inputs).shape == (1, 16, 2, 16, 16)


def test_three_speakers_cost_at_most_five_per_cent_more_than_one(make_model, segment, monkeypatch):
    model = make_model()
    calls = []

    def attend(query, *args, **kwargs):
        calls.append(query.shape)
        return dispatch_attention_fn(query, *args, **kwargs)

    monkeypatch.setattr("joystreamer.model.audio_attention.dispatch_attention_fn", attend)
    flops = {}
    for streams in (1, 4):
        inputs = segment(streams=streams)
        inputs["hidden_states"] = torch.randn(1, 16, 3, 32, 32)
        inputs["reference_latents"] = torch.randn(1, 16, 1, 32, 32)
        inputs["motion_latents"] = torch.randn(1, 16, 3, 32, 32)
        if streams > 1:
            labels = (torch.arange(16) // 4).expand(16, 16)
            inputs["speaker_masks"] = torch.stack([(labels == s).float() for s in range(4)])[None]
        calls.clear()
        with FlopCounterMode(display=False) as counter:
            run(model, inputs)
        flops[streams] = counter.get_total_flops()
        assert len(calls) == len(model.blocks)  # one grouped call per block, however many speak
        assert sum(shape[0] * shape[1] for shape in calls) == len(calls) * 3 * 16 * 16
    assert flops[4] / flops[1] < 1.05


def test_every_token_of_the_tiny_model_is_also_in_the_papers():
    def names(config):
        with torch.device("meta"):
            keys = JoyStreamerTransformer3DModel(**config).state_dict()
        return {key for key in keys if not key.startswith("blocks.") or int(key.split(".")[1]) < 4}

    tiny, paper = tiny_transformer_config(), paper_transformer_config()
    assert names(tiny) == names(paper)
    assert tiny.keys() == paper.keys()
    kept = ("patch_size", "motion_buckets", "reference_offset", "audio_window", "audio_tokens")
    assert all(tiny[name] == paper[name] for name in kept)
    assert tiny["num_layers"] >= 4
    assert tiny["num_attention_heads"] >= 2


def test_counts_of_the_papers_model():
    with torch.device("meta"):
        model = JoyStreamerTransformer3DModel(**paper_transformer_config())
    counts: dict[bool, list[int]] = {True: [], False: []}
    for name, tensor in model.state_dict().items():
        counts[is_addition(name)].append(tensor.numel())
    assert (len(counts[False]), sum(counts[False])) == (1095, 14_288_491_584)
    # Per block: q, k, v, o with bias, two RMS norms, one layer norm = 12 tensors.
    assert len(counts[True]) == 12 * 40 + 4 + 8
    audio_block = 2 * (5120 * 5120 + 5120) + 2 * (768 * 5120 + 5120) + 4 * 5120
    frame_pack = 16 * 5120 * (4 + 32) + 2 * 5120
    projector = 73_728 * 512 + 512 + 512 * 512 + 512 + 512 * 24_576 + 24_576 + 2 * 768
    assert sum(counts[True]) == 40 * audio_block + frame_pack + projector


@torch.no_grad()
def count_flops(layers: int, *, audio: bool) -> int:
    """Operations of a 480x832 segment through so many blocks, counted without weights."""
    with torch.device("meta"):
        model = JoyStreamerTransformer3DModel(
            **{**paper_transformer_config(), "num_layers": layers}
        )
        inputs = {
            "hidden_states": torch.empty(1, 16, 19, 60, 104),
            "timestep": torch.empty(1),
            "encoder_hidden_states": torch.empty(1, 512, 4096),
            "reference_latents": torch.empty(1, 16, 1, 60, 104),
            "motion_latents": torch.empty(1, 16, 3, 60, 104),
        }
        if audio:
            inputs["audio_features"] = torch.empty(1, 1, 19, 8, 12, 768)
        with FlopCounterMode(display=False) as counter:
            model(**inputs)
    return counter.get_total_flops()


def test_operations_of_the_papers_segment():
    totals = {}
    for audio in (False, True):
        one, two = (count_flops(layers, audio=audio) for layers in (1, 2))
        totals[audio] = one + 39 * (two - one)
    assert totals[True] == pytest.approx(1.834e15, rel=1e-3)
    assert totals[True] / totals[False] < 1.08  # speech, against Wan at equal tokens


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hidden_states": torch.zeros(1, 20, 3, 8, 8)},
            "latents have 20 channels; this model takes 16",
        ),
        (
            {"hidden_states": torch.zeros(1, 16, 3, 7, 8)},
            "7x8 do not divide by patches of 2x2.*16 x 16",
        ),
        (
            {"reference_latents": torch.zeros(1, 16, 2, 8, 8)},
            r"\(2, 8, 8\); the noisy latents need \(1, 8, 8\)",
        ),
        (
            {"reference_latents": torch.zeros(2, 16, 1, 8, 8)},
            "need the same batch and no more channels",
        ),
        ({"motion_latents": torch.zeros(1, 16, 2, 8, 8)}, "hold 2 latents; the buckets"),
        (
            {"audio_features": torch.zeros(1, 1, 4, 8, 4, 32)},
            "batch 1 and 4 latents; the noisy latents",
        ),
        ({"audio_features": torch.zeros(1, 2, 3, 8, 4, 32)}, "2 streams but speaker_masks is None"),
        ({"speaker_masks": torch.zeros(1, 1, 4, 4)}, "sum to one for every token"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(model, segment, change, message):
    with pytest.raises(InputError, match=message) as caught:
        run(model, segment(), **change)
    assert "\n" not in str(caught.value)


def test_patches_longer_than_one_latent_are_refused(make_model):
    with pytest.raises(InputError, match="patches span one latent in time"):
        make_model(patch_size=(2, 2, 2))
