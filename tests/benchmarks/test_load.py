"""The load bench in small: three annotators, a lead and one scoring, on both stores."""

from pathlib import Path

import pytest

from benchmarks.performance.load import put_under_load, sections


@pytest.mark.multiprocess
@pytest.mark.timeout(900)  # starts a server and two runs of a command
def test_nothing_is_lost_or_doubled_under_a_little_load(tmp_path: Path, database_url: str) -> None:
    url = None if database_url.startswith("sqlite") else database_url
    load = put_under_load(
        tmp_path / "workspace", url, seconds=2.0, annotators=3, leads=1, every_s=1.0
    )
    assert load.votes
    assert load.read.latencies
    assert load.written.failed == 0
    assert load.written.scores > 0
    assert load.ledger == "0 lost, 0 doubled, 0 findings"
    assert load.rows == "0 lost, 0 doubled"
    assert min(load.server_mb) > 0
    latencies, books, memory = sections({"SQLite": load}, 2.0)
    assert "0 lost, 0 doubled, 0 findings" in books[1]
    assert latencies[1].count("\n") == memory[1].count("\n") == 4
