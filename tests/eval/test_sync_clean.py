"""The default specification end to end, with a small finder and a small network of exact behaviour.

Faces are flat squares on a dark ground whose brightness follows the sound's loudness: a finder that
looks for bright columns and an embedder that reads brightness are then as good as S3FD and SyncNet.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from eval.backends.face_crops import cut_out
from eval.backends.shots import CutFinder
from eval.measure import CannotMeasure, ClipInputs, Outcome
from eval.records import Speaker
from eval.sync.clean import CleanObserver, CleanRules, Instruments
from joystreamer.media import AudioProbe, Frame, MediaProbe, resample_frames

HEIGHT, WIDTH, FACE = 160, 480, 120
BASE, SWING = 120.0, 100.0


class SquareFinder:
    """Finds flat bright squares: separate runs of bright columns."""

    def __init__(self) -> None:
        self.pictures = 0

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.pictures += len(images)
        return [self._boxes(image) for image in images]

    def _boxes(self, image: np.ndarray) -> np.ndarray:
        bright = image.max(axis=2) > 60
        columns = np.flatnonzero(np.diff(np.pad(bright.any(axis=0).astype(int), 1)))
        boxes = []
        for left, right in columns.reshape(-1, 2):
            rows = np.flatnonzero(bright[:, left:right].any(axis=1))
            boxes.append([left, rows[0], right, rows[-1] + 1, 0.99])
        return np.array(boxes, float).reshape(-1, 5)


class LoudnessEmbedder:
    """Embeds brightness and loudness as the same curve of five values per window."""

    side = 16

    def see(self, crops: np.ndarray) -> np.ndarray:
        level = (crops[:, 4:8, 4:12].mean(axis=(1, 2, 3)) - BASE) / SWING
        return np.lib.stride_tricks.sliding_window_view(level, 5).astype(np.float32) * 10

    def hear(self, windows: np.ndarray) -> np.ndarray:
        energy = np.exp(windows[:, :, 0] / 2)
        rows = energy.reshape(len(windows), 5, 4)[:, :, :2].mean(axis=2)
        return (rows / 193_600).astype(np.float32) * 10


def loudness_per_frame(frames: int, seed: int = 0) -> np.ndarray:
    """A random loudness per video frame in [0, 1]: (frames,)."""
    return np.random.default_rng(seed).uniform(0, 1, frames)


def spoken(levels: np.ndarray) -> np.ndarray:
    """Noise whose loudness follows the levels: float64 in [-1, 1]."""
    noise = np.random.default_rng(99).choice([-1.0, 1.0], 640 * len(levels))
    return noise * 0.3 * np.repeat(levels, 640)


def picture(*faces: tuple[float, float]) -> np.ndarray:
    """A frame with squares, each given as left side and level in [0, 1]."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for left, level in faces:
        x = round(left)
        image[20 : 20 + FACE, x : x + FACE] = round(BASE + SWING * level)
    return image


def inputs(tmp_path: Path, sound: np.ndarray | None, frames: int, **more) -> ClipInputs:
    path = tmp_path / "sound.wav"
    if sound is not None:
        wavfile.write(path, 16_000, sound.astype(np.float32))
    streams = (AudioProbe(codec="pcm", sample_rate=16_000, channels=1, duration_s=frames / 25),)
    probe = MediaProbe(
        container="wav",
        codec="raw",
        width=WIDTH,
        height=HEIGHT,
        rotation=0,
        pixel_format="rgb24",
        pixel_aspect=1.0,
        frame_rate=25.0,
        constant_rate=True,
        num_frames=frames,
        duration_s=frames / 25,
        audio_streams=streams if sound is not None else (),
    )
    clip = ClipInputs(path=path, probe=probe, weights=None, **more)  # type: ignore[arg-type]
    if sound is None:
        vars(clip)["audio"] = None
    return clip


def measure(
    clip: ClipInputs, frames: Sequence[np.ndarray], rules: CleanRules | None = None
) -> tuple[dict[str, Outcome], SquareFinder, CleanObserver]:
    finder = SquareFinder()
    tools = Instruments(
        finder=finder,
        embedder=LoudnessEmbedder(),
        cutter=cut_out,
        cut_finder=lambda: CutFinder(threshold=60).is_cut,
    )
    observer = CleanObserver(clip, tools, rules or CleanRules())
    for index, image in enumerate(frames):
        observer.see(Frame(index / 25, image))
    return dict(observer.finish()), finder, observer


