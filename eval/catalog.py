"""The one table of everything that can be measured.

Adding a metric is a function, a row in `eval/measures/<family>.py`, a section under `docs/metrics/`
and a test; `tests/test_metrics_docs.py` holds them together.
"""

import difflib
from typing import Final

from eval.measure import Measure
from eval.measures.alignment import ALIGNMENT
from eval.measures.drift import DRIFT
from eval.measures.hands import HANDS
from eval.measures.identity import IDENTITY
from eval.measures.motion import MOTION
from eval.measures.puppet import PUPPET
from eval.measures.quality import QUALITY
from eval.measures.sync import SYNC
from eval.measures.video import VIDEO
from joystreamer.errors import InputError

MEASURES: Final[tuple[Measure, ...]] = (
    *SYNC,
    *IDENTITY,
    *QUALITY,
    *HANDS,
    *ALIGNMENT,
    *DRIFT,
    *MOTION,
    *PUPPET,
    *VIDEO,
)
"""Every measure, by family: the paper's first, facts about the file last. Boards keep this order."""


def default_measures() -> tuple[Measure, ...]:
    """Return the measures that run when nothing is chosen."""
    return tuple(measure for measure in MEASURES if measure.default)


def find_measure(spec: str) -> Measure:
    """Return the measure called `family/variant`.

    Raises:
        InputError: There is none; the message has the nearest names.
    """
    for measure in MEASURES:
        if measure.spec == spec:
            return measure
    raise InputError(_unknown(spec))


def find_measures(name: str) -> tuple[Measure, ...]:
    """Return the measures meant by `family/variant`, or by `family`: its default variants.

    Raises:
        InputError: There is none; the message has the nearest names.
    """
    if "/" in name:
        return (find_measure(name),)
    family = tuple(measure for measure in MEASURES if measure.name == name)
    if not family:
        raise InputError(_unknown(name))
    return tuple(measure for measure in family if measure.default) or family[:1]


def _unknown(name: str) -> str:
    known = [measure.spec for measure in MEASURES]
    families = list(dict.fromkeys(measure.name for measure in MEASURES))
    near = difflib.get_close_matches(name, [*known, *families], n=4, cutoff=0.4)
    words = f"did you mean {', '.join(near)}" if near else f"the families are {', '.join(families)}"
    return f"no measure is called {name!r}: {words}? `python -m eval metrics` lists all"
