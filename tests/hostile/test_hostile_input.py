"""The attack in short: every target meets some seeded inputs; `python tests/hostile attack` is the long form."""

from pathlib import Path
from typing import Any

import pytest

from tests.hostile.target import Target, run_series
from tests.hostile.targets import all_targets
from tests.hostile.trial import Outcome
from tests.hostile.watch import Sandbox

TARGETS = [target for target in all_targets() if target.share]
SEED = 7


def inputs_for(target: Target) -> int:
    """Few where an input costs a second, more where it costs a millisecond."""
    costly = {"report, tables and LaTeX": 2, "clip into a workspace": 3, "texts through the database": 4,
              "requests to the server": 30, "command lines": 25, "transformer weights": 8}  # fmt: skip
    return costly.get(target.name, 20 if target.makes else 25)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_input_works_or_ends_in_a_sentence(target: Target, tmp_path: Path) -> None:
    findings: list[tuple[str, str, str]] = []
    seen: list[str] = []

    def note(value: Any, outcome: Outcome) -> None:
        seen.append(outcome.result)
        # Time and memory are judged by the long form, on a machine that does nothing else.
        if not outcome.good and outcome.result not in ("hang", "memory"):
            findings.append((outcome.result, outcome.detail, repr(value)[:400]))

    run_series(target, Sandbox(tmp_path), seed=SEED, count=inputs_for(target), seen=note)
    assert not findings
    assert len(seen) >= 1


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path) -> None:
    for name in ("index of shards", "suite cases"):
        target = next(t for t in TARGETS if t.name == name)
        series: list[list[str]] = [[], []]
        for values in series:

            def note(value: Any, outcome: Outcome, values: list[str] = values) -> None:
                values.append(f"{value!r} {outcome.result}")

            run_series(target, Sandbox(tmp_path), seed=3, count=20, seen=note)
        assert series[0] == series[1]
        assert len(set(series[0])) > 1
