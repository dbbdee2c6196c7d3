"""Write a bench's result as a dated Markdown file that says what it was measured on."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from eval.checkout import ROOT
from eval.store.files import write_text

RESULTS: Final = ROOT / "benchmarks" / "results"
"""Where reports go."""


def machine_facts(packages: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a reader needs to judge a figure: date, commit, machine, versions."""
    return [
        ("date", datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", _commit()),
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("memory", f"{_memory_gb():.0f} GB"),
        ("accelerator", _accelerator()),
        ("load when started", f"{os.getloadavg()[0]:.1f} (1 minute)"),
        ("Python", platform.python_version()),
        *((name, metadata.version(name)) for name in packages),
    ]


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def write_report(
    name: str,
    title: str,
    sections: Sequence[tuple[str, str]],
    packages: Sequence[str],
    command: str | None = None,
) -> Path:
    """Write `benchmarks/results/<date>-<name>.md`; return its path.

    Args:
        name: Short name of the bench.
        title: Heading.
        sections: (heading, Markdown) pairs.
        packages: Distributions whose versions matter.
        command: How it was made; the bench of this name by default.
    """
    # An address may hold a password, and tells nothing that a reader could use.
    options = ["URL" if "://" in option else option for option in sys.argv[1:]]
    bench = "python -m benchmarks.performance." + name.partition("-")[0]
    command = command or " ".join([bench, *options])
    parts = [
        f"# {title}",
        f"Made by `{command}`.",
        "## Measured on",
        table(("what", "value"), machine_facts(packages)),
    ]
    for heading, text in sections:
        parts += [f"## {heading}", text]
    target = RESULTS / f"{datetime.now(tz=UTC):%Y-%m-%d}-{name}.md"
    write_text(target, "\n\n".join(parts) + "\n")
    return target


def _commit() -> str:
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not a git checkout"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _accelerator() -> str:
    done = None
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pass
    return done.stdout.strip() if done is not None and done.returncode == 0 else "none"
