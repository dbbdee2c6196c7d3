"""`video.*`: what a clip is, before anybody judges it."""

from collections.abc import Mapping
from typing import Any, Final

from eval.measure import ClipInputs, Measure, Metric, Outcome
from eval.video import LOUDNESS_RATE, end_difference, frame_rate
from joystreamer.media import Frame, LoudnessMeter
from joystreamer.media.audio import iter_stereo

FPS: Final = Metric(name="video.fps", unit="1/s", better="neither", summary="Frames per second")
DURATION: Final = Metric(
    name="video.duration", unit="s", better="neither", summary="Length of the pictures"
)
DIFFERENCE: Final = Metric(
    name="video.duration_difference",
    unit="s",
    better="lower",
    summary="How far the ends of pictures and sound lie apart",
)
WIDTH: Final = Metric(
    name="video.width", unit="px", better="neither", summary="Columns as displayed"
)
HEIGHT: Final = Metric(
    name="video.height", unit="px", better="neither", summary="Rows as displayed"
)
AUDIO: Final = Metric(
    name="video.has_audio", unit="", better="neither", summary="1 with sound, 0 without"
)
LOUDNESS: Final = Metric(
    name="video.loudness", unit="LUFS", better="neither", summary="Loudness over two loudspeakers"
)


class ProbeObserver:
    """Reads the probe and listens once; wants no frames."""

    def __init__(self, inputs: ClipInputs) -> None:
        self._inputs = inputs

    def see(self, frame: Frame) -> None:
        """Take nothing: everything is in the container."""

    def finish(self) -> Mapping[str, Outcome]:
        """Return one outcome per fact."""
        probe = self._inputs.probe
        rate, difference = frame_rate(probe), end_difference(probe)
        facts: dict[str, Any] = {
            "container": probe.container,
            "codec": probe.codec,
            "constant_rate": probe.constant_rate,
            "num_frames": probe.num_frames,
            "rotation": probe.rotation,
            "pixel_aspect": probe.pixel_aspect,
        }
        return {
            FPS.name: Outcome(reason="too_short", message="a single picture without a stated rate")
            if rate is None
            else Outcome(value=rate, details=facts),
            DURATION.name: Outcome(value=probe.duration_s),
            DIFFERENCE.name: Outcome(reason="no_audio", message="the clip has no audio stream")
            if difference is None
            else Outcome(value=abs(difference), details={"pictures_minus_sound_s": difference}),
            WIDTH.name: Outcome(value=float(probe.width)),
            HEIGHT.name: Outcome(value=float(probe.height)),
            AUDIO.name: Outcome(
                value=float(probe.has_audio),
                details={
                    "streams": [
                        {
                            "codec": each.codec,
                            "sample_rate": each.sample_rate,
                            "channels": each.channels,
                        }
                        for each in probe.audio_streams
                    ]
                },
            ),
            LOUDNESS.name: self._loudness(),
        }

    def _loudness(self) -> Outcome:
        if not self._inputs.probe.has_audio:
            return Outcome(reason="no_audio", message="the clip has no audio stream")
        meter = LoudnessMeter(LOUDNESS_RATE, channels=2)
        for chunk in iter_stereo(self._inputs.path, sample_rate=LOUDNESS_RATE):
            meter.push(chunk)
        loudness = meter.integrated()
        if loudness is None:
            return Outcome(
                reason="silent_audio", message="nothing is louder than -70 LUFS for 400 ms"
            )
        return Outcome(value=loudness, details={"sample_peak": meter.peak})


VIDEO: Final[tuple[Measure, ...]] = (
    Measure(
        name="video",
        variant="probe",
        version=1,
        metrics=(FPS, DURATION, DIFFERENCE, WIDTH, HEIGHT, AUDIO, LOUDNESS),
        start=ProbeObserver,
        parameters={"loudness": "ITU-R BS.1770-5", "loudness_rate": LOUDNESS_RATE},
        rate="none",
        libraries=("av",),
        source="the container; ITU-R BS.1770-5 for loudness",
    ),
)
"""The measures of this family."""
