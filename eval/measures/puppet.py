"""`puppet.*`: exact oracles of the puppet world, where everything that was asked is known."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eval.measure import SAMPLE_RATE, CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.puppet import bodies, colours, lips, obedience, readings
from eval.puppet.case import KEY, read_puppet_case
from eval.puppet.judge import DRIFT_LEAST_S, DRIFT_S, PIECE, judge_readings
from eval.puppet.mouth import FPS, FULLY_OPEN_RMS, SMOOTHING_FRAMES
from eval.puppet.readings import SIDE, Reader, Readings
from eval.series import Series
from joystreamer.errors import InputError
from joystreamer.media import Frame, read_audio

METRICS: Final[tuple[Metric, ...]] = (
    Metric(
        name="puppet.program",
        unit="",
        better="higher",
        summary="1 when everything that was asked happened and nothing else",
    ),
    Metric(
        name="puppet.slots",
        unit="",
        better="higher",
        summary="Share of the six kinds of change that are as asked",
    ),
    Metric(
        name="puppet.response",
        unit="",
        better="neither",
        summary="Size of the asked changes: 1 full, 0 static",
    ),
    Metric(
        name="puppet.stillness",
        unit="",
        better="lower",
        summary="Largest change that nobody asked for",
    ),
    Metric(
        name="puppet.mouth_correlation",
        unit="",
        better="higher",
        summary="Correlation of mouths with their voices, without any shift",
    ),
    Metric(
        name="puppet.mouth_lag",
        unit="frames of 40 ms",
        better="neither",
        summary="Frames by which mouths are late; negative when early",
    ),
    Metric(
        name="puppet.mouth_gain",
        unit="",
        better="neither",
        summary="How far mouths open for what their voices ask: 1 is right",
    ),
    Metric(
        name="puppet.mouth_error",
        unit="",
        better="lower",
        summary="Mean error of the opening, of a fully open mouth",
    ),
    Metric(
        name="puppet.identity_error",
        unit="grey levels",
        better="lower",
        summary="Distance of face, shirt and hair from their own colours",
    ),
    Metric(
        name="puppet.drift",
        unit="grey levels",
        better="lower",
        summary="Identity error at the end minus at the beginning",
    ),
    Metric(
        name="puppet.flicker",
        unit="grey levels",
        better="lower",
        summary="Colours outside mouths that jump back and forth",
    ),
    Metric(
        name="puppet.leakage",
        unit="",
        better="lower",
        summary="Largest correlation of a silent mouth with somebody else's voice",
    ),
)


class PuppetObserver:
    """Reads frames in pieces and judges at the end."""

    def __init__(self, inputs: ClipInputs) -> None:
        case = read_puppet_case(inputs.extra, "the case's extra")
        if case is None:
            raise CannotMeasure("not_puppet")
        if len(inputs.speakers) != len(case.people):
            raise InputError(
                f"the case has {len(inputs.speakers)} speakers and {len(case.people)} puppets; "
                "give one speaker per puppet"
            )
        self._case, self._inputs = case, inputs
        self._reader = Reader(case)
        self._waiting: list[NDArray[np.uint8]] = []

    def see(self, frame: Frame) -> None:
        """Take the next frame; frames are scaled to 64 x 64 pixels."""
        self._waiting.append(_scaled(frame.rgb))
        if len(self._waiting) == PIECE:
            self._read()

    def finish(self) -> Mapping[str, Outcome]:
        """Return one outcome per oracle."""
        if self._waiting:
            self._read()
        found = self._reader.readings()
        verdicts = judge_readings(found, self._voices(), self._case)
        series = _series(found)
        return {
            metric.name: Outcome(
                value=verdict.value,
                reason=verdict.reason,
                details=verdict.details,
                series=series.get(metric.name, {}),
            )
            for metric in METRICS
            for verdict in (verdicts[metric.name.removeprefix("puppet.")],)
        }

    def _read(self) -> None:
        self._reader.see(np.stack(self._waiting))
        self._waiting.clear()

    def _voices(self) -> list[NDArray[np.float32] | None]:
        """Return everybody's clean speech; a lone puppet without a file speaks the clip's sound."""
        speakers = self._inputs.speakers
        if len(speakers) == 1 and speakers[0].audio is None:
            return [self._inputs.audio]
        return [
            None if one.audio is None else read_audio(one.audio, sample_rate=SAMPLE_RATE)
            for one in speakers
        ]


def _scaled(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame as 64 x 64 pixels."""
    if rgb.shape[:2] == (SIDE, SIDE):
        return rgb
    import cv2

    scaled: NDArray[np.uint8] = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return scaled


def _series(found: Readings) -> dict[str, dict[str, Series]]:
    """Return what is worth plotting under the playhead."""
    times = np.arange(len(found)) / FPS
    mouths = {
        f"mouth {place + 1}": Series(times_s=times, values=found.mouths[:, place])
        for place in range(found.mouths.shape[1])
    }
    return {
        "puppet.mouth_correlation": mouths,
        "puppet.identity_error": {
            "identity_error": Series(
                times_s=times, values=found.identity.mean(axis=1), unit="grey levels"
            )
        },
        "puppet.flicker": {
            "flicker": Series(times_s=times, values=found.flicker, unit="grey levels")
        },
    }


PUPPET: Final[tuple[Measure, ...]] = (
    Measure(
        name="puppet",
        variant="oracle",
        version=3,
        metrics=METRICS,
        start=PuppetObserver,
        parameters={
            "side": SIDE,
            "spread": colours.SPREAD,
            "strange": colours.STRANGE,
            "blushes": colours.BLUSHES,
            "head_margin": bodies.MARGIN,
            "soft": readings.SOFT,
            "halo": readings.HALO,
            "grain": readings.GRAIN,
            "nearest": readings.NEAREST,
            "half": obedience.HALF,
            "least_frames": obedience.LEAST_FRAMES,
            "end_frames": obedience.END,
            "smooth_frames": obedience.SMOOTH,
            "max_lag": lips.MAX_LAG,
            "tremble": lips.TREMBLE,
            "mouth_smoothing": SMOOTHING_FRAMES,
            "fully_open_rms": FULLY_OPEN_RMS,
            "drift_s": DRIFT_S,
            "drift_least_s": DRIFT_LEAST_S,
        },
        rate=float(FPS),
        inputs=frozenset({"prompt", "speakers"}),
        libraries=("opencv-contrib-python", "scipy"),
        needs_extra=KEY,
        source="ours; the puppet world of this project",
    ),
)
"""The measures of this family."""
