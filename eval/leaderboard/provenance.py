"""Where the numbers of a table come from: digests, counts, versions and settings."""

import hashlib
from importlib import metadata

import pandas as pd

from eval.leaderboard.records import Provenance
from eval.statistics import CONFIDENCE, FLIPS, MIN_CASES, RESAMPLES, SEED, SIGNIFICANCE

_SCORE_KEYS = [
    "system",
    "suite",
    "case",
    "seed",
    "metric",
    "variant",
    "fingerprint",
    "value",
    "reason",
]
_CLIP_KEYS = ["system", "suite", "case", "seed", "clip_name"]
_LIBRARIES = ("numpy", "pandas", "scipy")


def trace(scores: pd.DataFrame) -> Provenance:
    """Describe a checked table of scores.

    Args:
        scores: What `check_scores` returned; not empty.
    """
    local = scores[scores["kind"] != "published"]
    dated = local if len(local) else scores
    return Provenance(
        scores_digest=_digest(scores[_SCORE_KEYS]),
        clips_digest=_digest(local[_CLIP_KEYS].drop_duplicates()),
        scores=len(local),
        nulls=int(local["value"].isna().sum()),
        clips=int(local["clip_id"].nunique()),
        cases=len(local[["suite", "case"]].drop_duplicates()),
        suites=tuple(sorted(str(name) for name in local["suite"].unique())),
        oldest=dated["created_at"].min().isoformat(),
        newest=dated["created_at"].max().isoformat(),
        versions={name: metadata.version(name) for name in _LIBRARIES},
        settings={
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "sign flips": FLIPS,
            "seed": SEED,
            "min_cases": MIN_CASES,
            "significance": SIGNIFICANCE,
        },
    )


def _digest(rows: pd.DataFrame) -> str:
    """Return the sha256 of rows in sorted order, floats with all their digits."""
    columns = [map(repr, rows[name].tolist()) for name in rows.columns]
    lines = sorted(map("\x1f".join, zip(*columns, strict=True)))
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()
