"""The ablation as a page: every row with its interval, the claims with their verdicts, two plots.

Made from the finished rows alone; a row that is missing is said to be missing, and a claim without its
rows is not judged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.puppet.ablation import Findings, Row
from benchmarks.puppet.chain import AUDIO_TEACHER, TWIN, VANILLA
from benchmarks.puppet.loop_parts import Comparison
from eval.statistics.bootstrap import mean_intervals
from eval.store.files import write_text, written_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures = Mapping[str, float]

LEAST_PROGRAM_GAIN: Final = 0.40
LEAST_RESPONSE_GAIN: Final = 0.5
LEAST_HELD_OUT_GAIN: Final = 0.30
MOST_SYNC_LOSS: Final = 0.03
LEAST_RESCUE: Final = 0.2
MOST_LEAKAGE: Final = 0.2
MOST_BY_CHANCE: Final = 0.15
"""Program accuracy that a network told another question's text may reach."""

COLUMNS: Final = {
    "program": "program",
    "held_out": "held out",
    "slots": "slots",
    "response": "response",
    "sync_standing": "sync standing",
    "sync_moving": "sync moving",
    "gain": "mouth gain",
    "identity_error": "identity error",
    "flicker": "flicker",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence of the ablation and what became of it.

    Attributes:
        text: What was expected, with its threshold, fixed before the final seeds.
        values: What was measured, by seed.
        holds: Whether it held in every seed; None where rows are missing.
    """

    text: str
    values: tuple[float, ...]
    holds: bool | None

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "holds", False: "does not hold", None: "not measured"}[self.holds]


def judge_claims(rows: Sequence[Row], parts: Sequence[Comparison] = ()) -> list[Claim]:
    """Judge the ablation's claims, each in every seed; that of silence in the mean of its cases."""
    by_name = {(row.name, row.seed): row.figures for row in rows}
    teacher = by_name.get((AUDIO_TEACHER, None))

    def seeds(*names: str) -> list[int]:
        found = [{seed for name, seed in by_name if name == wanted} for wanted in names]
        return sorted(seed for seed in set.intersection(*found) if seed is not None)

    def differences(first: str, second: str, figure: str) -> tuple[float, ...]:
        return tuple(
            by_name[first, seed][figure] - by_name[second, seed][figure]
            for seed in seeds(first, second)
        )

    def claim(text: str, values: Sequence[float], fits: Callable[[float], bool]) -> Claim:
        kept = tuple(values)
        return Claim(text=text, values=kept, holds=all(map(fits, kept)) if kept else None)

    twin, vanilla = TWIN, VANILLA
    standing = [
        by_name[twin, seed]["sync_standing"] - teacher["sync_standing"]
        for seed in seeds(twin)
        if teacher is not None
    ]
    other_text = [by_name[name, seed]["program"] for name, seed in by_name
                  if name == f"{twin}+another-text"]  # fmt: skip
    other_sound = [by_name[name, seed]["sync_standing"] for name, seed in by_name
                   if name == f"{twin}+another-sound"]  # fmt: skip
    return [
        claim(
            f"twin minus vanilla, program accuracy, at least {LEAST_PROGRAM_GAIN:g}",
            differences(twin, vanilla, "program"),
            lambda value: value >= LEAST_PROGRAM_GAIN,
        ),
        claim(
            f"twin minus vanilla, motion response, at least {LEAST_RESPONSE_GAIN:g}",
            differences(twin, vanilla, "response"),
            lambda value: value >= LEAST_RESPONSE_GAIN,
        ),
        claim(
            f"twin minus vanilla, held-out combinations, at least {LEAST_HELD_OUT_GAIN:g}",
            differences(twin, vanilla, "held_out"),
            lambda value: value >= LEAST_HELD_OUT_GAIN,
        ),
        claim(
            f"twin minus audio teacher, sync while standing, no less than -{MOST_SYNC_LOSS:g}",
            standing,
            lambda value: value >= -MOST_SYNC_LOSS,
        ),
        claim(
            f"dynamic minus static guidance at 4/4, program accuracy, at least {LEAST_RESCUE:g}",
            differences("dynamic-4-4", "static-4-4", "program"),
            lambda value: value >= LEAST_RESCUE,
        ),
        claim(
            f"twin told another text, program accuracy, at most {MOST_BY_CHANCE:g}",
            other_text,
            lambda value: value <= MOST_BY_CHANCE,
        ),
        claim(
            "twin hearing another sound, sync while standing, at most 0.3",
            other_sound,
            lambda value: value <= 0.3,
        ),
        claim(
            f"one of two speaks, correlation of the silent mouth with that voice, at most {MOST_LEAKAGE:g}",
            [_mean(part.whole["leakage"]) for part in parts if "leakage" in part.study.figures],
            lambda value: value <= MOST_LEAKAGE,
        ),
    ]


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def write_page(folder: Path, found: Findings, ceiling: Figures) -> Path:
    """Write `report.md` with its plot beside the rows; return its path."""
    with written_atomically(folder / "tradeoff.png") as temporary:
        tradeoff_figure(found.rows).savefig(temporary, format="png", dpi=120)
    text = page(found, ceiling)
    write_text(folder / "report.md", text)
    return folder / "report.md"


def page(found: Findings, ceiling: Figures) -> str:
    """Return the report in Markdown."""
    rows = found.rows
    claims = [
        f"| {claim.text} | {', '.join(f'{value:.2f}' for value in claim.values) or '-'} | "
        f"{claim.verdict} |"
        for claim in judge_claims(rows, found.parts)
    ]
    kept = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in ceiling.items())
    lines = [
        "# Ablation in the puppet world",
        f"Decoded ground truth, the ceiling of every row: {kept}.",
        f"Motion is decided above noise level {found.threshold:g} (one-step probe); the dynamic arms "
        "switch there.",
        "## Claims",
        "Every value is one seed; a claim holds when every seed does.",
        "\n".join(["| claim | by seed | verdict |", "| --- | --- | --- |", *claims]),
        "## Rows",
        "Means over the exam's questions with 95 % intervals over questions for the program; "
        "seconds of sampling per window of 3.04 s.",
        _table(rows),
        "![program accuracy against lip sync](tradeoff.png)",
        *_parts_section(found.parts),
    ]
    return "\n\n".join(lines) + "\n"


