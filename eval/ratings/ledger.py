"""An append-only list of events in which every entry seals all before it.

Each entry's digest covers its number, time, kind, content and the digest of the entry before. Changing,
dropping, inserting or reordering an entry breaks every digest after it; rewriting the whole chain is
caught by comparing its last digest with one printed earlier beside a published result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joystreamer.errors import InputError

GENESIS: Final = "0" * 64
"""What the first entry of a chain follows."""

MIN_HEAD: Final = 16
"""Digits of a digest that are printed beside a board."""

KINDS: Final = (
    "open", "plan", "join", "vote", "undo", "skip", "flag", "revoke", "qualify", "import", "freeze",
)  # fmt: skip
"""What may happen to a campaign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event.

    Attributes:
        seq: Number from 1, without gaps.
        at: UTC time as ISO 8601 text.
        kind: One of `KINDS`.
        content: The event as canonical JSON text.
        previous: Digest of the entry before, `GENESIS` for the first.
        digest: Digest of this entry.
    """

    seq: int
    at: str
    kind: str
    content: str
    previous: str
    digest: str

    def payload(self) -> dict[str, Any]:
        """The event as data."""
        value: dict[str, Any] = json.loads(self.content)
        return value


def canonical(payload: Mapping[str, Any]) -> str:
    """JSON text with one spelling: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(
        payload, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def entry_digest(*, seq: int, at: str, kind: str, content: str, previous: str) -> str:
    """sha256 over the parts, each preceded by its length so that none can flow into the next."""
    total = hashlib.sha256()
    for part in (str(seq), at, kind, content, previous):
        encoded = part.encode()
        total.update(f"{len(encoded)}:".encode())
        total.update(encoded)
    return total.hexdigest()


def seal(*, seq: int, at: str, kind: str, payload: Mapping[str, Any], previous: str) -> Entry:
    """Make the next entry of a chain."""
    assert kind in KINDS, kind
    content = canonical(payload)
    digest = entry_digest(seq=seq, at=at, kind=kind, content=content, previous=previous)
    return Entry(seq=seq, at=at, kind=kind, content=content, previous=previous, digest=digest)


def chain_problems(entries: Iterable[Entry], *, head: str | None = None) -> list[str]:
    """What is wrong with a chain, one sentence per finding; empty for an untouched one.

    Args:
        entries: In the order of their numbers.
        head: Digest printed beside a published result, or its first 16 digits or more; it must occur
            in the chain.

    Raises:
        InputError: `head` is too short to tell ledgers apart.
    """
    if head is not None and len(head) < MIN_HEAD:
        raise InputError(
            f"digest {head!r} is too short to tell ledgers apart; give the first {MIN_HEAD} digits or more"
        )
    problems: list[str] = []
    previous, expected, seen = GENESIS, 1, {GENESIS}
    for entry in entries:
        if entry.seq != expected:
            problems.append(f"entry {expected} is missing: the next one is number {entry.seq}")
        if entry.previous != previous:
            problems.append(f"entry {entry.seq} does not follow the entry before it")
        digest = entry_digest(
            seq=entry.seq,
            at=entry.at,
            kind=entry.kind,
            content=entry.content,
            previous=entry.previous,
        )
        if digest != entry.digest:
            problems.append(f"entry {entry.seq} ({entry.kind}) was changed after it was written")
        previous, expected = entry.digest, entry.seq + 1
        seen.add(entry.digest)
    if head is not None and not any(digest.startswith(head) for digest in seen):
        problems.append(
            f"no entry has the published digest {head[:12]}…: the ledger was rewritten or is another one"
        )
    return problems
