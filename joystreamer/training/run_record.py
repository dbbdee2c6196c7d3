"""What a reader of weights must know of the run that made them: a record, and where its facts are.

A run may be stopped and resumed. Each start adds a line to `sessions.jsonl`, so that the record
knows all the time that was spent. Turning a record into words is `model_card`'s business.
"""

import hashlib
import json
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from joystreamer.provenance import code_commit, package_versions
from joystreamer.training.configuration import TrainingPreset, describe
from joystreamer.training.shards import INDEX

SESSIONS = "sessions.jsonl"
METRICS = "metrics.jsonl"
MODULE = "python -m joystreamer.training"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRecord:
    """The clips of a run.

    Attributes:
        name: File name of the manifest, or of the cache's folder.
        digest: SHA-256 of the manifest; of the cache's index where there was no manifest.
        of: `manifest` or `cache index`: what the digest is of.
        windows: Stretches of 89 frames that were trained on.
        seconds: Their length together.
    """

    name: str
    digest: str
    of: str
    windows: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Everything that a model card says of a run.

    Attributes:
        preset: The resolved configuration as plain values.
        parts: Trained components that were written, by folder name.
        model: What the run started from.
        replaced: Components taken from elsewhere: teachers, earlier stages.
        command: The command line, as typed, paths shortened.
        commit: Of the code; None when installed from a wheel.
        packages: Versions.
        data: The clips.
        hardware: Device and how many processes.
        hours: Wall time of all sessions.
        sessions: How often the run was started.
        updates: Optimiser steps that were made.
        figures: Last validation figures, or the last losses where nothing was validated.
        licence: SPDX name of the weights' licence.
    """

    preset: Mapping[str, Any]
    parts: tuple[str, ...]
    model: str
    replaced: Mapping[str, str] = field(default_factory=dict)
    command: str
    commit: str | None
    packages: Mapping[str, str]
    data: DataRecord
    hardware: str
    hours: float
    sessions: int
    updates: int
    figures: Mapping[str, float] = field(default_factory=dict)
    licence: str = "apache-2.0"


def open_session(out: Path, now: float | None = None) -> None:
    """Note that a run starts or goes on; called once per start, before the first update.

    Args:
        out: Folder of the run.
        now: Seconds since the epoch; the clock's by default.
    """
    metrics = out / METRICS
    sign = metrics.stat().st_mtime if metrics.is_file() else None
    line = {"started": time.time() if now is None else now, "earlier_ended": sign}
    with (out / SESSIONS).open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def time_spent(out: Path, now: float | None = None) -> tuple[float, int]:
    """(seconds, sessions) of a run so far.

    A session that was killed counts up to its last line in the log.

    Args:
        out: Folder of the run.
        now: End of the present session; the clock's by default.
    """
    path = out / SESSIONS
    if not path.is_file():
        return 0.0, 0
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    ends = [line["earlier_ended"] for line in lines[1:]]
    ends.append(time.time() if now is None else now)
    spent = (
        max(0.0, (end or line["started"]) - line["started"])
        for line, end in zip(lines, ends, strict=True)
    )
    return sum(spent), len(lines)


def gather_record(
    preset: TrainingPreset,
    out: Path,
    *,
    parts: Sequence[str],
    model: str,
    replaced: Mapping[str, Path],
    manifest: Path | None,
    cache: Path,
    windows: int,
    updates: int,
    processes: int,
    device: torch.device,
    arguments: Sequence[str] | None = None,
) -> RunRecord:
    """Collect the record of a finished run.

    Args:
        preset: Its configuration.
        out: Its folder.
        parts: Trained components that were written.
        model: What it started from.
        replaced: Components and companions taken from elsewhere, by name.
        manifest: Its clips, or None when only a cache was given.
        cache: Folder of the cache.
        windows: Number of stretches trained on.
        updates: Optimiser steps made.
        processes: Processes that took part.
        device: Device of this process.
        arguments: The command line; this process's own by default.
    """
    seconds, sessions = time_spent(out)
    source, of = (manifest, "manifest") if manifest is not None else (cache / INDEX, "cache index")
    frames = preset.cache.frames
    return RunRecord(
        preset=describe(preset),
        parts=tuple(parts),
        model=shorten(model),
        replaced={name: shorten(str(path)) for name, path in replaced.items()},
        command=show_command(sys.argv if arguments is None else arguments, processes),
        commit=code_commit(),
        packages=package_versions(),
        data=DataRecord(
            name=source.name if manifest is not None else cache.name,
            digest=hashlib.sha256(source.read_bytes()).hexdigest(),
            of=of,
            windows=windows,
            seconds=windows * frames / preset.cache.layout.fps,
        ),
        hardware=describe_hardware(device, processes),
        hours=seconds / 3600,
        sessions=sessions,
        updates=updates,
        figures=last_figures(out / METRICS),
    )


def show_command(arguments: Sequence[str], processes: int) -> str:
    """The command line as a reader would type it.

    Args:
        arguments: `sys.argv`.
        processes: More than one is shown as a start by torchrun.
    """
    program = MODULE if Path(arguments[0]).name == "__main__.py" else Path(arguments[0]).name
    if processes > 1:
        program = f"torchrun --nproc_per_node {processes} -m joystreamer.training"
    return f"{program} {shlex.join(map(shorten, arguments[1:]))}".rstrip()


def shorten(text: str) -> str:
    """Make absolute paths relative to the current folder; of others only the name is told."""
    name, equals, value = text.rpartition("=")
    if not value.startswith("/"):
        return text
    path, here = Path(value), Path.cwd()
    short = str(path.relative_to(here)) if path.is_relative_to(here) else path.name
    return f"{name}{equals}{short}"


def describe_hardware(device: torch.device, processes: int) -> str:
    """Device and number of processes in words."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{processes} x {name}"
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        lines = facts.read_text(errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = named[0] if named else model
    return f"{model}, {os.cpu_count()} cores, {processes} process(es), no accelerator"


def last_figures(metrics: Path) -> dict[str, float]:
    """Last validation figures of a log; the last losses where nothing was validated."""
    if not metrics.is_file():
        return {}
    lines = [json.loads(line) for line in metrics.read_text().splitlines() if line.endswith("}")]
    for wanted in (r"validation/.*", r".*/loss"):
        for line in reversed(lines):
            found = {name: float(line[name]) for name in line if re.fullmatch(wanted, name)}
            if found:
                return found
    return {}
