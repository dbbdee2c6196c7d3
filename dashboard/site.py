"""What one running dashboard holds: its workspace, its secrets, and who its staff are.

Opened once per process by the server (or a test) and found by routes and pages through `current_site`.
Knows no web framework.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dashboard.blind_media import BlindMedia
from eval.ratings.roles import Role
from eval.ratings.sessions import SessionSigner, ensure_secret
from eval.ratings.tokens import TokenMint
from eval.store.workspace import Workspace
from joystreamer.errors import InputError, JoyStreamerError

SERVER_SECRET: Final = "server.secret"
OPERATOR_SECRET: Final = "operator.secret"
STAFF_FILE: Final = "staff.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An open dashboard.

    Attributes:
        workspace: Records and media.
        signer: Reads and writes cookies.
        mint: Makes the names that browsers see.
        operator_secret: Opens the staff door without an identity provider.
        operator_is_new: Whether the operator secret was made just now and must be shown once.
        client_key: Keys the hashes of visitors' addresses.
        staff: Role by e-mail address, for identity providers.
        media: Clips and references as annotators may see them.
        origins: Further origins that may post, for servers behind a proxy that changes the host.
        secure: Whether browsers reach the server by HTTPS, so that cookies travel by nothing else.
    """

    workspace: Workspace
    signer: SessionSigner
    mint: TokenMint
    operator_secret: str = field(repr=False)
    operator_is_new: bool
    client_key: bytes = field(repr=False)
    staff: Mapping[str, Role]
    media: BlindMedia
    origins: tuple[str, ...] = ()
    secure: bool = False


_open: list[Site] = []


def open_site(
    root: Path,
    database: str | None = None,
    *,
    origins: tuple[str, ...] = (),
    secure: bool = False,
) -> Site:
    """Open a workspace for serving and make it this process's site.

    Raises:
        InputError: The workspace, a secret or the list of staff does not fit.
    """
    workspace = Workspace(root, database)
    secret, _ = ensure_secret(workspace.root / SERVER_SECRET)
    operator, is_new = ensure_secret(workspace.root / OPERATOR_SECRET)
    site = Site(
        workspace=workspace, signer=SessionSigner(secret), mint=TokenMint(secret),
        operator_secret=operator, operator_is_new=is_new,
        client_key=hashlib.sha256(b"clients\0" + secret.encode()).digest(),
        staff=read_staff(workspace.root / STAFF_FILE), media=BlindMedia(workspace),
        origins=origins, secure=secure,
    )  # fmt: skip
    _open[:] = [site]
    return site


def current_site() -> Site:
    """The site of this process.

    Raises:
        JoyStreamerError: None is open.
    """
    if not _open:
        raise JoyStreamerError(
            "no workspace is open here; start the pages with python -m dashboard serve --workspace W"
        )
    return _open[0]


def read_staff(path: Path) -> dict[str, Role]:
    """Read who may sign in by an identity provider: lists of e-mail addresses under lead and operator.

    Args:
        path: TOML file; a missing one means nobody.

    Raises:
        InputError: It has another form.
    """
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); expected lead = [...] and operator = [...]"
        ) from error
    staff: dict[str, Role] = {}
    roles: tuple[Role, ...] = ("lead", "operator")
    unknown = sorted(set(content) - set(roles))
    if unknown:
        raise InputError(f"{path}: {unknown[0]!r} is no staff role; use lead and operator")
    for role in roles:
        emails = content.get(role, [])
        if not isinstance(emails, list) or not all(isinstance(item, str) for item in emails):
            raise InputError(
                f"{path}: {role} is not a list of e-mail addresses; write {role} = [...]"
            )
        staff |= {email.strip().lower(): role for email in emails}
    return staff
