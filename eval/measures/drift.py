"""`drift.*`: what has changed at the end of a clip against its beginning."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.backends.faces import MINIMUM_CONFIDENCE, close_detector, find_faces, open_detector
from eval.backends.flow import shrink
from eval.colour import ciede2000, mean_lab
from eval.drift import WINDOW_S, Drift, colour_drift
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.series import Series
from eval.windows import long_details
from joystreamer.media import Frame

COLOUR_RATE: Final = 4.0
"""Frames per second; light and colour drift slowly."""

COLOUR_SHORT_SIDE: Final = 128
"""Pixels to which frames are scaled before colours are averaged."""

COLOUR: Final = Metric(
    name="drift.colour",
    unit="ΔE2000",
    better="lower",
    summary="Colour of the whole picture: end against beginning",
)
COLOUR_FACE: Final = Metric(
    name="drift.colour_face",
    unit="ΔE2000",
    better="lower",
    summary="Colour of the largest face: end against beginning",
)
COLOUR_BACKGROUND: Final = Metric(
    name="drift.colour_background",
    unit="ΔE2000",
    better="lower",
    summary="Colour of everything but the face: end against beginning",
)


class WholeColour:
    """Mean colour of the whole frame."""

    metrics: Final = (COLOUR,)

    def __init__(self, inputs: ClipInputs) -> None:
        del inputs

    def colours(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
        """Return the mean CIELAB colour, (3,)."""
        return (mean_lab(shrink(rgb, COLOUR_SHORT_SIDE)),)

    def close(self) -> None:
        """Nothing is held."""


class FaceColour:
    """Mean colours of the largest face's box and of everything outside it."""

    metrics: Final = (COLOUR_FACE, COLOUR_BACKGROUND)

    def __init__(self, inputs: ClipInputs) -> None:
        self._detector = open_detector(inputs.weights.find("face-detector"))

    def colours(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
        """Return both colours, (3,) each; NaN for both when no face is found."""
        faces = find_faces(self._detector, rgb)
        if not faces:
            return np.full(3, np.nan), np.full(3, np.nan)
        small = shrink(rgb, COLOUR_SHORT_SIDE)
        scale = small.shape[0] / rgb.shape[0]
        mask = np.zeros(small.shape[:2], dtype=bool)
        box = faces[0]
        rows = slice(int(box.top * scale), max(int(box.top * scale) + 1, round(box.bottom * scale)))
        columns = slice(
            int(box.left * scale), max(int(box.left * scale) + 1, round(box.right * scale))
        )
        mask[rows, columns] = True
        return mean_lab(small, mask), mean_lab(small, ~mask)

    def close(self) -> None:
        """Give the detector back."""
        close_detector(self._detector)


class ColourObserver:
    """Follows mean colours over the clip."""

    def __init__(
        self, inputs: ClipInputs, *, regions: Callable[[ClipInputs], Any], window_s: float
    ) -> None:
        self._inputs = inputs
        self._regions = regions(inputs)
        self._window_s = window_s
        self._times: list[float] = []
        self._colours: list[tuple[NDArray[np.float64], ...]] = []

    def see(self, frame: Frame) -> None:
        """Take the colours of one frame."""
        self._times.append(frame.time_s)
        self._colours.append(self._regions.colours(frame.rgb))

    def finish(self) -> Mapping[str, Outcome]:
        """Return one outcome per region."""
        self._regions.close()
        end_s = max(self._inputs.probe.duration_s, self._times[-1]) if self._times else 0.0
        if end_s < 2 * self._window_s - 1e-6:
            raise CannotMeasure(
                "too_short", f"drift needs {2 * self._window_s:g} s, the clip has {end_s:.2f} s"
            )
        times = np.asarray(self._times)
        colours = np.asarray(self._colours)
        return {
            metric.name: self._outcome(times, colours[:, place], end_s)
            for place, metric in enumerate(self._regions.metrics)
        }

    def _outcome(
        self, times: NDArray[np.float64], lab: NDArray[np.float64], end_s: float
    ) -> Outcome:
        drift = colour_drift(times, lab, end_s, window_s=self._window_s)
        seen = np.isfinite(lab[:, 0])
        if drift is None:
            return Outcome(
                reason="no_face",
                message=f"a face was found in {seen.mean():.0%} of the frames looked at, but not at "
                "both ends of the clip",
            )
        series = {
            channel: Series(times_s=times, values=lab[:, index].astype(np.float32), unit="CIELAB")
            for index, channel in enumerate(("L*", "a*", "b*"))
        }
        return Outcome(
            value=drift.value,
            details={
                **drift_details(drift, self._window_s),
                "frames": len(times),
                "found_rate": float(seen.mean()),
                **long_details(
                    times, distance_from_start(times, lab, self._window_s), end_s, "high"
                ),
            },
            series=series,
        )


def distance_from_start(
    times: NDArray[np.float64], lab: NDArray[np.float64], window_s: float
) -> NDArray[np.float64]:
    """Return the CIEDE2000 distance of every frame from the first window's mean colour, (n,)."""
    return ciede2000(np.nanmean(lab[times < window_s], axis=0), lab)


def drift_details(drift: Drift, window_s: float) -> dict[str, Any]:
    """Return what is kept beside a drift: both ends, slope, window."""
    return {
        "first": list(drift.first),
        "last": list(drift.last),
        "slope_per_minute": drift.slope_per_minute,
        "window_s": window_s,
    }


def _colour(
    variant: str, regions: type[WholeColour | FaceColour], *, window_s: float, default: bool
) -> Measure:
    faces = regions is FaceColour
    return Measure(
        name="drift",
        variant=variant,
        version=1,
        metrics=regions.metrics,
        start=partial(ColourObserver, regions=regions, window_s=window_s),
        parameters={
            "window_s": window_s,
            "short_side": COLOUR_SHORT_SIDE,
            "region": "largest face box and the rest" if faces else "whole frame",
            **({"minimum_confidence": MINIMUM_CONFIDENCE} if faces else {}),
        },
        rate=COLOUR_RATE,
        weights=("face-detector",) if faces else (),
        libraries=("mediapipe", "opencv-contrib-python") if faces else ("opencv-contrib-python",),
        default=default,
        source="ours; CIEDE2000 after Sharma, Wu and Dalal 2005",
    )


DRIFT: Final[tuple[Measure, ...]] = (
    _colour("colour", WholeColour, window_s=WINDOW_S, default=True),
    _colour("colour-10s", WholeColour, window_s=10.0, default=False),
    _colour("colour-face", FaceColour, window_s=WINDOW_S, default=True),
    _colour("colour-face-10s", FaceColour, window_s=10.0, default=False),
)
"""The measures of this family."""