@pytest.mark.parametrize("delay", [-4, 0, 3])
def test_a_picture_delayed_by_k_frames_has_offset_k(tmp_path: Path, delay: int) -> None:
    levels = loudness_per_frame(110)
    seen = np.roll(levels, delay)
    frames = [picture((100, level)) for level in seen]
    outcomes, _, _ = measure(inputs(tmp_path, spoken(levels), 110), frames)
    assert outcomes["sync.offset"].value == delay
    assert outcomes["sync.offset_size"].value == abs(delay)
    best, still = outcomes["sync.distance"].value, outcomes["sync.distance_zero"].value
    assert best is not None
    assert still is not None
    assert best < 2
    assert (still == best) == (delay == 0)


@pytest.mark.parametrize("rate", [50.0, 30.0, 24.0])
def test_other_frame_rates_keep_the_offset(tmp_path: Path, rate: float) -> None:
    levels = np.repeat(loudness_per_frame(40, seed=3), 3)  # slow enough for every rate to show it
    late = np.roll(levels, 2)
    count = round(120 / 25 * rate)
    own = (Frame(i / rate, picture((100, late[int(i / rate * 25)]))) for i in range(count))
    frames = [frame.rgb for frame in resample_frames(own, 25.0, end_s=120 / 25)]
    assert len(frames) == 120
    outcomes, _, _ = measure(inputs(tmp_path, spoken(levels), 120), frames)
    assert outcomes["sync.offset"].value == 2


def test_of_two_people_only_the_speaker_counts(tmp_path: Path) -> None:
    levels, other = loudness_per_frame(100), loudness_per_frame(100, seed=5)
    frames = [picture((20, b), (300, a)) for a, b in zip(levels, other, strict=True)]
    right = Speaker(box=(0.5, 0.0, 1.0, 1.0), spans=((0.5, 3.0),))
    left = Speaker(box=(0.0, 0.0, 0.5, 1.0))
    clip = inputs(tmp_path, spoken(levels), 100, speakers=(right, left))
    outcomes, _, _ = measure(clip, frames)
    details = outcomes["sync.confidence"].details
    assert len(details["faces"]) == 2
    chosen = details["faces"][details["chosen_face"]]
    assert chosen["box"][0] == pytest.approx(300 / WIDTH, abs=0.01)
    assert outcomes["sync.confidence"].value == chosen["confidence"]
    assert outcomes["sync.distance"].value == chosen["distance"]
    mine, theirs = details["speakers"]["each"]
    assert mine["confidence"] > 3 * theirs["confidence"]
    assert mine["windows"] == pytest.approx(62, abs=2)


def test_still_faces_are_searched_for_in_every_fifth_frame_only(tmp_path: Path) -> None:
    levels = loudness_per_frame(100)
    frames = [picture((100, level)) for level in levels]
    sparse, finder, _ = measure(inputs(tmp_path, spoken(levels), 100), frames)
    assert finder.pictures == 21
    dense, _, _ = measure(inputs(tmp_path, spoken(levels), 100), frames, CleanRules(every=1))
    assert sparse["sync.confidence"].value == dense["sync.confidence"].value


def test_a_moving_face_is_searched_for_in_every_frame(tmp_path: Path) -> None:
    levels = loudness_per_frame(100)
    frames = [picture((20 + 3.2 * i, level)) for i, level in enumerate(levels)]
    sparse, finder, _ = measure(inputs(tmp_path, spoken(levels), 100), frames)
    assert finder.pictures >= 97  # the first step is shorter than the others
    dense, _, _ = measure(inputs(tmp_path, spoken(levels), 100), frames, CleanRules(every=1))
    assert sparse["sync.distance"].value == dense["sync.distance"].value


