"""Show one clip to many observers, decoding it once.

Frames are streamed: each observer gets them at the rate it asked for, and nothing here keeps more
than the frame at hand. What fails on one observer never disturbs the others.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eval.measure import CannotMeasure, ClipInputs, Measure, Observer, Outcome
from eval.reasons import REASONS
from joystreamer.errors import InputError, MissingExtra, MissingWeights
from joystreamer.media import ExactRate, Frame, iter_frames

log = logging.getLogger(__name__)


class Watched(NamedTuple):
    """What one measure said of a clip, and what it cost.

    Attributes:
        outcomes: One per metric.
        seconds: Time spent inside the measure.
    """

    outcomes: Mapping[str, Outcome]
    seconds: float


class WatchedClip(NamedTuple):
    """All measures of one clip.

    Attributes:
        by_measure: Results by `Measure.spec`.
        decode_s: Time spent decoding and resampling.
        num_frames: The clip's own frames that were decoded.
    """

    by_measure: Mapping[str, Watched]
    decode_s: float
    num_frames: int


def nothing(measure: Measure, reason: str, message: str = "") -> dict[str, Outcome]:
    """Return null outcomes with one reason for every metric of a measure."""
    outcome = Outcome(reason=reason, message=message or REASONS[reason])
    return {metric.name: outcome for metric in measure.metrics}


class _Seat:
    """One measure watching one clip; turns whatever it raises into null outcomes."""

    def __init__(self, measure: Measure, inputs: ClipInputs) -> None:
        self.measure = measure
        self.seconds = 0.0
        self.outcomes: Mapping[str, Outcome] | None = None
        self._observer: Observer | None = None
        self._guarded(lambda: setattr(self, "_observer", measure.start(inputs)))

    @property
    def watching(self) -> bool:
        return self._observer is not None and self.outcomes is None

    def see(self, frame: Frame) -> None:
        observer = self._observer
        if observer is not None and self.outcomes is None:
            self._guarded(lambda: observer.see(frame))

    def finish(self) -> None:
        observer = self._observer
        if observer is None or self.outcomes is not None:
            return

        def close() -> None:
            outcomes = observer.finish()
            names = {metric.name for metric in self.measure.metrics}
            if set(outcomes) != names:
                raise RuntimeError(
                    f"{self.measure.spec} answered {sorted(outcomes)}, expected {sorted(names)}"
                )
            self.outcomes = outcomes

        self._guarded(close)

    def give_up(self, reason: str, message: str) -> None:
        if self.outcomes is None:
            self.outcomes = nothing(self.measure, reason, message)

    def _guarded(self, act) -> None:  # type: ignore[no-untyped-def]  # any callable without arguments
        started = time.perf_counter()
        try:
            act()
        except CannotMeasure as why:
            self.give_up(why.reason, why.message)
        except MissingWeights as error:
            self.give_up("weights_missing", str(error))
        except MissingExtra as error:
            self.give_up("extra_missing", str(error))
        except MemoryError as error:
            self.give_up("memory_missing", str(error) or REASONS["memory_missing"])
        except Exception as error:
            # A defect in one measure must not cost the other measures their scores; it is counted,
            # shown with its sentence and logged with its traceback.
            log.exception("%s failed", self.measure.spec)
            self.give_up("backend_error", f"{type(error).__name__}: {error}")
        finally:
            self.seconds += time.perf_counter() - started


def watch_clip(inputs: ClipInputs, measures: Sequence[Measure]) -> WatchedClip:
    """Decode a clip once and return what every measure says of it.

    Args:
        inputs: The clip and its case.
        measures: Rows of the metric table.
    """
    seats = [_Seat(measure, inputs) for measure in measures]
    decode_s, num_frames, problem = 0.0, 0, ""
    if any(seat.watching and seat.measure.rate != "none" for seat in seats):
        decode_s, num_frames, problem = _show_frames(inputs, seats)
    for seat in seats:
        if problem and seat.measure.rate != "none":
            seat.give_up("decode_error", problem)
        seat.finish()
    results = {seat.measure.spec: Watched(seat.outcomes or {}, seat.seconds) for seat in seats}
    return WatchedClip(results, decode_s, num_frames)


def _show_frames(inputs: ClipInputs, seats: Sequence[_Seat]) -> tuple[float, int, str]:
    """Stream the frames to the seats; return decode seconds, frames and the problem that ended it."""
    own = [seat for seat in seats if seat.measure.rate == "own"]
    rates = {seat.measure.rate for seat in seats if isinstance(seat.measure.rate, int | float)}
    resamplers = {rate: ExactRate(float(rate)) for rate in rates}
    groups = {rate: [seat for seat in seats if seat.measure.rate == rate] for rate in rates}
    started, watched_before, count = time.perf_counter(), sum(seat.seconds for seat in seats), 0
    problem = ""
    try:
        for frame in iter_frames(inputs.path):
            count += 1
            _give(own, [frame])
            for rate, resampler in resamplers.items():
                _give(groups[rate], resampler.push(frame))
            if not any(seat.watching for seat in seats):
                break
        for rate, resampler in resamplers.items():
            _give(groups[rate], resampler.finish(inputs.probe.duration_s))
    except InputError as error:
        problem = str(error).replace(str(inputs.path), "the clip")
    watched = sum(seat.seconds for seat in seats) - watched_before
    return time.perf_counter() - started - watched, count, problem


def _give(seats: Sequence[_Seat], frames: Sequence[Frame]) -> None:
    for frame in frames:
        for seat in seats:
            seat.see(frame)
