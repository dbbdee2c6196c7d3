"""Trackers and crops against syncnet_python's own code."""

import copy

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import medfilt
from syncnet_python.syncnet_pipeline import PipelineConfig, SyncNetPipeline

from eval.backends.face_crops import cut_out
from eval.face_tracks import centre_and_half, mocha_tracks, smooth, square_around

pytestmark = pytest.mark.parity


def reference_tracks(detections: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tracks of the package, without its limits on length and size."""
    pipeline = object.__new__(SyncNetPipeline)
    pipeline.cfg = PipelineConfig(min_track=1, min_face_size=0)
    faces = [
        [{"frame": frame, "bbox": box.tolist(), "conf": 1.0} for box in boxes]
        for frame, boxes in enumerate(detections)
    ]
    return [(track["frame"], track["bbox"]) for track in pipeline._track(copy.deepcopy(faces))]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(5, 60))
def test_mocha_tracker_equals_the_package(seed: int, people: int, frames: int) -> None:
    dice = np.random.default_rng(seed)
    places = dice.uniform(0, 300, (people, 2))
    detections = []
    for _ in range(frames):
        places = places + dice.normal(size=places.shape) * 4
        boxes = np.column_stack([places, places + 100])[dice.random(people) < 0.8]
        detections.append(dice.permutation(boxes))
    ours = [track for track in mocha_tracks(detections) if track.detections > 1]
    expected = reference_tracks(detections)
    assert len(ours) == len(expected)
    for track, (numbers, boxes) in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(track.frames, numbers)
        np.testing.assert_allclose(track.boxes, boxes, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_crop_equals_padding_the_whole_picture(seed: int) -> None:
    dice = np.random.default_rng(seed)
    height, width = dice.integers(60, 200, 2)
    image = dice.integers(0, 256, (height, width, 3)).astype(np.uint8)
    half = float(dice.uniform(5, 80))
    x, y = float(dice.uniform(0, width)), float(dice.uniform(0, height))
    pad = int(half * 1.8)
    grey = (110, 110, 110)
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=grey)
    top, bottom = int(y + pad - half), int(y + pad + half * 1.8)
    left, right = int(x + pad - half * 1.4), int(x + pad + half * 1.4)
    expected = cv2.resize(padded[top:bottom, left:right], (224, 224))
    ours = cut_out(image, square_around(half, x, y, height, width))
    np.testing.assert_array_equal(ours, expected)


def test_smoothing_with_zeros_equals_scipy() -> None:
    values = np.random.default_rng(0).uniform(50, 60, (40, 3))
    expected = np.stack([medfilt(column, 13) for column in values.T], axis=1)
    np.testing.assert_array_equal(smooth(values, ends="zeros"), expected)


def test_geometry_equals_the_package() -> None:
    box = np.array([10.0, 20.0, 70.0, 100.0])
    np.testing.assert_allclose(centre_and_half(box[None]), [[40.0, 40.0, 60.0]])
