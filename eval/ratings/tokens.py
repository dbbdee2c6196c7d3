"""Names that an annotator's browser sees instead of assignments, systems, clips and files.

A token is a keyed hash of what it stands for and of whom it was made for. It carries no data, is
useless to anybody else, and is resolved by trying the few things its owner may see. Tokens made lately
are remembered, which saves the trying; what they open is checked against the database all the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Literal

Medium = Literal["left", "right", "image", "audio"]
MEDIA: Final[tuple[Medium, ...]] = ("left", "right", "image", "audio")
"""What an assignment shows: two clips, the reference image, the reference audio."""

REMEMBERED: Final = 10_000
"""Tokens kept in memory, about 2 MB: those of 500 annotators' next pairs."""

_BYTES: Final = 18  # 144 bits, 24 characters without padding
_NOBODYS: Final = ("", 0, 0)  # row numbers start at 1
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24}")


class TokenMint:
    """Makes and recognises tokens with one server secret."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"rating tokens\0" + secret.encode()).digest()
        self._made: OrderedDict[str, tuple[str, int, int]] = OrderedDict()
        self._making = threading.Lock()

    def assignment(self, assignment: int, annotator: int) -> str:
        """Public name of an assignment for its annotator."""
        return self._remember("assignment", assignment, annotator)

    def medium(self, assignment: int, annotator: int, medium: Medium) -> str:
        """Public name of one clip, image or audio of an assignment for its annotator."""
        return self._remember(medium, assignment, annotator)

    def recall_assignment(self, token: object, annotator: int) -> int | None:
        """The assignment of a token that was made here for its annotator; None when forgotten."""
        what, assignment, owner = self._recall(token)
        return assignment if (what, owner) == ("assignment", annotator) else None

    def recall_medium(self, token: object, annotator: int) -> tuple[int, Medium] | None:
        """The assignment and medium of a token that was made here for its annotator."""
        what, assignment, owner = self._recall(token)
        medium = next((name for name in MEDIA if name == what), None)
        return None if medium is None or owner != annotator else (assignment, medium)

    def find_assignment(self, token: str, annotator: int, candidates: Iterable[int]) -> int | None:
        """The assignment that a token names, among those of its annotator; None for any other."""
        if not is_token(token):
            return None
        found = None
        for candidate in candidates:  # no early exit: the time says nothing about the place
            if hmac.compare_digest(token, self._token("assignment", candidate, annotator)):
                found = candidate
        return found

    def find_medium(
        self, token: str, annotator: int, candidates: Iterable[int]
    ) -> tuple[int, Medium] | None:
        """The assignment and medium that a token names, among those of its annotator."""
        if not is_token(token):
            return None
        found: tuple[int, Medium] | None = None
        for candidate in candidates:
            for medium in MEDIA:
                if hmac.compare_digest(token, self._token(medium, candidate, annotator)):
                    found = (candidate, medium)
        return found

    def _remember(self, what: str, assignment: int, annotator: int) -> str:
        token = self._token(what, assignment, annotator)
        with self._making:
            self._made[token] = (what, assignment, annotator)
            self._made.move_to_end(token)
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return token

    def _recall(self, token: object) -> tuple[str, int, int]:
        with self._making:
            return self._made.get(token, _NOBODYS) if isinstance(token, str) else _NOBODYS

    def _token(self, what: str, assignment: int, annotator: int) -> str:
        message = f"{what}\0{assignment}\0{annotator}".encode()
        digest = hmac.new(self._key, message, hashlib.sha256).digest()[:_BYTES]
        return base64.urlsafe_b64encode(digest).decode()


def is_token(text: str) -> bool:
    """Whether a text has the form of a token: no slash, no dot, no percent sign."""
    return _TOKEN.fullmatch(text) is not None
