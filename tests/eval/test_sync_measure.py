"""The rows of the family, its backends' edges, and the compatibility modes that have no peer here."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from eval.backends.face_crops import cut_out
from eval.backends.random_weights import calibrate, fill
from eval.backends.s3fd import anchor_boxes, load_s3fd, suppress
from eval.backends.shots import CutFinder, list_shots
from eval.backends.syncnet import NetworkEmbedder, flatten_visual, load_syncnet
from eval.face_tracks import Square, Track
from eval.measure import CannotMeasure, ClipInputs
from eval.measures.sync import SYNC
from eval.sync.clean import Instruments
from eval.sync.curve import Reading
from eval.sync.detection import SparseDetection
from eval.sync.reference import JOONSON, LATENTSYNC, MOCHA, ReferenceObserver, choose_outcomes
from eval.watching import watch_clip
from eval.weights import WeightFolder
from joystreamer.errors import InputError
from joystreamer.media import probe, write_clip


class NarrowSyncNet(torch.nn.Module):
    """SyncNet's interface and layout, narrow and for small crops, as a puppet network would be."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.netcnnlip = nn.Sequential(
            nn.Conv3d(3, 6, (5, 5, 5), stride=(1, 2, 2)),
            nn.BatchNorm3d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.Conv3d(6, 8, (1, 7, 7), bias=False),
            nn.BatchNorm3d(8),
            nn.ReLU(inplace=True),
        )
        self.netfclip = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 12))
        self.netfcaud = nn.Sequential(nn.Linear(260, 12), nn.BatchNorm1d(12))

    def forward_lip(self, x: torch.Tensor) -> torch.Tensor:
        return self.netfclip(self.netcnnlip(x).flatten(1))

    def forward_aud(self, x: torch.Tensor) -> torch.Tensor:
        return self.netfcaud(x.flatten(1))


def narrow() -> NarrowSyncNet:
    network = NarrowSyncNet()
    dice = torch.Generator().manual_seed(0)
    fill(network, dice)
    pictures = torch.rand(32, 3, 5, 29, 29, generator=dice) * 255
    sound = torch.randn(32, 1, 13, 20, generator=dice) * 8
    calibrate(network, lambda: (network.forward_lip(pictures), network.forward_aud(sound)))
    return network


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 29, 29, 3)).astype(np.uint8)


def test_rows_are_what_the_table_says() -> None:
    assert [row.spec for row in SYNC if row.default] == ["sync/clean"]
    assert {row.variant for row in SYNC if row.unverified} == {"joonson", "latentsync"}
    digests = dict.fromkeys(("syncnet-v2", "s3fd", "puppet-syncnet"), "0" * 64)
    assert len({row.fingerprint(digests) for row in SYNC}) == len(SYNC)
    (clean,) = (row for row in SYNC if row.variant == "clean")
    assert clean.rate == 25.0
    assert clean.parameters["outside"] == "missing"


def test_missing_weights_are_a_null_with_a_reason(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [np.zeros((32, 32, 3), np.uint8)] * 5, 25)
    weights = WeightFolder(folders=[tmp_path / "none"], memory=tmp_path / "memory")
    inputs = ClipInputs(path=clip, probe=probe(clip), weights=weights)
    outcomes = watch_clip(inputs, [SYNC[0]]).by_measure["sync/clean"].outcomes
    assert {outcome.reason for outcome in outcomes.values()} == {"weights_missing"}
    assert "syncnet_v2.model" in outcomes["sync.confidence"].message


def test_a_narrow_network_of_the_interface_runs_flat_and_windowed_alike() -> None:
    network = narrow()
    assert flatten_visual(network) is not None
    ours = NetworkEmbedder(network, side=29)
    windows = torch.from_numpy(np.stack([crops(13)[i : i + 5] for i in range(9)]))
    with torch.no_grad():
        expected = network.forward_lip(windows.permute(0, 4, 1, 2, 3).float()).numpy()
    np.testing.assert_allclose(ours.see(crops(13)), expected, atol=5e-5)


