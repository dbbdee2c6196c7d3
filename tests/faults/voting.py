"""Rating votes as a stage: one annotator answers every pair of a campaign, straight on the store."""

import time
from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy import select

from eval.console import FriendlyGroup
from eval.ingest import match_source, store_matches
from eval.ratings.audit import audit_campaign
from eval.ratings.campaign import Campaign, Checks, Pair, Viewing
from eval.ratings.joining import create_invites, redeem_invite
from eval.ratings.saving import save
from eval.ratings.schema import annotators
from eval.ratings.serving import claim
from eval.ratings.store import campaign_entries, create_campaign, stored_clips
from eval.records import DIMENSIONS, Case, Suite
from eval.store.workspace import Workspace
from tests.faults.measuring import make_clips
from tests.faults.stage import DAMAGED, Item, Place, State

CAMPAIGN = "faults"
CASES = tuple(f"c{number}" for number in range(5))
ACKNOWLEDGED = "acknowledged"


def fill_workspace(place: Place) -> None:
    """Make a workspace with clips of two systems, a campaign and one annotator."""
    make_clips(place.notes / "clips", [f"{system}/{case}" for system in "AB" for case in CASES])
    suite = Suite(
        name="s", version="1", asks="?", cases=tuple(Case(id=case, prompt=case) for case in CASES)
    )
    campaign = Campaign(
        name=CAMPAIGN, suite="s", cases=CASES, simulated=True, raters=1, per_case=1, window=1,
        pairs=(Pair(first="A", second="B"),), checks=Checks(nulls=0, repeat_share=0.0),
        viewing=Viewing(min_seen=0.0, min_heard=0.0),
    )  # fmt: skip
    with Workspace(place.folder / "workspace", place.database) as workspace:
        list(
            store_matches(workspace, match_source(place.notes / "clips", suite=suite), suite=suite)
        )
        with workspace.database.read() as connection:
            table = stored_clips(connection, "s")
        stored = create_campaign(workspace.database, campaign, clip_table=table, now=time.time())
        (invite,) = create_invites(workspace.database, stored, ["x"], now=time.time())
        redeem_invite(workspace.database, invite.token, client="x", now=time.time())


def annotator_of(workspace: Workspace) -> int:
    """Row number of the one annotator."""
    with workspace.database.read() as connection:
        return int(connection.execute(select(annotators.c.id)).scalar_one())


def answers_for(case: str) -> dict[str, str]:
    """What is answered for a case: the same in every run, and seldom the same for two cases."""
    choices = ("left", "same", "right")
    start = CASES.index(case)
    return {name: choices[(start + place) % 3] for place, name in enumerate(DIMENSIONS)}


def note(place: Place, assignment: str) -> None:
    """Remember that the store said it has this answer."""
    with (place.notes / ACKNOWLEDGED).open("a") as file:
        file.write(f"{assignment}\n")


def votes_of(place: Place) -> State:
    """Answers in the ledger; damaged where it does not hold together."""
    found: State = {}
    with Workspace(place.folder / "workspace", place.database) as workspace:
        _, entries = campaign_entries(workspace.database, CAMPAIGN)
        problems = audit_campaign(workspace.database, CAMPAIGN).problems
    for entry in entries:
        if entry.kind == "vote":
            told = entry.payload()
            name = f"vote {told['case']}"
            name += f" again ({entry.seq})" if name in found else ""
            found[name] = Item(repr(sorted(told["answers"].items())), str(entry.seq))
    found |= {f"ledger {line}": Item(f"{DAMAGED} {line}") for line in problems}
    return found


def unheard(place: Place, after: State) -> list[str]:
    """Acknowledged answers that are not in the ledger."""
    path = place.notes / ACKNOWLEDGED
    noted = set(path.read_text().split()) if path.is_file() else set()
    return [f"the answer to {case} was acknowledged and is lost" for case in sorted(noted)
            if f"vote {case}" not in after]  # fmt: skip


@click.group(cls=FriendlyGroup)
def commands() -> None:
    """A command that speaks of mistakes as ours do."""


@commands.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("notes", type=click.Path(path_type=Path))
@click.option("--database", default=None)
def answer(root: Path, notes: Path, database: str | None) -> None:
    """Answer every pair; each answer is sent twice, as after a lost acknowledgement."""
    place = Place(root, notes, database)
    with Workspace(root / "workspace", database) as workspace:
        annotator = annotator_of(workspace)
        while pairs := claim(workspace.database, annotator, now=time.time()):
            ballot = {
                "action": "vote", "client_key": f"key-for-{pairs[0].id}",
                "answers": answers_for(pairs[0].case),
            }  # fmt: skip
            for _ in range(2):
                save(workspace.database, annotator, pairs[0].id, ballot, now=time.time())
                note(place, pairs[0].case)


class Vote:
    """Claim and save, over and over."""

    name = "rate"
    databases = True

    def prepare(self, place: Place) -> None:
        """Make the campaign."""
        fill_workspace(place)

    def run(self, place: Place) -> None:
        """Answer all."""
        given = ["answer", str(place.folder), str(place.notes)]
        commands([*given, *(["--database", place.database] if place.database else [])])

    def state(self, place: Place) -> State:
        """The ledger."""
        return votes_of(place)

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """Answers that were acknowledged and are lost."""
        return unheard(place, after)

    def victims(self, place: Place) -> Sequence[Path]:
        """Nothing but the database, which `sqlite3` checks by itself."""
        return []

    def mend(self, place: Place, victim: Path) -> None:
        """Nothing to mend."""
