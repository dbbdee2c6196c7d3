"""How mouths follow voices: from measured and asked openings to correlation, lag, gain and leakage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_LAG: Final = 6
"""Frames to either side among which the best shift is sought."""
SPEAKING: Final = 0.02
"""Standard deviation of the asked opening above which somebody speaks in a clip."""
CLOSED: Final = 0.03
"""Asked opening below which somebody is silent in a frame."""
TREMBLE: Final = 0.05
"""Standard deviation of opening that is put down to the codec: a silent mouth that moves less is closed."""
LEAST_SILENCE: Final = 20
"""Frames of silence, while somebody else speaks, that are needed to see leakage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """How one person's mouth follows its own voice.

    Attributes:
        correlation: Pearson, at no shift.
        curve: Pearson by shift from -6 to 6 frames; a mouth that is late has its top right of 0.
        gain: Slope of measured over asked opening.
        error: Mean absolute difference of the two.
    """

    correlation: float
    curve: tuple[float, ...]
    gain: float
    error: float

    @property
    def lag(self) -> int:
        """Frames by which the mouth is late; negative when it is early."""
        return best_lag(self.curve)

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "correlation": round(self.correlation, 4),
            "lag": self.lag,
            "gain": round(self.gain, 4),
            "error": round(self.error, 4),
        }


def best_lag(curve: Sequence[float]) -> int:
    """Return the shift of the largest correlation; the smaller shift of equal ones."""
    order = sorted(range(len(curve)), key=lambda place: (-curve[place], abs(place - MAX_LAG)))
    return order[0] - MAX_LAG


def follow(measured: Floats, asked: Floats) -> Following | None:
    """Compare a mouth with its voice, (T,) each; None when the voice is silent."""
    if len(asked) < 4 * MAX_LAG or float(asked.std()) < SPEAKING:
        return None
    curve = []
    for lag in range(-MAX_LAG, MAX_LAG + 1):
        late = measured[max(lag, 0) : len(measured) + min(lag, 0)]
        said = asked[max(-lag, 0) : len(asked) + min(-lag, 0)]
        curve.append(correlate(late, said))
    centred = asked - asked.mean()
    gain = float(centred @ (measured - measured.mean()) / (centred @ centred))
    return Following(
        correlation=curve[MAX_LAG],
        curve=tuple(curve),
        gain=gain,
        error=float(np.abs(measured - asked).mean()),
    )


def correlate(first: Floats, second: Floats, tremble: float = 0.0) -> float:
    """Return Pearson's correlation; 0 when one does not move.

    Args:
        first: (T,).
        second: (T,).
        tremble: Standard deviation of noise that is added to the first one's spread.
    """
    a, b = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (first, second))
    spread = np.sqrt((np.mean(a * a) + tremble**2) * np.mean(b * b))
    return float(np.mean(a * b) / spread) if spread > 1e-9 else 0.0


def leakage(measured: Floats, asked: Floats) -> dict[str, float] | None:
    """Find the silent mouth that follows somebody else's voice most.

    Args:
        measured: Openings, (T, people).
        asked: What the voices ask for, (T, people).

    Returns:
        'correlation' (0 to 1), 'listener' and 'speaker' (places); None when nobody is silent for
        long enough while another speaks.
    """
    found: dict[str, float] | None = None
    for listener in range(asked.shape[1]):
        quiet = asked[:, listener] < CLOSED
        for speaker in range(asked.shape[1]):
            if speaker == listener or quiet.sum() < LEAST_SILENCE:
                continue
            voice = asked[quiet, speaker]
            if float(voice.std()) < SPEAKING:
                continue
            value = max(0.0, correlate(measured[quiet, listener], voice, TREMBLE))
            if found is None or value > found["correlation"]:
                found = {"correlation": value, "listener": listener, "speaker": speaker}
    return found
