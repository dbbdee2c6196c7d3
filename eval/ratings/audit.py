"""Check a campaign against its own ledger: nothing changed, nothing missing, every cell re-derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from eval.ratings.campaign import campaign_digest
from eval.ratings.campaign_reader import load_campaign
from eval.ratings.chain import read_entries
from eval.ratings.design import plan_design
from eval.ratings.ledger import Entry, chain_problems
from eval.ratings.results import derive_results, plain_rows
from eval.ratings.schema import assignments, campaigns, votes
from eval.ratings.statistics.board import BoardSettings
from eval.ratings.store import StoredCampaign, get_campaign, plan_digest
from eval.ratings.vote_table import current_votes
from eval.store.database import Database

TOLERANCE: Final = 1e-9
"""Relative difference up to which a re-derived number counts as equal: the last digits of sums depend
on the machine's linear algebra."""

_VOTE: Final = frozenset(
    {
        "assignment",
        "revision",
        "rater",
        "kind",
        "case",
        "first",
        "second",
        "first_side",
        "answers",
        "origin",
    }
)
_REVISION: Final = frozenset({"assignment", "revision"})
_NEEDED: Final = {
    "open": frozenset({"campaign", "digest"}),
    "plan": frozenset({"digest", "round"}),
    "vote": _VOTE,
    "import": _VOTE,
    "undo": _REVISION,
    "skip": _REVISION,
    "flag": _REVISION,
    "freeze": frozenset({"settings", "excluded", "board", "board_all"}),
}
"""What an entry of a kind must hold."""

