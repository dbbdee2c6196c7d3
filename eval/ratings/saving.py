"""Save what an annotator answered, and take it back.

A vote is saved when the transaction that appends it to the ledger has committed, and not before.
Saving is idempotent by the page's key; undo writes a new revision; nothing is overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from eval.ratings.answers import OUTCOME_OF_NAME, blind, unblind
from eval.ratings.campaign import Campaign
from eval.ratings.chain import append
from eval.ratings.joining import ACTIVE, UNQUALIFIED, Annotator, set_status
from eval.ratings.ledger import Entry
from eval.ratings.refusals import AlreadyAnswered, CampaignClosed, NotAllowed, NotWatchedEnough
from eval.ratings.schema import annotators, assignments, ledger, votes
from eval.ratings.serving import (
    CHECKED_KINDS,
    Assignment,
    Progress,
    count_progress,
    of_seat,
    own_row,
    to_assignment,
)
from eval.ratings.standing import Standing, load_standing
from eval.ratings.submission import (
    Submission,
    coverage,
    implausible,
    read_client_key,
    read_submission,
    unwatched,
)
from eval.store.database import Database

_SAVED: Final = select(votes).where(
    (votes.c.annotator == bindparam("who")) & (votes.c.client_key == bindparam("key"))
)
_MOVE: Final = update(assignments).where(assignments.c.id == bindparam("row"))
_SEE: Final = update(annotators).where(annotators.c.id == bindparam("who"))
_ADD: Final = insert(votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that an answer is in the ledger.

    Attributes:
        assignment: Row number.
        revision: Of this answer.
        seq: Number of the ledger entry.
        digest: Digest of the ledger entry; safe to show.
        duplicate: Whether the same key had been saved before.
        progress: How far the annotator is with it.
        feedback: After training: dimension id -> expected answer as the screen showed it, and 'lesson'.
    """

    assignment: int
    revision: int
    seq: int
    digest: str
    duplicate: bool
    progress: Progress
    feedback: Mapping[str, str] | None = None


def save(
    database: Database, annotator: int, assignment: int, data: object, *, now: float
) -> Receipt:
    """Save an answer, a skip or a flag.

    Args:
        database: Where.
        annotator: Row number from the cookie.
        assignment: Row number that the page's token stands for.
        data: Decoded JSON as it came.
        now: Seconds since 1970.

    Returns:
        A receipt, after the transaction has committed. Sending the same key again returns the receipt
        of the first time.

    Raises:
        InputError: The data do not fit.
        NotAllowed: The pair is not theirs.
        AlreadyAnswered: It has an answer under another key.
        NotWatchedEnough: The clips were not watched as the campaign asks.
        CampaignClosed: The campaign is frozen.
    """
    with database.write() as connection:
        standing = load_standing(connection, annotator, lock=True)
        who, stored = standing
        submission = read_submission(data, stored.campaign)
        row = own_row(connection, who, assignment, lock=True)
        before = _saved_before(connection, who, submission.client_key)
        if before is not None:
            if before["assignment"] != assignment:
                raise AlreadyAnswered("this answer was saved for another pair; reload the page")
            return _receipt_again(connection, standing, row, before)
        if stored.state != "open":
            raise CampaignClosed("this campaign is finished and takes no more answers; thank you")
        if who.status != ACTIVE:
            raise NotAllowed("this session has no more pairs to rate; thank you for taking part")
        if row["state"] != "open":
            raise AlreadyAnswered("this pair is answered; undo the answer before giving another")
        facts = to_assignment(row, 0.0)
        if submission.action == "vote":
            _require_watched(submission, stored.campaign, facts)
        payload = _payload(row, who, stored.campaign, submission, facts, now)
        states = {"vote": "done", "skip": "skipped", "flag": "flagged"}
        receipt = _write_revision(
            connection, standing, row, submission.action, submission.client_key, submission.flag,
            payload, state=states[submission.action], now=now,
        )  # fmt: skip
        if _is_turned_away(connection, standing, row, now):
            seen = replace(receipt.progress, status=UNQUALIFIED)
            receipt = replace(receipt, progress=seen)
        return receipt


