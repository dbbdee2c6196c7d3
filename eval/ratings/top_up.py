"""Ask for more votes where a board is not yet sure enough, and show how a campaign stands."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Connection, func, select

from eval.ratings.chain import read_entries
from eval.ratings.design import Unit, plan_top_up
from eval.ratings.joining import ACTIVE
from eval.ratings.refusals import CampaignClosed
from eval.ratings.results import derive_results
from eval.ratings.schema import annotators, assignments, votes
from eval.ratings.statistics.board import work_votes
from eval.ratings.statistics.power import variance_parts, votes_still_needed
from eval.ratings.store import ClipFacts, StoredCampaign, add_showings, campaign_by_id
from eval.store.database import Database
from joystreamer.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """What a top-up did.

    Attributes:
        added: New showings.
        wanted: Votes that were wanted in all.
        notes: Why fewer were added, or why a pair needs none.
    """

    added: int
    wanted: int
    notes: Sequence[str]


def top_up(database: Database, stored: StoredCampaign, *, half_width: float, now: float) -> TopUp:
    """Plan further votes until every interval of the net preference is at most +- half_width.

    Units that lost votes to skips and flags are filled first. Seats that were sent away get nothing.

    Args:
        database: Where.
        stored: The campaign.
        half_width: Target, in net preference, for example 0.1.
        now: Seconds since 1970.

    Raises:
        InputError: The width is not between 0 and 1.
        CampaignClosed: The campaign is frozen.
    """
    if not 0 < half_width < 1:
        raise InputError(
            f"half width {half_width:g} does not fit; choose one between 0 and 1, such as 0.1"
        )
    with database.write() as connection:
        current = campaign_by_id(connection, stored.id)
        if current.state != "open":
            raise CampaignClosed(
                f"campaign {stored.campaign.name!r} is frozen; declare a new one to collect more votes"
            )
        entries = read_entries(connection, stored.id)
        table = derive_results(current, entries).kept()
        notes: list[str] = []
        wanted = _wanted(current, table, half_width, notes)
        rounds = max((e.payload()["round"] for e in entries if e.kind == "plan"), default=0)
        seats = _usable_seats(connection, current)
        seen, start, recent, clip_table = _shown_so_far(connection, current)
        # Showings that still wait are votes to come: they count before new ones are planned.
        pending = _pending(connection, current)
        wanted = {unit: n - pending[unit] for unit, n in wanted.items() if n > pending[unit]}
        plan = plan_top_up(
            current.campaign, seen, wanted, seats=seats, round_number=rounds + 1,
            start=start, recent=recent,
        )  # fmt: skip
        if plan:
            add_showings(connection, stored.id, plan, clip_table, now=now)
    asked = sum(wanted.values())
    if len(plan) < asked:
        notes.append(
            f"{asked - len(plan)} votes find no rater who has not seen the case; invite more annotators"
        )
    return TopUp(added=len(plan), wanted=asked, notes=notes)


def _wanted(
    stored: StoredCampaign, table: pd.DataFrame, half_width: float, notes: list[str]
) -> dict[Unit, int]:
    """Further votes per unit."""
    campaign = stored.campaign
    work = work_votes(table)
    wanted: dict[Unit, int] = {}
    for number, pair in enumerate(campaign.pairs):
        mine = work[(work["first"] == pair.first) & (work["second"] == pair.second)]
        have = Counter(mine.drop_duplicates("assignment")["case"])
        gaps = {case: max(0, campaign.per_case - have[case]) for case in campaign.cases}
        need = max(
            (_needed(campaign.raters, group, half_width, dimension, notes)
             for dimension, group in mine.groupby("dimension")),
            default=0,
        )  # fmt: skip
        level = {case: have[case] + gaps[case] for case in campaign.cases}
        for _ in range(max(0, need - sum(gaps.values()))):
            case = min(campaign.cases, key=lambda c: level[c])
            if level[case] >= campaign.raters:
                break
            level[case] += 1
            gaps[case] += 1
        wanted.update({(number, case): n for case, n in gaps.items() if n})
    return wanted


def _needed(
    raters: int, votes_of_cell: pd.DataFrame, half_width: float, dimension: object, notes: list[str]
) -> int:
    cases = int(votes_of_cell["case"].nunique())
    try:
        parts = variance_parts(
            votes_of_cell["outcome"], votes_of_cell["case"], votes_of_cell["rater"]
        )
    except InputError as error:
        notes.append(f"{dimension}: {error}")
        return 0
    need = votes_still_needed(
        parts, half_width=half_width, cases=cases, raters=raters, votes=len(votes_of_cell)
    )
    if need is None:
        notes.append(
            f"{dimension}: +-{half_width:g} cannot be reached with {cases} cases and {raters} raters; "
            "all that is left to vote on is planned; more cases or raters are needed"
        )
        return cases * raters - len(votes_of_cell)
    return need


def _usable_seats(connection: Connection, stored: StoredCampaign) -> list[int]:
    """Seats of active annotators, and planned seats that nobody has taken."""
    rows = connection.execute(
        select(annotators.c.seat, annotators.c.status).where(annotators.c.campaign == stored.id)
    ).all()
    status = {row.seat: row.status for row in rows}
    seats = {*range(stored.campaign.raters), *status}
    return sorted(seat for seat in seats if status.get(seat, ACTIVE) == ACTIVE)


def _shown_so_far(
    connection: Connection, stored: StoredCampaign
) -> tuple[
    list[tuple[int, Unit]], dict[int, int], dict[int, list[str]], dict[tuple[str, str], ClipFacts]
]:
    pairs = {(p.first, p.second): number for number, p in enumerate(stored.campaign.pairs)}
    seen: list[tuple[int, Unit]] = []
    start: dict[int, int] = defaultdict(int)
    recent: dict[int, list[str]] = defaultdict(list)
    clip_table: dict[tuple[str, str], ClipFacts] = {}
    query = (
        select(assignments)
        .where(assignments.c.campaign == stored.id)
        .order_by(assignments.c.seat, assignments.c.position)
    )
    for row in connection.execute(query).mappings():
        number = pairs.get((row["first"], row["second"]))
        if row["kind"] == "work" and number is not None:
            seen.append((row["seat"], (number, row["case"])))
        start[row["seat"]] = max(start[row["seat"]], row["position"] + 1)
        recent[row["seat"]].append(row["case"])
        for name in ("first", "second"):
            clip_table[row[name], row["case"]] = ClipFacts(**row["record"][f"{name}_clip"])
    return seen, dict(start), dict(recent), clip_table


def _pending(connection: Connection, stored: StoredCampaign) -> Counter[Unit]:
    pairs = {(p.first, p.second): number for number, p in enumerate(stored.campaign.pairs)}
    query = select(assignments.c.first, assignments.c.second, assignments.c.case).where(
        (assignments.c.campaign == stored.id)
        & (assignments.c.kind == "work")
        & (assignments.c.state == "open")
    )
    return Counter((pairs[row.first, row.second], row.case) for row in connection.execute(query))


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a campaign stands, without saying who wins.

    Attributes:
        seats: One row per seat: seat, rater, status, done, total, last_seen.
        done: Answered showings.
        total: All showings.
        flags: Flagged pairs: case, first, second, reason, times.
        answers: Work answers per rater so far.
    """

    seats: pd.DataFrame
    done: int
    total: int
    flags: pd.DataFrame
    answers: Mapping[str, int]