_REVISIONS: Final = ("vote", "undo", "skip", "flag")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found.

    Attributes:
        problems: One sentence per finding; empty when all is well.
        entries: Ledger entries checked.
        votes: Standing answers.
        cells: Published numbers that were derived again and compared.
        head: Digest of the last entry.
    """

    problems: Sequence[str]
    entries: int
    votes: int
    cells: int
    head: str


def audit_campaign(database: Database, name: str, *, head: str | None = None) -> AuditReport:
    """Audit one campaign.

    Args:
        database: Where.
        name: Campaign.
        head: Digest printed beside a published result.

    Raises:
        InputError: No such campaign.
    """
    stored = get_campaign(database, name)
    with database.read() as connection:
        entries = read_entries(connection, stored.id)
        problems = chain_problems(entries, head=head) + _head_problems(stored, entries)
        unreadable = _unreadable(entries)
        if not unreadable:
            problems += _protocol_problems(connection, stored, entries)
            problems += _projection_problems(connection, stored, entries)
    cells, answers = 0, 0
    if unreadable:
        problems += [*unreadable, "nothing was derived again, because the ledger cannot be read"]
    else:
        problems += _design_problems(entries)
        cells, wrong = _published_problems(stored, entries)
        problems += wrong
        answers = len(current_votes(entries))
    return AuditReport(
        problems=problems,
        entries=len(entries),
        votes=answers,
        cells=cells,
        head=entries[-1].digest if entries else "",
    )


def _unreadable(entries: Sequence[Entry]) -> list[str]:
    """Entries that lack what their kind must have; an honest server never wrote them."""
    problems = []
    for entry in entries:
        try:
            missing = _NEEDED.get(entry.kind, frozenset()) - set(entry.payload())
        except (ValueError, TypeError):
            missing = frozenset({"readable content"})
        if missing:
            problems.append(f"entry {entry.seq} ({entry.kind}) has no {', '.join(sorted(missing))}")
    return problems


def _head_problems(stored: StoredCampaign, entries: Sequence[Entry]) -> list[str]:
    last = entries[-1] if entries else None
    if last is None or (stored.head_seq, stored.head_digest) != (last.seq, last.digest):
        return [
            "the ledger does not end where the campaign says it does: entries are missing or were added"
        ]
    return []


def _protocol_problems(
    connection: Connection, stored: StoredCampaign, entries: Sequence[Entry]
) -> list[str]:
    if not entries or entries[0].kind != "open":
        return ["the ledger does not begin with the declared protocol"]
    opening = entries[0].payload()
    record = connection.execute(
        select(campaigns.c.record).where(campaigns.c.id == stored.id)
    ).scalar_one()
    problems = []
    if campaign_digest(opening["campaign"]) != opening["digest"]:
        problems.append("the declared protocol does not match its own digest")
    if campaign_digest(record) != opening["digest"] or stored.digest != opening["digest"]:
        problems.append("the protocol in use is not the one that was declared")
    return problems


def _design_problems(entries: Sequence[Entry]) -> list[str]:
    """The first plan follows from protocol and seed; votes name the sides of that plan."""
    if len(entries) < 2 or entries[0].kind != "open":
        return []
    plan = plan_design(load_campaign(entries[0].payload()["campaign"]))
    problems = []
    if entries[1].kind != "plan" or entries[1].payload()["digest"] != plan_digest(plan):
        problems.append("the plan is not the one that protocol and seed give")
    planned = {showing.key: showing for showing in plan}
    for entry in entries:
        if entry.kind != "vote":
            continue
        vote = entry.payload()
        showing = planned.get(vote["assignment"])
        if showing is not None and (showing.first, showing.second, showing.case, showing.first_side) != (
            vote["first"], vote["second"], vote["case"], vote["first_side"],
        ):  # fmt: skip
            problems.append(f"entry {entry.seq} tells other sides or systems than the plan")
    return problems


def _projection_problems(
    connection: Connection, stored: StoredCampaign, entries: Sequence[Entry]
) -> list[str]:
    """The tables that pages read agree with the ledger."""
    sealed = {
        (payload["assignment"], payload["revision"], entry.kind, entry.seq)
        for entry in entries
        if entry.kind in _REVISIONS
        for payload in (entry.payload(),)
    }
    query = (
        select(assignments.c.key, votes.c.revision, votes.c.action, votes.c.seq)
        .join(votes, votes.c.assignment == assignments.c.id)
        .where(votes.c.campaign == stored.id)
    )
    kept = {tuple(row) for row in connection.execute(query)}
    problems = []
    if extra := sorted(kept - sealed):
        problems.append(
            f"{len(extra)} stored answers are not in the ledger, the first for {extra[0][0]}"
        )
    if lost := sorted(sealed - kept):
        problems.append(
            f"{len(lost)} answers of the ledger are not stored, the first for {lost[0][0]}"
        )
    return problems


def _published_problems(stored: StoredCampaign, entries: Sequence[Entry]) -> tuple[int, list[str]]:
    """Derive every published cell again."""
    cells, problems = 0, []
    for index, entry in enumerate(entries):
        if entry.kind != "freeze":
            continue
        published = entry.payload()
        again = derive_results(
            stored, entries[:index], settings=BoardSettings(**published["settings"])
        )
        excluded = {rater: list(reasons) for rater, reasons in again.excluded.items()}
        if excluded != published["excluded"]:
            problems.append("the published list of excluded raters does not follow from the ledger")
        for name in ("board", "board_all"):
            count, wrong = compare_rows(published[name], plain_rows(getattr(again, name)))
            cells += count
            problems += wrong
    return cells, problems


def compare_rows(
    published: Sequence[Mapping[str, Any]], derived: Sequence[Mapping[str, Any]]
) -> tuple[int, list[str]]:
    """Compare two boards cell by cell.

    Returns:
        Number of cells compared, and one sentence per difference.
    """
    if len(published) != len(derived):
        return 0, [
            f"the published board has {len(published)} rows, the ledger gives {len(derived)}"
        ]
    cells, problems = 0, []
    for old, new in zip(published, derived, strict=True):
        where = f"{new.get('first')} against {new.get('second')}, {new.get('dimension')}"
        for column in sorted({*old, *new}):
            cells += 1
            if not _equal(old.get(column), new.get(column)):
                problems.append(
                    f"{where}: {column} was published as {old.get(column)}, the ledger gives {new.get(column)}"
                )
    return cells, problems


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))
    return bool(a == b)
