"""What leads do to a live campaign, on both databases."""

from eval.ratings.audit import audit_campaign
from eval.ratings.results import campaign_results, freeze_campaign
from eval.ratings.statistics.board import BoardSettings
from eval.ratings.store import list_campaigns
from eval.ratings.top_up import campaign_status, top_up

FAST = BoardSettings(draws=100)


def test_top_up_freeze_and_audit(database, declare, join, vote_all):
    stored = declare(raters=2, per_case=1)
    raters = [join(stored) for _ in range(2)]
    vote_all(raters)
    assert campaign_status(database, stored).done == 8 + 2
    more = top_up(database, stored, half_width=0.01, now=3000.0)
    assert any(
        "do not overlap" in note for note in more.notes
    )  # one rater per case: no variance parts
    assert more.added == 0
    results = freeze_campaign(database, "board", now=5000.0, settings=FAST)
    assert [campaign.state for campaign in list_campaigns(database)] == ["frozen"]
    report = audit_campaign(database, "board", head=results.head_digest)
    assert report.problems == []
    assert report.votes == 10
    assert campaign_results(database, "board").board.equals(results.board)
