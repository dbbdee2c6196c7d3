"""The table in `docs/metrics.md`, made from the code so that it cannot go stale.

`python -m eval.metric_docs` writes it anew; a test compares. Knows nothing of the pages' prose.
"""

from pathlib import Path
from typing import Final

from eval.catalog import MEASURES
from eval.measure import Measure

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
BEGIN: Final = "<!-- made by `python -m eval.metric_docs` -->"
END: Final = "<!-- end of what is made -->"

_DIRECTIONS: Final = {"higher": "up", "lower": "down", "neither": "-"}


def metric_table() -> str:
    """Return every metric: unit, direction, what it says, and the measures that give it."""
    found: dict[str, list[Measure]] = {}
    metrics = {}
    for measure in MEASURES:
        for metric in measure.metrics:
            metrics[metric.name] = metric
            found.setdefault(metric.name, []).append(measure)
    lines = ["| metric | better | unit | what it says | measures |", "|---|---|---|---|---|"]
    for name, metric in metrics.items():
        measures = ", ".join(f"`{each.spec}`" for each in found[name])
        row = [f"`{name}`", _DIRECTIONS[metric.better], metric.unit, metric.summary, measures]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def measure_table() -> str:
    """Return every measure: whether it runs by default, what it needs, where it comes from."""
    lines = ["| measure | default | sees | needs | source |", "|---|---|---|---|---|"]
    for measure in MEASURES:
        sees = measure.rate if isinstance(measure.rate, str) else f"{measure.rate:g} fps"
        sees = {"own": "every frame", "none": "no frames"}.get(sees, sees)
        needs = ", ".join([*sorted(measure.inputs), *(f"`{name}`" for name in measure.weights)])
        name = f"[`{measure.spec}`](metrics/{measure.name}.md)"
        if measure.unverified:
            name += " *"
        default = "yes" if measure.default else ""
        lines.append(f"| {name} | {default} | {sees} | {needs or '-'} | {measure.source} |")
    lines.append("")
    lines.append("\\* not yet run against its reference with the authors' weights")
    return "\n".join(lines)


def made_part() -> str:
    """Return both tables between their markers."""
    parts = [BEGIN, "## Metrics", metric_table(), "## Measures", measure_table(), END]
    return "\n\n".join(parts)


def with_made_part(page: str) -> str:
    """Return a page with what lies between the markers made anew.

    Raises:
        ValueError: The markers are not there.
    """
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page must have the lines {BEGIN!r} and {END!r}")
    return before + made_part() + after


if __name__ == "__main__":
    PAGE.write_text(with_made_part(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
