"""The long attack: every target in processes of its own, and the dated report of what came of it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.performance.dated_report import machine_facts, table
from eval.checkout import ROOT
from eval.store.files import write_text
from tests.hostile import guided
from tests.hostile.media_targets import REAL_DATA
from tests.hostile.target import MOST_MIB, MOST_SECONDS, Target
from tests.hostile.targets import GROUPS, all_targets, targets_of

PROGRAM: Final = str(ROOT / "tests" / "hostile")


@dataclass(kw_only=True)
class Tally:
    """What came of one target's trials.

    Attributes:
        target: The reader.
        results: Trials by result.
        slowest_s: Longest trial.
        peak_mib: Largest growth of memory in one trial.
        process_mib: Largest process.
        findings: First trial of each different finding.
    """

    target: Target
    results: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    peak_mib: float = 0.0
    findings: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def add(self, trial: dict[str, Any]) -> None:
        """Count one trial."""
        self.results[trial["result"]] += 1
        self.slowest_s = max(self.slowest_s, trial["seconds"])
        self.peak_mib = max(self.peak_mib, trial["mib"])
        if trial["result"] not in ("worked", "refused"):
            place = trial["detail"].rsplit(" at ", 1)[-1][:100]
            self.findings.setdefault((trial["result"], place), trial)


def counts(targets: list[Target], inputs: int) -> dict[str, int]:
    """How many inputs each target gets."""
    whole = sum(target.share for target in targets)
    return {t.name: max(40, round(inputs * t.share / whole)) if t.share else 1 for t in targets}


def run_attack(
    *, inputs: int, seed: int, media: str | None, report: str | None, only: str, guided_s: int
) -> int:
    """Run the attack; see `tests.hostile.commands`. Returns the exit code."""
    if media:
        os.environ[REAL_DATA] = str(Path(media).resolve())
    targets = [t for t in all_targets() if only in t.kind or only in t.name]
    facts = machine_facts(("hypothesis", "pillow", "av", "safetensors", "torch", "numpy"))
    begun = time.monotonic()
    planned = counts(targets, inputs)
    tallies = []
    for group in GROUPS:
        names = {target.name for target in targets_of(group)}
        chosen = [target for target in targets if target.name in names]
        tallies += _attack_group(group, chosen, planned, seed) if chosen else []
    found = _guide(guided_s)
    if report:
        text = _text(tallies, facts, found, time.monotonic() - begun, seed, inputs)
        write_text(Path(report), text)
    bad = sum(bool(tally.findings) for tally in tallies) + sum(
        "nothing" not in line[1] for line in found
    )
    return 1 if bad else 0


def _attack_group(
    group: str, targets: list[Target], planned: dict[str, int], seed: int
) -> list[Tally]:
    """Run a group's targets in one process with a child each; a child that dies is a finding."""
    tallies = {target.name: Tally(target=target) for target in targets}
    plan = [f"{target.name}={planned[target.name]}" for target in targets]
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        command = [sys.executable, PROGRAM, "worker", group, str(seed), folder, "--", *plan]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            drain = threading.Thread(target=process.stderr.read, daemon=True)  # type: ignore[union-attr]
            drain.start()
            assert process.stdout is not None
            for line in process.stdout:
                trial = json.loads(line)
                tally = tallies[trial["target"]]
                if "ended" not in trial:
                    tally.add(trial)
                    continue
                if trial["ended"]:
                    tally.add(
                        {
                            "result": "died",
                            "detail": f"the process ended with {trial['ended']}",
                            **_NOTHING,
                        }
                    )
                _tell(tally)
    for tally in tallies.values():
        if not tally.results:
            tally.add({"result": "died", "detail": "the process of the group ended", **_NOTHING})
    return list(tallies.values())


_NOTHING: Final = {"seconds": 0.0, "mib": 0.0, "shown": ""}