def test_a_cut_separates_two_shots_of_one_place(tmp_path: Path) -> None:
    levels = loudness_per_frame(120)
    frames = [picture((100, level)) for level in levels]
    for image in frames[60:]:
        image[image.max(axis=2) == 0] = (0, 60, 60)  # another room, darker than any face
        image[:, 300:] = (0, 60, 0)
    clip = inputs(tmp_path, spoken(levels), 120)
    tools = Instruments(
        finder=SquareFinder(),
        embedder=LoudnessEmbedder(),
        cutter=cut_out,
        cut_finder=lambda: CutFinder(threshold=40).is_cut,
    )
    observer = CleanObserver(clip, tools, CleanRules())
    for index, image in enumerate(frames):
        observer.see(Frame(index / 25, image))
    details = observer.finish()["sync.confidence"].details
    assert details["cuts_s"] == [2.4]
    assert [(face["start_s"], face["end_s"]) for face in details["faces"]] == [(0, 2.4), (2.4, 4.8)]


def test_a_face_that_hides_for_a_second_stays_one(tmp_path: Path) -> None:
    levels = loudness_per_frame(110)
    frames = [picture((100, level)) for level in levels]
    for index in range(40, 60):
        frames[index] = picture()
    outcomes, _, _ = measure(inputs(tmp_path, spoken(levels), 110), frames)
    assert len(outcomes["sync.confidence"].details["faces"]) == 1
    series = outcomes["sync.confidence"].series["frame_confidence"]
    assert np.nanmean(series.values[43:54]) < np.nanmean(series.values[:35])


def test_long_clips_have_windows_and_bounded_memory(tmp_path: Path) -> None:
    levels = loudness_per_frame(600)
    seen = levels.copy()
    seen[250:500] = loudness_per_frame(250, seed=8)
    clip = inputs(tmp_path, spoken(levels), 600)
    tools = Instruments(
        finder=SquareFinder(),
        embedder=LoudnessEmbedder(),
        cutter=cut_out,
        cut_finder=lambda: CutFinder(threshold=60).is_cut,
    )
    observer = CleanObserver(clip, tools, CleanRules())
    held = []
    for index, level in enumerate(seen):
        observer.see(Frame(index / 25, picture((100, level))))
        held.append(len(observer._frames))
    assert max(held) <= 20, "frames are let go as soon as they are cut out"
    outcome = observer.finish()["sync.confidence"]
    assert [window["start_s"] for window in outcome.details["windows"]] == [0.0, 10.0]
    assert outcome.details["worst_window"]["start_s"] == 10.0
    assert outcome.details["slope_per_minute"] < 0
    assert len(outcome.series["window_offset"].values) == 2


def chord() -> np.ndarray:
    times = np.arange(640 * 100) / 16_000
    tones = [np.sin(2 * np.pi * pitch * times) for pitch in (220, 277, 330)]
    return np.sum(tones, axis=0) * 0.1


@pytest.mark.parametrize(
    ("sound", "faces", "rules", "reason", "words"),
    [
        ("none", "one", {}, "no_audio", "no audio stream"),
        ("silence", "one", {}, "silent_audio", "silent"),
        ("chord", "one", {}, "music_only", "no speech"),
        ("speech", "nobody", {}, "no_face", "no face was found in any frame"),
        ("speech", "brief", {}, "no_face", "the longest face lasts 1.6 s; sync needs 2"),
        ("speech", "one", {"min_face_px": 150.0}, "too_small", "the largest face measures 120 px"),
        ("speech", "one", {"min_frames": 101}, "too_short", "the clip has 100 frames"),
    ],
)
def test_what_cannot_be_measured_has_a_reason(
    tmp_path: Path, sound: str, faces: str, rules: dict[str, float], reason: str, words: str
) -> None:
    levels = loudness_per_frame(100)
    sounds = {"silence": np.zeros(64_000), "chord": chord(), "speech": spoken(levels)}
    seen = {"one": range(100), "nobody": range(0), "brief": range(20, 60)}[faces]
    frames = [picture((100, a)) if i in seen else picture() for i, a in enumerate(levels)]
    clip = inputs(tmp_path, sounds.get(sound), 100)
    with pytest.raises(CannotMeasure, match=words) as caught:
        measure(clip, frames, CleanRules(**rules))  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_sound_that_ends_early_leaves_too_little(tmp_path: Path) -> None:
    levels = loudness_per_frame(100)
    frames = [picture((100, level)) for level in levels]
    clip = inputs(tmp_path, spoken(levels[:9]), 100)
    with pytest.raises(CannotMeasure, match="enough sound") as caught:
        measure(clip, frames)
    assert caught.value.reason == "too_short"
