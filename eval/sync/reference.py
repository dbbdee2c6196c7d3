"""The compatibility modes: the reference pipelines with their defects, for comparison with papers.

Each is a set of rules over one route: 25 fps copy of the clip, JPEG frames, faces in every frame,
shots, the reference's tracker, crops through a video codec, SyncNet with zero vectors beyond the
sound. Frames are streamed twice, the second time from a file of JPEGs. Differences that stay: the
clip's value is null with a reason where a reference prints 0.0 or nothing. See `docs/metrics/sync.md`
for the defects.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from eval.face_tracks import (
    Boxes,
    Track,
    centre_and_half,
    joonson_tracks,
    mocha_tracks,
    smooth,
    square_around,
)
from eval.measure import CannotMeasure, ClipInputs, Outcome
from eval.mfcc import mfcc
from eval.sync.clean import Instruments
from eval.sync.curve import Reading, read_table
from eval.sync.outcomes import METRICS, reading_outcomes
from eval.sync.scoring import SoundEmbeddings, TrackScorer
from eval.sync.sound import judge_sound
from joystreamer.media import Frame
from joystreamer.native_memory import release_memory

SAMPLES_PER_FRAME: Final = 640
JPEG_QUALITY: Final = 2
MIN_FACE_PX: Final = 100.0
DETECTION_BATCH: Final = 2

Shots = Callable[[Path, float], list[tuple[int, int]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceRules:
    """What tells the reference pipelines apart.

    Attributes:
        container: Suffix of the 25 fps copy and of the crops; decides their codecs.
        sound: `given`: the case's speech if there is one, else the clip's own; `copy`: the sound of
            the lossy copy.
        sound_in_crop: Whether every crop's sound takes a detour through AAC.
        tracker: Whose tracker.
        min_detections: A track needs more detections than this; shots need as many frames.
        cut_threshold: Of PySceneDetect's content detector.
        choose: `extremes`: highest confidence and lowest distance, perhaps of different faces;
            `best`: the face of highest confidence; `mean`: means over faces, offset cut towards 0.
    """

    container: Literal[".avi", ".mp4"]
    sound: Literal["given", "copy"]
    sound_in_crop: bool
    tracker: Literal["joonson", "mocha"]
    min_detections: int
    cut_threshold: float
    choose: Literal["extremes", "best", "mean"]


MOCHA: Final = ReferenceRules(
    container=".avi",
    sound="given",
    sound_in_crop=False,
    tracker="mocha",
    min_detections=50,
    cut_threshold=27.0,
    choose="extremes",
)
"""MoChaBench @043908d and syncnet-python 0.2.3."""

JOONSON: Final = ReferenceRules(
    container=".avi",
    sound="copy",
    sound_in_crop=False,
    tracker="joonson",
    min_detections=100,
    cut_threshold=30.0,  # of PySceneDetect 0.5.1, which that code pins
    choose="best",
)
"""joonson/syncnet_python @6efbb1c, which prints every track and names no clip value."""

LATENTSYNC: Final = ReferenceRules(
    container=".mp4",
    sound="copy",
    sound_in_crop=True,
    tracker="joonson",
    min_detections=50,
    cut_threshold=27.0,
    choose="mean",
)
"""LatentSync @a229c39, whose offset is the truncated mean and which never reports a distance."""


class ReferenceObserver:
    """Runs a reference route over a clip's file; sees no frames of ours.

    Args:
        inputs: The clip.
        tools: Networks and picture operations.
        rules: Which reference.
    """

    def __init__(self, inputs: ClipInputs, tools: Instruments, rules: ReferenceRules) -> None:
        self._inputs = inputs
        self._tools = tools
        self._rules = rules

    def see(self, frame: Frame) -> None:
        """Never called: the route decodes the file its own way."""

    def finish(self) -> Mapping[str, Outcome]:
        """Return all sync metrics.

        Raises:
            CannotMeasure: No sound, silence, or no face that makes a track.
        """
        with tempfile.TemporaryDirectory(prefix="joystreamer-sync-") as folder:
            faces = self.score_tracks(Path(folder))
        return choose_outcomes(faces, self._rules.choose)

    def score_tracks(self, folder: Path) -> list[tuple[Track, Reading]]:
        """Return every track the reference would print, with its reading.

        Args:
            folder: An empty folder for intermediate files.

        Raises:
            CannotMeasure: No sound, silence, or no track.
        """
        from eval.backends.ffmpeg_route import copy_clip, read_sound
        from eval.backends.shots import list_shots

        if not self._inputs.probe.has_audio and self._inputs.speech is None:
            raise CannotMeasure("no_audio")
        copy = folder / f"copy{self._rules.container}"
        copy_clip(self._inputs.path, copy)
        source = copy if self._rules.sound == "copy" else self._inputs.speech or self._inputs.path
        sound = read_sound(source, folder / "sound.wav")
        if judge_sound(sound / 32768, 16_000).reason == "silent_audio":
            raise CannotMeasure("silent_audio")
        pictures = folder / "pictures.mjpeg"
        with ThreadPoolExecutor(1) as aside:  # while the detector computes
            listed = aside.submit(list_shots, copy, threshold=self._rules.cut_threshold)
            detections = list(self._detect(copy, pictures))
            shots = listed.result()
        release_memory()  # the detector's, before SyncNet takes its own
        tracks = self._tracks(detections, shots)
        if not tracks:
            found = any(len(faces) for faces in detections)
            raise CannotMeasure(
                "no_face",
                f"no face of more than {MIN_FACE_PX:g} px has more than "
                f"{self._rules.min_detections} detections in one shot"
                if found
                else "no face was found in any frame",
            )
        clips = self._write_crops(pictures, tracks, folder)
        return self._score(tracks, clips, sound, folder)

    def _detect(self, copy: Path, pictures: Path) -> Iterator[Boxes]:
        """Yield the faces of every frame; the next frames are decoded while faces are searched."""
        from eval.backends.ffmpeg_route import jpeg_frames

        def search(images: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
            return [faces[:, :4] for faces in self._tools.finder.find(images)]

        with ThreadPoolExecutor(1) as aside:
            images = (
                image[..., ::-1] for image in jpeg_frames(copy, quality=JPEG_QUALITY, keep=pictures)
            )
            searched: Future[list[Boxes]] | None = None
            while batch := list(islice(images, DETECTION_BATCH)):
                before, searched = searched, aside.submit(search, batch)
                if before is not None:
                    yield from before.result()
            if searched is not None:
                yield from searched.result()

    def _tracks(self, detections: Sequence[Boxes], shots: Sequence[tuple[int, int]]) -> list[Track]:
        find = mocha_tracks if self._rules.tracker == "mocha" else joonson_tracks
        tracks = []
        for start, end in shots:
            if end - start >= self._rules.min_detections:
                tracks += find(detections[start:end], start=start)
        return [
            track
            for track in tracks
            if track.detections > self._rules.min_detections and track.size_px > MIN_FACE_PX
        ]

    def _write_crops(self, pictures: Path, tracks: Sequence[Track], folder: Path) -> list[Path]:
        from eval.backends.ffmpeg_route import CropWriter, kept_frames

        side = self._tools.embedder.side
        geometry = [smooth(centre_and_half(track.boxes), ends="zeros") for track in tracks]
        paths = [folder / f"crop{index}{self._rules.container}" for index in range(len(tracks))]
        with ExitStack() as stack:
            writers = [stack.enter_context(CropWriter(path, side)) for path in paths]
            for number, image in enumerate(kept_frames(pictures)):
                for track, places, writer in zip(tracks, geometry, writers, strict=True):
                    index = number - int(track.frames[0])
                    if 0 <= index < len(track.frames):
                        square = square_around(*places[index], *image.shape[:2])
                        writer.write(self._tools.cutter(image, square, side))
        return paths

    def _score(
        self,
        tracks: Sequence[Track],
        clips: Sequence[Path],
        sound: NDArray[np.int16],
        folder: Path,
    ) -> list[tuple[Track, Reading]]:
        faces = []
        for track, clip in zip(tracks, clips, strict=True):
            start, stop = int(track.frames[0]), int(track.frames[-1]) + 1
            part = sound[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
            reading = self._score_crop(clip, part, len(track.frames), folder)
            if reading is not None:
                faces.append((track, reading))
        if not faces:
            raise CannotMeasure("too_short", "no face has at least six windows with sound")
        return faces

    def _score_crop(
        self, clip: Path, sound: NDArray[np.int16], frames: int, folder: Path
    ) -> Reading | None:
        from eval.backends.ffmpeg_route import jpeg_frames, mux_aac

        if self._rules.sound_in_crop:
            sound = mux_aac(clip, sound, folder)
        windows = min(frames, len(sound) // SAMPLES_PER_FRAME) - 5
        if windows < 1:
            return None
        heard = SoundEmbeddings(mfcc(sound), self._tools.embedder, windows)
        scorer = TrackScorer(0, heard, self._tools.embedder, outside="zeros")
        for image in jpeg_frames(clip):
            if scorer.count == windows + 4:
                break
            scorer.add(image)
        table = scorer.finish()
        return None if table is None else read_table(table, min_windows=1)


def choose_outcomes(
    faces: Sequence[tuple[Track, Reading]], choose: Literal["extremes", "best", "mean"]
) -> dict[str, Outcome]:
    """Return a clip's values from its tracks; see `ReferenceRules.choose`."""
    readings = [reading for _, reading in faces]
    best = max(readings, key=lambda reading: reading.confidence)
    details: dict[str, Any] = {
        "faces": [
            {
                "start_s": int(track.frames[0]) / 25,
                "end_s": (int(track.frames[-1]) + 1) / 25,
                "size_px": round(track.size_px, 1),
                "confidence": reading.confidence,
                "distance": reading.distance,
                "offset": reading.offset,
                "windows": reading.windows,
            }
            for track, reading in faces
        ],
        "curve": [round(float(value), 5) for value in best.curve],
    }
    outcomes = reading_outcomes(best, details, {})
    confidence, distance, offset, offset_size, *_ = (metric.name for metric in METRICS)
    if choose == "extremes":
        outcomes[distance] = Outcome(value=min(reading.distance for reading in readings))
    elif choose == "mean":
        values = {
            name: float(np.mean([getattr(reading, name) for reading in readings]))
            for name in ("confidence", "distance", "distance_zero", "confidence_zero", "offset")
        }
        whole = float(int(values.pop("offset")))
        for name, value in values.items():
            outcomes[f"sync.{name}"] = Outcome(value=value)
        outcomes[confidence] = Outcome(value=values["confidence"], details=details)
        outcomes[offset] = Outcome(value=whole)
        outcomes[offset_size] = Outcome(value=abs(whole))
    return outcomes
