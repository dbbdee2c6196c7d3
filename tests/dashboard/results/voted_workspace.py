"""Adds a rating campaign with scripted votes to a workspace, through the calls that annotators' pages make."""

import dataclasses
import time
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from eval.ratings.campaign import Campaign, Checks, Pair
from eval.ratings.joining import create_invites, redeem_invite
from eval.ratings.saving import save
from eval.ratings.serving import claim
from eval.ratings.store import StoredCampaign, create_campaign, stored_clips
from eval.store.schema import clips
from eval.store.workspace import Workspace

PAIRS = (("run1-2000", "run1-1000"), ("run1-2000", "kling"))


def declare(
    workspace: Workspace, *, name: str = "board", pairs: Sequence[tuple[str, str]] = PAIRS, cases: int = 12,
    suite: str = "talk", **changes: object,
) -> StoredCampaign:  # fmt: skip
    """Declare a campaign on the first cases of a suite; nothing is demanded of watching."""
    with workspace.database.read() as connection:
        table = stored_clips(connection, suite)
    names = sorted({case for _, case in table})[:cases]
    campaign = Campaign(
        name=name, suite=suite, cases=tuple(names), raters=6, per_case=3, window=1, simulated=True,
        pairs=tuple(Pair(first=first, second=second) for first, second in pairs),
        checks=Checks(nulls=1, repeat_share=0.08, repeat_gap=3),
    )  # fmt: skip
    campaign = dataclasses.replace(campaign, **changes)  # type: ignore[arg-type]
    bare = {key: dataclasses.replace(clip, duration_s=0.0) for key, clip in table.items()}
    return create_campaign(workspace.database, campaign, clip_table=bare, now=time.time() - 3600)


def vote(
    workspace: Workspace, stored: StoredCampaign, *, raters: int = 6, seed: int = 0,
    lean: float = 0.35, most: int = 10_000, comment: str = "",
) -> int:  # fmt: skip
    """Let raters answer everything that waits for them; return the number of answered pairs.

    Args:
        workspace: Where.
        stored: The campaign.
        raters: How many join.
        seed: Of the answers.
        lean: By how much the first system of a pair is preferred, from -1 to 1; less on later dimensions.
        most: Pairs after which to stop.
        comment: Said once, with the first answer.
    """
    now = time.time() - 3000
    with workspace.database.read() as connection:
        owner = {
            row.digest: row.system for row in connection.execute(clips.select()) if not row.replaced
        }
    firsts = {pair.first for pair in stored.campaign.pairs}
    saved = 0
    for _ in range(raters):
        (invite,) = create_invites(workspace.database, stored, ["somebody"], now=now)
        who = redeem_invite(workspace.database, invite.token, client="c", now=now)
        while saved < most and (waiting := claim(workspace.database, who.id, now=now + saved)):
            pair = waiting[0]
            good = "left" if owner[pair.left.digest] in firsts else "right"
            bad = "right" if good == "left" else "left"
            # A repeat is answered like the first time: the same opinion of the same clips.
            opinion = [
                seed,
                who.seat,
                crc32(pair.case.encode()),
                crc32(" ".join(sorted((pair.left.digest, pair.right.digest))).encode()),
            ]
            rng = np.random.default_rng(opinion)
            shift = 0.5 * rng.standard_normal()
            answers = {}
            for place, dimension in enumerate(stored.campaign.dimension_ids):
                latent = lean * (1.5 - 0.5 * place) + shift + 0.6 * rng.standard_normal()
                answers[dimension] = good if latent > 0.3 else bad if latent < -0.3 else "same"
            if pair.left.digest == pair.right.digest:
                answers = dict.fromkeys(answers, "same")
            data = {
                "action": "vote", "client_key": f"scripted-{who.id}-{pair.id}", "answers": answers,
                "comment": comment if not saved else "",
            }  # fmt: skip
            save(workspace.database, who.id, pair.id, data, now=now + saved + 0.5)
            saved += 1
    return saved
