"""From the distances of every face to the numbers of a clip: who speaks, when, and how well.

Both headline numbers come from one face, the one of highest confidence: the reference's users often
take the highest confidence and the lowest distance, which may belong to different people. All faces
are kept in the details, and every speaker whose place and times are given gets a reading of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.measure import CannotMeasure, Metric, Outcome
from eval.records import Speaker
from eval.series import Series
from eval.sync.curve import Reading, frame_confidence, read_table
from eval.windows import WINDOW_S, slope_per_minute

FPS: Final = 25.0
FRAME_S: Final = 1 / FPS

CONFIDENCE: Final = Metric(
    name="sync.confidence",
    unit="",
    better="higher",
    summary="Sync-C: how clearly lips follow sound",
)
DISTANCE: Final = Metric(
    name="sync.distance", unit="", better="lower", summary="Sync-D: lips to sound at the best shift"
)
OFFSET: Final = Metric(
    name="sync.offset",
    unit="frames of 40 ms",
    better="neither",
    summary="Frames by which the sound runs ahead of the lips",
)
OFFSET_SIZE: Final = Metric(
    name="sync.offset_size",
    unit="frames of 40 ms",
    better="lower",
    summary="Size of the offset, early or late",
)
DISTANCE_ZERO: Final = Metric(
    name="sync.distance_zero",
    unit="",
    better="lower",
    summary="Lips to sound as the clip is, without any shift",
)
CONFIDENCE_ZERO: Final = Metric(
    name="sync.confidence_zero",
    unit="",
    better="higher",
    summary="How clearly lips follow sound as the clip is, without any shift",
)
METRICS: Final = (CONFIDENCE, DISTANCE, OFFSET, OFFSET_SIZE, DISTANCE_ZERO, CONFIDENCE_ZERO)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredFace:
    """One face that was seen for long enough.

    Attributes:
        first: Frame number at 25 fps at which it appears.
        table: float64, (windows, 31), distances to the sound.
        box: (4,), mean box as shares of width and height.
        size_px: Mean width or height in pixels.
    """

    first: int
    table: NDArray[np.float64]
    box: NDArray[np.float64]
    size_px: float

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Middle of every window in seconds."""
        return np.asarray((self.first + np.arange(len(self.table)) + 2.5) * FRAME_S, np.float64)


def clip_outcomes(
    faces: Sequence[ScoredFace],
    *,
    duration_s: float,
    speakers: Sequence[Speaker] = (),
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Outcome]:
    """Return all sync metrics of a clip.

    Args:
        faces: Every face that was seen for long enough.
        duration_s: Length of the clip in seconds.
        speakers: Who talks where and when, if known.
        facts: JSON-able facts to keep beside the confidence.

    Raises:
        CannotMeasure: No face has enough sound around it.
    """
    readings = [read_table(face.table) for face in faces]
    known = [(face, reading) for face, reading in zip(faces, readings, strict=True) if reading]
    if not known:
        raise CannotMeasure(
            "too_short", "no face has enough sound beside it to tell a best shift from its ends"
        )
    face, best = max(known, key=lambda pair: pair[1].confidence)
    chosen = next(index for index, one in enumerate(faces) if one is face)
    details = dict(facts or {}) | {
        "faces": [
            describe_face(one, reading) for one, reading in zip(faces, readings, strict=True)
        ],
        "chosen_face": chosen,
        "curve": [None if np.isnan(value) else round(float(value), 5) for value in best.curve],
        "covered_share": min(1.0, (len(face.table) + 4) * FRAME_S / max(duration_s, FRAME_S)),
    }
    if speakers:
        details["speakers"] = speaker_readings(faces, speakers)
    windows, series = long_readings(face, duration_s)
    details |= windows
    series["frame_confidence"] = Series(
        times_s=face.times_s, values=frame_confidence(face.table, best)
    )
    return reading_outcomes(best, details, series)


