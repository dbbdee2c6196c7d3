"""The attack's own instruments can fail: a bad reader is caught at what it does."""

import os
import pickle
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from joystreamer.errors import InputError
from tests.hostile import guided
from tests.hostile.damage import damage_boxes, damage_bytes
from tests.hostile.page_targets import skeleton
from tests.hostile.trial import attempt, flaw_of_sentence
from tests.hostile.watch import SECRET, Sandbox
from tests.hostile.weight_targets import MARK, Trap


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def _refuse(text: str) -> None:
    raise InputError(text)


@pytest.mark.parametrize(
    ("read", "result", "part"),
    [
        (lambda box: (box.allowed / "x").write_text("y"), "worked", ""),
        (lambda box: _refuse("'x' is empty; give another."), "refused", "give another"),
        (lambda box: (box.guard / "x").write_text("y"), "breach", "open on"),
        (lambda box: (box.given / "x").mkdir(), "breach", "os.mkdir on"),
        (lambda box: (box.guard / "secret.txt").read_text(), "breach", "read the guard's secret.txt"),
        (lambda box: (box.guard / "secret.png").rename(box.allowed / "z"), "breach", "os.rename"),
        (lambda box: (box.allowed / "l").symlink_to(box.guard), "worked", ""),
        (lambda box: subprocess.run(["true"], check=True), "breach", "subprocess.Popen"),
        (lambda box: dict[str, int]()["absent"], "crash", "KeyError"),
        (lambda box: _refuse(""), "sentence", "says nothing"),
        (lambda box: _refuse("x" * 5000), "sentence", "5000 characters"),
        (lambda box: _refuse(f"it holds {SECRET}"), "leak", "secret"),
        (lambda box: (_ for _ in ()).throw(SystemExit(2)).__next__(), "refused", "exit 2"),
        (lambda box: (_ for _ in ()).throw(SystemExit(3)).__next__(), "crash", "exit code 3"),
    ],
)  # fmt: skip
def test_a_trial_tells_what_a_reader_did(
    read: Callable[[Sandbox], object], result: str, part: str, sandbox: Sandbox
) -> None:
    outcome = attempt(lambda: read(sandbox), sandbox)
    assert outcome.result == result, outcome.detail
    assert part in outcome.detail


def test_a_reader_that_does_not_end_is_stopped(sandbox: Sandbox) -> None:
    def forever() -> None:
        while True:
            pass

    assert attempt(forever, sandbox, seconds=0.2).result == "hang"


def test_what_native_code_does_to_the_guard_is_seen(sandbox: Sandbox) -> None:
    def hidden() -> None:
        import ctypes

        libc = ctypes.CDLL(None)
        libc.mkdir(os.fsencode(sandbox.guard / "made"), 0o700)  # the audit hook sees no such call

    assert attempt(hidden, sandbox).detail == "the guard folder or its surroundings changed"


# The traps leave their file open: whoever unpickles them has lost anyway.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", range(6))
def test_the_trap_of_the_pickles_would_spring(sandbox: Sandbox, way: int) -> None:
    """Every way in which our hostile pickles run code really makes the file when they are opened."""
    target = sandbox.allowed / MARK
    pickle.loads(pickle.dumps({"weight": Trap(target, way)}))
    assert target.exists()


def test_damage_is_of_the_seed() -> None:
    content = bytes(range(256)) * 4
    made = {damage_bytes(content, random.Random(seed)) for seed in range(20)}
    assert len(made) > 15
    assert damage_bytes(content, random.Random(5)) == damage_bytes(content, random.Random(5))
    assert damage_boxes(
        b"\0\0\0\x20moov" + bytes(60), random.Random(1)
    ) != b"\0\0\0\x20moov" + bytes(60)


def test_sentences_are_judged() -> None:
    assert flaw_of_sentence("'a.png' is empty; give another.") == ""
    assert "traceback" in flaw_of_sentence("Traceback (most recent call last)")


def test_a_page_tells_elements_attributes_and_addresses() -> None:
    page = skeleton('<p class="a">x<img src=x onerror=alert(1)><a href="javascript:1">y</a></p>')
    assert {"img", "img@onerror", "a@href=javascript:1", "p@class"} <= page.kinds
    assert page.counts["script"] == 0


@pytest.mark.skipif(not guided.is_available(), reason=guided.ABSENT)
@pytest.mark.slow
@pytest.mark.multiprocess
def test_coverage_guided_fuzzing_starts_and_ends(tmp_path: Path) -> None:
    import sys

    from eval.checkout import ROOT

    command = [
        sys.executable,
        str(ROOT / "tests" / "hostile"),
        "guided",
        "answer",
        "1",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-800:]
    assert "Done " in done.stderr
