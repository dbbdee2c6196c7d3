"""One fault: strike a command at a random step, run the same command again, look for damage."""

import errno
import importlib
import random
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import eval.store.database as store_database
from joystreamer.errors import InputError
from tests.faults.process import Breaker, Ending, HeldLock, Nothing, run_apart
from tests.faults.stage import DAMAGED, Place, Stage, State
from tests.faults.trap import (
    BALLAST,
    CORRUPT,
    CUT,
    DISK,
    KILL,
    LOCK,
    QUOTA,
    RESTART,
    Fault,
)
from tests.postgres_server import PostgresServer

SQLITE, POSTGRES, FILES = "SQLite", "PostgreSQL", "files"
DISK_MB: Final = 96
ROOMS: Final = (0, 4096, 20_000, 200_000, 1_000_000)
LIMITS: Final = (1, 1024, 8192, 40_000, 300_000)
WAIT_S: Final = 0.4
"""How long a writer waits for a locked database here; a minute in earnest."""

SENTENCES: Final = ("error: ", "failed: ", "cannot be decoded: ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What came of one fault.

    Attributes:
        number: In the run; with the seed it names the trial.
        stage: Where.
        store: SQLite, PostgreSQL or files alone.
        fault: What happened when.
        outcome: 'killed', 'refused' (a sentence), 'unharmed' (the command ended well in spite of it).
        said: The sentence, '' where there was none.
        findings: What was wrong; empty when all is well.
    """

    number: int
    stage: str
    store: str
    fault: Fault
    outcome: str
    said: str
    findings: tuple[str, ...]


class Bench:
    """A stage on one kind of store, prepared once: a template to copy, and what a whole run makes."""

    def __init__(
        self, stage: Stage, store: str, folder: Path, server: PostgresServer | None
    ) -> None:
        self.stage, self.store = stage, store
        self._folder, self._server = folder, server
        self._template: str | None = None
        if server is not None:
            self._template = server.create()
        base = Place(folder / "base" / "files", folder / "base" / "notes", self._template)
        for path in base[:2]:
            path.mkdir(parents=True)
        _must_end_well(
            run_apart(lambda: _quiet(stage, base), base.folder), f"preparing {stage.name}"
        )
        with self.fresh(folder / "whole") as place:
            ended = run_apart(lambda: stage.run(place), place.folder)
            _must_end_well(ended, stage.name)
            _import_all(ended.modules)
            self.reference = {name: item.value for name, item in stage.state(place).items()}
            self.steps = ended.steps
        if any(value.startswith(DAMAGED) for value in self.reference.values()):
            raise RuntimeError(f"{stage.name} is damaged without any fault: {self.reference}")

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[Place]:
        """A copy of the template in an empty folder, with a database of its own."""
        shutil.copytree(self._folder / "base", folder, dirs_exist_ok=True)
        notes = self._folder / "notes"  # outside of what may be full
        shutil.rmtree(notes, ignore_errors=True)
        shutil.move(folder / "notes", notes)
        url = None
        if self._server is not None:
            url = self._server.create(template=self._template)
        try:
            yield Place(folder / "files", notes, url)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if self._server is not None and url is not None:
                self._server.drop(url)

    def breaker(self, kind: str, place: Place) -> Breaker:
        """Who breaks the database from outside."""
        if kind == LOCK:
            return HeldLock(place.folder / "workspace" / "joystreamer.db")
        if kind == CUT and self._server is not None and place.database:
            return _Cut(self._server, place.database)
        if kind == RESTART and self._server is not None:
            return _Stopped(self._server)
        return Nothing()


class _Cut:
    """Ends all connections to a database."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server, self._url = server, url

    def strike(self) -> bool:
        """End them."""
        self._server.terminate(self._url)
        return True

    def mend(self) -> None:
        """New connections are welcome at once."""


class _Stopped:
    """Stops the server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server, self._stopped = server, False

    def strike(self) -> bool:
        """Stop it as a power cut would."""
        self._server.stop()
        self._stopped = True
        return True

    def mend(self) -> None:
        """Start it again."""
        if self._stopped:
            self._server.start()
            self._stopped = False


def _quiet(stage: Stage, place: Place) -> None:
    try:
        stage.prepare(place)
    except SystemExit as end:
        if end.code:
            raise


def _import_all(names: Sequence[str]) -> None:
    """Import what a command needed, once instead of in every process; names made on the fly are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            with suppress(Exception):
                importlib.import_module(name)


def _must_end_well(ended: Ending, what: str) -> None:
    if ended.code != 0:
        raise RuntimeError(f"{what} fails without any fault:\n{ended.said[-3000:]}")


def draw_fault(kind: str, steps: int, chance: random.Random) -> Fault:
    """A random fault of a kind."""
    delay = 0.0
    if kind == KILL:
        delay = chance.choice((0.0, 0.0, chance.uniform(0.0, 0.03)))
    elif kind in (LOCK, RESTART):
        delay = chance.choice((0.0, chance.uniform(0.02, WAIT_S / 3)))
    room = chance.choice(ROOMS if kind == DISK else LIMITS) if kind in (DISK, QUOTA) else 0
    return Fault(kind=kind, step=chance.randint(1, max(1, steps)), room=room, delay_s=delay)


def run_trial(number: int, bench: Bench, fault: Fault, folder: Path, chance: random.Random) -> Trial | None:  # fmt: skip
    """Strike, look, run again, look again; None when the fault was never reached."""
    store_database.BUSY_TIMEOUT_S = WAIT_S  # type: ignore[misc]  # a minute would cost the run hours
    with bench.fresh(folder / "trial") as place:
        if fault.kind == CORRUPT:
            return _corrupt(number, bench, fault, place, chance)
        breaker = bench.breaker(fault.kind, place)
        try:
            ended = run_apart(lambda: bench.stage.run(place), place.folder, fault, breaker)
        finally:
            breaker.mend()
            (place.folder / BALLAST).unlink(missing_ok=True)
        if not ended.struck or (fault.kind == KILL and not ended.killed):
            return None
        findings = _judge(ended)
        before, wrong = _look(bench.stage, place)
        findings += [f"after the fault: {line}" for line in wrong]
        findings += _again(bench, place, before)
        return _trial(number, bench, fault, ended, findings)


def _trial(number: int, bench: Bench, fault: Fault, ended: Ending, findings: list[str]) -> Trial:
    outcome = "killed" if ended.killed else "refused" if ended.code else "unharmed"
    lines = [line for line in ended.said.splitlines() if line.startswith(SENTENCES)]
    return Trial(
        number=number, stage=bench.stage.name, store=bench.store, fault=fault, outcome=outcome,
        said=lines[-1] if lines and outcome == "refused" else "", findings=tuple(findings),
    )  # fmt: skip


def _judge(ended: Ending) -> list[str]:
    """Whether a command ended as a user may expect: well, killed, or with a sentence."""
    if ended.killed:
        return []
    tail = " / ".join(ended.said.strip().splitlines()[-3:])
    if "Traceback" in ended.said:
        return [f"a traceback: {tail}"]
    if ended.code not in (0, 1, 2):
        return [f"exit code {ended.code}: {tail}"]
    if ended.code and not any(line.startswith(SENTENCES) for line in ended.said.splitlines()):
        return [f"exit code {ended.code} without a sentence: {tail}"]
    return []


def _look(stage: Stage, place: Place) -> tuple[State, list[str]]:
    """What readers see, and what of it they must not."""
    try:
        state = stage.state(place)
    except InputError as error:
        return {}, [f"cannot be read: {error}"]
    except Exception as error:  # what reads has no sentence for it
        return {}, [f"cannot be read, without a sentence: {type(error).__name__}: {error}"]
    return state, [f"{name} is {item.value}" for name, item in state.items()
                   if item.value.startswith(DAMAGED)]  # fmt: skip


def _again(bench: Bench, place: Place, before: State) -> list[str]:
    """Run the same command without a fault; everything must be there, once and unchanged."""
    ended = run_apart(lambda: bench.stage.run(place), place.folder)
    if ended.code != 0:
        tail = " / ".join(ended.said.strip().splitlines()[-3:])
        return [f"the same command again ends with {ended.code}: {tail}"]
    after, wrong = _look(bench.stage, place)
    findings = [f"in the end: {line}" for line in wrong]
    for name, item in before.items():
        now = after.get(name)
        if now is None:
            findings.append(f"{name} was finished and is lost")
        elif now.identity != item.identity:
            findings.append(f"{name} was finished and made again")
    values = {name: item.value for name, item in after.items()}
    findings += [f"{name} is more than a whole run makes" for name in values.keys() - bench.reference.keys()]  # fmt: skip
    findings += [f"{name} is missing" for name in bench.reference.keys() - values.keys()]
    findings += [
        f"{name} differs from an undisturbed run"
        for name in values.keys() & bench.reference.keys()
        if values[name] != bench.reference[name]
    ]
    return findings + bench.stage.complaints(before, after, place)


def _corrupt(
    number: int, bench: Bench, fault: Fault, place: Place, chance: random.Random
) -> Trial | None:
    """Stop a command, damage one finished file, run the command again, do as it says."""
    first = Fault(kind=KILL, step=fault.step)
    run_apart(lambda: bench.stage.run(place), place.folder, first)
    files = bench.stage.victims(place)
    if not files:
        return None
    victim = chance.choice(files)
    content = bytearray(victim.read_bytes())
    if not content:
        return None
    where = chance.randrange(len(content))
    if chance.random() < 0.4:
        del content[where:]
    else:
        content[where] ^= 1 << chance.randrange(8)
    victim.write_bytes(bytes(content))
    ended = run_apart(lambda: bench.stage.run(place), place.folder)
    name = victim.relative_to(place.folder)
    findings = [f"{name} damaged at byte {where}: {line}" for line in _judge(ended)]
    _, wrong = _look(bench.stage, place)
    if ended.code or wrong:
        run_apart(lambda: _quiet_mend(bench.stage, place, victim), place.folder)
    findings += [f"{name} damaged at byte {where}: {line}" for line in _again(bench, place, {})]
    return _trial(number, bench, fault, ended, findings)


def _quiet_mend(stage: Stage, place: Place, victim: Path) -> None:
    stage.mend(place, victim)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of its own that can be filled; None where mounting is not permitted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        done = False
    try:
        yield folder if done else None
    finally:
        if done:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