def test_a_network_of_other_layers_runs_windowed() -> None:
    class Plain(torch.nn.Module):
        def forward_lip(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(3, 4)).flatten(1)

        def forward_aud(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=3).flatten(1)

    embedder = NetworkEmbedder(Plain(), side=29)
    seen = embedder.see(crops(7))
    assert seen.shape == (3, 15)
    np.testing.assert_allclose(seen[1, 0], crops(7)[1, :, :, 0].mean(), rtol=1e-5)
    heard = embedder.hear(np.arange(2 * 20 * 13, dtype=np.float32).reshape(2, 20, 13))
    np.testing.assert_allclose(heard[0], np.arange(260).reshape(20, 13).mean(axis=0))


def test_crops_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="crops are"):
        NetworkEmbedder(narrow(), side=224).see(crops(7))


@pytest.mark.parametrize("load", [load_syncnet, load_s3fd])
def test_foreign_weight_files_are_refused(load, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"some.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="is not a state dict of") as caught:
        load(path)
    assert "python -m eval weights fetch" in str(caught.value)
    path.write_bytes(b"not torch at all")
    with pytest.raises(InputError, match="is not a state dict of"):
        load(path)


def test_suppression_removes_lower_scores_that_overlap() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 6.0]])
    assert suppress(boxes, 0.3).tolist() == [0, 2]
    assert suppress(boxes, 0.7).tolist() == [0, 1, 2, 3]
    assert suppress(boxes[:0], 0.3).tolist() == []


def test_anchors_sit_in_the_middle_of_their_cells() -> None:
    anchors = anchor_boxes(180, 320)
    np.testing.assert_allclose(anchors[0], [2 / 320, 2 / 180, 16 / 320, 16 / 180])
    assert len(anchors) == 45 * 80 + 23 * 40 + 11 * 20 + 5 * 10 + 3 * 5 + 2 * 3


def test_an_empty_square_is_a_defect() -> None:
    with pytest.raises(ValueError, match="empty square"):
        cut_out(np.zeros((9, 9, 3), np.uint8), Square(top=3, bottom=3, left=0, right=5))


