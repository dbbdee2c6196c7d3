"""Windows, slopes and worst moments of series over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.windows import clip_windows, first_and_last, long_details, slope_per_minute, worst_window


def test_a_clip_is_cut_into_windows_of_ten_seconds():
    times = np.arange(0, 25, 0.5)
    windows = clip_windows(times, times, 25.0)
    assert [(w.start_s, w.end_s, w.count) for w in windows] == [
        (0, 10, 20),
        (10, 20, 20),
        (20, 25, 10),
    ]
    assert windows[0].value == pytest.approx(4.75)


def test_a_short_rest_joins_the_last_window():
    times = np.arange(0, 24, 1.0)
    assert [(w.start_s, w.end_s) for w in clip_windows(times, times, 24.0)] == [(0, 10), (10, 24)]


@given(st.integers(1, 400), st.floats(0.5, 30))
def test_windows_hold_every_value_once(count: int, window_s: float):
    times = np.arange(count) * 0.25
    windows = clip_windows(times, np.ones(count), count * 0.25, window_s=window_s)
    assert sum(window.count for window in windows) == count


def test_slope_is_per_minute_and_ignores_gaps():
    times = np.arange(10.0)
    values = 3.0 - 0.5 * times
    values[4] = np.nan
    assert slope_per_minute(times, values) == pytest.approx(-30.0)
    assert slope_per_minute(times[:1], values[:1]) is None
    assert slope_per_minute(times, np.full(10, np.nan)) is None


def test_first_and_last_do_not_overlap():
    times, values = np.arange(8) * 0.5, np.arange(8.0)
    assert first_and_last(times, values, 3.9, window_s=2.0) is None
    pair = first_and_last(times, values, 4.0, window_s=2.0)
    assert pair is not None
    assert [window.value for window in pair] == [1.5, 5.5]


def test_the_worst_window_follows_the_direction():
    times = np.arange(0.0, 30.0)
    windows = clip_windows(times, times, 30.0)
    high, low = worst_window(windows, "high"), worst_window(windows, "low")
    assert high is not None
    assert low is not None
    assert (high.start_s, low.start_s) == (20.0, 0.0)
    assert worst_window(clip_windows(times, times * np.nan, 30.0), "high") is None


def test_only_long_clips_get_window_details():
    times = np.arange(0.0, 30.0)
    assert long_details(times[:10], times[:10], 10.0, "high") == {}
    details = long_details(times, times, 30.0, "high")
    assert details["slope_per_minute"] == pytest.approx(60.0)
    assert details["worst_window"]["start_s"] == 20.0
