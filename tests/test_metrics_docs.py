"""`docs/metrics.md` and its pages say what the code has, and nothing else."""

import re

import pytest

from eval.catalog import MEASURES
from eval.measure import Measure
from eval.metric_docs import PAGE, with_made_part
from eval.reasons import REASONS

FAMILIES = sorted({measure.name for measure in MEASURES})


def test_the_table_is_that_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_made_part(page), "run `python -m eval.metric_docs`"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_page_that_names_its_metrics_and_variants(family):
    page = (PAGE.parent / "metrics" / f"{family}.md").read_text(encoding="utf-8")
    for measure in MEASURES:
        if measure.name != family:
            continue
        assert f"`{measure.spec}`" in page or f"`-{measure.variant.partition('-')[2]}`" in page
        for metric in measure.metrics:
            if metric.name.startswith(f"{family}."):
                assert f"`{metric.name}`" in page, metric.name


def test_drift_of_other_families_is_on_the_drift_page():
    page = (PAGE.parent / "metrics" / "drift.md").read_text(encoding="utf-8")
    names = {metric.name for measure in MEASURES for metric in measure.metrics}
    assert {name for name in names if name.startswith("drift.")} <= set(
        re.findall(r"`([a-z_.]+)`", page)
    )


def test_pages_name_no_measure_or_reason_that_is_not_there():
    specs = {measure.spec for measure in MEASURES}
    families = set(FAMILIES)
    for path in [PAGE, *(PAGE.parent / "metrics").glob("*.md")]:
        page = path.read_text(encoding="utf-8")
        for family, variant in re.findall(r"`([a-z]+)/([a-z0-9-]+)`", page):
            assert family not in families or f"{family}/{variant}" in specs, (
                f"{path.name}: {family}/{variant}"
            )
    for reason in re.findall(
        r"`((?:no|too)_[a-z_]+|[a-z]+_missing)`", PAGE.read_text(encoding="utf-8")
    ):
        assert reason in REASONS


def test_markers_are_needed():
    with pytest.raises(ValueError, match="the page must have the lines"):
        with_made_part("# nothing")


def test_sources_are_named():
    def lacks(measure: Measure) -> bool:
        return not measure.source

    assert not [measure.spec for measure in MEASURES if lacks(measure)]
