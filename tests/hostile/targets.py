"""Every target there is, by the group that makes it; a group is imported when it is asked for."""

from importlib import import_module
from typing import Final

from tests.hostile.target import Target

GROUPS: Final = ("document", "option", "media", "weight", "page")


def targets_of(group: str) -> tuple[Target, ...]:
    """The targets of one group."""
    found: tuple[Target, ...] = getattr(
        import_module(f"tests.hostile.{group}_targets"), f"{group}_targets"
    )()
    return found


def all_targets() -> tuple[Target, ...]:
    """All targets, in the order of reports."""
    return tuple(target for group in GROUPS for target in targets_of(group))
