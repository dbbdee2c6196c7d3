"""`identity.*` with seeded networks of DINOv2's shape; parity between timm and transformers."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from eval.backends.dinov2 import DinoEmbedder, DinoSpec, as_transformers, load_timm, prepare
from eval.catalog import find_measure
from eval.weight_table import Weights
from eval.weights import WeightFolder, file_digest
from joystreamer.media import read_image

DINO = find_measure("identity/dinov2-small")


def seeded_state(model, seed=0):
    """Random weights under which every block matters: timm's start leaves blocks nearly idle."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if key.endswith("gamma"):
            state[key] = 0.3 + 0.05 * noise
        elif value.ndim == 1 and key.endswith("weight"):
            state[key] = 1 + 0.1 * noise
        elif value.ndim == 1:
            state[key] = 0.05 * noise
        else:
            fan = value[0].numel() if key.endswith("weight") else 400
            state[key] = noise / fan**0.5
    return state


@pytest.fixture(scope="session")
def small_file(tmp_path_factory) -> Path:
    """Seeded weights of ViT-S/14 in the published file's layout (position embeddings for 518)."""
    path = tmp_path_factory.mktemp("dino") / "seeded.safetensors"
    model = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0)
    save_file(seeded_state(model), path)
    return path


@pytest.fixture
def dino_weights(small_file, tmp_path) -> WeightFolder:
    row = Weights(
        name="dinov2-small", file=small_file.name, url="", licence="MIT", source="seeded",
        needed_by=(), sha256=file_digest(small_file), size=small_file.stat().st_size,
    )  # fmt: skip
    return WeightFolder([small_file.parent], memory=tmp_path / "memory", table=[row])


@pytest.fixture
def reference(texture, tmp_path) -> Path:
    path = tmp_path / "reference.png"
    Image.fromarray(texture).save(path)
    return path


@pytest.mark.parity
def test_timm_and_transformers_agree_at_518(small_file):
    from safetensors.torch import load_file

    spec = DinoSpec(size="small", image_size=518, resize=518)
    pictures = np.random.default_rng(1).normal(size=(1, 3, 518, 518)).astype(np.float32)
    ours = DinoEmbedder(load_timm(small_file, spec), "cpu").embed(pictures)
    theirs = DinoEmbedder(as_transformers(load_file(small_file)), "cpu").embed(pictures)
    assert ours.shape == (1, 384)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()


@pytest.mark.parity
def test_gated_layers_of_the_giant_agree():
    model = timm.create_model(
        "vit_giant_patch14_dinov2", pretrained=False, num_classes=0, depth=1, img_size=56
    )
    state = seeded_state(model)
    model.load_state_dict(state)
    pictures = np.random.default_rng(1).normal(size=(1, 3, 56, 56)).astype(np.float32)
    ours = DinoEmbedder(model, "cpu").embed(pictures)
    theirs = DinoEmbedder(as_transformers(state), "cpu").embed(pictures)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()


def test_at_224_the_numerics_differ_a_little(small_file):
    from safetensors.torch import load_file

    pictures = np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32)
    ours = DinoEmbedder(load_timm(small_file, DinoSpec(size="small")), "cpu").embed(pictures)
    theirs = DinoEmbedder(as_transformers(load_file(small_file)), "cpu").embed(pictures)
    assert 0 < np.abs(ours - theirs).max() < 0.2 * np.abs(ours).max()


def test_preparation_matches_torchvision():
    from torchvision import transforms

    rgb = np.random.default_rng(0).integers(0, 256, (301, 517, 3), dtype=np.uint8)
    chain = transforms.Compose(
        [
            transforms.Resize(256, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    for picture in (rgb, rgb.transpose(1, 0, 2).copy()):
        expected = chain(Image.fromarray(picture)).numpy()
        assert prepare(picture, DinoSpec()) == pytest.approx(expected, abs=1e-6)


def test_letterbox_shows_everything_on_the_mean_colour():
    white = np.full((50, 100, 3), 255, np.uint8)
    picture = prepare(white, DinoSpec(fit="letterbox"))
    assert picture.shape == (3, 224, 224)
    assert np.abs(picture[:, :50]).max() < 0.02
    assert picture[:, 112, 112] == pytest.approx(
        (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    )


def test_a_constant_clip_is_fully_itself_and_does_not_drift(feed, texture, reference, dino_weights):
    found = feed(DINO, [texture] * 110, weights=dino_weights, reference=reference)
    assert found["identity.dinov2"].value == pytest.approx(1.0, abs=1e-6)
    assert found["identity.dinov2"].details["minimum"] == pytest.approx(1.0, abs=1e-6)
    assert found["drift.identity"].value == pytest.approx(0.0, abs=1e-6)


def test_reversed_and_permuted_frames_have_the_same_mean(feed, texture, reference, dino_weights):
    frames = [np.roll(texture, 5 * index, axis=1) for index in range(4)]
    order = np.random.default_rng(0).permutation(4)
    values = [
        feed(DINO, shown, rate=8, weights=dino_weights, reference=reference)[
            "identity.dinov2"
        ].value
        for shown in (frames, frames[::-1], [frames[index] for index in order])
    ]
    assert values[0] < 0.9999
    assert values == pytest.approx([values[0]] * 3, abs=1e-6)


def test_another_picture_at_the_end_is_drift(feed, texture, reference, dino_weights):
    frames = [texture] * 20 + [255 - texture] * 20
    found = feed(DINO, frames, rate=8, weights=dino_weights, reference=reference)
    first, last = (
        found["drift.identity"].details["first"][0],
        found["drift.identity"].details["last"][0],
    )
    assert first == pytest.approx(1.0, abs=1e-6)
    assert found["drift.identity"].value == pytest.approx(first - last)
    assert found["drift.identity"].value > 0.001


def test_without_a_reference_there_is_a_reason(feed, texture, dino_weights):
    found = feed(DINO, [texture] * 3, weights=dino_weights)
    assert {outcome.reason for outcome in found.values()} == {"no_reference"}


def test_a_short_clip_has_identity_but_no_drift(feed, texture, reference, dino_weights):
    found = feed(DINO, [texture] * 25, weights=dino_weights, reference=reference)
    assert found["identity.dinov2"].value is not None
    assert found["drift.identity"].reason == "too_short"
    assert found["drift.identity"].message == "drift needs 4 s, the clip has 1.00 s"


def test_faces_are_cut_out_and_missing_ones_are_a_reason(shared_data, tmp_path):
    from eval.measure import ClipInputs
    from eval.measures.identity import RegionCropper
    from joystreamer.media import Frame, probe, write_clip

    path = tmp_path / "clip.mp4"
    write_clip(path, [np.zeros((32, 32, 3), np.uint8)], 25)
    weights = WeightFolder([shared_data / "weights"], memory=tmp_path)
    cropper = RegionCropper(ClipInputs(path=path, probe=probe(path), weights=weights), "face")
    portrait = read_image(shared_data / "images/portrait/hallo3_0001.jpg")
    crop = cropper.crop(Frame(0.0, portrait))
    assert crop is not None
    assert crop.shape[0] == crop.shape[1] < portrait.shape[0]
    assert cropper.crop(Frame(0.0, np.full((200, 200, 3), 90, np.uint8))) is None
    cropper.close()
