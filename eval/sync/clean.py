"""The default specification: one pass over exact 25 fps frames, in memory that does not grow.

Frames wait only until the faces in them are found and smoothed (some tenths of a second); crops wait
only until five of them make a window. What the reference does and this does not: no lossy copies of
the clip, no zero vectors beyond the sound, no zeros beyond the ends of a track, no track that mixes
people, no number without a speaker. See `docs/metrics/sync.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.face_tracks import FaceTracker, OpenTrack, square_around
from eval.measure import SAMPLE_RATE, CannotMeasure, ClipInputs, Outcome
from eval.mfcc import FULL_SCALE, mfcc
from eval.sync.detection import EVERY, SAME_OVERLAP, SparseDetection
from eval.sync.face_stream import FaceStream
from eval.sync.networks import Cutter, FaceFinder, SyncEmbedder
from eval.sync.outcomes import ScoredFace, clip_outcomes
from eval.sync.scoring import SoundEmbeddings, TrackScorer
from eval.sync.sound import Sound, judge_sound
from joystreamer.media import Frame

MIN_FRAMES: Final = 50
"""A face counts when it is followed for this long: 2 s (LatentSync, MoChaBench)."""
MIN_FACE_PX: Final = 100.0
"""A face counts when its mean width or height is above this (joonson)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanRules:
    """Constants of the default specification.

    Attributes:
        every: Frames from one searched frame to the next; see `eval.sync.detection`.
        same_overlap: Overlap above which a face counts as hardly moved between them.
        min_frames: Frames a face must be followed.
        min_face_px: Size a face must exceed.
    """

    every: int = EVERY
    same_overlap: float = SAME_OVERLAP
    min_frames: int = MIN_FRAMES
    min_face_px: float = MIN_FACE_PX


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruments:
    """Networks and picture operations, opened once per process.

    Attributes:
        finder: Finds faces.
        embedder: Embeds lips and sound.
        cutter: Cuts a square out of a picture.
        cut_finder: Opens a watcher that says whether a frame begins another shot.
    """

    finder: FaceFinder
    embedder: SyncEmbedder
    cutter: Cutter
    cut_finder: Callable[[], Callable[[NDArray[np.uint8]], bool]]


class CleanObserver:
    """Watches one clip at 25 fps.

    Args:
        inputs: The clip.
        tools: Networks and picture operations.
        rules: Constants.
    """

    def __init__(self, inputs: ClipInputs, tools: Instruments, rules: CleanRules) -> None:
        self._inputs = inputs
        self._tools = tools
        self._rules = rules
        self._is_cut = tools.cut_finder()
        self._detection = SparseDetection(
            tools.finder, every=rules.every, same_overlap=rules.same_overlap
        )
        self._tracker = FaceTracker()
        self._frames: dict[int, NDArray[np.uint8]] = {}
        self._cuts: set[int] = set()
        self._count = 0
        self._size = (0, 0)
        self._people: dict[OpenTrack, tuple[FaceStream, TrackScorer]] = {}
        self._faces: list[ScoredFace] = []
        self._dropped: list[FaceStream] = []
        self._heard: tuple[Sound, SoundEmbeddings] | None = None

    def see(self, frame: Frame) -> None:
        """Take the next frame at 25 fps.

        Raises:
            CannotMeasure: The clip has no sound, or none that could be speech.
        """
        if self._heard is None:
            self._heard = self._listen()
        number = self._count
        self._count += 1
        self._size = (frame.rgb.shape[0], frame.rgb.shape[1])
        self._frames[number] = frame.rgb
        cut = self._is_cut(frame.rgb)
        if cut:
            self._cuts.add(number)
        for known, boxes in self._detection.push(number, frame.rgb, cut=cut):
            self._follow(known, boxes)
        self._forget()

    def finish(self) -> Mapping[str, Outcome]:
        """Return all sync metrics.

        Raises:
            CannotMeasure: No face was seen for long enough, or too little sound lies beside it.
        """
        sound, _ = self._heard or (self._listen())
        for known, boxes in self._detection.finish():
            self._follow(known, boxes)
        self._tracker.cut()
        self._close_ended()
        if not self._faces:
            raise self._no_face()
        return clip_outcomes(
            self._faces,
            duration_s=self._inputs.probe.duration_s,
            speakers=self._inputs.speakers,
            facts={
                "searched_frames": self._detection.searched,
                "frames": self._count,
                "cuts_s": [round(cut / 25.0, 3) for cut in sorted(self._cuts)],
                "sound_modulation": round(sound.modulation, 3),
            },
        )

    def _listen(self) -> tuple[Sound, SoundEmbeddings]:
        samples = self._inputs.audio
        if samples is None:
            raise CannotMeasure("no_audio")
        sound = judge_sound(samples, SAMPLE_RATE)
        if sound.reason is not None:
            raise CannotMeasure(sound.reason)
        rows = mfcc(samples * np.float32(FULL_SCALE))
        return sound, SoundEmbeddings(rows, self._tools.embedder)

    def _follow(self, number: int, boxes: NDArray[np.float64]) -> None:
        if number in self._cuts:
            self._tracker.cut()
        for track, box in self._tracker.step(number, boxes):
            if track in self._people:
                self._people[track][0].follow(number, box)
            else:
                assert self._heard is not None
                scorer = TrackScorer(
                    number,
                    self._heard[1],
                    self._tools.embedder,
                    hold=self._rules.min_frames,
                )
                self._people[track] = (FaceStream(number, box), scorer)
        self._close_ended()
        for stream, scorer in self._people.values():
            self._cut_out(stream, scorer, ended=False)

    def _cut_out(self, stream: FaceStream, scorer: TrackScorer, *, ended: bool) -> None:
        height, width = self._size
        for number, half, x, y in stream.settled(ended=ended):
            square = square_around(half, x, y, height, width)
            crop = self._tools.cutter(self._frames[number], square, self._tools.embedder.side)
            scorer.add(crop[..., ::-1])  # SyncNet was trained on OpenCV's channel order

    def _close_ended(self) -> None:
        for track in [track for track in self._people if track not in self._tracker.open]:
            stream, scorer = self._people.pop(track)
            self._cut_out(stream, scorer, ended=True)
            large = stream.size_px > self._rules.min_face_px
            table = scorer.finish() if large else None
            if table is None:
                self._dropped.append(stream)
                continue
            height, width = self._size
            self._faces.append(
                ScoredFace(
                    first=stream.first,
                    table=table,
                    box=stream.mean_box / [width, height, width, height],
                    size_px=stream.size_px,
                )
            )

    def _forget(self) -> None:
        """Let go of every frame that nobody waits for."""
        waiting = [stream.next_frame for stream, _ in self._people.values()]
        needed = min([self._count - self._detection.waiting, *waiting])
        for number in [number for number in self._frames if number < needed]:
            del self._frames[number]

    def _no_face(self) -> CannotMeasure:
        seconds = self._rules.min_frames / 25.0
        if self._count < self._rules.min_frames:
            return CannotMeasure(
                "too_short", f"the clip has {self._count} frames; sync needs {seconds:g} s"
            )
        if not self._dropped:
            return CannotMeasure("no_face", "no face was found in any frame")
        longest = max(self._dropped, key=lambda stream: stream.length)
        if longest.length >= self._rules.min_frames:
            return CannotMeasure(
                "too_small",
                f"the largest face measures {longest.size_px:.0f} px; "
                f"sync needs more than {self._rules.min_face_px:g}",
            )
        return CannotMeasure(
            "no_face",
            f"the longest face lasts {longest.length / 25.0:.1f} s; sync needs {seconds:g}",
        )
