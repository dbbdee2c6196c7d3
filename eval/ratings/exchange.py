"""Votes out to files and in from elsewhere: CSV and JSONL with the same columns.

Votes that were collected with another tool become part of a campaign's ledger, marked `imported` or
`simulated`; nothing is ever silently overwritten.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from eval.fields import Fields, ProblemsFound, read_json_line, read_lines
from eval.ratings.answers import OUTCOME_OF_NAME, allowed_answers, blind
from eval.ratings.campaign import Campaign
from eval.ratings.chain import append, read_entries
from eval.ratings.ledger import Entry, canonical
from eval.ratings.refusals import CampaignClosed
from eval.ratings.results import plain_rows
from eval.ratings.store import StoredCampaign, campaign_by_id
from eval.ratings.vote_table import current_votes
from eval.store.database import Database
from eval.store.files import write_text
from eval.text_files import read_csv, safe_cell
from joystreamer.errors import InputError

EXPORT_COLUMNS: Final = (
    "campaign", "assignment", "revision", "rater", "kind", "repeat_of", "case", "first", "second",
    "first_side", "dimension", "answer", "outcome", "flag", "comment", "decision_ms", "coverage",
    "implausible", "origin", "at", "seq",
)  # fmt: skip
"""One row per answered pair and dimension; `outcome` is good, same, bad or empty for can't judge."""

KINDS: Final = ("work", "repeat", "gold", "null", "training", "qualification")


def export_rows(campaign: str, votes: pd.DataFrame) -> list[dict[str, Any]]:
    """Votes as plain rows with `EXPORT_COLUMNS`."""
    names = {1.0: "good", 0.0: "same", -1.0: "bad"}
    rows = []
    for row in plain_rows(votes):
        row["campaign"] = campaign
        row["outcome"] = names.get(row["outcome"], "")
        rows.append({column: row[column] for column in EXPORT_COLUMNS})
    return rows


