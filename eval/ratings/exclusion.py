"""Apply a campaign's declared exclusion rule to what the checks say about its raters."""

from __future__ import annotations

import pandas as pd

from eval.ratings.campaign import ExclusionRule

_LIMITS = (
    ("gold_accuracy", "gold_n", "min_gold_accuracy", "gold accuracy"),
    ("null_tie_rate", "null_n", "min_null_tie_rate", "Same on identical clips"),
    ("repeat_consistency", "repeat_n", "min_repeat_consistency", "repeat consistency"),
    ("straight_lining", "straight_n", "max_straight_lining", "straight-lining"),
    ("coverage", "assignments", "min_coverage", "watched share"),
)


def broken_limits(row: pd.Series[float], rule: ExclusionRule) -> list[str]:
    """Why one rater is excluded, one phrase per broken limit; empty for a rater who stays."""
    reasons = []
    for column, count, limit_name, words in _LIMITS:
        limit = getattr(rule, limit_name)
        if limit is None or row[count] < rule.min_items or pd.isna(row[column]):
            continue
        value = float(row[column])
        if limit_name.startswith("min") and value < limit:
            reasons.append(f"{words} {value:.2f} below {limit:g}")
        if limit_name.startswith("max") and value > limit:
            reasons.append(f"{words} {value:.2f} above {limit:g}")
    return reasons


def excluded_raters(quality: pd.DataFrame, rule: ExclusionRule) -> dict[str, list[str]]:
    """Raters whose votes do not count, with the reasons.

    Args:
        quality: From `eval.ratings.statistics.rater_quality.rater_quality`.
        rule: The campaign's.
    """
    broken = {str(row["rater"]): broken_limits(row, rule) for _, row in quality.iterrows()}
    return {rater: reasons for rater, reasons in broken.items() if reasons}
