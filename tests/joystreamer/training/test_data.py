"""Manifests, caches and the codec's trainer on real little files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from joystreamer.conditioning.audio import SpeechEncoder, TrackScale, prepare_track
from joystreamer.errors import InputError
from joystreamer.media.audio import read_audio
from joystreamer.media.writing import write_clip
from joystreamer.presets import (
    tiny_speech_encoder,
    tiny_text_encoder,
    tiny_tokenizer,
    tiny_vae,
)
from joystreamer.training.codec import (
    CodecOptions,
    CodecTask,
    codec_loss,
    measure_latents,
    region_mask,
    start_gently,
)
from joystreamer.training.data import (
    CONDITIONS,
    CacheOptions,
    Encoders,
    build_cache,
    encode_frames,
)
from joystreamer.training.manifest import read_manifest
from joystreamer.training.pretraining import LearningStack, speech_windows
from joystreamer.training.shards import ShardedClips, ShardWriter, read_index
from joystreamer.training.task import Draws


def film(path: Path, seed: int, frames: int, height: int = 32, width: int = 32) -> None:
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 255, size=(height // 8, width // 8, 3), dtype=np.uint8)
    picture = picture.repeat(8, axis=0).repeat(8, axis=1)
    pictures = [np.roll(picture, index, axis=1) for index in range(frames)]
    sound = 0.1 * generator.standard_normal(640 * frames)
    write_clip(path, pictures, 25, audio=sound.astype(np.float32))


@pytest.fixture(scope="module")
def encoders():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoders(
            vae=tiny_vae(), tokenizer=tiny_tokenizer(), text_encoder=tiny_text_encoder(),
            speech_encoder=tiny_speech_encoder(), fingerprint="a",
        )  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    film(folder / "long.mp4", 0, 166)
    film(folder / "short.mp4", 1, 40)
    film(folder / "wide.mp4", 2, 89, 32, 64)
    lines = [
        {"video": "long.mp4", "caption": "a puppet walks", "id": "long", "tags": {"mode": "talk"}},
        {"video": "short.mp4", "caption": "too short", "id": "short"},
        {"video": "wide.mp4", "caption": "the camera pans", "id": "wide"},
        {"video": "long.mp4", "caption": "a puppet walks", "id": "again"},
    ]
    path = folder / "clips.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


OPTIONS = CacheOptions(
    contents=("latents", *CONDITIONS, "text", "text_ids", "audio", "speech"),
    area=64 * 32, precision="float32", per_shard=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(films, encoders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return folder, build_cache(read_manifest(films), folder, OPTIONS, encoders)


def test_windows_are_cut_deduplicated_bucketed_and_refusals_reported(cache):
    folder, report = cache
    assert (report.added, report.known) == (3, 2)
    assert "has 40 frames at 25 fps; a window needs 89 (3.56 s)" in report.refused["short"]
    assert json.loads((folder / "refused.json").read_text()) == dict(report.refused)
    clips = ShardedClips(folder)
    assert sorted(len(bucket) for bucket in clips.buckets()) == [1, 2]
    assert {entry["start"] for entry in clips.entries if entry["clip"] == "long"} == {0, 76}
    assert clips.entries[0]["tags"] == {"mode": "talk"}
    two = next(bucket for bucket in clips.buckets() if len(bucket) == 2)
    batch = clips.read(two)
    height, width = (int(n) // 8 for n in clips.entries[two[0]]["bucket"].split("x"))
    assert batch["latents"].shape == (2, 16, 19, height, width)
    assert batch["motion"].shape == (2, 16, 3, height, width)
    assert batch["reference"].shape == (2, 16, 1, height, width)
    assert batch["image_condition"].shape == (2, 16, 20, height, width)
    assert batch["text"].shape == (2, 256, 32)
    assert batch["audio"].shape == (2, 1, 19, 8, 4, 32)
    assert clips.constants()["negative_text"].shape == (1, 256, 32)
    assert clips.constants()["empty_text_ids"].dtype == torch.int64


def test_building_again_costs_nothing_and_other_weights_build_anew(
    cache, films, encoders, tmp_path
):
    folder, _ = cache
    again = build_cache(read_manifest(films), folder, OPTIONS, encoders)
    assert (again.added, again.known) == (0, 5)
    other = Encoders(**{name: getattr(encoders, name) for name in Encoders.__slots__})
    object.__setattr__(other, "fingerprint", "b")
    few = [record for record in read_manifest(films) if record.id == "wide"]
    assert build_cache(few, folder, OPTIONS, other).added == 1


def test_latents_are_what_the_segment_arithmetic_says(cache, encoders):
    folder, _ = cache
    clips = ShardedClips(folder, ["latents", "motion", "reference", "image_condition"])
    row = clips.read([0])
    # The text teacher's anchor is the last of the nine history frames, alone: the first slot of its
    # condition, which a causal codec encodes without looking ahead.
    alone = row["image_condition"][:, :, :1]
    assert alone.shape == row["reference"].shape
    assert not torch.allclose(alone, row["reference"])
    pixels = torch.zeros(1, 3, 1, 32, 32)
    assert encode_frames(encoders.vae, pixels).shape == (1, 16, 1, 4, 4)


def test_speech_that_trains_equals_speech_that_is_cached(cache, encoders, films):
    folder, _ = cache
    clips = ShardedClips(folder, ["audio", "speech"])
    index = next(i for i, entry in enumerate(clips.entries) if entry["clip"] == "wide")
    row = clips.read([index])
    with torch.no_grad():
        learned = speech_windows(encoders.speech_encoder, row["speech"])
    assert learned.shape == row["audio"].shape
    torch.testing.assert_close(learned, row["audio"], rtol=0, atol=2e-2)
    sound = read_audio(films.parent / "wide.mp4")
    assert sound is not None
    track = prepare_track(sound)
    direct = SpeechEncoder(encoders.speech_encoder).windows(track, TrackScale.of(track), 9, 19)
    torch.testing.assert_close(direct, row["audio"][0, 0])


def test_text_that_trains_equals_text_that_is_cached(cache, encoders):
    folder, _ = cache
    row = ShardedClips(folder, ["text", "text_ids", "text_mask"]).read([0])
    stack = LearningStack(torch.nn.Identity(), encoders.text_encoder)
    with torch.no_grad():
        learned = stack(lambda _network, text, _speech: text, row)
    torch.testing.assert_close(learned, row["text"], rtol=1e-4, atol=1e-5)


def test_a_stopped_build_keeps_full_shards_and_forgets_the_rest(tmp_path):
    writer = ShardWriter(tmp_path, 2)
    for number in range(3):
        writer.add(f"k{number}", {"x": torch.tensor([float(number)])}, {"bucket": "1x1"})
    assert len(read_index(tmp_path)) == 2  # the third waited in memory when the run was killed
    (tmp_path / "shard-00000001.safetensors.partial").write_bytes(b"half")
    with (tmp_path / "index.jsonl").open("a") as file:
        file.write('{"key": "k2", "shard": "shard-000')
    resumed = ShardWriter(tmp_path, 2)
    assert resumed.keys == {"k0", "k1"}
    assert not list(tmp_path.glob("*.partial"))
    resumed.add("k2", {"x": torch.tensor([2.0])}, {"bucket": "1x1"})
    resumed.flush()
    assert ShardedClips(tmp_path).read([0, 1, 2])["x"].flatten().tolist() == [0.0, 1.0, 2.0]


def test_a_cache_that_lacks_a_part_is_refused(cache, tmp_path):
    folder, _ = cache
    with pytest.raises(InputError, match="lacks frames for some clips; it has audio"):
        ShardedClips(folder, ["frames"])
    with pytest.raises(InputError, match="holds no cached clip; build the cache"):
        ShardedClips(tmp_path)
    with pytest.raises(InputError, match="cache contents pixels came; choose from frames"):
        CacheOptions(contents=("pixels",))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 1 is not JSON"),
        ("[]", "line 1 holds a list; write one JSON object per line"),
        ('{"vidio": "a.mp4"}', "unknown field 'vidio'; did you mean video?"),
        ('{"video": "a.mp4"}', "field 'caption' is missing or empty"),
        ('{"video": "a.mp4", "caption": "x"}', "a.mp4' does not exist; paths are relative"),
        ("", "lists no clip"),
    ],
)
def test_mistakes_in_a_manifest_name_their_line(tmp_path, line, sentence):
    path = tmp_path / "clips.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError) as caught:
        read_manifest(path)
    assert sentence in str(caught.value)


def test_a_region_outside_the_picture_is_refused(tmp_path):
    film(tmp_path / "a.mp4", 0, 3)
    path = tmp_path / "clips.jsonl"
    plain = {"video": "a.mp4", "caption": "x", "regions": [[0.5, 0, 0.4, 1]]}
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"region \[0\.5, 0, 0\.4, 1\] came; give \[left, top"):
        read_manifest(path)


def test_the_region_loss_sees_movement_that_the_plain_loss_averages_away():
    pixels = torch.zeros(1, 3, 4, 8, 8)
    pixels[:, :, ::2, 2:4, 2:4] = 0.5  # a mouth that opens and closes
    boxes = torch.tensor([[[0.25, 0.25, 0.5, 0.5]] * 4])
    region = region_mask(boxes, 8, 8)
    assert region.sum() == 4 * 4
    frozen = pixels.mean(2, keepdim=True).expand_as(pixels)
    plain, _ = codec_loss(frozen, pixels, region, 0.0)
    watched, parts = codec_loss(frozen, pixels, region, 12.0)
    assert parts["region_change"] == pytest.approx(0.5)
    assert watched.item() == pytest.approx(plain.item() + 6.0)
    perfect, parts = codec_loss(pixels, pixels, region, 12.0)
    assert perfect.item() == 0
    assert parts["psnr"] == pytest.approx(120.0)


def test_the_curriculum_grows_and_only_in_lengths_the_codec_takes():
    options = CodecOptions(updates=100)
    assert [options.frames_at(update) for update in (0, 24, 25, 70, 99)] == [1, 1, 9, 17, 17]
    with pytest.raises(InputError, match=r"curriculum has \(0, 8\)"):
        CodecOptions(updates=1, curriculum=((0.0, 8),))


def test_a_gentle_start_leaves_shortcuts_and_nearly_sharp_latents():
    vae = tiny_vae()
    start_gently(vae)
    state = vae.state_dict()
    assert all(v.abs().max() == 0 for n, v in state.items() if ".conv2." in n)
    posterior = vae.encode(torch.rand(1, 3, 1, 32, 32)).latent_dist
    assert posterior.std.mean() < 0.1


def test_measured_latents_are_standardised_by_the_configuration_they_enter():
    vae = tiny_vae()
    clips = [torch.rand(1, 3, 5, 32, 32) * 2 - 1 for _ in range(3)]
    mean, spread = measure_latents(vae, clips)
    assert vae.config.latents_mean == mean
    together = torch.cat([encode_frames(vae, clip) for clip in clips])
    torch.testing.assert_close(together.mean((0, 2, 3, 4)), torch.zeros(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        together.std((0, 2, 3, 4), correction=0), torch.ones(16), atol=1e-3, rtol=0
    )
    assert len(spread) == 16


def test_short_stretches_come_several_from_every_clip():
    task = CodecTask(tiny_vae(), CodecOptions(updates=4, curriculum=((0.0, 1), (0.5, 5))))
    frames = torch.randint(0, 255, (2, 9, 32, 32, 3), dtype=torch.uint8)
    batch = {"frames": frames, "regions": torch.zeros(2, 9, 4)}
    for update, pieces in ((0, 4), (2, 1)):
        draws = Draws(
            shared=torch.Generator(), samples=[torch.Generator().manual_seed(i) for i in range(2)]
        )
        task.phase(update)
        pixels, boxes = task._cut(batch, draws)
        assert pixels.shape[0] == boxes.shape[0] == 2 * pieces
        assert torch.isfinite(task.loss("codec", batch, draws)[0])


def test_a_decoder_learns_alone_and_leaves_every_latent_as_it_was():
    vae = tiny_vae()
    task = CodecTask(vae, CodecOptions(updates=1, curriculum=((0.0, 5),), decoder_only=True))
    task.start(None, {"codec": task.network}, sharded=False)
    task.phase(0)
    (trained,) = task.trained
    assert {name.split(".")[1] for name in trained.parameters} == {"decoder", "post_quant_conv"}
    frames = torch.randint(0, 255, (1, 5, 32, 32, 3), dtype=torch.uint8)
    batch = {"frames": frames, "regions": torch.zeros(1, 5, 4)}
    draws = Draws(shared=torch.Generator(), samples=[torch.Generator().manual_seed(0)])
    task.loss("codec", batch, draws)[0].backward()
    assert all(parameter.grad is not None for parameter in trained.parameters.values())
    assert all(parameter.grad is None for parameter in vae.encoder.parameters())


def test_errors_inside_the_region_weigh_more_when_asked():
    pixels = torch.zeros(1, 3, 1, 8, 8)
    wrong = pixels.clone()
    wrong[..., :4, :4] = 1.0
    region = torch.zeros(1, 1, 1, 8, 8)
    region[..., :4, :4] = 1
    plain, _ = codec_loss(wrong, pixels, region, 0.0)
    watched, _ = codec_loss(wrong, pixels, region, 0.0, 2.0)
    assert watched.item() == pytest.approx(plain.item() + 2.0)
