"""The table of pages: which there are, and what one must be allowed to do to open each.

A new page is a new row. The server refuses a page's address to whoever may not open it, and the pages'
own navigation leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eval.ratings.roles import Action, may


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        script: File beside this one.
        title: Shown in the navigation.
        path: Address below /; '' for the page at / of those who may open it.
        action: What a visitor must be allowed to do; None for everybody.
        icon: Material symbol.
    """

    script: str
    title: str
    path: str
    action: Action | None
    icon: str = ""


PAGES: Final = (
    Page(script="rate.py", title="Rate", path="", action="rate"),
    Page(script="home.py", title="Overview", path="", action="see_results", icon=":material/home:"),
    Page(
        script="campaigns.py", title="Campaigns", path="campaigns", action="manage_campaigns",
        icon=":material/how_to_vote:",
    ),
    Page(
        script="results/leaderboard.py", title="Leaderboard", path="leaderboard", action="see_results",
        icon=":material/leaderboard:",
    ),
    Page(
        script="results/compare.py", title="Compare", path="compare", action="see_results",
        icon=":material/compare:",
    ),
    Page(
        script="results/cases.py", title="Cases", path="cases", action="see_results",
        icon=":material/grid_view:",
    ),
    Page(
        script="results/checkpoints.py", title="Checkpoints", path="checkpoints", action="see_results",
        icon=":material/timeline:",
    ),
    Page(
        script="results/human.py", title="Human", path="human", action="see_results",
        icon=":material/groups:",
    ),
    Page(
        script="studio/studio.py", title="Studio", path="studio", action="generate",
        icon=":material/movie:",
    ),
    Page(
        script="results/runs.py", title="Runs", path="runs", action="see_results",
        icon=":material/speed:",
    ),
)  # fmt: skip

WELCOME: Final = Page(script="welcome.py", title="Welcome", path="", action=None)
"""What a visitor without a role sees at /."""


def pages_for(role: str | None) -> tuple[Page, ...]:
    """The pages that a role may open, the one at / first; the welcome page for nobody."""
    return tuple(p for p in PAGES if p.action is None or may(role, p.action)) or (WELCOME,)


def page_at(path: str) -> Page | None:
    """The page with an address of its own, or None; sub-addresses belong to it too."""
    first = path.strip("/").split("/", 1)[0]
    return next((p for p in PAGES if p.path and p.path == first), None)
