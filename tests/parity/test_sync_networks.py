"""SyncNet and S3FD against syncnet_python's own code, with seeded calibrated random weights."""

from copy import deepcopy
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile
from syncnet_python.detectors.s3fd import S3FD

from eval.backends.random_weights import random_s3fd, random_syncnet
from eval.backends.s3fd import (
    TAPS,
    Layers,
    S3FDFinder,
    TorchLayers,
    anchor_boxes,
    decode_boxes,
    fastest_layers,
)
from eval.backends.s3fd_winograd import WinogradLayers, has_ncnn
from eval.backends.syncnet import NetworkEmbedder
from eval.measure import CannotMeasure
from eval.mfcc import mfcc
from eval.sync.curve import read_table, shift_distances
from eval.sync.networks import sound_windows

pytestmark = pytest.mark.parity

# The package's attribute of this name is the class, not the module.
instance_module = import_module("syncnet_python.SyncNetInstance")


@pytest.fixture(scope="module")
def syncnet():
    return random_syncnet(7)


def moving_crops(count: int, seed: int) -> np.ndarray:
    """Smooth random pictures that change from frame to frame: uint8, (count, 224, 224, 3)."""
    dice = np.random.default_rng(seed)
    coarse = dice.integers(0, 256, (count, 14, 14, 3)).astype(np.uint8)
    return np.stack([cv2.resize(one, (224, 224)) for one in coarse])


class Options:
    """What the reference's scorer reads."""

    def __init__(self, folder: Path) -> None:
        self.tmp_dir, self.batch_size, self.vshift = str(folder), 20, 15


