"""Who may do what. Everything that is not listed is refused."""

from __future__ import annotations

from typing import Final, Literal, get_args

Role = Literal["annotator", "lead", "operator"]
Action = Literal[
    "rate",              # see one's own assignments and vote on them
    "see_own_progress",
    "see_results",       # boards, correlations, disagreements
    "see_raters",        # quality of single raters, under pseudonyms
    "generate",          # make clips in the studio
    "manage_campaigns",  # create, invite, top up, freeze
    "export",
    "audit",
    "manage_staff",
]  # fmt: skip

ROLES: Final = get_args(Role)

_LEAD: Final = frozenset[Action](
    {"see_results", "see_raters", "generate", "manage_campaigns", "export", "audit"}
)
PERMISSIONS: Final[dict[Role, frozenset[Action]]] = {
    "annotator": frozenset({"rate", "see_own_progress"}),
    "lead": _LEAD,
    "operator": _LEAD | {"manage_staff"},
}
"""A lead cannot rate: whoever sees the unblinded board must not vote on it."""


def may(role: str | None, action: Action) -> bool:
    """Whether a role may do something; nobody (None) and unknown roles may do nothing."""
    return role in PERMISSIONS and action in PERMISSIONS[role]


def staff_role(email: str | None, *, verified: bool, staff: dict[str, Role]) -> Role | None:
    """Role of a person whom an identity provider vouches for.

    Args:
        email: As the provider gives it.
        verified: Whether the provider has verified it; an unverified one counts for nothing.
        staff: Role by e-mail address, lower case.
    """
    if not email or not verified:
        return None
    role = staff.get(email.strip().lower())
    return role if role in ("lead", "operator") else None
