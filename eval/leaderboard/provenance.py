"""Where the numbers of a table come from: digests, counts, versions and settings."""

import hashlib
from functools import cache
from importlib import metadata

import numpy as np

from eval.leaderboard.prepared import PreparedScores
from eval.leaderboard.records import Provenance
from eval.statistics import CONFIDENCE, FLIPS, MIN_CASES, RESAMPLES, SEED, SIGNIFICANCE

_LIBRARIES = ("numpy", "pandas", "scipy")


def trace(scores: PreparedScores) -> Provenance:
    """Describe scores.

    Args:
        scores: Those that count and the published rows beside them, together not empty.
    """
    dated = scores.table["created_at"].iloc[scores.rows]
    dated = dated if len(dated) else scores.published["created_at"]
    suites = {scores.cases[code][0] for code in np.unique(scores.case[scores.rows]).tolist()}
    return Provenance(
        scores_digest=_digest(scores.sorted_scores()),
        clips_digest=_digest(scores.sorted_clips()),
        scores=scores.rows.size,
        nulls=int(np.isnan(scores.value[scores.rows]).sum()),
        clips=np.unique(scores.clip[scores.rows]).size,
        cases=np.unique(scores.case[scores.rows]).size,
        suites=tuple(sorted(suites)),
        oldest=dated.min().isoformat(),
        newest=dated.max().isoformat(),
        versions=_versions(),
        settings={
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "sign flips": FLIPS,
            "seed": SEED,
            "min_cases": MIN_CASES,
            "significance": SIGNIFICANCE,
        },
    )


@cache
def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _LIBRARIES}


def _digest(lines: list[str]) -> str:
    """Return the sha256 of sorted lines."""
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()