def _parts_section(parts: Sequence[Comparison]) -> list[str]:
    """What each part of the segment loop is there for; nothing where it was not tried."""
    if not parts:
        return []
    lines = ["| taken away | figure | whole loop | without |", "| --- | --- | --- | --- |"]
    for part in parts:
        for name in part.study.figures:
            cells = [_mean_with_interval(values[name]) for values in (part.whole, part.without)]
            lines.append(
                f"| {part.study.without} | {name.replace('_', ' ')} | {' | '.join(cells)} |"
            )
    return [
        "## Parts of the segment loop",
        "One twin student, the same cases rendered twice; means with 95 % intervals over cases (none below "
        "eight). The network was trained with every part: this is what a part does at sampling.",
        "\n".join(lines),
    ]


def _mean_with_interval(values: Sequence[float | None]) -> str:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not known.size:
        return "-"
    interval = mean_intervals([known])[0]
    shown = f"{known.mean():.2f}"
    return shown if interval is None else f"{shown} [{interval.low:.2f}, {interval.high:.2f}]"


def _table(rows: Sequence[Row]) -> str:
    heads = ["row", "sampling", "seed", *COLUMNS.values(), "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [row.name, row.sampling, "-" if row.seed is None else str(row.seed)]
        cells += [
            _mean_with_interval(program_values(row).tolist())
            if name == "program"
            else _plain(row.figures[name])
            for name in COLUMNS
        ]
        lines.append("| " + " | ".join([*cells, f"{row.seconds:.2f}"]) + " |")
    return "\n".join(lines)


def _plain(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def program_values(row: Row) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the program oracle's value of every moving question."""
    moving = [answer["program"] for answer in row.answers if answer["moving"]]
    return np.array([value for value in moving if value is not None], dtype=np.float64)


def tradeoff_figure(rows: Sequence[Row]) -> "Figure":
    """Draw program accuracy against lip sync: what each way gains and what it costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    for axis, (name, title) in zip(
        figure.subplots(1, 2, sharey=True),
        (("sync_standing", "while standing"), ("sync_moving", "while moving")),
        strict=True,
    ):
        for row in rows:
            if "+" in row.name:
                continue
            mark = "o" if row.seed is not None else "s"
            axis.plot(row.figures[name], row.figures["program"], mark, markersize=6)
            axis.annotate(
                row.name, (row.figures[name], row.figures["program"]), fontsize=7,
                xytext=(4, 3), textcoords="offset points",
            )  # fmt: skip
        axis.set_xlabel(f"mouth correlation {title} (higher is better)", fontsize=8)
        axis.set_xlim(-0.1, 1.05)
        axis.set_ylim(-0.05, 1.05)
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("program accuracy (higher is better)", fontsize=8)
    figure.suptitle("circles: students in 4 steps; squares: teachers and fields", fontsize=9)
    return figure
