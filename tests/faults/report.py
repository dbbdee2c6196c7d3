"""Tables of a run: faults by kind and stage, how commands ended, everything found."""

import re
from collections import Counter
from collections.abc import Sequence

from tests.faults.trial import Trial


def summary(trials: Sequence[Trial]) -> list[tuple[str, str]]:
    """(heading, Markdown) pairs."""
    found = [trial for trial in trials if trial.findings]
    sections = [
        ("Faults by kind and stage", _counts(trials)),
        ("How the commands took them", _endings(trials)),
        ("Sentences", _sentences(trials)),
    ]
    lines = [
        f"- trial {trial.number}, {_what(trial)}: {'; '.join(trial.findings)}" for trial in found
    ]
    text = "\n".join(lines) if lines else "Nothing."
    return [*sections, (f"Found: {len(found)} of {len(trials)} faults left damage", text)]


def _what(trial: Trial) -> str:
    fault = trial.fault
    more = f", {fault.room} bytes left" if fault.room else ""
    return f"{trial.stage} on {trial.store}, {fault.kind} at step {fault.step}{more}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _counts(trials: Sequence[Trial]) -> str:
    kinds = sorted({trial.fault.kind for trial in trials})
    stages = list(dict.fromkeys((trial.stage, trial.store) for trial in trials))
    counted = Counter((trial.stage, trial.store, trial.fault.kind) for trial in trials)
    rows: list[list[object]] = [
        [f"{stage}, {store}", *(counted[stage, store, kind] or "" for kind in kinds),
         sum(counted[stage, store, kind] for kind in kinds)]
        for stage, store in sorted(stages)
    ]  # fmt: skip
    totals = [sum(trial.fault.kind == kind for trial in trials) for kind in kinds]
    return _table(["stage", *kinds, "all"], [*rows, ["all", *totals, len(trials)]])


def _endings(trials: Sequence[Trial]) -> str:
    kinds = sorted({trial.fault.kind for trial in trials})
    outcomes = ("killed", "refused", "unharmed")
    counted = Counter((trial.fault.kind, trial.outcome) for trial in trials)
    rows = [
        [kind, *(counted[kind, outcome] or "" for outcome in outcomes),
         sum(bool(trial.findings) for trial in trials if trial.fault.kind == kind)]
        for kind in kinds
    ]  # fmt: skip
    heads = ("kind", "killed", "ended with a sentence", "ended well", "left damage")
    return _table(heads, rows)


def _sentences(trials: Sequence[Trial]) -> str:
    """One example of every kind of fault and stage in which a command spoke."""
    shown: dict[tuple[str, str], str] = {}
    for trial in trials:
        if trial.said:
            shown.setdefault((trial.fault.kind, trial.stage), trial.said)
    rows = [(kind, stage, _shorten(said)) for (kind, stage), said in sorted(shown.items())]
    return _table(("kind", "stage", "what the command said"), rows)


def _shorten(said: str) -> str:
    """A sentence for a table: without the place where the trial happened to work."""
    return re.sub(r"/\S*?js(?:f|pg)-\w+/|\?host=\S+", "", said).replace("|", "\\|")
