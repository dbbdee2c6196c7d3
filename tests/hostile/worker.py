"""Runs series of trials in a process of its own and prints one JSON line per trial.

    python tests/hostile worker GROUP SEED FOLDER NAME=COUNT ...

The parent learns from the last line which input was at work when a process dies.
"""

import hashlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

from tests.hostile.target import Target, run_series
from tests.hostile.targets import targets_of
from tests.hostile.trial import Outcome
from tests.hostile.watch import Sandbox

ADDRESS_SPACE: Final = 12 << 30
"""Bytes of address space; torch reserves several GiB without using them."""


def report(value: Any, outcome: Outcome) -> dict[str, Any]:
    """One trial as plain values; the input by its digest, and in short where it went wrong."""
    text = value if isinstance(value, bytes) else repr(value).encode("utf-8", "backslashreplace")
    return {
        "input": hashlib.sha256(text).hexdigest()[:12],
        "result": outcome.result,
        "detail": outcome.detail,
        "seconds": round(outcome.seconds, 4),
        "mib": round(outcome.peak_mib, 1),
        "shown": "" if outcome.good else text[:1500].decode("utf-8", "backslashreplace"),
    }


def run_worker(group: str, plan: list[tuple[str, int]], seed: int, folder: str) -> None:
    """Run the series of a group, each in a child of this process, so that importing is paid once.

    Args:
        group: Of `tests.hostile.targets.GROUPS`.
        plan: Target and how many inputs it meets.
        seed: Of the inputs.
        folder: Where sandboxes are made.
    """
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    targets = {target.name: target for target in targets_of(group)}
    for place, (name, count) in enumerate(plan):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _run_series(targets[name], seed, count, Path(folder) / f"{group}{place}")
                code = 0
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _say({"target": name, "ended": status})


def _run_series(target: Target, seed: int, count: int, folder: Path) -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # readers that print do not get between the lines

    def seen(value: Any, outcome: Outcome) -> None:
        _say({"target": target.name, **report(value, outcome)}, out)

    run_series(target, Sandbox(folder), seed=seed, count=count, seen=seen)


def _say(plain: dict[str, Any], out: Any = None) -> None:
    print(json.dumps(plain), file=out or sys.stdout, flush=True)
