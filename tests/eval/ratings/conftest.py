"""Votes of imaginary raters, used to see whether the statistics keep their promises."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

VoteTable = Callable[..., pd.DataFrame]


def _vote_table(
    *, cases: int = 24, raters: int = 6, per_case: int = 3, seed: int = 0,
    strengths: dict[str, float] | None = None, dimensions: tuple[str, ...] = ("overall_quality",),
    left_bias: float = 0.0, band: float = 0.5,
) -> pd.DataFrame:  # fmt: skip
    """Votes on every pair of systems: case, rater and residual effects, ties inside a band."""
    rng = np.random.default_rng(seed)
    strengths = strengths or {"ours": 0.6, "other": 0.0}
    names = sorted(strengths, key=lambda name: -strengths[name])
    rows = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            for case in range(cases):
                case_effect = 0.6 * rng.standard_normal()
                for rater in rng.permutation(raters)[:per_case]:
                    side = "left" if rng.random() < 0.5 else "right"
                    for dimension in dimensions:
                        latent = strengths[first] - strengths[second] + case_effect
                        latent += left_bias * (1 if side == "left" else -1) + rng.standard_normal()
                        outcome = 1 if latent > band else -1 if latent < -band else 0
                        shown = "same" if outcome == 0 else side
                        if outcome == -1:
                            shown = "right" if side == "left" else "left"
                        rows.append(
                            {
                                "assignment": f"{first}-{second}-{case}-{rater}",
                                "rater": f"R{rater:02d}", "kind": "work", "repeat_of": None,
                                "pair": f"{first}|{second}", "first": first, "second": second,
                                "case": f"c{case:03d}", "first_side": side, "dimension": dimension,
                                "answer": shown, "outcome": float(outcome), "expected": np.nan,
                                "decision_ms": 9000.0, "coverage": 1.0, "origin": "simulated",
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def vote_table() -> VoteTable:
    return _vote_table