def write_votes(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV or JSONL, by the file's ending, whole or not at all.

    Raises:
        InputError: Another ending.
    """
    if path.suffix == ".jsonl":
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    elif path.suffix == ".csv":
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, fieldnames=list(EXPORT_COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows([{key: safe_cell(value) for key, value in row.items()} for row in rows])
        write_text(path, buffer.getvalue())
    else:
        raise InputError(f"{path} ends in {path.suffix!r}; votes are written as .csv or .jsonl")


def write_ledger(path: Path, entries: Sequence[Entry]) -> None:
    """Write the ledger as JSONL: seq, at, kind, content, previous, digest."""
    lines = [
        canonical(
            {
                name: getattr(entry, name)
                for name in ("seq", "at", "kind", "content", "previous", "digest")
            }
        )
        for entry in entries
    ]
    write_text(path, "".join(line + "\n" for line in lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        added: Answered pairs that are new.
        known: Answered pairs that were there with the same answers.
    """

    added: int
    known: int


def import_votes(
    database: Database, stored: StoredCampaign, path: Path, *, origin: str, now: float
) -> Imported:
    """Take votes from a file into a campaign.

    Needed columns: case, first, second, rater, dimension, and either outcome (good, same, bad; for
    `first`) or answer (left, same, right, cant_judge) with first_side. Optional: kind, assignment,
    repeat_of, comment, decision_ms, coverage. Importing the same file again adds nothing.

    Args:
        database: Where.
        stored: The campaign; must ask for the dimensions and compare the pairs.
        path: .csv or .jsonl.
        origin: imported or simulated.
        now: Seconds since 1970.

    Raises:
        ProblemsFound: One sentence per row that does not fit; nothing is then imported.
        InputError: An answer contradicts one that is there.
        CampaignClosed: The campaign is frozen.
    """
    if origin not in ("imported", "simulated"):
        raise InputError(f"origin {origin!r} does not fit; choose imported or simulated")
    answers = read_votes(path, stored.campaign)
    added = known = 0
    with database.write() as connection:
        if campaign_by_id(connection, stored.id).state != "open":
            raise CampaignClosed(
                f"campaign {stored.campaign.name!r} is frozen and takes no more votes"
            )
        standing = current_votes(read_entries(connection, stored.id))
        for payload in answers:
            before = standing.get(payload["assignment"])
            if before is None:
                append(
                    connection, stored.id, "import",
                    {**payload, "revision": 1, "origin": origin, "source": path.name}, now=now,
                )  # fmt: skip
                added += 1
            elif before[1]["answers"] == payload["answers"]:
                known += 1
            else:
                raise InputError(
                    f"{path}: rater {payload['rater']!r} answers case {payload['case']!r} differently from "
                    "the vote that is in the campaign; a vote is never overwritten: remove these rows"
                )
    return Imported(added=added, known=known)


def read_votes(path: Path, campaign: Campaign) -> list[dict[str, Any]]:
    """Read and group a file of votes; see `import_votes` for columns and errors."""
    problems: list[str] = []
    grouped: dict[tuple[str, ...], dict[str, Any]] = {}
    repeats: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for place, record in _records(path, problems):
        row = _read_row(Fields(place, record, problems), campaign)
        if row is None:
            continue
        key = (
            row["rater"],
            row["first"],
            row["second"],
            row["case"],
            row["kind"],
            row["assignment"],
        )
        if row["dimension"] in repeats[key]:
            problems.append(
                f"{place}: this rater, pair, case and dimension were given before; keep one row"
            )
            continue
        repeats[key].add(row["dimension"])
        entry = grouped.setdefault(key, _import_payload(row, key))
        if row["first_side"] != entry["first_side"]:
            problems.append(
                f"{place}: first_side differs within one shown pair; it stands on one side"
            )
        entry["answers"][row["dimension"]] = row["answer"]
    if problems:
        raise ProblemsFound(problems)
    if not grouped:
        raise InputError(f"{path} holds no votes; see the export for the columns")
    return list(grouped.values())


def _records(path: Path, problems: list[str]) -> list[tuple[str, dict[str, Any]]]:
    if path.suffix == ".jsonl":
        lines = read_lines(path)
        found = [
            (f"{path}:{number}", read_json_line(f"{path}:{number}", line, problems))
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        return [(place, record) for place, record in found if record is not None]
    if path.suffix != ".csv":
        raise InputError(f"{path} ends in {path.suffix!r}; votes are read from .csv or .jsonl")
    _, rows = read_csv(path)
    return [
        (f"{path}: row {number}", {k: v for k, v in row.items() if k and v not in ("", None)})
        for number, (_, row) in enumerate(rows, start=1)
    ]


_IGNORED: Final = (
    "campaign",
    "revision",
    "flag",
    "implausible",
    "origin",
    "at",
    "seq",
    "pair",
    "expected",
)
"""Columns of an export that the importing campaign decides by itself."""


def _read_row(fields: Fields, campaign: Campaign) -> dict[str, Any] | None:
    before = len(fields.problems)
    for name in _IGNORED:
        fields.raw(name)
    first, second = fields.text("first"), fields.text("second")
    row: dict[str, Any] = {
        "rater": fields.identifier("rater"),
        "case": fields.choice("case", campaign.cases),
        "first": first,
        "second": second,
        "kind": fields.choice("kind", KINDS, default="work"),
        "dimension": fields.choice("dimension", campaign.dimension_ids),
        "first_side": fields.choice("first_side", ("left", "right"), default="left"),
        "assignment": fields.text("assignment", default=""),
        "repeat_of": fields.text("repeat_of", default=""),
        "comment": fields.text("comment", default=""),
    }
    for name in ("decision_ms", "coverage"):
        value = fields.raw(name)
        row[name] = _float(fields, name, value)
    pairs = [(pair.first, pair.second) for pair in campaign.pairs]
    if row["kind"] in ("work", "repeat") and (first, second) not in pairs:
        expected = "; ".join(f"{a} against {b}" for a, b in pairs)
        fields.problem("first", f"{first} against {second}", f"a pair of the campaign: {expected}")
    outcome, answer = fields.raw("outcome"), fields.raw("answer")
    if answer is not None:
        row["answer"] = fields.choice("answer", allowed_answers(five_steps=campaign.five_steps))
    elif outcome is not None:
        name = fields.choice("outcome", tuple(OUTCOME_OF_NAME))
        row["answer"] = blind(OUTCOME_OF_NAME.get(name, 0), row["first_side"])
    else:
        fields.problem("outcome", None, "good, same or bad, or an answer with first_side")
    fields.finish()
    return row if len(fields.problems) == before else None


def _float(fields: Fields, name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        fields.problem(name, value, "a number from 0")
        return None
    return number


def _import_payload(row: Mapping[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    digest = hashlib.sha256(canonical({"key": list(key)}).encode()).hexdigest()[:16]
    return {
        "assignment": f"import-{digest}",
        "rater": row["rater"],
        "kind": row["kind"],
        "case": row["case"],
        "first": row["first"],
        "second": row["second"],
        "first_side": row["first_side"],
        "repeat_of": row["repeat_of"],
        "expected": {},
        "answers": {},
        "flag": "",
        "comment": row["comment"],
        "decision_ms": row["decision_ms"],
        "coverage": row["coverage"],
    }
