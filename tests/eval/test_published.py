"""Published numbers: whole, sourced, and in the leaderboard's own table."""

import shutil

import pytest

from eval.leaderboard.scores import SCORE_COLUMNS, check_scores
from eval.published import FOLDER, published_scores, read_published, read_sources
from joystreamer.errors import InputError


def test_table_1_is_complete():
    table = {
        (number.system, number.metric): number.value
        for number in read_published()
        if number.source.id == "joystreamer"
    }
    systems = {"OmniHuman-1.5", "KlingAvatar 2.0", "HeyGen", "Wan-S2V", "JoyStreamer"}
    metrics = {
        "sync.distance",
        "sync.confidence",
        "identity.dinov2",
        "quality.qalign",
        "hands.confidence",
        "hands.variance",
    }
    assert set(table) == {(system, metric) for system in systems for metric in metrics}
    assert table["JoyStreamer", "sync.confidence"] == 5.57
    assert table["JoyStreamer", "sync.distance"] == 8.09
    assert table["HeyGen", "hands.variance"] == 58.76


def test_every_number_has_a_source_and_stands_once():
    numbers = read_published()
    keys = [(each.source.id, each.system, each.metric, each.variant) for each in numbers]
    assert len(set(keys)) == len(keys)
    assert {each.source.id for each in numbers} == set(read_sources())
    for each in numbers:
        assert each.source.spec
        assert each.source.comparability


def test_metrics_are_ours_and_so_are_named_variants():
    from eval.catalog import MEASURES

    known = {metric.name for measure in MEASURES for metric in measure.metrics}
    variants = {measure.variant for measure in MEASURES}
    for each in read_published():
        assert each.metric in known, each
        assert each.variant in variants | {"unstated"}


def test_rows_fit_the_score_table():
    table = published_scores()
    assert tuple(table.columns) == SCORE_COLUMNS
    assert len(table) == 30
    assert (table["kind"] == "published").all()
    assert len(check_scores(table)) == 30
    assert len(published_scores(())) == len(read_published())


def test_bad_files_are_told_by_line(tmp_path):
    with pytest.raises(InputError, match="no published source is called 'nobody'"):
        published_scores(("nobody",))
    shutil.copy(FOLDER / "sources.toml", tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text("source,system,metric,variant,value,note\nmocha,A,sync.distance,mocha,high,\n")
    with pytest.raises(InputError, match="line 2: value must be a number as printed, got 'high'"):
        read_published(tmp_path)
    rows.write_text("source,system,metric,variant,value,note\nx,A,sync.distance,mocha,1,\n")
    with pytest.raises(InputError, match="line 2: no source is called 'x'"):
        read_published(tmp_path)
    (tmp_path / "sources.toml").write_text('[a]\ntitle = "t"\n')
    with pytest.raises(InputError, match="source 'a' does not fit"):
        read_published(tmp_path)
