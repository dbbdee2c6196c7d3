"""Make all blind clips of a campaign ahead of time, so that no annotator waits for an encoder."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from dashboard.site import Site
from dashboard.work import campaign_box
from eval.ratings.schema import assignments
from eval.ratings.store import get_campaign


def prepare_campaign(site: Site, name: str) -> Iterator[tuple[int, int]]:
    """Make what is missing, yielding (ready, all) after each clip; interrupting loses nothing.

    Raises:
        InputError: There is no such campaign, or a clip cannot be read.
    """
    stored = get_campaign(site.workspace.database, name)
    query = select(assignments.c.case, assignments.c.record).where(
        assignments.c.campaign == stored.id
    )
    with site.workspace.database.read() as connection:
        wanted = sorted(
            {
                (row.case, row.record[clip]["digest"])
                for row in connection.execute(query)
                for clip in ("first_clip", "second_clip")
            }
        )
    boxes = {case: campaign_box(site, stored.id, case) for case, _ in wanted}
    for number, (case, digest) in enumerate(wanted, start=1):
        site.media.clip(digest, boxes[case])
        yield number, len(wanted)