def _tell(tally: Tally) -> None:
    name, results = tally.target.name, dict(tally.results)
    click.echo(f"{tally.target.kind:10s} {name:45s} {results} slowest {tally.slowest_s:.2f} s")
    for trial in tally.findings.values():
        click.echo(f"    {trial['result']}: {trial['detail']}\n        {trial['shown'][:300]}")


def _guide(seconds: int) -> list[tuple[str, str, str]]:
    """Run atheris on each reader; (reader, what was found, inputs tried)."""
    if not seconds:
        return []
    if not guided.is_available():
        return [("all", f"nothing was tried: {guided.ABSENT}", "0")]
    rows = []
    for name in guided.READERS:
        with tempfile.TemporaryDirectory(prefix="guided-") as folder:
            command = [sys.executable, PROGRAM, "guided", name, str(seconds), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        lines = (done.stdout + done.stderr).splitlines()
        tried = next(
            (
                line.split("Done ")[1].split(" runs")[0]
                for line in lines
                if line.startswith("Done ")
            ),
            "?",
        )
        what = "nothing" if done.returncode == 0 else " / ".join(lines[-12:])[-400:]
        rows.append((name, what, tried))
        click.echo(f"guided {name}: {what}, {tried} inputs")
    return rows


def _text(
    tallies: list[Tally], facts: list[tuple[str, str]], found: list[tuple[str, str, str]],
    wall_s: float, seed: int, inputs: int,
) -> str:  # fmt: skip
    total = Counter[str]()
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for tally in tallies:
        total += tally.results
        kinds[tally.target.kind] += tally.results
    bad = sum(total.values()) - total["worked"] - total["refused"]
    slow = max(tallies, key=lambda t: t.slowest_s)
    large = max(tallies, key=lambda t: t.peak_mib)
    findings = [
        (t.target.name, key[0], f"`{trial['detail'][:160]}`")
        for t in tallies for key, trial in t.findings.items()
    ]  # fmt: skip
    parts = [
        "# Hostile input",
        f"Made by `python tests/hostile attack --inputs {inputs} --seed {seed}` with a folder of real media"
        " given by `--media`." if os.environ.get(REAL_DATA) else
        f"Made by `python tests/hostile attack --inputs {inputs} --seed {seed}`.",
        f"**{sum(total.values())} inputs: {total['worked']} were read, {total['refused']} were refused in a "
        f"sentence, {bad} ended otherwise.** Wall time {wall_s / 60:.0f} minutes. Slowest input "
        f"{slow.slowest_s:.2f} s ({slow.target.name}); largest memory of one input {large.peak_mib:.0f} MiB "
        f"({large.target.name}). Limits: {MOST_SECONDS:g} s and {MOST_MIB:g} MiB per input, 12 GiB of address "
        "space per process.",
        "A trial counts as good when the reader returns, or raises an error that a user can act on, and in "
        "the meantime nothing was opened for writing outside its folder, no process was started, no address "
        "was asked for, nothing was read from a neighbouring folder (where the reader promises that), and "
        "the neighbouring folder is as it was.",
        "## Measured on", table(("what", "value"), facts),
        "## By kind", table(
            ("kind", "inputs", "read", "refused", "ended otherwise"),
            [(kind, sum(c.values()), c["worked"], c["refused"], sum(c.values()) - c["worked"] - c["refused"])
             for kind, c in kinds.items()]),
        "## By target", table(
            ("kind", "target", "inputs", "read", "refused", "ended otherwise", "slowest, s", "memory, MiB"),
            [(t.target.kind, t.target.name, sum(t.results.values()), t.results["worked"], t.results["refused"],
              sum(t.results.values()) - t.results["worked"] - t.results["refused"], f"{t.slowest_s:.2f}", f"{t.peak_mib:.0f}")
             for t in tallies]),
        "## Found in this run",
        table(("target", "what", "detail"), findings) if findings else "Nothing.",
    ]  # fmt: skip
    if found:
        parts += ["## Guided by coverage", "atheris on readers that are pure Python.",
                  table(("reader", "found", "inputs"), found)]  # fmt: skip
    return "\n\n".join(parts) + "\n"
