"""Builds tidy tables of scores for tests, small ones by hand and large ones from a seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eval.measure import Metric

METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="sync.confidence", unit="", better="higher", summary="lips follow the sound"),
        Metric(name="sync.distance", unit="", better="lower", summary="lips differ from the sound"),
        Metric(name="hands.variance", unit="px", better="neither", summary="how much hands move"),
        Metric(name="drift.colour", unit="ΔE/min", better="lower", summary="colours wander"),
    )
}

FINGERPRINTS = {name: f"{place:016x}" for place, name in enumerate(METRICS, start=1)}


def row(system: str, case: str, metric: str, value: float | str, **changes: Any) -> dict[str, Any]:
    """Return one score: a number, or the code of the reason why there is none."""
    measured = not isinstance(value, str)
    found = {
        "system": system,
        "kind": "checkpoint",
        "family": "",
        "step": None,
        "suite": "talk",
        "case": case,
        "seed": 0,
        "clip_id": f"{system}|{case}|{changes.get('seed', 0)}",
        "clip_name": f"{case}_{system}.mp4",
        "metric": metric,
        "variant": "clean",
        "fingerprint": FINGERPRINTS.get(metric, "f" * 16),
        "value": value if measured else np.nan,
        "reason": None if measured else value,
        "message": "",
        "subject": "human",
        "mode": "speaking",
        "content": (),
        "language": "en",
        "duration_s": 5.0,
        "created_at": "2026-03-01T12:00:00+00:00",
    }
    return found | changes


def rows(
    values: Mapping[str, Sequence[float | str]], metric: str = "sync.confidence", **changes: Any
) -> pd.DataFrame:
    """Return one score per system and case; cases are named c0, c1, ... in order."""
    return pd.DataFrame(
        [
            row(system, f"c{place}", metric, value, **changes)
            for system, column in values.items()
            for place, value in enumerate(column)
        ]
    )


def study(
    systems: Sequence[str], cases: int, *, seed: int = 0, nulls: float = 0.1, metrics: int = 4
) -> pd.DataFrame:
    """Return a board's worth of scores; each system is better than the one before it."""
    generator = np.random.default_rng(seed)
    difficulty = generator.normal(size=cases)
    names = list(METRICS)[:metrics]
    subjects, content = ("human", "cartoon", "animal"), ((), ("body",), ("body", "camera"))
    found = []
    for place, system in enumerate(systems):
        for case in range(cases):
            for name in names:
                step = 0.4 * place * (-1 if METRICS[name].better == "lower" else 1)
                value = 6 + difficulty[case] + step + 0.4 * generator.normal()
                null = generator.random() < nulls
                found.append(
                    row(
                        system,
                        f"case{case:03d}",
                        name,
                        "no_face" if null else float(value),
                        kind="checkpoint" if place < 2 else "competitor",
                        family="run1" if place < 2 else "",
                        step=1000 * (place + 1) if place < 2 else None,
                        subject=subjects[case % 3],
                        content=content[case % 3],
                        duration_s=5.0 if case % 2 else 20.0,
                    )
                )
    return pd.DataFrame(found)
