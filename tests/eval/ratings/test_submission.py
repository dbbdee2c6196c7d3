"""What a browser may send, and what watching means."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.ratings.answers import allowed_answers, blind, unblind
from eval.ratings.campaign import Campaign, Pair, Viewing
from eval.ratings.submission import Watch, coverage, implausible, read_submission, unwatched
from joystreamer.errors import InputError

CAMPAIGN = Campaign(name="b", suite="s", cases=("a",), pairs=(Pair(first="x", second="y"),))
ANSWERS = dict.fromkeys(CAMPAIGN.dimension_ids, "left")
GOOD = {"action": "vote", "client_key": "k" * 16, "answers": ANSWERS, "watch": {"left_seen_s": 5}}


def test_a_complete_vote_is_read():
    vote = read_submission(GOOD | {"comment": "<script>", "flag": "no_sound"}, CAMPAIGN)
    assert vote.answers == ANSWERS
    assert vote.comment == "<script>"  # kept as typed; whoever shows it escapes it
    assert vote.watch.left_seen_s == 5
    skipped = read_submission({"action": "skip", "client_key": "k" * 16}, CAMPAIGN)
    assert skipped.answers == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "drop table"}, 'action "drop table" does not exist'),
        ({"client_key": "../../x"}, "client_key .* does not fit"),
        ({"client_key": None}, "client_key null does not fit"),
        ({"answers": ANSWERS | {"hue": "left"}}, '"hue" is not asked'),
        ({"answers": {}}, '"overall_quality" is not answered'),
        ({"answers": None}, "answers null do not fit"),
        (
            {"answers": ANSWERS | {"visual_quality": "lefft"}},
            "not on the scale .did you mean 'left'.*",
        ),
        ({"answers": ANSWERS | {"visual_quality": "left_much"}}, "not on the scale"),
        ({"answers": ANSWERS | {"visual_quality": ["left"]}}, "not on the scale"),
        ({"flag": "ugly"}, "not on the list; choose from broken_file"),
        ({"action": "flag"}, "a flag needs a reason"),
        ({"comment": "x" * 2001}, "at most 2000 characters"),
        ({"comment": 3}, "a comment is text"),
        ({"watch": {"plays": -1}}, "watch.plays is -1"),
        ({"watch": {"plays": True}}, "watch.plays is true"),
        ({"watch": {"plays": float("nan")}}, "watch.plays is NaN"),
        ({"watch": {"viewport": [1]}}, "watch.viewport"),
        ({"watch": {"modes": "side"}}, "watch.modes"),
        ({"system": "ours"}, 'field "system" is unknown'),
    ],
)
def test_anything_else_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        read_submission(GOOD | change, CAMPAIGN)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_only_objects_are_votes(data):
    with pytest.raises(InputError, match="expected one JSON object per vote"):
        read_submission(data, CAMPAIGN)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*GOOD, "flag", "comment", "modes", "viewport", "plays"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_no_input_ends_in_anything_but_a_sentence(data):
    with suppress(InputError):
        vote = read_submission(data, CAMPAIGN)
        assert vote.action in ("vote", "skip", "flag")


@pytest.mark.parametrize("first_side", ["left", "right"])
@pytest.mark.parametrize("outcome", [1, 0, -1])
def test_unblinding_undoes_blinding(first_side, outcome):
    assert unblind(blind(outcome, first_side), first_side) == outcome


def test_strength_collapses_and_cannot_judge_is_not_same():
    assert unblind("right_much", "right") == 1
    assert unblind("left_much", "right") == -1
    assert unblind("cant_judge", "left") is None
    assert allowed_answers(five_steps=False) == ("left", "same", "right", "cant_judge")
    with pytest.raises(InputError, match='side "middle" does not exist'):
        unblind("left", "middle")


def test_watching_is_distinct_time_of_both_clips():
    viewing = Viewing(min_seen=0.9, min_heard=0.5)
    watch = Watch(left_seen_s=9.5, right_seen_s=4, left_heard_s=5, right_heard_s=1)
    missing = unwatched(watch, viewing, left_s=10, right_s=5, audible=(True, True))
    assert missing == [
        "the right clip was watched for 80%, 90% is needed",
        "the right clip was heard for 20%, 50% is needed",
    ]
    assert coverage(watch, left_s=10, right_s=5) == pytest.approx(0.8)
    enough = Watch(left_seen_s=9.5, right_seen_s=5, left_heard_s=5)
    assert unwatched(enough, viewing, left_s=10, right_s=5, audible=(True, False)) == []


def test_nobody_watches_faster_than_the_clock():
    assert not implausible(Watch(left_seen_s=30, right_seen_s=30), elapsed_s=20)
    assert implausible(Watch(left_seen_s=60), elapsed_s=20)
    assert implausible(Watch(left_heard_s=50, right_heard_s=50), elapsed_s=20)