def _require_watched(submission: Submission, campaign: Campaign, facts: Assignment) -> None:
    missing = unwatched(
        submission.watch, campaign.viewing, left_s=facts.left.duration_s,
        right_s=facts.right.duration_s, audible=(facts.left.audible, facts.right.audible),
    )  # fmt: skip
    if missing:
        raise NotWatchedEnough(missing)


def _saved_before(connection: Connection, who: Annotator, key: str) -> Mapping[str, Any] | None:
    row = connection.execute(_SAVED, {"who": who.id, "key": key}).mappings().first()
    return None if row is None else dict(row)


def _payload(
    row: Mapping[str, Any], who: Annotator, campaign: Campaign, submission: Submission,
    facts: Assignment, now: float,
) -> dict[str, Any]:  # fmt: skip
    """The vote as the ledger keeps it: unblinded, with everything needed to judge it later."""
    record = row["record"]
    watched = coverage(
        submission.watch, left_s=facts.left.duration_s, right_s=facts.right.duration_s
    )
    return {
        "assignment": row["key"],
        "rater": who.name,
        "kind": row["kind"],
        "case": row["case"],
        "first": row["first"],
        "second": row["second"],
        "first_side": row["first_side"],
        "repeat_of": record["repeat_of"],
        "expected": record["expected"],
        "clips": {
            "first": record["first_clip"]["digest"],
            "second": record["second_clip"]["digest"],
        },
        "answers": dict(submission.answers),
        "flag": submission.flag,
        "comment": submission.comment,
        "watch": asdict(submission.watch),
        "coverage": watched,
        "decision_ms": submission.watch.decision_s * 1000,
        "implausible": implausible(submission.watch, elapsed_s=now - row["leased_at"]),
        "client_key": submission.client_key,
        "origin": "simulated" if campaign.simulated else "human",
    }


def _write_revision(
    connection: Connection, standing: Standing, row: Mapping[str, Any], action: str, client_key: str,
    flag: str, payload: Mapping[str, Any], *, state: str, now: float,
) -> Receipt:  # fmt: skip
    who = standing.who
    revision = row["revision"] + 1
    done_at = None if state == "open" else now
    moved = {"row": row["id"], "state": state, "revision": revision, "done_at": done_at}
    connection.execute(_MOVE, moved)
    connection.execute(_SEE, {"who": who.id, "seen_at": now})
    seen = count_progress(connection, standing)
    # From here to the commit all writers of the campaign wait for this one.
    entry: Entry = append(
        connection, who.campaign, action, {**payload, "revision": revision}, now=now
    )
    vote = {
        "campaign": who.campaign, "annotator": who.id, "assignment": row["id"], "revision": revision,
        "client_key": client_key, "action": action, "flag": flag, "seq": entry.seq, "at": now,
    }  # fmt: skip
    connection.execute(_ADD, vote)
    return _receipt(row, vote, entry.digest, seen, duplicate=False)


def _receipt_again(
    connection: Connection, standing: Standing, row: Mapping[str, Any], vote: Mapping[str, Any]
) -> Receipt:
    """The receipt of what was saved before."""
    query = select(ledger.c.digest).where(
        (ledger.c.campaign == vote["campaign"]) & (ledger.c.seq == vote["seq"])
    )
    digest = connection.execute(query).scalar_one()
    return _receipt(row, vote, digest, count_progress(connection, standing), duplicate=True)


