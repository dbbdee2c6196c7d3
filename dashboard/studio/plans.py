"""What will be said to which part of a clip, asked of `joystreamer plan` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eval.checkout import ROOT
from joystreamer.errors import InputError

PATIENCE_S: Final = 180
"""Seconds after which a plan is given up; loading the command is most of them on a busy machine."""

PARTS: Final = "|"
"""Splits a prompt by hand, as `joystreamer plan` reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One stretch of a clip.

    Attributes:
        start_s: From here, in seconds.
        end_s: To here.
        text: What happens.
    """

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """A prompt laid over a clip.

    Attributes:
        seconds: Length of the clip.
        segments: Passes of the network.
        stretches: In order of time.
    """

    seconds: float
    segments: int
    stretches: tuple[Stretch, ...]


def plan_clip(prompt: str, speech: Path, *, fps: float = 25.0) -> ClipPlan:
    """Plan a clip by the rules of `joystreamer plan`.

    Args:
        prompt: Words for the whole clip.
        speech: Its sound.
        fps: Frames per second that the command counts in.

    Raises:
        InputError: The command refuses, in its own words, or gives no answer.
    """
    if not prompt.strip():
        raise InputError("the prompt is empty; describe the person and what they do")
    command = [sys.executable, "-m", "joystreamer.cli", "plan", "--prompt", prompt, "--audio", str(speech), "--json"]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"the plan took longer than {PATIENCE_S} s; try again when the machine is less busy"
        ) from error
    if done.returncode:
        raise InputError(error_line(done.stderr.replace(str(speech), "the speech")))
    told = json.loads(done.stdout)
    spans: dict[int, list[float]] = {}
    for row in told["segments"]:
        start, end = row["start_frame"] / fps, (row["start_frame"] + row["frames"]) / fps
        span = spans.setdefault(row["fragment"], [start, end])
        span[1] = end
    stretches = tuple(
        Stretch(start_s=start, end_s=min(end, told["seconds"]), text=told["fragments"][fragment])
        for fragment, (start, end) in sorted(spans.items())
    )
    return ClipPlan(
        seconds=told["seconds"], segments=len(told["segments"]), stretches=stretches
    )  # fmt: skip


def write_prompt(texts: Sequence[str]) -> str:
    """A prompt that `joystreamer` splits into exactly these texts.

    Raises:
        InputError: A text is empty, or holds the sign that splits.
    """
    parts = [" ".join(text.split()) for text in texts]
    for number, part in enumerate(parts, start=1):
        if not part:
            raise InputError(f"part {number} of the plan is empty; say what happens in it")
        if PARTS in part:
            raise InputError(f"part {number} of the plan holds the sign {PARTS}; leave it out")
    if not parts:
        raise InputError("the plan is empty; make it again")
    return f" {PARTS} ".join(parts) if len(parts) > 1 else f"{parts[0]} {PARTS}"


def error_line(text: str) -> str:
    """The last line in which a command says what is wrong, without its mark; else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["the command ended without a word"])[-1]
