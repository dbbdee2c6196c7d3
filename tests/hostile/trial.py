"""One trial: a reader meets one input, and what came of it.

A reader may work, or refuse with an error that a user can act on. Everything else is a finding:
another exception, a breach, a sentence that says nothing, too much time, too much memory.
"""

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joystreamer.errors import JoyStreamerError
from tests.hostile.watch import SECRET, Sandbox, watched

LONGEST_SENTENCE: Final = 4000
"""Characters of one line of an error; a longer one hides what it says."""

WORKED, REFUSED = "worked", "refused"


class TookTooLong(BaseException):
    """Raised inside a trial that exceeds its seconds; no reader catches it by accident."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a trial.

    Attributes:
        result: `worked`, `refused`, or a finding's kind.
        detail: The sentence, the breach or the place of the crash.
        seconds: Wall time.
        peak_mib: How much the process's memory rose above what it held before.
    """

    result: str
    detail: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def good(self) -> bool:
        """Whether this is how a reader should end."""
        return self.result in (WORKED, REFUSED)


def attempt(
    read: Callable[[], object], sandbox: Sandbox, *, confined: bool = True, seconds: float = 20.0
) -> Outcome:
    """Let a reader run under watch.

    Args:
        read: The reader with its input.
        sandbox: Where it may write.
        confined: Whether the reader promises not to read outside the given folder.
        seconds: Limit of wall time; a reader in native code is only found out afterwards.
    """
    result, detail = WORKED, ""
    _reset_peak()
    held = _memory("VmRSS")
    with watched(sandbox, confined=confined) as breaches:
        begun = time.perf_counter()
        try:
            with _limited(seconds), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read()
        except JoyStreamerError as error:
            result, detail = REFUSED, str(error)
        except SystemExit as leaving:
            result, detail = _judge_exit(leaving)
        except TookTooLong:
            result, detail = "hang", f"more than {seconds:g} s"
        except Exception as error:
            result, detail = "crash", f"{type(error).__name__}: {error} at {_place(error)}"
        taken = time.perf_counter() - begun
    peak = max(0.0, (_memory("VmHWM") - held) / 1024)
    if result == REFUSED and (flaw := flaw_of_sentence(detail)):
        result, detail = "sentence", flaw
    if SECRET in detail:
        result, detail = "leak", "the guard's secret is in the sentence"
    if breaches:
        result, detail = "breach", breaches[0]
    return Outcome(result=result, detail=detail[:600], seconds=taken, peak_mib=peak)


def flaw_of_sentence(text: str) -> str:
    """Return what is wrong with an error's text, '' when a person can read it."""
    if not text.strip():
        return "the error says nothing"
    if "Traceback" in text:
        return "the error holds a traceback"
    if max(map(len, text.split("\n"))) > LONGEST_SENTENCE:
        return f"a line of {max(map(len, text.split(chr(10))))} characters: {text[:80]!r}"
    return ""


def _judge_exit(leaving: SystemExit) -> tuple[str, str]:
    code = leaving.code
    if code in (0, None):
        return WORKED, ""
    return (REFUSED, f"exit {code}") if code in (1, 2) else ("crash", f"exit code {code}")


def _place(error: BaseException) -> str:
    """The last line of our own code that the error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/tests/hostile/" not in f.filename and "site-packages" not in f.filename
            and "/lib/python" not in f.filename]  # fmt: skip
    frame = (ours or list(frames))[-1]
    return f"{os.path.relpath(frame.filename)}:{frame.lineno} ({frame.name})"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reset_peak() -> None:
    try:
        with Path("/proc/self/clear_refs").open("w") as file:
            file.write("5")
    except OSError:
        return  # not Linux, or not allowed: the peak then counts from the start of the process


def _memory(field: str) -> int:
    """KiB of one line of the kernel's account of this process; 0 where there is none."""
    try:
        with Path("/proc/self/status").open() as file:
            for line in file:
                if line.startswith(field):
                    return int(line.split()[1])
    except OSError:
        return 0
    return 0
