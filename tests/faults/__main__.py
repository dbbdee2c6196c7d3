"""Injects faults at random points of ingest, score, generate, train, rating and dashboard.

    python tests/faults --faults 200 --seed 0 --report faults

Every trial runs a command in a process of its own, breaks something at a random step of it, runs the
same command again and compares what is there with an undisturbed run: nothing finished lost, nothing
half-written read, nothing twice, and a sentence instead of a traceback. With the same seed the same
points are struck. It needs Linux; a full disk needs the right to mount, PostgreSQL its programs.
"""

import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _resolve_tests() -> None:
    """Make `tests` mean this folder: some packages install one of that name."""
    spec = ModuleSpec("tests", None, is_package=True)
    spec.submodule_search_locations = [str(ROOT / "tests")]
    sys.modules["tests"] = module_from_spec(spec)
    sys.path.insert(0, str(ROOT))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _resolve_tests()

import click  # noqa: E402  # our own packages are found from here on

from benchmarks.performance.dated_report import write_report  # noqa: E402
from tests.faults.measuring import Ingest, Score  # noqa: E402
from tests.faults.report import summary  # noqa: E402
from tests.faults.stage import Stage  # noqa: E402
from tests.faults.trap import CORRUPT, CUT, DISK, KILL, LOCK, QUOTA, RESTART  # noqa: E402
from tests.faults.trial import (  # noqa: E402
    FILES,
    POSTGRES,
    SQLITE,
    Bench,
    Trial,
    draw_fault,
    run_trial,
    small_disk,
)
from tests.faults.voting import Vote  # noqa: E402
from tests.postgres_server import PostgresServer, find_programs  # noqa: E402

STAGES = ("ingest", "score", "rate", "dashboard", "generate", "train")
ON_SQLITE = (KILL, KILL, DISK, QUOTA, LOCK, CORRUPT)
ON_POSTGRES = (KILL, CUT, RESTART)
ON_FILES = (KILL, KILL, KILL, DISK, QUOTA, CORRUPT, CORRUPT)
TRIES = 6


def make_stage(name: str) -> Stage:
    """A stage by its name; the heavy ones are imported only when they are wanted."""
    if name == "dashboard":
        from tests.faults.serving import Serve

        return Serve()
    if name in ("generate", "train"):
        from tests.faults.rendering import Generate, Train

        return Generate() if name == "generate" else Train()
    light: dict[str, Stage] = {"ingest": Ingest(), "score": Score(), "rate": Vote()}
    return light[name]


def plan(names: tuple[str, ...], *, postgres: bool) -> list[tuple[str, str, str]]:
    """(stage, store, kind) of one round, stages in turn."""
    rounds = []
    for name in names:
        if name in ("generate", "train"):
            rounds.append([(name, FILES, kind) for kind in ON_FILES])
            continue
        kinds = [kind for kind in ON_SQLITE if kind != CORRUPT or name != "rate"]
        rounds.append([(name, SQLITE, kind) for kind in kinds])
        if postgres:
            rounds.append([(name, POSTGRES, kind) for kind in ON_POSTGRES])
    mixed = itertools.zip_longest(*rounds)
    return [each for some in mixed for each in some if each is not None]


def inject(
    names: tuple[str, ...], faults: int, seed: int, folder: Path, only: tuple[int, ...] = ()
) -> Iterator[Trial]:
    """Inject faults one after the other, yielding what came of each; of some numbers only, if given."""
    programs = find_programs()
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk"))
        server = None
        if programs is not None and set(names) & {"ingest", "score", "rate", "dashboard"}:
            server = PostgresServer(programs)
            stack.callback(server.remove)
            server.start()
        stages = {name: make_stage(name) for name in names}
        benches: dict[tuple[str, str], Bench] = {}
        wanted = itertools.cycle(plan(names, postgres=server is not None))
        for number in range(1, faults + 1):
            name, store, kind = next(wanted)
            if only and number not in only:
                continue
            if kind == DISK and disk is None:
                kind = QUOTA
            if (name, store) not in benches:
                place = folder / f"{name}-{store}"
                of_store = server if store == POSTGRES else None
                benches[name, store] = Bench(stages[name], store, place, of_store)
            bench = benches[name, store]
            where = disk if kind == DISK and disk is not None else folder
            chance = random.Random(f"{seed}/{number}")
            for _ in range(TRIES):
                fault = draw_fault(kind, bench.steps, chance)
                trial = run_trial(number, bench, fault, where, chance)
                if trial is not None:
                    yield trial
                    break


def quick_folder() -> str | None:
    """A file system in memory where there is one: flushing is free there, and no power is cut here."""
    shared = Path("/dev/shm")
    return str(shared) if os.access(shared, os.W_OK) else None


@click.command()
@click.option(
    "--faults", type=click.IntRange(min=1), default=200, show_default=True, help="How many."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same points.")
@click.option(
    "--stage", "names", multiple=True, type=click.Choice(STAGES), help="Only this; repeatable."
)
@click.option("--trial", "only", multiple=True, type=int, help="Only this number; repeatable.")
@click.option("--report", is_flag=True, help="Write a dated report to benchmarks/results.")
def main(
    faults: int, seed: int, names: tuple[str, ...], only: tuple[int, ...], report: bool
) -> None:
    """Inject faults; exit 1 when one of them left damage."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmount and stop the database
    trials: list[Trial] = []
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jsf-", dir=quick_folder()) as folder:
        for trial in inject(names or STAGES, faults, seed, Path(folder).resolve(), only):
            trials.append(trial)
            state = "DAMAGE " + "; ".join(trial.findings) if trial.findings else trial.outcome
            what = f"{trial.stage}, {trial.store}, {trial.fault.kind} at step {trial.fault.step}"
            click.echo(f"{trial.number:4d} {what}: {state}")
    found = sum(bool(trial.findings) for trial in trials)
    click.echo(f"{len(trials)} faults in {time.monotonic() - begun:.0f} s, {found} left damage")
    if report:
        packages = ("av", "safetensors", "sqlalchemy", "streamlit", "torch")
        said = [("What was done", DONE_IN_WORDS.format(seed=seed)), *summary(trials)]
        command = " ".join(["python tests/faults", *sys.argv[1:]])
        click.echo(write_report("faults", "Injected faults", said, packages, command=command))
    if found:
        raise SystemExit(1)


DONE_IN_WORDS = """Each fault strikes one command on tiny inputs before a random step of it (a file
opened, renamed or removed, a statement or commit of the database; seed {seed}), a third of the kills up
to 30 ms later from outside. Then the same command is run again and everything is compared with an
undisturbed run: finished work there once and not made again, every file what its name or record says.
A full disk is a file system of 96 MB filled to 0, 4, 20, 200 or 1,000 KB; the file size limit is 1
byte to 300 KB; a corrupted file has one bit flipped or its end cut off, after a kill at a random step."""


if __name__ == "__main__":
    main()
