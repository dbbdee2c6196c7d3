"""An annotator's day: invited, handed pairs, saved, undone, refused what is not theirs."""

import pytest

from eval.ratings.campaign import Checks, KnownItem
from eval.ratings.chain import read_entries
from eval.ratings.invites import RateLimit
from eval.ratings.joining import (
    create_invites,
    list_invites,
    redeem_invite,
    revoke_invite,
)
from eval.ratings.ledger import chain_problems
from eval.ratings.refusals import (
    AlreadyAnswered,
    CampaignClosed,
    InviteRefused,
    NotAllowed,
    NotWatchedEnough,
    TooManyTries,
)
from eval.ratings.saving import save, undo
from eval.ratings.serving import claim, get_assignment, owned_assignments, progress
from eval.ratings.standing import get_standing
from eval.ratings.store import campaign_entries, close_campaign, get_campaign
from eval.ratings.vote_table import vote_table
from joystreamer.errors import InputError

OVERALL = "overall_quality"


def test_an_invitation_opens_once(database, declare):
    stored = declare()
    one, two = create_invites(database, stored, ["Ann", "Bob"], now=1000)
    ann = redeem_invite(database, one.token, client="a", now=1001)
    assert (ann.seat, ann.name, ann.status) == (0, "R01", "active")
    for token in (one.token, "x" * 32, "../../x", ""):
        with pytest.raises(InviteRefused, match="does not open a campaign"):
            redeem_invite(database, token, client="a", now=1002)
    bob = redeem_invite(database, two.token, client="b", now=1003)
    assert bob.seat == 1
    assert all("token_hash" not in row for row in list_invites(database, stored))
    with database.read() as connection:
        ledger = " ".join(entry.content for entry in read_entries(connection, stored.id))
    assert one.token not in ledger
    assert "Ann" not in ledger


def test_expired_and_revoked_invitations_are_refused_and_guests_sent_away(database, declare, join):
    stored = declare()
    late, withdrawn = create_invites(database, stored, ["a", "b"], now=1000, lifetime_s=10)
    with pytest.raises(InviteRefused) as caught:
        redeem_invite(database, late.token, client="a", now=1011)
    assert caught.value.word == "expired"
    revoke_invite(database, stored, withdrawn.number, now=1001)
    with pytest.raises(InviteRefused) as caught:
        redeem_invite(database, withdrawn.token, client="a", now=1002)
    assert caught.value.word == "revoked"
    guest = join(stored)
    number = list_invites(database, stored)[-1]["id"]
    revoke_invite(database, stored, number, now=1003)
    for call in (get_standing, progress, owned_assignments):
        with pytest.raises(NotAllowed, match="takes part in no campaign"):
            call(database, guest.id)
    with pytest.raises(NotAllowed):
        claim(database, guest.id, now=1004)
    with pytest.raises(InputError, match="has no invitation 99"):
        revoke_invite(database, stored, 99, now=1003)


def test_guessing_is_slowed_down_per_client(database, declare):
    stored = declare()
    limit = RateLimit(attempts=2, window_s=60)
    for _ in range(2):
        with pytest.raises(InviteRefused):
            redeem_invite(database, "y" * 32, client="bad", now=1000, limit=limit)
    (good,) = create_invites(database, stored, ["a"], now=1000)
    with pytest.raises(TooManyTries, match="wait ten minutes"):
        redeem_invite(database, good.token, client="bad", now=1001, limit=limit)
    redeem_invite(database, good.token, client="other", now=1001, limit=limit)


def test_the_same_pair_comes_until_it_is_answered_and_then_the_next(
    database, declare, join, answer
):
    rater = join(declare())
    (first,) = claim(database, rater.id, now=1010)
    (again,) = claim(database, rater.id, now=1011)
    assert again.id == first.id
    assert again.leased_until > first.leased_until
    receipt = save(database, rater.id, first.id, answer("k" * 16), now=1012)
    assert (receipt.revision, receipt.duplicate) == (1, False)
    (second,) = claim(database, rater.id, now=1013)
    assert second.id != first.id
    assert second.position > first.position
    assert progress(database, rater.id).done == 1
    two = claim(database, rater.id, now=1014, ahead=2)
    assert [item.position for item in two] == sorted(item.position for item in two)
    assert len(two) == 2
    assert owned_assignments(database, rater.id)[-1] == first.id


