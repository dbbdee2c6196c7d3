"""The oracles: everything that can be said exactly of a clip of the puppet world.

`judge` takes arrays and needs no file, so that training and calibration ask the same judge as the
harness. The harness shows frames piece by piece to a `Reader` and ends with `judge_readings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.puppet.case import PuppetCase, read_puppet_case
from eval.puppet.lips import MAX_LAG, Following, best_lag, follow, leakage
from eval.puppet.mouth import FPS, mouth_opening
from eval.puppet.obedience import judge_programs
from eval.puppet.readings import Reader, Readings
from joystreamer.errors import InputError

Floats = NDArray[np.float32]

DRIFT_S: Final = 10.0
"""Seconds at either end that drift compares; a third of shorter clips."""
DRIFT_LEAST_S: Final = 6.0
PIECE: Final = 16
"""Frames read at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one oracle says.

    Attributes:
        value: None when there is nothing to say.
        reason: Code of `eval.reasons` when there is no value.
        details: JSON-able facts.
    """

    value: float | None = None
    reason: str | None = None
    details: Mapping[str, Any]


def judge(
    frames: NDArray[np.uint8],
    voices: Sequence[NDArray[np.float32] | None],
    case: PuppetCase | Mapping[str, Any],
) -> dict[str, float | None]:
    """Judge a clip.

    Args:
        frames: uint8, (T, side, side, 3) RGB at 25 fps; side 64 or a multiple.
        voices: Clean speech of every person in the order of the case, mono at 16 kHz; None is silent.
        case: The case, or its `extra`.

    Returns:
        Value by name without the family ('program', 'mouth_lag' ...), None where there is nothing to
        say.

    Raises:
        InputError: Frames, voices or case do not fit.
    """
    known = case if isinstance(case, PuppetCase) else read_puppet_case(case)
    if known is None:
        raise InputError("the case has no puppet facts; make them with `puppet_extra`.")
    reader = Reader(known)
    for start in range(0, len(frames), PIECE):
        reader.see(frames[start : start + PIECE])
    verdicts = judge_readings(reader.readings(), voices, known)
    return {name: verdict.value for name, verdict in verdicts.items()}


def judge_readings(
    readings: Readings, voices: Sequence[NDArray[np.float32] | None], case: PuppetCase
) -> dict[str, Verdict]:
    """Return the verdict of every oracle, from what was read off the frames.

    Args:
        readings: All of a clip.
        voices: Clean speech of every person, None for a silent one.
        case: What was asked.

    Raises:
        InputError: There are not as many voices as people.
    """
    if len(voices) != len(case.people):
        raise InputError(
            f"{len(voices)} voices came for {len(case.people)} people; give one each, None for silence."
        )
    asked = np.stack([_asked(voice, len(readings)) for voice in voices], axis=1)
    return {
        **_obedience(readings, case),
        **_lips(readings, asked),
        **_looks(readings),
        "leakage": _leakage(readings, asked),
    }


def _asked(voice: NDArray[np.float32] | None, frames: int) -> Floats:
    return np.zeros(frames, np.float32) if voice is None else mouth_opening(voice, frames)


def _obedience(readings: Readings, case: PuppetCase) -> dict[str, Verdict]:
    names = ("program", "slots", "response", "stillness")
    stretches = judge_programs(readings, case)
    if not stretches:
        return {name: Verdict(reason="too_short", details={}) for name in names}
    details = {"stretches": [stretch.as_json() for stretch in stretches]}
    wholly = [float(all(stretch.right.values())) for stretch in stretches]
    partly = [float(right) for stretch in stretches for right in stretch.right.values()]
    responses = [value for stretch in stretches for value in stretch.responses.values()]
    unasked = [value for stretch in stretches for value in stretch.others.values()]
    return {
        "program": Verdict(value=float(np.mean(wholly)), details=details),
        "slots": Verdict(value=float(np.mean(partly)), details={}),
        "response": Verdict(value=float(np.mean(responses)), details={})
        if responses
        else Verdict(reason="nothing_asked", details={}),
        "stillness": Verdict(value=float(max(unasked)), details={}),
    }


def _lips(readings: Readings, asked: Floats) -> dict[str, Verdict]:
    found: dict[int, Following] = {}
    for place in range(asked.shape[1]):
        following = follow(readings.mouths[:, place], asked[:, place])
        if following is not None:
            found[place] = following
    names = ("mouth_correlation", "mouth_lag", "mouth_gain", "mouth_error")
    if not found:
        reason = "too_short" if len(asked) < 4 * MAX_LAG else "silent_audio"
        return {name: Verdict(reason=reason, details={}) for name in names}
    everybody = list(found.values())
    curve = np.mean([one.curve for one in everybody], axis=0)
    details = {
        "people": {str(place): one.as_json() for place, one in found.items()},
        "worst": min(one.correlation for one in everybody),
        "curve": [round(float(value), 4) for value in curve],
    }
    return {
        "mouth_correlation": Verdict(
            value=float(np.mean([one.correlation for one in everybody])), details=details
        ),
        "mouth_lag": Verdict(value=float(best_lag(list(curve))), details={}),
        "mouth_gain": Verdict(value=float(np.mean([one.gain for one in everybody])), details={}),
        "mouth_error": Verdict(value=float(np.mean([one.error for one in everybody])), details={}),
    }


def _looks(readings: Readings) -> dict[str, Verdict]:
    parts = readings.identity.mean(axis=0)
    series = readings.identity.mean(axis=1)
    seconds = len(series) / FPS
    drift = Verdict(reason="too_short", details={})
    if seconds >= DRIFT_LEAST_S:
        window = int(min(DRIFT_S, seconds / 3) * FPS)
        first, last = float(series[:window].mean()), float(series[-window:].mean())
        drift = Verdict(
            value=last - first, details={"first": first, "last": last, "window_s": window / FPS}
        )
    steady = readings.flicker[np.isfinite(readings.flicker)]
    names = ("skin", "shirt", "hair")
    return {
        "identity_error": Verdict(
            value=float(series.mean()),
            details={name: float(part) for name, part in zip(names, parts, strict=True)},
        ),
        "drift": drift,
        "flicker": Verdict(value=float(steady.mean()), details={"most": float(steady.max())})
        if steady.size
        else Verdict(reason="too_short", details={}),
    }


def _leakage(readings: Readings, asked: Floats) -> Verdict:
    if asked.shape[1] == 1:
        return Verdict(reason="one_person", details={})
    found = leakage(readings.mouths, asked)
    if found is None:
        return Verdict(reason="no_silence", details={})
    return Verdict(value=found["correlation"], details=found)