def campaign_status(database: Database, stored: StoredCampaign) -> Status:
    """Count how far everybody is."""
    of_campaign = assignments.c.campaign == stored.id
    with database.read() as connection:
        counts = connection.execute(
            select(assignments.c.seat, assignments.c.state, func.count().label("n"))
            .where(of_campaign)
            .group_by(assignments.c.seat, assignments.c.state)
        ).all()
        people = {
            row["seat"]: row
            for row in connection.execute(
                select(annotators).where(annotators.c.campaign == stored.id)
            ).mappings()
        }
        flagged = connection.execute(
            select(
                assignments.c.case, assignments.c.first, assignments.c.second, votes.c.flag,
                func.count().label("times"),
            )
            .join(votes, votes.c.assignment == assignments.c.id)
            .where(of_campaign & (votes.c.flag != ""))
            .group_by(assignments.c.case, assignments.c.first, assignments.c.second, votes.c.flag)
            .order_by(func.count().desc(), assignments.c.case)
        ).all()  # fmt: skip
    done: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for row in counts:
        total[row.seat] += row.n
        done[row.seat] += row.n if row.state != "open" else 0
    rows = [
        {
            "seat": seat,
            "rater": people[seat]["name"] if seat in people else "",
            "status": people[seat]["status"] if seat in people else "not joined",
            "done": done[seat],
            "total": total[seat],
            "last_seen": people[seat]["seen_at"] if seat in people else None,
        }
        for seat in sorted({*total, *people})
    ]
    return Status(
        seats=pd.DataFrame(rows, columns=["seat", "rater", "status", "done", "total", "last_seen"]),
        done=sum(done.values()),
        total=sum(total.values()),
        flags=pd.DataFrame(flagged, columns=["case", "first", "second", "reason", "times"]),
        answers={people[seat]["name"]: done[seat] for seat in people},
    )