def test_sending_the_same_vote_again_changes_nothing(database, declare, join, answer):
    stored = declare()
    rater = join(stored)
    (pair,) = claim(database, rater.id, now=1010)
    first = save(database, rater.id, pair.id, answer("k" * 16), now=1011)
    again = save(database, rater.id, pair.id, answer("k" * 16, "right"), now=1012)
    assert again.duplicate
    assert (again.seq, again.revision, again.digest) == (first.seq, 1, first.digest)
    table = vote_table(campaign_entries(database, "board")[1])
    assert len(table) == 5
    assert set(table["answer"]) == {"left"}
    with pytest.raises(AlreadyAnswered, match="undo the answer before"):
        save(database, rater.id, pair.id, answer("q" * 16), now=1013)
    (other,) = claim(database, rater.id, now=1014)
    with pytest.raises(AlreadyAnswered, match="saved for another pair"):
        save(database, rater.id, other.id, answer("k" * 16), now=1015)


def test_undo_is_a_revision_and_the_pair_comes_back(database, declare, join, answer):
    rater = join(declare())
    assert undo(database, rater.id, "u" * 16, now=1009) is None
    (pair,) = claim(database, rater.id, now=1010)
    save(database, rater.id, pair.id, answer("k" * 16), now=1011)
    taken_back = undo(database, rater.id, "u" * 16, now=1012)
    assert taken_back is not None
    assert (taken_back[0].revision, taken_back[1].id) == (2, pair.id)
    repeated = undo(database, rater.id, "u" * 16, now=1013)
    assert repeated is not None
    assert repeated[0].duplicate
    (back,) = claim(database, rater.id, now=1014)
    assert back.id == pair.id
    assert save(database, rater.id, pair.id, answer("l" * 16, "same"), now=1015).revision == 3
    stored, entries = campaign_entries(database, "board")
    assert [entry.kind for entry in entries][-3:] == ["vote", "undo", "vote"]
    assert set(vote_table(entries)["answer"]) == {"same"}
    assert chain_problems(entries, head=stored.head_digest) == []


def test_flag_and_skip_leave_no_vote_but_count_as_progress(database, declare, join):
    rater = join(declare())
    (pair,) = claim(database, rater.id, now=1010)
    flag = {
        "action": "flag",
        "client_key": "f" * 16,
        "flag": "no_sound",
        "comment": "<script>x</script>",
    }
    save(database, rater.id, pair.id, flag, now=1011)
    (next_pair,) = claim(database, rater.id, now=1012)
    save(database, rater.id, next_pair.id, {"action": "skip", "client_key": "s" * 16}, now=1013)
    assert progress(database, rater.id).done == 2
    _, entries = campaign_entries(database, "board")
    assert vote_table(entries).empty
    assert entries[-2].payload()["flag"] == "no_sound"
    assert entries[-2].payload()["comment"] == "<script>x</script>"


def test_nobody_touches_anothers_pairs(database, declare, join, answer):
    stored = declare()
    one, two = join(stored), join(stored)
    (pair,) = claim(database, one.id, now=1010)
    with pytest.raises(NotAllowed, match="not yours"):
        save(database, two.id, pair.id, answer("k" * 16), now=1011)
    with pytest.raises(NotAllowed, match="not yours"):
        get_assignment(database, two.id, pair.id)
    # Not even one's own before it was handed out.
    later = next(
        n for n in range(pair.id + 1, pair.id + 6) if n not in owned_assignments(database, one.id)
    )
    with pytest.raises(NotAllowed, match="not yours"):
        get_assignment(database, one.id, later)
    with pytest.raises(NotAllowed):
        save(database, 999, pair.id, answer("k" * 16), now=1011)


def test_refusals_name_no_system(database, declare, join, answer):
    stored = declare(duration_s=10.0)
    rater = join(stored)
    (pair,) = claim(database, rater.id, now=1010)
    with pytest.raises(NotWatchedEnough, match="left clip was watched for 0%") as caught:
        save(database, rater.id, pair.id, answer("k" * 16), now=1011)
    assert "ours" not in str(caught.value)
    assert "omni" not in str(caught.value)
    seen = {"left_seen_s": 10, "right_seen_s": 10, "left_heard_s": 5, "right_heard_s": 5}
    save(database, rater.id, pair.id, answer("k" * 16, watch=seen), now=1030)
    _, entries = campaign_entries(database, "board")
    assert entries[-1].payload()["coverage"] == 1.0
    assert entries[-1].payload()["implausible"] is False


def test_watching_faster_than_the_clock_is_marked(database, declare, join, answer):
    rater = join(declare(duration_s=60.0))
    (pair,) = claim(database, rater.id, now=1010)
    seen = {"left_seen_s": 60, "right_seen_s": 60, "left_heard_s": 40, "right_heard_s": 40}
    save(database, rater.id, pair.id, answer("k" * 16, watch=seen), now=1015)
    _, entries = campaign_entries(database, "board")
    assert entries[-1].payload()["implausible"] is True


KNOWN = (KnownItem(case="c0", first="ours", second="degraded", expected={OVERALL: "good"}, lesson="Look at the mouth."),)  # fmt: skip


