"""The pipeline end to end at tiny size: lengths, history, speakers, guidance, save and load."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from joystreamer.denoiser import GuidedDenoiser
from joystreamer.errors import InputError, MissingWeights
from joystreamer.options import ScaleSchedule
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.presets import tiny_sampling
from joystreamer.probes import DriftGuard
from joystreamer.scene import Scene, StreamState
from tests.joystreamer.made_media import make_speech

FAST = tiny_sampling(
    height=32, width=32, steps=1, text_scale=ScaleSchedule(1.0), audio_scale=ScaleSchedule(1.0)
)


def scene(seconds=1.0, speakers=1, **changes):
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    tracks = tuple(make_speech(seconds, pitch=100.0 + 40 * index) for index in range(speakers))
    regions = None
    if speakers > 1:
        regions = np.zeros((speakers, 40, 48), np.bool_)
        for index in range(speakers):
            regions[index, :, 16 * index : 16 * index + 14] = True
    return Scene(**{"image": image, "tracks": tracks, "fragments": ("a man talks",),
                    "regions": regions, **changes})  # fmt: skip


@pytest.mark.parametrize(("seconds", "lengths"), [(0.1, [3]), (3.04, [76]), (3.2, [76, 4])])
def test_frames_cover_the_sound_exactly(tiny_pipeline, seconds, lengths):
    parts = list(tiny_pipeline.stream(scene(seconds), FAST))
    assert [len(part.frames) for part in parts] == lengths
    for part in parts:
        assert part.frames.shape[1:] == (32, 32, 3)
        assert part.frames.dtype == np.uint8
        assert part.latents.shape == (1, 16, 19, 4, 4)
        assert part.state.history.shape == (9, 32, 32, 3)


def test_a_segment_depends_only_on_the_state_before_it(tiny_pipeline):
    """Any segment can be rendered again from its seed and the nine frames before it."""
    long = scene(4.0)
    whole = list(tiny_pipeline.stream(long, FAST))
    again = next(tiny_pipeline.stream(long, FAST, state=whole[0].state))
    assert again.segment.index == 1
    assert np.array_equal(again.frames, whole[1].frames)
    other = replace(whole[0].state, history=255 - whole[0].state.history)
    assert not np.array_equal(
        next(tiny_pipeline.stream(long, FAST, state=other)).frames, whole[1].frames
    )


def test_history_is_the_last_nine_frames_and_leads_the_decoding(tiny_pipeline):
    first = next(tiny_pipeline.stream(scene(3.04), FAST))
    assert np.array_equal(first.state.history, first.frames[-9:])
    latents = tiny_pipeline._encode_frames(first.state.history)
    assert latents.shape == (1, 16, 3, 4, 4)
    decoded = tiny_pipeline._decode_latents(torch.cat([latents, first.latents], dim=2))
    assert decoded.shape == (85, 32, 32, 3)


def test_first_segment_may_be_seeded_with_the_reference(tiny_pipeline):
    empty = next(tiny_pipeline.stream(scene(1.0), FAST))
    seeded = next(tiny_pipeline.stream(scene(1.0), replace(FAST, first_segment="reference")))
    assert seeded.frames.shape == empty.frames.shape
    assert not np.array_equal(seeded.frames, empty.frames)


def test_seed_sampler_offset_and_sound_all_matter(tiny_pipeline):
    short = scene(0.4)
    base = next(tiny_pipeline.stream(short, FAST)).latents
    assert torch.equal(base, next(tiny_pipeline.stream(short, FAST)).latents)
    for changed in (
        replace(FAST, seed=1),
        replace(FAST, sampler="euler", shift=3.0),
        replace(FAST, sampler="distilled"),
        replace(FAST, reference_offset=3.0),
    ):
        assert not torch.equal(base, next(tiny_pipeline.stream(short, changed)).latents)
    louder = replace(short, tracks=(make_speech(0.4, pitch=300.0),))
    assert not torch.equal(base, next(tiny_pipeline.stream(louder, FAST)).latents)


def test_three_speakers_hear_their_own_track_in_their_own_region(tiny_pipeline):
    """After one call of the network a changed voice may spread by self-attention, yet most of the
    change is where its speaker is."""
    trio = scene(0.4, speakers=3, fragments=("they talk",))
    wide = replace(FAST, height=32, width=96)
    base = next(tiny_pipeline.stream(trio, wide)).latents
    tracks = (trio.tracks[0], make_speech(0.4, pitch=400.0), trio.tracks[2])
    moved = next(tiny_pipeline.stream(replace(trio, tracks=tracks), wide)).latents
    change = (moved - base).abs().mean(dim=(0, 1, 2, 3))
    assert change.shape == (12,)
    assert change[4:8].mean() > 1.5 * change[[0, 1, 2, 9, 10, 11]].mean()


def test_the_networks_only_see_what_guidance_needs(tiny_pipeline):
    """Scales of one run B alone, equal scales N and B, else all three, batched or not."""
    rows: list[int] = []
    handle = tiny_pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["hidden_states"])), with_kwargs=True
    )
    results = {}
    try:
        for scales, batched in (((1, 1), True), ((4, 4), True), ((5, 4), True), ((5, 4), False)):
            text, audio = (ScaleSchedule(float(scale)) for scale in scales)
            options = replace(FAST, text_scale=text, audio_scale=audio, batch_guidance=batched)
            latents = next(tiny_pipeline.stream(scene(0.4), options)).latents
            results[scales, batched] = latents, list(rows)
            rows.clear()
    finally:
        handle.remove()
    assert [seen for _, seen in results.values()] == [[1], [2], [3], [1, 1, 1]]
    torch.testing.assert_close(
        results[(5, 4), True][0], results[(5, 4), False][0], atol=2e-4, rtol=1e-3
    )


def test_skipping_branches_is_eq_2_exactly():
    """Against the formula written out, with networks that only tell their branch."""

    class Network:
        dtype = torch.float32

        def cache_context(self, name):
            return torch.no_grad()

        def __call__(self, hidden_states, encoder_hidden_states, audio_features, **_):
            text, audio = encoder_hidden_states[:, 0, 0], audio_features.flatten(1)[:, 0]
            return ((2 * text + 5 * audio).view(-1, 1, 1, 1, 1).expand_as(hidden_states),)

    from joystreamer.denoiser import SegmentConditions

    conditions = SegmentConditions(
        text=torch.full((1, 512, 4), 3.0),
        negative_text=torch.full((1, 512, 4), 0.5),
        reference=torch.zeros(1, 16, 1, 2, 2),
        motion=None,
        audio=torch.ones(1, 1, 2, 8, 1, 1),
    )
    negative, text, both = 1.0, 6.0, 11.0
    for a_t, a_a in ((1, 1), (4, 4), (5, 4), (1, 3), (0, 0), (2, 0), (0, 3), (5, 0.1)):
        for batched in (True, False):
            denoiser = GuidedDenoiser(
                Network(), conditions, ScaleSchedule(a_t), ScaleSchedule(a_a), batched
            )
            got = denoiser(torch.zeros(1, 16, 2, 2, 2), 500.0)
            expected = negative + a_a * (both - text) + a_t * (text - negative)
            assert got.flatten()[0].item() == pytest.approx(expected, abs=1e-4), (a_t, a_a)
            assert got.shape == (1, 16, 2, 2, 2)


def test_fragments_reach_their_segments(tiny_pipeline):
    told = scene(4.0, fragments=("a man talks", "the dog jumps"))
    segments = tiny_pipeline.plan(told, FAST)
    assert [segment.fragment for segment in segments] == [0, 1]
    other = replace(told, fragments=("a man talks", "red red red"))
    one, two = (list(tiny_pipeline.stream(each, FAST)) for each in (told, other))
    assert np.array_equal(one[0].frames, two[0].frames)
    assert not np.array_equal(one[1].frames, two[1].frames)


def test_callback_sees_every_step_and_may_change_latents(tiny_pipeline):
    seen = []

    def callback(pipeline, step, timestep, tensors):
        seen.append((step, timestep))
        return {"latents": torch.zeros_like(tensors["latents"])}

    options = replace(FAST, steps=3)
    part = next(tiny_pipeline.stream(scene(0.4), options, callback_on_step_end=callback))
    assert [step for step, _ in seen] == [0, 1, 2]
    assert not part.latents.any()


@pytest.mark.parametrize(
    ("output_type", "check"),
    [
        ("pil", lambda frames: len(frames) == 10 and isinstance(frames[0], Image.Image)),
        ("np", lambda frames: frames.shape == (10, 32, 32, 3) and frames.max() <= 1),
        ("pt", lambda frames: frames.shape == (10, 3, 32, 32) and frames.dtype == torch.float32),
        ("latent", lambda frames: frames.shape == (1, 16, 19, 4, 4)),
    ],
)
def test_output_types(tiny_pipeline, portrait, output_type, check):
    given = tiny_pipeline(
        Image.fromarray(portrait), make_speech(0.4), "A man talks.", options=FAST,
        output_type=output_type, seed=2,
    )  # fmt: skip
    assert check(given.frames)
    assert given.fragments == ("A man talks.",)


def test_drift_guard_acts_only_on_measured_drift(tiny_pipeline):
    calls = []

    def probe(clip):
        calls.append(clip.frames.shape)
        return {"level": float(clip.frames.mean()), "constant": 1.0}

    still = DriftGuard(probe=probe, limits={"constant": 0.5})
    plain = list(tiny_pipeline.stream(scene(4.0), FAST))
    watched = list(tiny_pipeline.stream(scene(4.0), FAST, guard=still))
    assert len(calls) == 2
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(plain, watched, strict=True))
    strict = DriftGuard(probe=probe, limits={"level": 0.0})
    acted = list(tiny_pipeline.stream(scene(4.0), FAST, guard=strict))
    assert [part.drifted for part in acted] == [(), ("level",)]
    assert np.array_equal(acted[1].frames, plain[1].frames)
    assert not np.array_equal(acted[1].state.history, acted[1].frames[-9:])
    assert abs(acted[1].state.history.mean() - acted[0].frames[-9:].mean()) < 2.0


def test_regions_can_be_found_again_in_each_segment(tiny_pipeline):
    asked = []

    def locate(frame):
        asked.append(frame.copy())
        return np.stack([np.ones((32, 32), np.bool_)])

    regions = np.zeros((1, 40, 48), np.bool_)
    regions[0, :, :24] = True
    parts = list(tiny_pipeline.stream(scene(4.0, regions=regions, locate=locate), FAST))
    assert len(asked) == 1
    assert np.array_equal(asked[0], parts[0].frames[-1])


def test_save_and_load_give_the_same_clip(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path / "saved")
    loaded = JoyStreamerPipeline.from_pretrained(tmp_path / "saved")
    loaded.set_progress_bar_config(disable=True)
    one, two = (
        next(pipeline.stream(scene(0.4), replace(FAST, steps=2))).frames
        for pipeline in (tiny_pipeline, loaded)
    )
    assert np.array_equal(one, two)
    assert loaded.config.boundary_ratio == 0.875
    assert not list((tmp_path / "saved").rglob("*.bin"))


def test_one_expert_is_enough(tiny_pipeline):
    parts = dict(tiny_pipeline.components)
    single = JoyStreamerPipeline(**{**parts, "transformer_2": None})
    single.set_progress_bar_config(disable=True)
    assert next(single.stream(scene(0.4), FAST)).frames.shape == (10, 32, 32, 3)


def test_scenes_that_do_not_fit_are_refused_in_one_sentence(tiny_pipeline):
    cases: list[tuple[dict[str, Any], str]] = [
        ({"fragments": ()}, "the prompt is empty"),
        ({"tracks": (np.zeros(0, np.float32),)}, "there is no sound"),
        ({"image": np.zeros((8, 8), np.uint8)}, r"the image has type uint8 and shape \(8, 8\)"),
        ({"tracks": (make_speech(0.3),) * 8}, "8 speakers are heard but no regions say where"),
        ({"regions": np.ones((1, 9, 9), np.bool_)}, r"need \(1, 40, 48\): draw one mask"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message):
            next(tiny_pipeline.stream(scene(0.3, **changes), FAST))
    with pytest.raises(InputError, match="multiples of 32 up to 4096: 96x64 is the nearest"):
        next(tiny_pipeline.stream(scene(0.3), replace(FAST, height=50, width=100)))
    with pytest.raises(
        InputError, match="output_type 'gif' came; choose one of pil, np, pt, latent"
    ):
        tiny_pipeline(scene().image, make_speech(0.3), "talks", output_type="gif")


def test_a_missing_component_is_named(tiny_pipeline):
    parts: dict[str, Any] = {**tiny_pipeline.components, "vae": None}
    with pytest.raises(MissingWeights, match="the pipeline lacks vae; load a complete folder"):
        next(JoyStreamerPipeline(**parts).stream(scene(0.3), FAST))


def test_a_foreign_speech_encoder_is_refused(tiny_pipeline):
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from joystreamer.presets import tiny_speech_config

    other = Wav2Vec2Model(Wav2Vec2Config(**{**tiny_speech_config(), "num_hidden_layers": 2}))
    parts: dict[str, Any] = {**tiny_pipeline.components, "audio_encoder": other}
    with pytest.raises(InputError, match=r"gives layers x channels of \(2, 32\) but"):
        next(JoyStreamerPipeline(**parts).stream(scene(0.3), FAST))


def test_resuming_state_is_all_that_is_needed(tiny_pipeline):
    state = StreamState(next_index=1, history=np.zeros((9, 32, 32, 3), np.uint8))
    parts = list(tiny_pipeline.stream(scene(4.0), FAST, state=state))
    assert [part.segment.index for part in parts] == [1]


def test_silence_works(tiny_pipeline):
    silent = scene(tracks=(np.zeros(3_200, np.float32),))
    assert next(tiny_pipeline.stream(silent, FAST)).frames.shape == (5, 32, 32, 3)