@pytest.mark.parametrize(
    ("frames", "samples"),
    [(15, 640 * 15), (22, 640 * 25 + 17), (26, 640 * 20 + 333)],
    ids=["equal", "long sound", "short sound"],
)
def test_scorer_equals_the_reference(
    frames: int, samples: int, syncnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = moving_crops(frames, frames)
    sound = (np.random.default_rng(frames).normal(size=samples) * 3000).astype(np.int16)
    for index, crop in enumerate(crops):
        cv2.imwrite(str(tmp_path / f"{index:06d}.jpg"), crop)
    wavfile.write(tmp_path / "audio.wav", 16000, sound)
    seen = np.stack([np.asarray(cv2.imread(str(p))) for p in sorted(tmp_path.glob("*.jpg"))])
    curves = []
    original = instance_module.calc_pdist

    def record(*args, **kwargs):
        table = original(*args, **kwargs)
        curves.append(torch.stack(table, 1).mean(1).numpy())
        return table

    monkeypatch.setattr(instance_module, "calc_pdist", record)
    reference = instance_module.SyncNetInstance(net=syncnet, device="cpu")
    with torch.no_grad():
        offset, confidence, distance = reference.evaluate(Options(tmp_path))

    windows = min(frames, samples // 640) - 5
    ours = NetworkEmbedder(syncnet)
    video = ours.see(seen[: windows + 4])
    heard = ours.hear(sound_windows(mfcc(sound), 0, windows))
    reading = read_table(shift_distances(video, heard, outside="zeros"), min_windows=1)
    assert reading is not None
    assert np.ptp(curves[0]) > 0.5, "a flat curve would show nothing"
    np.testing.assert_allclose(reading.curve, curves[0], atol=1e-4, rtol=0)
    assert reading.offset == offset
    assert reading.distance == pytest.approx(distance, abs=1e-4)
    assert reading.confidence == pytest.approx(confidence, abs=1e-4)


def test_flat_branch_equals_windows(syncnet) -> None:
    crops = moving_crops(11, 1)
    windows = np.stack([crops[i : i + 5] for i in range(7)])
    batch = torch.from_numpy(windows).permute(0, 4, 1, 2, 3).float()
    with torch.no_grad():
        expected = syncnet.forward_lip(batch).numpy()
    np.testing.assert_allclose(NetworkEmbedder(syncnet).see(crops), expected, atol=1e-4, rtol=0)


def layers_by(engine: str, network: torch.nn.Module) -> Layers:
    """The detector's layers; the network itself stays as it is."""
    if engine == "torch":
        return TorchLayers(deepcopy(network))
    if not has_ncnn():
        pytest.skip("Winograd's convolutions need the package ncnn, of the extra 'eval'")
    return WinogradLayers(network, TAPS)


@pytest.mark.parametrize("engine", ["torch", "winograd"])
@pytest.mark.parametrize("size", [(96, 160), (101, 187)], ids=str)
def test_detector_raw_outputs_equal_the_reference(size: tuple[int, int], engine: str) -> None:
    network = trained_size(random_s3fd(3))
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    places, scores = S3FDFinder(layers_by(engine, network)).raw(images)
    for index, image in enumerate(images):
        captured = capture_reference(network, image)
        assert np.ptp(captured["places"]) > 5
        assert np.ptp(captured["scores"]) > 0.9
        np.testing.assert_allclose(places[index], captured["places"], atol=1e-4, rtol=0)
        np.testing.assert_allclose(scores[index], captured["scores"], atol=1e-4, rtol=0)
        np.testing.assert_allclose(anchor_boxes(*size), captured["anchors"], atol=1e-6, rtol=0)


def test_winograd_is_as_exact_as_plain_convolution() -> None:
    """Both against double precision: the root mean square of the errors is of one size."""
    network = trained_size(random_s3fd(4))
    images = np.random.default_rng(1).integers(0, 256, (1, 90, 160, 3)).astype(np.uint8)
    pixels = images.astype(np.float32) - 115
    exact = TorchLayers(deepcopy(network).double())(pixels.astype(np.float64))
    errors = {}
    for engine in ("torch", "winograd"):
        answers = layers_by(engine, network)(pixels)
        gaps = [(mine - true).flatten() for mine, true in zip(answers, exact, strict=True)]
        errors[engine] = float(torch.cat(gaps).square().mean().sqrt())
    assert errors["winograd"] < 2 * errors["torch"] < 1e-4


@pytest.mark.parametrize("engine", ["torch", "winograd"])
def test_boxes_equal_the_reference(engine: str) -> None:
    network = random_s3fd(3)
    tame(network)
    finder = S3FDFinder(layers_by(engine, network))
    images = np.random.default_rng(5).integers(0, 256, (3, 320, 480, 3)).astype(np.uint8)
    found = finder.find(list(images))
    reference = S3FD(net=network, device="cpu")
    total = 0
    for image, boxes in zip(images, found, strict=True):
        expected = reference.detect_faces(image, conf_th=0.9, scales=[0.25])
        assert len(boxes) == len(expected)
        total += len(boxes)
        np.testing.assert_allclose(boxes[:, :4], expected[:, :4], atol=1e-3, rtol=0)
        np.testing.assert_allclose(boxes[:, 4], expected[:, 4], atol=1e-4, rtol=0)
    assert total >= 6, "too few boxes to show anything"


def test_pictures_of_any_size_take_turns() -> None:
    """One detector serves clips of different sizes, in any order, on any number of threads."""
    network = trained_size(random_s3fd(6))
    finder = S3FDFinder(fastest_layers(deepcopy(network)))
    plain = S3FDFinder(TorchLayers(network))
    for size in ((61, 33), (180, 100), (28, 75), (61, 33)):  # 28 is the least
        images = np.random.default_rng(7).integers(0, 256, (3, *size, 3)).astype(np.uint8)
        for mine, other in zip(finder.raw(images), plain.raw(images), strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-3, rtol=0)


def test_a_picture_too_small_for_a_face_is_refused() -> None:
    finder = S3FDFinder(fastest_layers(random_s3fd(6)))
    with pytest.raises(CannotMeasure, match="the picture measures 300 x 100; no face") as caught:
        finder.find([np.zeros((100, 300, 3), np.uint8)])
    assert caught.value.reason == "too_small"
    assert len(finder.find([np.zeros((112, 300, 3), np.uint8)])) == 1


def test_decoding_equals_the_reference() -> None:
    from syncnet_python.detectors.s3fd.box_utils import decode

    dice = np.random.default_rng(2)
    anchors = anchor_boxes(90, 160)
    places = dice.normal(size=anchors.shape).astype(np.float32)
    expected = decode(torch.from_numpy(places), torch.from_numpy(anchors), [0.1, 0.2]).numpy()
    np.testing.assert_allclose(decode_boxes(places, anchors), expected, atol=1e-6, rtol=1e-6)


def capture_reference(network, image: np.ndarray) -> dict[str, np.ndarray]:
    """What the reference hands to its decoder for one picture."""
    captured = {}

    def keep(places, scores, anchors):
        captured["places"] = places[0].numpy()
        captured["scores"] = scores[0, :, 1].numpy()
        captured["anchors"] = anchors.numpy()
        return torch.zeros(1, 2, 1, 5)

    original, network.detect.forward = network.detect.forward, keep
    try:
        S3FD(net=network, device="cpu").detect_faces(image, conf_th=0.9, scales=[1])
    finally:
        network.detect.forward = original
    return captured


def trained_size(network):
    """Scale the heads' answers to the size that trained ones have: offsets 1, logits 2."""
    with torch.no_grad():
        for layers, factor in ((network.loc, 1 / 8), (network.conf, 1 / 4)):
            for layer in layers:
                layer.weight.mul_(factor)
    return network


def tame(network) -> None:
    """Scale the heads so that some, not all, anchors look like faces of moderate size."""
    with torch.no_grad():
        for place in network.loc:
            place.weight.mul_(0.03)
        for score, scale in zip(network.conf, (1.5, 8.0, 8.0, 0.05, 0.08, 1.0), strict=True):
            score.weight.mul_(scale)