def reading_outcomes(
    reading: Reading, details: Mapping[str, Any], series: Mapping[str, Series]
) -> dict[str, Outcome]:
    """Return one outcome per metric; details and series stay with the confidence."""
    return {
        CONFIDENCE.name: Outcome(value=reading.confidence, details=details, series=series),
        DISTANCE.name: Outcome(value=reading.distance),
        OFFSET.name: Outcome(value=float(reading.offset)),
        OFFSET_SIZE.name: Outcome(value=float(abs(reading.offset))),
        DISTANCE_ZERO.name: _finite(reading.distance_zero),
        CONFIDENCE_ZERO.name: _finite(reading.confidence_zero),
    }


def _finite(value: float) -> Outcome:
    if np.isfinite(value):
        return Outcome(value=value)
    return Outcome(reason="too_short", message="too few windows have sound when nothing is shifted")


def describe_face(face: ScoredFace, reading: Reading | None) -> dict[str, Any]:
    """Return what is kept of one face."""
    facts: dict[str, Any] = {
        "start_s": round(face.first * FRAME_S, 3),
        "end_s": round((face.first + len(face.table) + 4) * FRAME_S, 3),
        "size_px": round(face.size_px, 1),
        "box": [round(float(side), 4) for side in face.box],
    }
    return facts | _numbers(reading)


def _numbers(reading: Reading | None) -> dict[str, Any]:
    if reading is None:
        return {"confidence": None, "distance": None, "offset": None, "windows": 0}
    return {
        "confidence": reading.confidence,
        "distance": reading.distance,
        "offset": reading.offset,
        "windows": reading.windows,
    }


def speaker_readings(faces: Sequence[ScoredFace], speakers: Sequence[Speaker]) -> dict[str, Any]:
    """Read every speaker's own face over its own speaking times (AnyTalker's Sync-C*).

    Args:
        faces: Faces of the clip.
        speakers: With a box as shares of the picture; without spans the whole clip counts.

    Returns:
        JSON-able: per speaker its numbers, and their mean confidence weighted by windows.
    """
    rows = []
    weights, confidences = [], []
    for speaker in speakers:
        reading = _speaker_reading(faces, speaker)
        rows.append(_numbers(reading))
        if reading is not None:
            weights.append(reading.windows)
            confidences.append(reading.confidence)
    mean = float(np.average(confidences, weights=weights)) if weights else None
    return {"each": rows, "weighted_confidence": mean}


def _speaker_reading(faces: Sequence[ScoredFace], speaker: Speaker) -> Reading | None:
    if speaker.box is None:
        return None
    left, top, right, bottom = speaker.box
    parts = []
    for face in faces:
        x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
        if left <= x <= right and top <= y <= bottom:
            times = face.times_s
            inside = np.zeros(len(times), bool)
            for start, end in speaker.spans or ((0.0, np.inf),):
                inside |= (times >= start) & (times < end)
            parts.append(face.table[inside])
    return read_table(np.concatenate(parts)) if parts else None


def long_readings(face: ScoredFace, duration_s: float) -> tuple[dict[str, Any], dict[str, Series]]:
    """Read every 10 s of a long clip by itself: windows, worst window and slope per minute.

    Returns:
        Details and series; both empty for clips of at most 10 s.
    """
    if duration_s <= WINDOW_S:
        return {}, {}
    starts = np.arange(0.0, duration_s - WINDOW_S / 2, WINDOW_S)
    windows = []
    for start in starts:
        end = duration_s if start == starts[-1] else start + WINDOW_S
        inside = (face.times_s >= start) & (face.times_s < end)
        reading = read_table(face.table[inside]) if inside.any() else None
        windows.append({"start_s": float(start), "end_s": float(end)} | _numbers(reading))
    known = [window for window in windows if window["confidence"] is not None]
    times = starts + WINDOW_S / 2
    columns = {
        name: np.array([np.nan if w[name] is None else float(w[name]) for w in windows])
        for name in ("confidence", "distance", "offset")
    }
    details = {
        "windows": windows,
        "worst_window": min(known, key=lambda w: w["confidence"]) if known else None,
        "slope_per_minute": slope_per_minute(times, columns["confidence"]),
    }
    series = {
        f"window_{name}": Series(times_s=times, values=values) for name, values in columns.items()
    }
    return details, series
