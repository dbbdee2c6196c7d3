"""Signed cookies of annotators and staff, and the secrets that sign them.

A cookie says who somebody is and nothing else; what they may do is `eval.ratings.roles`' matter, and
whether they still may is asked of the database on every request. Knows no web framework.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer

from eval.ratings.roles import ROLES, Role
from eval.store.files import write_text
from joystreamer.errors import InputError

COOKIE_NAME: Final = "rating_session"
LOCAL: Final = "local"
"""Subject of whoever came in by the operator secret, which has no name."""
SESSION_LIFETIME_S: Final = 14 * 86_400
_SALT: Final = "rating-session-1"
_SECRET_CHARACTERS: Final = 43  # 32 random bytes in URL-safe text


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Whom a cookie stands for.

    Attributes:
        role: annotator, lead or operator.
        subject: Annotator number for annotators; e-mail or `LOCAL` for staff.
        campaign: Campaign number for annotators, None for staff.
    """

    role: Role
    subject: str
    campaign: int | None = None


class SessionSigner:
    """Signs and reads cookie values with one server secret."""

    def __init__(self, secret: str) -> None:
        """Use a server secret of at least 32 characters.

        Raises:
            InputError: The secret is too short to sign anything.
        """
        if len(secret) < 32:
            raise InputError(
                f"the server secret has {len(secret)} characters; at least 32 are needed; "
                "delete the file and a fresh one is made at the next start"
            )
        self._serializer = URLSafeTimedSerializer(secret, salt=_SALT)

    def sign(self, session: Session) -> str:
        """Return the cookie value of a session."""
        value = {"r": session.role, "s": session.subject, "c": session.campaign}
        signed: str | bytes = self._serializer.dumps(value)
        return signed.decode() if isinstance(signed, bytes) else signed

    def read(self, value: str | None, *, max_age_s: int = SESSION_LIFETIME_S) -> Session | None:
        """Return the session of a cookie value; None when it is absent, forged, altered or too old."""
        if not value or len(value) > 1024:
            return None
        try:
            data: Any = self._serializer.loads(value, max_age=max_age_s)
        except BadData:
            return None
        if not isinstance(data, dict) or data.get("r") not in ROLES:
            return None
        return Session(role=data["r"], subject=str(data.get("s", "")), campaign=data.get("c"))


def cookie_attributes(*, secure: bool) -> dict[str, Any]:
    """How the cookie is set, as keyword arguments of Starlette's `set_cookie`.

    HttpOnly keeps scripts away from it. Lax, not Strict, because the first click on an invite link
    comes from another site. Secure is for servers behind HTTPS.
    """
    return {
        "key": COOKIE_NAME,
        "max_age": SESSION_LIFETIME_S,
        "path": "/",
        "httponly": True,
        "samesite": "lax",
        "secure": secure,
    }


def same_origin(origin: str | None, *, host: str | None, allowed: tuple[str, ...] = ()) -> bool:
    """Whether a POST comes from our own pages.

    Args:
        origin: The Origin header; a browser always sends it with a POST. Absent or 'null' is refused.
        host: The Host header.
        allowed: Further origins, for servers behind a proxy that changes the host.
    """
    if not origin or origin == "null":
        return False
    if origin in allowed:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and bool(host) and parts.netloc == host


def ensure_secret(path: Path) -> tuple[str, bool]:
    """Read a secret from a file that only its owner can read, making it at first start.

    Returns:
        The secret, and whether it is new (an operator is then shown it once).

    Raises:
        InputError: The file is empty or readable by others.
    """
    if not path.exists():
        secret = secrets.token_urlsafe(32)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o077)
        try:
            write_text(path, secret + "\n")
        finally:
            os.umask(before)
        return secret, True
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path} can be read by others; run chmod 600 {path}, then start again")
    secret = path.read_text(encoding="utf-8").strip()
    if len(secret) < _SECRET_CHARACTERS:
        raise InputError(f"{path} holds no usable secret; delete it and a fresh one is made")
    return secret, False


def is_operator(given: str, secret: str) -> bool:
    """Whether somebody knows the operator secret; takes the same time for every wrong guess."""
    return hmac.compare_digest(given.strip().encode(), secret.encode())