def test_cuts_are_seen_at_their_frame_and_motion_is_not(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    room = cv2.resize(dice.integers(120, 256, (5, 8, 3)).astype(np.uint8), (320, 200))
    frames = [np.roll(room if i < 30 else room // 5, i, axis=1) for i in range(60)]
    finder = CutFinder()
    assert [i for i, frame in enumerate(frames) if finder.is_cut(frame)] == [30]
    clip = tmp_path / "clip.mp4"
    write_clip(clip, frames, 25)
    assert list_shots(clip) == [(0, 30), (30, 60)]
    write_clip(clip, frames[:30], 25)
    assert list_shots(clip) == [(0, 30)]


def test_arrivals_are_found_frame_by_frame() -> None:
    class Arriving:
        searched: list[int] = []  # noqa: RUF012

        def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
            numbers = [int(image[0, 0, 0]) for image in images]
            self.searched += numbers
            return [np.array([[0, 0, 50, 50, 0.95]])[: int(n >= 13)] for n in numbers]

    finder = Arriving()
    detection = SparseDetection(finder)
    found = []
    for frame in range(30):
        found += detection.push(frame, np.full((2, 2, 3), frame, np.uint8), cut=False)
    found += detection.finish()
    assert [frame for frame, _ in found] == list(range(30))
    assert [len(boxes) for _, boxes in found] == [0] * 13 + [1] * 17
    assert sorted(finder.searched) == [0, 4, 9, 10, 11, 12, 13, 14, 19, 24, 29]


def track_and_reading(confidence: float, distance: float, offset: int) -> tuple[Track, Reading]:
    track = Track(frames=np.arange(60), boxes=np.tile([0, 0, 120.0, 120], (60, 1)), detections=60)
    reading = Reading(
        offset=offset,
        distance=distance,
        confidence=confidence,
        distance_zero=distance + 1,
        confidence_zero=confidence - 1,
        curve=np.full(31, distance),
        windows=55,
    )
    return track, reading


def test_references_choose_a_clips_value_in_their_own_ways() -> None:
    faces = [track_and_reading(6.0, 9.0, 1), track_and_reading(2.0, 8.0, -4)]
    mixed = choose_outcomes(faces, "extremes")
    assert (mixed["sync.confidence"].value, mixed["sync.distance"].value) == (6.0, 8.0)
    best = choose_outcomes(faces, "best")
    assert (best["sync.confidence"].value, best["sync.distance"].value) == (6.0, 9.0)
    mean = choose_outcomes(faces, "mean")
    assert (mean["sync.confidence"].value, mean["sync.distance"].value) == (4.0, 8.5)
    assert mean["sync.offset"].value == -1.0  # the mean, -1.5, cut towards zero
    assert len(mean["sync.confidence"].details["faces"]) == 2


class FixedFace:
    """One face that stays."""

    def __init__(self, size: int) -> None:
        self.size = size

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        box = [20.0, 10.0, 20.0 + self.size, 10.0 + self.size, 0.99]
        return [np.array([box])[: int(self.size > 0)] for _ in images]


def tools(size: int) -> Instruments:
    return Instruments(
        finder=FixedFace(size),
        embedder=NetworkEmbedder(narrow(), side=30),
        cutter=cut_out,
        cut_finder=lambda: CutFinder().is_cut,
    )


def clip_with(tmp_path: Path, frames: int, sound: np.ndarray | None) -> ClipInputs:
    clip = tmp_path / "clip.mp4"
    wall = np.random.default_rng(1).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    wall = cv2.resize(wall, (240, 180), interpolation=cv2.INTER_CUBIC)
    write_clip(clip, (np.roll(wall, i, axis=1) for i in range(frames)), 25, audio=sound)
    return ClipInputs(path=clip, probe=probe(clip), weights=None)  # type: ignore[arg-type]


def bursts(frames: int) -> np.ndarray:
    noise = np.random.default_rng(2).normal(size=640 * frames) * 0.1
    return (noise * (np.sin(np.arange(640 * frames) / 16_000 * 20) > 0)).astype(np.float32)


@pytest.mark.parametrize(
    ("rules", "frames"), [(JOONSON, 104), (LATENTSYNC, 60)], ids=["joonson", "latentsync"]
)
def test_unverified_routes_run_to_a_score(tmp_path: Path, rules, frames: int) -> None:
    inputs = clip_with(tmp_path, frames, bursts(frames))
    outcomes = ReferenceObserver(inputs, tools(120), rules).finish()
    assert outcomes["sync.distance"].value is not None
    (face,) = outcomes["sync.confidence"].details["faces"]
    assert face["windows"] >= frames - 8


@pytest.mark.parametrize(
    ("size", "sound", "reason", "words"),
    [
        (0, "speech", "no_face", "no face was found in any frame"),
        (90, "speech", "no_face", "no face of more than 100 px has more than 50 detections"),
        (120, "silence", "silent_audio", "silent"),
        (120, None, "no_audio", "no audio stream"),
    ],
)
def test_mocha_gives_reasons_where_its_model_gives_zeros(
    tmp_path: Path, size: int, sound: str | None, reason: str, words: str
) -> None:
    sounds = {"speech": bursts(56), "silence": np.zeros(640 * 56, np.float32), None: None}
    inputs = clip_with(tmp_path, 56, sounds[sound])
    with pytest.raises(CannotMeasure, match=words) as caught:
        ReferenceObserver(inputs, tools(size), MOCHA).finish()
    assert caught.value.reason == reason


def test_parameters_hold_every_rule() -> None:
    for row, rules in zip(SYNC[2:5], (MOCHA, JOONSON, LATENTSYNC), strict=True):
        assert asdict(rules).items() <= dict(row.parameters).items()
