"""Probes: how others measure a clip while the model works, and what it does about drift.

The model measures nothing itself. Whoever wants a validation figure, a stop rule or a drift guard
hands in a probe, a plain function of a clip (`--probe module:function` on the command line).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast

import numpy as np
from numpy.typing import NDArray

from joystreamer.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeClip:
    """What a probe is shown.

    Attributes:
        frames: Pixels, uint8, (frames, height, width, 3), RGB.
        fps: Frames per second.
        reference: The reference image, uint8, (height, width, 3), at the same size.
        audio: Sound of these frames, float32 mono in -1..1, or None.
        sample_rate: Samples per second of `audio`.
    """

    frames: NDArray[np.uint8]
    fps: float
    reference: NDArray[np.uint8]
    audio: NDArray[np.float32] | None = None
    sample_rate: int = 16_000


Probe = Callable[[ProbeClip], Mapping[str, float]]


def load_probe(name: str) -> Probe:
    """Import a probe written `module:function`.

    Raises:
        InputError: The text has another form, or nothing callable is there.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise InputError(f"probe {name!r} came; write module:function, for example colour:measure")
    try:
        found = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"probe {name!r} cannot be imported ({error}); check both names"
        ) from error
    if not callable(found):
        raise InputError(f"probe {name!r} is not callable; name a function of a ProbeClip")
    return cast(Probe, found)


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftGuard:
    """Corrects what the next segment sees, and only when a probe has measured drift.

    Always-on colour matching suppresses light changes that a prompt asks for. This guard compares
    each segment's probe values with the first segment's; where one moved further than its limit,
    the nine history frames are brought back, per channel, to the mean and spread of the first
    segment's last nine. Rendered frames are never touched.

    Attributes:
        probe: What to measure.
        limits: Largest allowed distance from the first segment's value, per probe value.
        strength: Share of the correction that is applied, in 0..1.
    """

    probe: Probe
    limits: Mapping[str, float] = field(default_factory=dict)
    strength: float = 1.0

    def exceeded(self, first: Mapping[str, float], now: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the values that left their limit, in alphabetic order.

        Raises:
            InputError: The probe lacks a value that has a limit.
        """
        missing = sorted(set(self.limits) - set(now))
        if missing:
            raise InputError(
                f"the drift probe gives no {', '.join(missing)}; it gives {', '.join(sorted(now))}"
            )
        return tuple(
            name for name in sorted(self.limits) if abs(now[name] - first[name]) > self.limits[name]
        )

    def correct(self, history: NDArray[np.uint8], anchor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """History frames with the channel means and spreads of `anchor`; both (9, H, W, 3)."""
        source = history.astype(np.float64)
        axes = (0, 1, 2)
        mean, spread = source.mean(axes), source.std(axes)
        target_mean, target_spread = anchor.mean(axes), anchor.std(axes)
        matched = (source - mean) * (target_spread / np.maximum(spread, 1.0)) + target_mean
        mixed = source + self.strength * (matched - source)
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
