"""`motion.*`: strength of motion, flicker, and visible joints between segments."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.backends.flow import Flow, shrink
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.motion import (
    MAD_TO_STD,
    SEAM_FLOOR,
    difference,
    flow_speed,
    luma,
    seam_scores,
    second_difference,
)
from eval.series import Series
from eval.windows import long_details
from joystreamer.media import Frame

SHORT_SIDE: Final = 192
"""Pixels to which frames are scaled before anything is measured: keeps half an hour affordable."""

AMPLITUDE: Final = Metric(
    name="motion.amplitude",
    unit="% of short side/s",
    better="neither",
    summary="Mean speed of everything in the picture",
)
FLICKER: Final = Metric(
    name="motion.flicker",
    unit="grey levels",
    better="lower",
    summary="Brightness that jumps back and forth from frame to frame",
)
SEAM: Final = Metric(
    name="motion.seam",
    unit="sd",
    better="lower",
    summary="How far segment borders stand out from the motion inside segments",
)


class MotionObserver:
    """Keeps the last two frames, small and grey, and numbers per pair."""

    def __init__(self, inputs: ClipInputs) -> None:
        self._inputs = inputs
        self._flow = Flow()
        self._last: list[tuple[float, NDArray[np.uint8], NDArray[np.float32]]] = []
        self._times: list[float] = []
        self._speeds: list[float] = []
        self._jumps: list[float] = []
        self._flickers: list[float] = []

    def see(self, frame: Frame) -> None:
        """Compare the frame with the two before it."""
        bright = luma(shrink(frame.rgb, SHORT_SIDE))
        grey = np.rint(bright).astype(np.uint8)
        if self._last:
            time_s, grey_before, bright_before = self._last[-1]
            interval_s = frame.time_s - time_s
            if interval_s <= 0:  # two pictures at one time: the later one is what is seen
                self._last[-1] = (frame.time_s, grey, bright)
                return
            self._times.append(frame.time_s)
            self._jumps.append(difference(bright_before, bright))
            self._speeds.append(flow_speed(self._flow.between(grey_before, grey), interval_s))
            if len(self._last) == 2:
                self._flickers.append(second_difference(self._last[0][2], bright_before, bright))
        self._last = [*self._last[-1:], (frame.time_s, grey, bright)]

    def finish(self) -> Mapping[str, Outcome]:
        """Return amplitude, flicker and seam."""
        if not self._times:
            raise CannotMeasure("too_short", "motion needs two frames, the clip has one")
        times = np.asarray(self._times)
        end_s = max(self._inputs.probe.duration_s, self._times[-1])
        return {
            AMPLITUDE.name: self._outcome(times, np.asarray(self._speeds), end_s, AMPLITUDE),
            FLICKER.name: self._outcome(
                times[1:] - np.diff(times), np.asarray(self._flickers), end_s, FLICKER
            )
            if self._flickers
            else Outcome(
                reason="too_short", message="flicker needs three frames, the clip has two"
            ),
            SEAM.name: self._seam(times),
        }

    def _outcome(
        self, times: NDArray[np.float64], values: NDArray[np.float64], end_s: float, metric: Metric
    ) -> Outcome:
        return Outcome(
            value=float(np.mean(values)),
            details={
                "maximum": float(np.max(values)),
                "maximum_at_s": float(times[int(np.argmax(values))]),
                "pairs": len(values),
                **long_details(times, values, end_s, "high"),
            },
            series={
                metric.name: Series(
                    times_s=times, values=values.astype(np.float32), unit=metric.unit
                )
            },
        )

    def _seam(self, times: NDArray[np.float64]) -> Outcome:
        borders = self._inputs.borders_s
        if borders is None:
            return Outcome(reason="no_segment_borders", message="nobody said where segments join")
        jumps = np.asarray(self._jumps)
        seams = seam_scores(times, jumps, borders)
        if not seams:
            return Outcome(
                reason="no_segment_borders",
                message="no segment border lies between two frames of the clip",
            )
        worst = max(seams, key=lambda seam: seam.score)
        return Outcome(
            value=float(np.mean([seam.score for seam in seams])),
            details={
                "borders": [
                    {"time_s": seam.time_s, "jump": seam.jump, "score": seam.score}
                    for seam in seams
                ],
                "worst": {"time_s": worst.time_s, "score": worst.score},
            },
            series={
                "frame_difference": Series(
                    times_s=times, values=jumps.astype(np.float32), unit="grey levels"
                )
            },
        )


MOTION: Final[tuple[Measure, ...]] = (
    Measure(
        name="motion",
        variant="flow",
        version=1,
        metrics=(AMPLITUDE, FLICKER, SEAM),
        start=MotionObserver,
        parameters={
            "short_side": SHORT_SIDE,
            "flow": "DIS fast",
            "seam_floor": SEAM_FLOOR,
            "mad_to_std": MAD_TO_STD,
        },
        rate="own",
        inputs=frozenset({"borders"}),
        libraries=("opencv-contrib-python",),
        source="optical flow: Kroeger et al. 2016 (DIS); flicker and seam are ours",
    ),
)
"""The measures of this family."""
