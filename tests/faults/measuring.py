"""Ingest and score as stages: four clips of half a second, measured for size, rate and motion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from eval.cli import main
from eval.store.leases import is_dead
from eval.store.registry import current_clips
from eval.store.schema import clips, leases, scores
from eval.store.scores import score_table
from eval.store.workspace import Workspace
from joystreamer.errors import InputError
from joystreamer.media import write_clip
from tests.faults.stage import DAMAGED, Item, Place, State, hashed, whole_files

MEASURES = ("motion", "video")


def make_clips(folder: Path, names: Sequence[str]) -> None:
    """Write clips of 64x64 pixels and 0.5 s with a tone."""
    clock = np.arange(8_000) / 16_000
    for number, name in enumerate(names):
        frames = []
        for index in range(12):
            frame = np.full((64, 64, 3), 40 + 5 * number, np.uint8)
            left = (3 * index + 7 * number) % 44
            frame[20:36, left : left + 16] = (230, 180, 90)
            frames.append(frame)
        path = folder / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = (0.3 * np.sin(2 * np.pi * (300 + 40 * number) * clock)).astype(np.float32)
        write_clip(path, frames, 25, audio=tone, sample_rate=16_000)


def call(place: Place, *arguments: str) -> None:
    """Run `python -m eval` on the trial's workspace."""
    given = [*arguments, "--workspace", str(place.folder / "workspace")]
    given += ["--database", place.database] if place.database else []
    main(given, prog_name="eval")


class Ingest:
    """`python -m eval ingest CLIPS --proxies`."""

    name = "ingest"
    databases = True
    cases = ("A/one", "A/two", "B/one", "B/two")

    def prepare(self, place: Place) -> None:
        """Make the clips."""
        make_clips(place.notes / "clips", self.cases)

    def run(self, place: Place) -> None:
        """Bring them in."""
        call(place, "ingest", str(place.notes / "clips"), "--proxies")

    def state(self, place: Place) -> State:
        """Clips that are known, with their files."""
        root = place.folder / "workspace"
        if not (root / "workspace.toml").is_file():
            return {}
        found: State = {}
        with Workspace(root, place.database) as workspace:
            with workspace.database.read() as connection:
                rows = connection.execute(select(clips).order_by(clips.c.id)).mappings().all()
            for row in rows:
                name = f"{row['system']} {row['case']}"
                files = [
                    workspace.media.path(row["digest"], ".mp4"),
                    workspace.posters.path(row["poster"], ".jpg"),
                    workspace.proxies.path(row["proxy"], ".mp4"),
                ]  # fmt: skip
                whole = all(path.is_file() and hashed(path) == path.stem for path in files)
                made = f"{row['digest']} {row['poster']} {row['proxy']} {row['problem']}"
                again = sum(other.startswith(name) for other in found)
                found[f"{name} {again}" if again else name] = Item(
                    made if whole else f"{DAMAGED} {made}", str(row["id"])
                )
        return found

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """Nothing beyond what the state shows."""
        return []

    def victims(self, place: Place) -> Sequence[Path]:
        """Originals, posters and proxies."""
        root = place.folder / "workspace"
        return [p for name in ("media", "posters", "proxies") for p in whole_files(root / name)]

    def mend(self, place: Place, victim: Path) -> None:
        """Ingesting again is what mends."""


class Score:
    """`python -m eval score`."""

    name = "score"
    databases = True

    def prepare(self, place: Place) -> None:
        """Ingest the clips."""
        Ingest().prepare(place)
        call(place, "ingest", str(place.notes / "clips"))

    def run(self, place: Place) -> None:
        """Score them."""
        chosen = [part for name in MEASURES for part in ("--measure", name)]
        call(place, "score", "--device", "cpu", *chosen)

    def state(self, place: Place) -> State:
        """The table as readers get it, with its series."""
        found: State = {}
        with Workspace(place.folder / "workspace", place.database) as workspace:
            for row in score_table(workspace).itertuples():
                try:
                    series = workspace.read_series(str(row.series))
                except InputError as error:
                    value = f"{DAMAGED} {error}"
                else:
                    drawn = [each.values.tobytes().hex() for each in series.values()]
                    value = f"{row.value!r} {row.reason} {row.message} {drawn}"
                name = f"{row.system} {row.case} {row.metric}"
                found[name] = Item(value, str(row.score_id))
        return found

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """Scores stored twice, and leases that nobody will give back."""
        with Workspace(place.folder / "workspace", place.database) as workspace:
            with workspace.database.read() as connection:
                # A score that was asked for again has a further generation.
                first = select(func.count()).where(scores.c.generation == 0)
                stored = connection.execute(first).scalar_one()
                left = [row.worker for row in connection.execute(select(leases))]
            known = len(current_clips(workspace))
        found = [f"{stored} scores are stored, {len(after)} are shown"] * (stored > len(after))
        found += [f"{len(left)} leases are left"] * (not all(is_dead(worker) for worker in left))
        return found + ["clips were lost"] * (known != len(Ingest.cases))

    def victims(self, place: Place) -> Sequence[Path]:
        """Originals that are read, series that were written."""
        root = place.folder / "workspace"
        return [path for name in ("media", "series") for path in whole_files(root / name)]

    def mend(self, place: Place, victim: Path) -> None:
        """Ingest a damaged original again; compute a damaged series again."""
        if "media" in victim.parts:
            call_quietly(place, "ingest", str(place.notes / "clips"))
        else:
            call_quietly(place, "score", "--force", "--measure", "motion", "--measure", "video")


def call_quietly(place: Place, *arguments: str) -> None:
    """Run a command on the way to the next one."""
    try:
        call(place, *arguments)
    except SystemExit as end:
        if end.code:
            raise
