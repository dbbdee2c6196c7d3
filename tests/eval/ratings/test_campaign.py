"""What a protocol must fulfil before it is declared."""

import dataclasses

import pytest

from eval.ratings.campaign import (
    PAPER_DIMENSIONS,
    Campaign,
    Checks,
    KnownItem,
    Pair,
    campaign_digest,
    campaign_record,
    check_campaign,
)
from eval.records import DIMENSIONS
from joystreamer.errors import InputError

PLAIN = Campaign(
    name="board", suite="s", cases=("a", "b"), pairs=(Pair(first="ours", second="omni"),)
)


def test_the_papers_dimensions_in_the_papers_order():
    assert tuple(d.id for d in PAPER_DIMENSIONS) == DIMENSIONS
    assert [d.title for d in PAPER_DIMENSIONS][2] == "Lip Synchronization"
    assert "phonetic content and timing" in PAPER_DIMENSIONS[2].question
    check_campaign(PLAIN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cases": ()}, "has no cases"),
        ({"cases": ("a", "a")}, "case 'a' is listed twice"),
        ({"pairs": ()}, "compares nothing"),
        ({"pairs": (Pair(first="x", second="x"),)}, "against itself is a check"),
        (
            {"pairs": (Pair(first="x", second="y"), Pair(first="y", second="x"))},
            "'y' and 'x' is listed twice",
        ),
        (
            {"pairs": (Pair(first="a", second="b"), Pair(first="c", second="d"))},
            r"2 groups that never meet \(a, b \| c, d\)",
        ),
        ({"per_case": 6}, "6 raters per case do not fit 5 raters"),
        ({"dimensions": ()}, "no dimensions"),
        ({"checks": Checks(repeat_share=0.9)}, "repeat_share is 0.9"),
        ({"lease_s": 0}, "lease_s is 0"),
        (
            {"checks": Checks(gold=(KnownItem(case="a", first="x", second="y", expected={}),))},
            "expects nothing",
        ),
        (
            {"checks": Checks(gold=(KnownItem(case="a", first="x", second="y", expected={"hue": "good"}),))},
            "'hue', which is not asked",
        ),
        (
            {
                "checks": Checks(
                    gold=(
                        KnownItem(case="a", first="x", second="y", expected={DIMENSIONS[0]: "fine"}),
                    )
                )
            },
            "expects 'fine'; expected good, same or bad",
        ),
    ],
)  # fmt: skip
def test_protocols_that_cannot_give_a_result_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        check_campaign(dataclasses.replace(PLAIN, **change))


def test_every_change_of_the_protocol_changes_its_digest():
    digest = campaign_digest(campaign_record(PLAIN))
    assert digest == campaign_digest(campaign_record(PLAIN))
    stricter = dataclasses.replace(
        PLAIN, exclusion=dataclasses.replace(PLAIN.exclusion, min_gold_accuracy=0.7)
    )
    assert campaign_digest(campaign_record(stricter)) != digest
