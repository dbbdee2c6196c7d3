"""Brings frames to an exact rate by presentation time: nearest source frame, no drift.

Frame counting (`ffmpeg -r`, frame skipping by ratio) shifts pictures against the sound by up to
1.6 frames when 30 fps become 25; taking the source frame nearest to each grid time keeps every
picture within half a source interval of its own time. Knows nothing of files.
"""

import math
from collections.abc import Iterable, Iterator

from joystreamer.errors import InputError
from joystreamer.media.video import Frame

# Two source frames whose distances to a grid time differ by less than this are equally near (the
# earlier one is taken), and a half interval that is this much too short still counts.
TIE_S = 1e-6


class ExactRate:
    """Nearest-timestamp resampler that is pushed, so that one decode can feed several rates.

    The grid is k / rate for k = 0, 1, ... The clip's end decides how many grid points there are:
    round(end * rate), halves up, at least one. At each grid time stands the source frame whose
    presentation time is nearest, the earlier one of two equally near ones.

    Memory: the last source frame and the grid points that are not yet certain to lie before the
    end, which is at most one grid interval and one source interval.
    """

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(f"a frame rate of {rate} is not possible; give frames per second > 0.")
        self.rate = float(rate)
        self._previous: Frame | None = None
        self._first_time_s = 0.0
        self._pushed = 0
        self._next = 0
        self._waiting: list[Frame] = []

    def push(self, frame: Frame) -> list[Frame]:
        """Take the next source frame; return the grid frames that are now certain.

        Raises:
            InputError: the frame's time lies before the one pushed last.
        """
        previous = self._previous
        if previous is None:
            self._first_time_s = frame.time_s
        else:
            if frame.time_s < previous.time_s:
                raise InputError(
                    f"frame times go back from {previous.time_s:.6f} s to {frame.time_s:.6f} s; "
                    "push frames in presentation order."
                )
            while self._next / self.rate <= frame.time_s:
                time_s = self._next / self.rate
                before, after = time_s - previous.time_s, frame.time_s - time_s
                near = previous if before <= after + TIE_S else frame
                self._keep(Frame(time_s, near.rgb))
        self._previous = frame
        self._pushed += 1
        return self._release(self._count(frame.time_s))

    def finish(self, end_s: float | None = None) -> list[Frame]:
        """The clip has ended: return the grid frames that are left.

        Args:
            end_s: when the last source frame disappears. Without it, the last frame is taken to
                last as long as the mean interval before it; a single frame, one grid interval.

        Raises:
            InputError: `end_s` lies before the last frame.
        """
        last = self._previous
        if last is None:
            return []
        if end_s is None:
            span, gaps = last.time_s - self._first_time_s, self._pushed - 1
            end_s = last.time_s + (span / gaps if gaps else 1 / self.rate)
        elif end_s < last.time_s - TIE_S:
            raise InputError(
                f"the clip is said to end at {end_s:.6f} s, before its last frame at "
                f"{last.time_s:.6f} s; give the end of the last frame."
            )
        count = max(1, self._count(end_s))
        while self._next < count:
            self._keep(Frame(self._next / self.rate, last.rgb))
        self._previous = None
        return self._release(count)

    def _count(self, end_s: float) -> int:
        return math.floor((end_s + TIE_S) * self.rate + 0.5)

    def _keep(self, frame: Frame) -> None:
        self._waiting.append(frame)
        self._next += 1

    def _release(self, count: int) -> list[Frame]:
        """Waiting grid frames with an index below `count`."""
        ready = max(0, count - (self._next - len(self._waiting)))
        out, self._waiting = self._waiting[:ready], self._waiting[ready:]
        return out


def resample_frames(
    frames: Iterable[Frame], rate: float, *, end_s: float | None = None
) -> Iterator[Frame]:
    """Frames on the grid k / rate, each the nearest source frame by presentation time.

    Args:
        frames: source frames in presentation order.
        rate: frames per second.
        end_s: when the last source frame disappears; see `ExactRate.finish`.
    """
    resampler = ExactRate(rate)
    for frame in frames:
        yield from resampler.push(frame)
    yield from resampler.finish(end_s)
