"""The plan is arithmetic over the suites, and the document says what it computes."""

import pytest

from benchmarks.check import SUITES
from benchmarks.scale import UnitCosts, forward_flops, plan, plan_table, segments_of
from eval.catalog import default_measures
from eval.checkout import ROOT
from eval.reader import read_suite
from eval.records import Case, Suite


def test_the_document_holds_the_computed_table() -> None:
    suites = [read_suite(SUITES / name) for name in ("gsb-96", "talk-90")]
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert plan_table(suites, (1, 100), UnitCosts()) in text


def test_rows_are_about_those_of_the_default_measures() -> None:
    now = sum(len(measure.metrics) for measure in default_measures())
    assert UnitCosts().rows == pytest.approx(now, rel=0.3)


def test_segments_add_seventy_six_frames_each() -> None:
    assert [segments_of(seconds) for seconds in (0.04, 3.04, 3.08, 6.08, 60)] == [1, 1, 2, 2, 20]


def test_a_small_plan_by_hand() -> None:
    cases = tuple(Case(id=str(n), duration_s=seconds) for n, seconds in enumerate((3.04, 6.08)))
    suite = Suite(name="s", version="1", asks="?", cases=cases)
    costs = UnitCosts(peak_flops=forward_flops(), utilisation=0.5, few_passes=4, rows=10)
    found = plan([suite], 2, costs)
    assert (found["clips"], found["segments"], found["rows"]) == (4, 6, 40)
    assert found["gpu_hours_few"] == pytest.approx(6 * 4 * 2 / 3600)
    assert found["clip_hours"] == pytest.approx(2 * 9.12 / 3600)


def test_the_cost_of_a_pass_is_that_of_its_parts() -> None:
    tokens = 33_150
    assert forward_flops() == pytest.approx(28e9 * tokens + 4 * tokens**2 * 5120 * 40)
