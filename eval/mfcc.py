"""Mel-frequency cepstral coefficients as SyncNet was trained on them.

Equal to `python_speech_features.mfcc` with its defaults (25 ms frames every 10 ms without a window
function, 512-point spectrum, 26 triangular filters on rounded bins, 13 liftered coefficients, the
first replaced by the log of the frame's energy), vectorised and in bounded memory. Knows nothing of
files, resampling or networks.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

SAMPLE_RATE: Final = 16_000
FRAME: Final = 400
"""Samples per frame: 25 ms."""
HOP: Final = 160
"""Samples from frame to frame: 10 ms."""
SPECTRUM: Final = 512
FILTERS: Final = 26
COEFFICIENTS: Final = 13
PREEMPHASIS: Final = 0.97
LIFTER: Final = 22
FULL_SCALE: Final = 32_768.0
"""The reference reads 16-bit samples: a signal in [-1, 1] is multiplied by this first. It moves the
first coefficient by 2 ln 32768 = 20.8 and leaves the others alone."""

_BLOCK: Final = 4096  # frames at a time: 16 MB of spectra


def count_frames(samples: int) -> int:
    """Return how many rows `mfcc` gives for so many samples: a last, partly empty frame counts."""
    if samples <= FRAME:
        return 1
    return 1 + -(-(samples - FRAME) // HOP)


def mfcc(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Return the coefficients of 16 kHz sound.

    Args:
        samples: (n,), n >= 1, mono at `SAMPLE_RATE` on the scale of 16-bit samples (see
            `FULL_SCALE`); any real dtype.

    Returns:
        float64, (`count_frames(n)`, 13). Digital silence gives equal rows: ln(eps) and zeros.
    """
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"sound has the shape (samples,) with at least one, got {samples.shape}")
    frames = count_frames(len(samples))
    rows = np.empty((frames, COEFFICIENTS))
    for start in range(0, frames, _BLOCK):
        stop = min(frames, start + _BLOCK)
        rows[start:stop] = _coefficients(_frames(samples, start, stop))
    return rows


def _frames(samples: NDArray[Any], start: int, stop: int) -> NDArray[np.float64]:
    """Pre-emphasised frames start to stop, the last one filled with zeros: float64, (k, 400)."""
    first, last = start * HOP, (stop - 1) * HOP + FRAME
    part = samples[max(first - 1, 0) : last].astype(np.float64)
    emphasised = part.copy()
    emphasised[1:] -= PREEMPHASIS * part[:-1]
    if first > 0:
        emphasised = emphasised[1:]
    padded = np.zeros(last - first)
    padded[: len(emphasised)] = emphasised
    windows: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return windows


def _coefficients(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    power = np.abs(np.fft.rfft(frames, SPECTRUM)) ** 2 / SPECTRUM
    energy = _floor(power.sum(axis=1))
    bands = np.log(_floor(power @ filterbank().T))
    cepstra: NDArray[np.float64] = dct(bands, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra = cepstra * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    cepstra[:, 0] = np.log(energy)
    return cepstra


def _floor(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace exact zeros, whose logarithm does not exist, by the machine epsilon."""
    floored: NDArray[np.float64] = np.where(values == 0, np.finfo(np.float64).eps, values)
    return floored


def filterbank() -> NDArray[np.float64]:
    """Return the triangular filters, their corners rounded down to bins: float64, (26, 257)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corners = np.floor((SPECTRUM + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(SPECTRUM // 2 + 1)
    left, peak, right = (corners[i : i + FILTERS, None] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        rising, falling = (bins - left) / (peak - left), (right - bins) / (right - peak)
    bank = np.where((bins >= left) & (bins < peak), rising, 0.0)
    return np.where((bins >= peak) & (bins < right), falling, bank)