@pytest.mark.parametrize(("right", "status"), [(True, "active"), (False, "unqualified")])
def test_training_teaches_and_qualification_admits(database, declare, join, answer, right, status):
    checks = Checks(training=KNOWN, qualification=KNOWN, nulls=0, repeat_share=0)
    rater = join(declare(checks=checks))
    (lesson,) = claim(database, rater.id, now=1010, ahead=5)[:1]
    assert lesson.training
    receipt = save(database, rater.id, lesson.id, answer("t" * 16), now=1011)
    assert receipt.feedback is not None
    good_side = receipt.feedback[OVERALL]
    assert receipt.feedback["lesson"] == "Look at the mouth."
    assert good_side in ("left", "right")
    (test,) = claim(database, rater.id, now=1012, ahead=5)
    assert test.kind == "qualification"
    better = "left" if test.left.digest != lesson_loser(lesson, good_side) else "right"
    worse = "right" if better == "left" else "left"
    receipt = save(
        database, rater.id, test.id, answer("q" * 16, better if right else worse), now=1013
    )
    assert receipt.feedback is None
    assert progress(database, rater.id).status == status
    assert bool(claim(database, rater.id, now=1014)) is right
    assert undo(database, rater.id, "u" * 16, now=1015) is None


def lesson_loser(lesson, good_side):
    return (lesson.right if good_side == "left" else lesson.left).digest


def test_pairs_of_a_seat_that_was_given_up_go_to_others(database, declare, join, answer):
    stored = declare(raters=2, per_case=1, checks=Checks(nulls=0, repeat_share=0))
    one, two = join(stored), join(stored)
    first_of_two = claim(database, two.id, now=1005)[0]
    for number in range(4):
        (pair,) = claim(database, one.id, now=1010 + number)
        save(database, one.id, pair.id, answer(f"key-{number:05d}"), now=1010 + number)
    assert claim(database, one.id, now=1020) == []
    later = 1020 + stored.campaign.idle_release_s
    (moved,) = claim(database, one.id, now=later)
    assert moved.id == first_of_two.id
    with pytest.raises(NotAllowed):
        save(database, two.id, moved.id, answer("late-key-1"), now=later + 1)
    save(database, one.id, moved.id, answer("key-99999"), now=later + 1)
    assert progress(database, one.id).done == 5


def test_nobody_is_given_the_same_unit_twice_by_taking_over(database, declare, join, answer):
    stored = declare(raters=2, per_case=2, checks=Checks(nulls=0, repeat_share=0))
    one, two = join(stored), join(stored)
    claim(database, two.id, now=1002)
    for number in range(8):
        (pair,) = claim(database, one.id, now=1010)
        save(database, one.id, pair.id, answer(f"key-{number:05d}"), now=1010)
    assert claim(database, one.id, now=1010 + stored.campaign.idle_release_s) == []


def test_a_frozen_campaign_takes_nothing_more(database, declare, join, answer):
    stored = declare()
    rater = join(stored)
    (pair,) = claim(database, rater.id, now=1010)
    save(database, rater.id, pair.id, answer("k" * 16), now=1011)
    (open_pair,) = claim(database, rater.id, now=1012)
    with database.write() as connection:
        close_campaign(connection, stored, {"board": []}, now=1013)
    with pytest.raises(CampaignClosed, match="takes no more answers"):
        save(database, rater.id, open_pair.id, answer("l" * 16), now=1014)
    # An answer that was saved before its acknowledgement got lost is still acknowledged.
    assert save(database, rater.id, pair.id, answer("k" * 16), now=1014).duplicate
    with pytest.raises(CampaignClosed):
        undo(database, rater.id, "u" * 16, now=1014)
    assert claim(database, rater.id, now=1014) == []
    assert progress(database, rater.id).closed
    with pytest.raises(CampaignClosed, match="takes no annotators"):
        create_invites(database, get_campaign(database, "board"), ["x"], now=1015)
    with (
        pytest.raises(CampaignClosed, match="frozen already"),
        database.write() as connection,
    ):
        close_campaign(connection, stored, {}, now=1016)


def test_declaring_needs_clips_and_a_free_name(database, declare):
    declare()
    with pytest.raises(InputError, match="'board' exists and a declared protocol never changes"):
        declare()
    with pytest.raises(InputError, match=r"campaign 'boerd' does not exist .did you mean 'board'"):
        get_campaign(database, "boerd")
    gold = (KnownItem(case="c0", first="real", second="ours", expected={OVERALL: "good"}),)
    with pytest.raises(
        InputError, match=r"system 'real' has no playable clip of case 'c0'.*\(1 clips"
    ):
        declare(name="two", checks=Checks(gold=gold))
