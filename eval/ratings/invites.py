"""Invite links: a random token that works once, for a while, until it is revoked.

Only the hash of a token is ever stored; the token itself is shown once, to the lead who made it.
Guessing is slowed by counting failed attempts per client. Storage is `eval.ratings.store`'s.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TOKEN_BYTES: Final = 24
"""192 random bits: no rate limit is needed against guessing, only against noise."""

INVITE_LIFETIME_S: Final = 14 * 86_400.0
"""Two weeks to accept an invitation."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How many failures one client may have.

    Attributes:
        attempts: Failures within the window that still leave another try.
        window_s: Length of the window in seconds.
    """

    attempts: int = 10
    window_s: float = 600.0


def new_token() -> str:
    """A fresh token, 32 URL-safe characters."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_token(text: str) -> bool:
    """Whether a text has the form of a token; anything else need not touch the database."""
    return _TOKEN.fullmatch(text) is not None


def hash_token(token: str) -> str:
    """What is stored: sha256, 64 hex digits. A random token needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_client(address: str, key: bytes) -> str:
    """A client address as it is kept for rate limiting: keyed, so that it cannot be looked up."""
    return hmac.new(key, b"client\0" + address.encode(), hashlib.sha256).hexdigest()


def may_try(failures: Sequence[float], *, now: float, limit: RateLimit) -> bool:
    """Whether a client with these failure times (epoch seconds) may try again."""
    recent = sum(1 for at in failures if now - limit.window_s < at <= now)
    return recent < limit.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteState:
    """What is stored about one invitation.

    Attributes:
        expires_at: Epoch seconds.
        used_at: When it was redeemed, or None.
        revoked_at: When it was withdrawn, or None.
    """

    expires_at: float
    used_at: float | None
    revoked_at: float | None


def refusal(state: InviteState | None, *, now: float) -> str | None:
    """Why an invitation does not open the door, or None when it does.

    The visitor is told one and the same sentence for every reason; this word is for the lead's log.
    """
    if state is None:
        return "unknown"
    if state.revoked_at is not None:
        return "revoked"
    if state.used_at is not None:
        return "used"
    return "expired" if now >= state.expires_at else None