def _receipt(
    row: Mapping[str, Any], vote: Mapping[str, Any], digest: str, seen: Progress, *, duplicate: bool
) -> Receipt:
    feedback = None
    if row["kind"] == "training" and vote["action"] == "vote":
        feedback = {
            dimension: blind(OUTCOME_OF_NAME[outcome], row["first_side"])
            for dimension, outcome in row["record"]["expected"].items()
        }
        feedback["lesson"] = row["record"]["lesson"]
    return Receipt(
        assignment=vote["assignment"], revision=vote["revision"], seq=vote["seq"], digest=digest,
        duplicate=duplicate, progress=seen, feedback=feedback,
    )  # fmt: skip


def _is_turned_away(
    connection: Connection, standing: Standing, row: Mapping[str, Any], now: float
) -> bool:
    """After the last qualification pair: go on, or thank you."""
    if row["kind"] != "qualification":
        return False
    who, stored = standing
    of_test = of_seat(who) & (assignments.c.kind == "qualification")
    if connection.execute(
        select(assignments.c.id).where(of_test & (assignments.c.state == "open")).limit(1)
    ).first():
        return False
    query = (
        select(votes.c.action, ledger.c.content, assignments.c.record, assignments.c.first_side)
        .select_from(assignments)
        .join(votes, (votes.c.assignment == assignments.c.id) & (votes.c.revision == assignments.c.revision))
        .join(ledger, (ledger.c.campaign == votes.c.campaign) & (ledger.c.seq == votes.c.seq))
        .where(of_test)
    )  # fmt: skip
    right, asked = 0, 0
    for found in connection.execute(query).mappings():
        if found["action"] == "flag":  # a broken file says nothing about the annotator
            continue
        given = _answers_of(found["content"])
        for dimension, outcome in found["record"]["expected"].items():
            asked += 1
            answer = given.get(dimension, "cant_judge")
            right += unblind(answer, found["first_side"]) == OUTCOME_OF_NAME[outcome]
    share = right / asked if asked else 1.0
    passed = share >= stored.campaign.checks.qualification_pass
    if not passed:
        set_status(connection, who.id, UNQUALIFIED)
    payload = {"rater": who.name, "share": share, "passed": passed}
    append(connection, who.campaign, "qualify", payload, now=now)
    return not passed


def _answers_of(content: str) -> dict[str, str]:
    answers: dict[str, str] = json.loads(content)["answers"]
    return answers


def undo(
    database: Database, annotator: int, client_key: object, *, now: float
) -> tuple[Receipt, Assignment] | None:
    """Take back the annotator's last standing answer; it is shown again as the next pair.

    Sending the same key again returns the same receipt.

    Returns:
        None when there is nothing to take back: no answer yet, or training and qualification only.

    Raises:
        CampaignClosed: The campaign is frozen.
    """
    key = read_client_key(client_key)
    with database.write() as connection:
        standing = load_standing(connection, annotator, lock=True)
        who, stored = standing
        before = _saved_before(connection, who, key)
        if before is not None:
            row = own_row(connection, who, before["assignment"])
            return _receipt_again(connection, standing, row, before), to_assignment(row, now)
        if stored.state != "open":
            raise CampaignClosed("this campaign is finished; its answers stand")
        last = (
            select(assignments)
            .where(
                of_seat(who)
                & assignments.c.state.in_(("done", "skipped", "flagged"))
                & assignments.c.kind.not_in(CHECKED_KINDS)
            )
            .order_by(assignments.c.done_at.desc(), assignments.c.id.desc())
            .limit(1)
            .with_for_update(key_share=True)
        )
        row_found = connection.execute(last).mappings().first()
        if row_found is None:
            return None
        payload = {
            "assignment": row_found["key"], "rater": who.name, "takes_back": row_found["revision"],
            "client_key": key,
        }  # fmt: skip
        receipt = _write_revision(
            connection, standing, dict(row_found), "undo", key, "", payload, state="open", now=now
        )
        until = now + stored.campaign.lease_s
        connection.execute(
            update(assignments)
            .where(assignments.c.id == row_found["id"])
            .values(leased_at=now, leased_until=until)
        )
        shown = {**row_found, "revision": receipt.revision}
        return receipt, to_assignment(shown, until)
