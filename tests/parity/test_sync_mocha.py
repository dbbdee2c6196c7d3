"""The whole `mocha` mode against syncnet-python's pipeline, per track, with the same injected faces."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from syncnet_python.syncnet_pipeline import PipelineConfig, SyncNetPipeline
from syncnet_python.SyncNetInstance import SyncNetInstance

from eval.backends.face_crops import cut_out
from eval.backends.ffmpeg_route import find_ffmpeg
from eval.backends.random_weights import calibrate, fill, random_syncnet
from eval.backends.shots import CutFinder
from eval.backends.syncnet import NetworkEmbedder
from eval.measure import ClipInputs
from eval.sync.clean import Instruments
from eval.sync.reference import MOCHA, ReferenceObserver
from joystreamer.media import probe, write_clip

pytestmark = pytest.mark.parity


class SmallSyncNet(torch.nn.Module):
    """SyncNet's interface at a fraction of its cost."""

    def __init__(self) -> None:
        super().__init__()
        conv, norm, relu = torch.nn.Conv3d, torch.nn.BatchNorm3d, torch.nn.ReLU
        self.netcnnlip = torch.nn.Sequential(
            conv(3, 8, (5, 7, 7), stride=(1, 7, 7)),
            norm(8),
            relu(),
            torch.nn.MaxPool3d((1, 4, 4), stride=(1, 4, 4)),
            conv(8, 16, (1, 8, 8)),
            norm(16),
            relu(),
        )
        self.netfclip = torch.nn.Linear(16, 32)
        self.netfcaud = torch.nn.Sequential(
            torch.nn.Linear(260, 32), torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 32)
        )

    def forward_lip(self, x: torch.Tensor) -> torch.Tensor:
        return self.netfclip(self.netcnnlip(x).flatten(1))

    def forward_aud(self, x: torch.Tensor) -> torch.Tensor:
        return self.netfcaud(x.flatten(1))


def small_syncnet() -> torch.nn.Module:
    network = SmallSyncNet()
    dice = torch.Generator().manual_seed(1)
    fill(network, dice)
    pictures = torch.rand(24, 3, 5, 14, 14, generator=dice).repeat_interleave(16, 3)
    pictures = pictures.repeat_interleave(16, 4) * 255
    sound = torch.randn(64, 1, 13, 20, generator=dice) * 8
    calibrate(network, lambda: (network.forward_lip(pictures), network.forward_aud(sound)))
    return network


def faces_at(frame: int, size: int, people: int) -> np.ndarray:
    """Boxes of one or two people who sway; two change their order of score now and then."""
    boxes = []
    for person in range(people):
        left = 10 + person * 170 + 6 * np.sin(frame / 9 + person)
        top = 30 + 4 * np.cos(frame / 7)
        boxes.append([left, top, left + size, top + size + 8, 0.99 - 0.01 * person])
    if people == 2 and 30 < frame < 34:
        boxes.reverse()
    return np.array(boxes)


class InjectedFaces:
    """Gives the package and ours the same boxes, picture by picture."""

    def __init__(self, people: int) -> None:
        self.count, self.people = 0, people

    def detect_faces(self, image: np.ndarray, conf_th: float, scales: list[float]) -> np.ndarray:
        self.count += 1
        return faces_at(self.count - 1, 130, self.people)

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self.detect_faces(image, 0.9, [0.25]) for image in images]


class InjectedPipeline(SyncNetPipeline):
    """The package's pipeline with given networks instead of weight files."""

    def __init__(self, network: torch.nn.Module, people: int) -> None:
        self.network, self.people = network, people
        super().__init__(PipelineConfig(ffmpeg_bin=find_ffmpeg()), device="cpu")

    def _load_s3fd(self, path: str) -> InjectedFaces:
        return InjectedFaces(self.people)

    def _load_syncnet(self, path: str) -> SyncNetInstance:
        return SyncNetInstance(net=self.network, device="cpu")


@pytest.fixture(scope="module", autouse=True)
def ffmpeg_on_path(tmp_path_factory: pytest.TempPathFactory):
    """The package calls plain `ffmpeg`: give it the same program that we use."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "ffmpeg").symlink_to(find_ffmpeg())
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
    yield
    os.environ["PATH"] = before


def make_clip(path: Path, *, frames: int, fps: int, sample_rate: int, cut: int | None) -> None:
    """A clip of moving random texture with noise bursts as sound."""
    dice = np.random.default_rng(frames)
    coarse = dice.integers(100, 256, (6, 9, 3)).astype(np.uint8)
    texture = cv2.resize(coarse, (360, 240), interpolation=cv2.INTER_CUBIC)
    other = texture // 5

    def picture(index: int) -> np.ndarray:
        source = texture if cut is None or index < cut else other
        return np.roll(source, index, axis=1)

    samples = int(frames / fps * sample_rate)
    bursts = np.sin(np.arange(samples) / sample_rate * 2 * np.pi * 3) > 0
    sound = (dice.normal(size=samples) * 0.1 * bursts).astype(np.float32)
    write_clip(path, (picture(i) for i in range(frames)), fps, audio=sound, sample_rate=sample_rate)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("frames", "fps", "sample_rate", "people", "cut", "real"),
    [
        (60, 25, 16_000, 1, None, False),
        (80, 24, 44_100, 2, None, False),
        (110, 25, 48_000, 1, 55, False),
        pytest.param(58, 25, 16_000, 1, None, True, marks=pytest.mark.slow),
    ],
    ids=["one person", "two people, 24 fps", "two shots", "SyncNet's own layers"],
)
def test_every_track_equals_the_package(
    tmp_path: Path,
    frames: int,
    fps: int,
    sample_rate: int,
    people: int,
    cut: int | None,
    real: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, frames=frames, fps=fps, sample_rate=sample_rate, cut=cut)
    network = random_syncnet(2) if real else small_syncnet()
    with torch.no_grad():
        offsets, confidences, distances, highest, lowest, _, has_face = InjectedPipeline(
            network, people
        ).inference(str(clip))
    assert has_face
    assert len(offsets) >= (2 if cut else people)

    tools = Instruments(
        finder=InjectedFaces(people),
        embedder=NetworkEmbedder(network),
        cutter=cut_out,
        cut_finder=lambda: CutFinder().is_cut,
    )
    inputs = ClipInputs(path=clip, probe=probe(clip), weights=None)  # type: ignore[arg-type]
    make = partial(ReferenceObserver, inputs, rules=MOCHA)
    folder = tmp_path / "work"
    folder.mkdir()
    readings = [reading for _, reading in make(tools).score_tracks(folder)]
    assert [reading.offset for reading in readings] == offsets
    np.testing.assert_allclose([r.confidence for r in readings], confidences, atol=1e-4, rtol=0)
    np.testing.assert_allclose([r.distance for r in readings], distances, atol=1e-4, rtol=0)

    tools.finder.count = 0  # type: ignore[attr-defined]
    outcomes = make(tools).finish()
    assert outcomes["sync.confidence"].value == pytest.approx(highest, abs=1e-4)
    assert outcomes["sync.distance"].value == pytest.approx(lowest, abs=1e-4)
    capfd.readouterr()
