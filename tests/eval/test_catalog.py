"""The table of measures: unique, described, and forgiving about names."""

import pytest

from eval.catalog import MEASURES, default_measures, find_measure, find_measures
from eval.measure import Metric
from eval.weight_table import find_weights
from joystreamer.errors import InputError


def test_every_measure_is_unique_and_described(tmp_path):
    specs = [measure.spec for measure in MEASURES]
    assert len(set(specs)) == len(specs)
    prints = set()
    for measure in MEASURES:
        digests = {name: find_weights(name).sha256 or "none" for name in measure.weights}
        prints.add(measure.fingerprint(digests))
        assert measure.metrics
        for metric in measure.metrics:
            assert metric.name.count(".") == 1
            assert metric.summary
    assert len(prints) == len(MEASURES)


def test_a_metric_has_one_unit_and_direction_everywhere():
    seen: dict[str, Metric] = {}
    for measure in MEASURES:
        for metric in measure.metrics:
            assert seen.setdefault(metric.name, metric) == metric


def test_every_default_metric_has_one_default_measure():
    names = [metric.name for measure in default_measures() for metric in measure.metrics]
    assert len(set(names)) == len(names)


def test_a_measure_is_found_by_name():
    assert find_measure("video/probe").name == "video"
    assert [measure.spec for measure in find_measures("motion")] == ["motion/flow"]
    assert all(measure.default for measure in find_measures("drift"))
    assert [measure.spec for measure in find_measures("drift/colour-10s")] == ["drift/colour-10s"]


def test_an_unknown_name_answers_with_the_nearest():
    with pytest.raises(InputError) as caught:
        find_measures("drift/color")
    assert str(caught.value).startswith(
        "no measure is called 'drift/color': did you mean drift/colour"
    )
    with pytest.raises(InputError, match="did you mean motion"):
        find_measures("motoin")
    with pytest.raises(InputError, match="the families are sync, identity, quality"):
        find_measure("qqq/zzz")
