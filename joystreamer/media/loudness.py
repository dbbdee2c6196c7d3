"""Programme loudness by ITU-R BS.1770-5 and gain to a target.

Written from the recommendation: K-weighting (annex 1), mean square per channel, 400 ms blocks with
75 % overlap, absolute gate at -70 LKFS, relative gate at -10 LU. Filters for other rates than
48 kHz come from the same two analogue prototypes by the bilinear transform, which moves the level at
1 kHz by 0.04 dB at 16 kHz. Knows nothing of files.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from joystreamer.errors import InputError

BLOCK_S = 0.4
STEP_S = 0.1  # 75 % overlap
ABSOLUTE_GATE_LKFS = -70.0
RELATIVE_GATE_LU = -10.0
OFFSET_LKFS = -0.691  # makes a 997 Hz sine of full scale on one channel -3.01 LKFS

# The two stages as (centre frequency in Hz, quality, gain in dB), recovered from the 48 kHz
# coefficients of BS.1770-5, tables 1 and 2.
_SHELF_HZ, _SHELF_Q, _SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
_SHELF_SLOPE = 0.4996667741545416
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773

# The impulse response is cut here: the slowest pole falls by exp(-2 pi 38.1 t), 1e-26 at 0.25 s.
_RESPONSE_S = 0.25


def integrated_loudness(
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    channel_gains: Sequence[float] | None = None,
) -> float | None:
    """Gated loudness of a whole signal.

    Args:
        samples: (samples,) or (channels, samples), full scale 1.0.
        sample_rate: samples per second.
        channel_gains: weight of each channel's power; 1 for left, right and centre (the default),
            1.41 for surrounds, 0 for low-frequency effects.

    Returns:
        LKFS (= LUFS); None when the signal is shorter than 400 ms or never passes -70 LKFS.
    """
    signal = np.atleast_2d(samples)
    meter = LoudnessMeter(sample_rate, signal.shape[0], channel_gains=channel_gains)
    piece = 10 * sample_rate
    for start in range(0, signal.shape[1], piece):
        meter.push(signal[:, start : start + piece])
    return meter.integrated()


def gain_to(loudness_lufs: float | None, target_lufs: float) -> float:
    """Linear gain from a loudness to a target; 1.0 when the loudness is None (silence)."""
    if loudness_lufs is None:
        return 1.0
    return float(10.0 ** ((target_lufs - loudness_lufs) / 20.0))


def match_loudness(
    samples: NDArray[np.float32], sample_rate: int, target_lufs: float
) -> NDArray[np.float32]:
    """The signal at a target loudness; silence and signals under 400 ms come back unchanged.

    Peaks may exceed 1.0: whoever writes the result to a file limits the gain.
    """
    loudness = integrated_loudness(samples, sample_rate)
    return (samples * np.float32(gain_to(loudness, target_lufs))).astype(np.float32)


class LoudnessMeter:
    """Integrated loudness of a signal that arrives in pieces; ten numbers kept per second."""

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        *,
        channel_gains: Sequence[float] | None = None,
    ) -> None:
        if sample_rate < 4000:
            raise InputError(
                f"loudness at {sample_rate} samples per second is not defined; give 4000 or more."
            )
        gains = np.ones(channels) if channel_gains is None else np.asarray(channel_gains, float)
        if gains.shape != (channels,):
            raise InputError(
                f"{gains.size} channel gains came for {channels} channels; give one per channel."
            )
        self._rate = sample_rate
        self._gains = gains
        self._response = weighting_response(sample_rate)
        self._tail = np.zeros((channels, self._response.size - 1))
        self._rest = np.zeros(0)  # weighted power per sample that fills no step yet
        self._steps: list[float] = []
        self.peak = 0.0

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next (channels, samples) piece, of any length."""
        signal = np.atleast_2d(np.asarray(samples, dtype=np.float64))
        if signal.shape[0] != self._gains.size:
            raise InputError(
                f"{signal.shape[0]} channels came where {self._gains.size} were announced."
            )
        if signal.shape[1] == 0:
            return
        self.peak = max(self.peak, float(np.abs(signal).max()))
        power = self._gains @ np.square(self._weight(signal))
        power = np.concatenate([self._rest, power])
        begin = 0
        while True:
            # Step borders are rounded from exact times, so that they do not drift at 11025 Hz.
            count = len(self._steps)
            length = round((count + 1) * STEP_S * self._rate) - round(count * STEP_S * self._rate)
            if begin + length > power.size:
                break
            self._steps.append(float(power[begin : begin + length].mean()))
            begin += length
        self._rest = power[begin:]

    def integrated(self) -> float | None:
        """LKFS so far; None below 400 ms or when nothing passes the absolute gate."""
        per_block = round(BLOCK_S / STEP_S)
        if len(self._steps) < per_block:
            return None
        blocks = np.convolve(self._steps, np.full(per_block, 1 / per_block), "valid")
        loud = blocks[blocks > _power(ABSOLUTE_GATE_LKFS)]
        if loud.size == 0:
            return None
        gate = _power(_loudness(float(loud.mean())) + RELATIVE_GATE_LU)
        # A signal with one loudness passes its own gate 10 LU below, so this is never empty.
        return _loudness(float(loud[loud > gate].mean()))

    def _weight(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """K-weighted signal, continuing from the pieces before (overlap and add)."""
        length = signal.shape[1] + self._response.size - 1
        size = 1 << (length - 1).bit_length()
        spectrum = np.fft.rfft(signal, size) * np.fft.rfft(self._response, size)
        full = np.fft.irfft(spectrum, size)[:, :length]
        full[:, : self._tail.shape[1]] += self._tail
        self._tail = full[:, signal.shape[1] :]
        return full[:, : signal.shape[1]]


def weighting_coefficients(
    sample_rate: int,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """K-weighting as two second-order sections (numerator, denominator), denominator[0] = 1."""
    tangent = math.tan(math.pi * _SHELF_HZ / sample_rate)
    high = 10.0 ** (_SHELF_DB / 20.0)
    band = high**_SHELF_SLOPE
    norm = 1.0 + tangent / _SHELF_Q + tangent**2
    shelf = (
        np.array(
            [
                high + band * tangent / _SHELF_Q + tangent**2,
                2.0 * (tangent**2 - high),
                high - band * tangent / _SHELF_Q + tangent**2,
            ]
        )
        / norm,
        _denominator(tangent, _SHELF_Q),
    )
    tangent = math.tan(math.pi * _HIGH_PASS_HZ / sample_rate)
    high_pass = (np.array([1.0, -2.0, 1.0]), _denominator(tangent, _HIGH_PASS_Q))
    return shelf, high_pass


@lru_cache(maxsize=8)
def weighting_response(sample_rate: int) -> NDArray[np.float64]:
    """Impulse response of the K-weighting, cut where it has vanished (shared: do not write into it)."""
    signal = np.zeros(round(_RESPONSE_S * sample_rate))
    signal[0] = 1.0
    for numerator, denominator in weighting_coefficients(sample_rate):
        b0, b1, b2 = (float(v) for v in numerator)
        a1, a2 = float(denominator[1]), float(denominator[2])
        x1 = x2 = y1 = y2 = 0.0
        for index, x in enumerate(signal.tolist()):
            y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
            x1, x2, y1, y2 = x, x1, y, y1
            signal[index] = y
    return signal


def _denominator(tangent: float, quality: float) -> NDArray[np.float64]:
    norm = 1.0 + tangent / quality + tangent**2
    return np.array(
        [1.0, 2.0 * (tangent**2 - 1.0) / norm, (1.0 - tangent / quality + tangent**2) / norm]
    )


def _loudness(power: float) -> float:
    return OFFSET_LKFS + 10.0 * math.log10(power)


def _power(loudness: float) -> float:
    return float(10.0 ** ((loudness - OFFSET_LKFS) / 10.0))
