"""Many tests at once: the chance of a single false alarm is kept below the level printed."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's step-down adjusted p values (Scandinavian Journal of Statistics, 1979).

    Args:
        p_values: One p in [0, 1] per test; None for a test that could not be made, which stays None
            and does not count towards the family.

    Returns:
        Adjusted p values in the given order, each at most 1 and never below the p it came from.

    Raises:
        ValueError: A p lies outside [0, 1].
    """
    made = [(p, index) for index, p in enumerate(p_values) if p is not None]
    for p, _ in made:
        if not 0 <= p <= 1:
            raise ValueError(f"a p value lies in [0, 1], got {p!r}")
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for position, (p, index) in enumerate(sorted(made)):
        highest = max(highest, min(1.0, p * (len(made) - position)))
        adjusted[index] = highest
    return adjusted
