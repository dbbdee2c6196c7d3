import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.media import ExactRate, Frame, resample_frames


def numbered(times):
    return [Frame(t, np.full((1, 1, 3), 0, np.uint8) + np.uint8(0)) for t in times]


def source_of(grid, frames):
    """Index of the source frame that each grid frame shows (arrays are shared, not copied)."""
    index = {id(frame.rgb): number for number, frame in enumerate(frames)}
    return [index[id(frame.rgb)] for frame in grid]


RATES = [24.0, 30.0, 30000 / 1001, 50.0, 60.0, 16.0, 25.0, 24000 / 1001, 12.5]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [1, 2, 7, 125, 601])
def test_every_usual_rate_comes_to_25(rate, count):
    frames = numbered([k / rate for k in range(count)])
    grid = list(resample_frames(frames, 25, end_s=count / rate))
    assert len(grid) == max(1, math.floor(count / rate * 25 + 0.5 + 1e-4))
    assert [f.time_s for f in grid] == [k / 25 for k in range(len(grid))]
    shown = source_of(grid, frames)
    assert shown == sorted(shown)
    last = frames[-1].time_s
    for time, number in zip((f.time_s for f in grid), shown, strict=True):
        if time <= last:
            assert abs(frames[number].time_s - time) <= 0.5 / rate + 2e-6
        else:
            assert number == count - 1


@given(count=st.integers(1, 300), rate=st.sampled_from([*RATES, 1.0, 7.3, 120.0]))
def test_equal_rate_is_the_identity(count, rate):
    frames = numbered([k / rate for k in range(count)])
    assert source_of(resample_frames(frames, rate), frames) == list(range(count))


@given(count=st.integers(1, 200), tick=st.sampled_from([0.001, 1 / 600, 1 / 90000]))
def test_rounded_timestamps_are_still_the_identity(count, tick):
    frames = numbered([round(k / 25 / tick) * tick for k in range(count)])
    grid = list(resample_frames(frames, 25, end_s=count / 25))
    assert source_of(grid, frames) == list(range(count))


@st.composite
def variable_clips(draw):
    gaps = draw(st.lists(st.floats(0.001, 0.5), min_size=0, max_size=40))
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    return times, times[-1] + draw(st.floats(0.001, 0.5))


@given(clip=variable_clips(), rate=st.floats(1, 120))
def test_variable_rate_takes_the_nearest_frame(clip, rate):
    times, end = clip
    frames = numbered(times)
    grid = list(resample_frames(frames, rate, end_s=end))
    shown = source_of(grid, frames)
    assert shown == sorted(shown)
    assert abs(len(grid) - max(1, end * rate)) <= 0.5 + 1e-3
    for k, number in enumerate(shown):
        distances = [abs(time - k / rate) for time in times]
        assert distances[number] <= min(distances) + 2e-6


@given(clip=variable_clips(), rates=st.lists(st.sampled_from([8.0, 16.0, 25.0, 50.0]), min_size=2))
def test_one_decode_feeds_several_rates(clip, rates):
    times, end = clip
    frames = numbered(times)
    meters = [ExactRate(rate) for rate in rates]
    pushed: list[list[Frame]] = [[] for _ in rates]
    for frame in frames:
        for meter, out in zip(meters, pushed, strict=True):
            out.extend(meter.push(frame))
    for meter, out, rate in zip(meters, pushed, rates, strict=True):
        out.extend(meter.finish(end))
        alone = list(resample_frames(frames, rate, end_s=end))
        assert [f.time_s for f in out] == [f.time_s for f in alone]
        assert source_of(out, frames) == source_of(alone, frames)


def test_frames_leave_as_soon_as_they_are_certain():
    meter = ExactRate(25)
    frames = numbered([k / 25 for k in range(100)])
    held = 0
    for pushed, frame in enumerate(frames, start=1):
        held += len(meter.push(frame))
        assert pushed - held <= 2
    assert held + len(meter.finish()) == 100


def test_a_clip_without_frames_gives_none():
    assert list(resample_frames([], 25)) == []
    assert ExactRate(25).finish(3.0) == []


def test_one_frame_lasts_as_long_as_it_is_said_to():
    frames = numbered([0.0])
    assert len(list(resample_frames(frames, 25))) == 1
    assert len(list(resample_frames(frames, 25, end_s=1.0))) == 25
    assert len(list(resample_frames(frames, 25, end_s=0.001))) == 1


@pytest.mark.parametrize("rate", [0, -25, math.nan, math.inf])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(InputError, match=r"a frame rate of .* is not possible; give frames per"):
        ExactRate(rate)


def test_frames_out_of_order_are_refused():
    meter = ExactRate(25)
    late, early = numbered([0.4, 0.2])
    meter.push(late)
    with pytest.raises(
        InputError, match=r"go back from 0\.400000 s to 0\.200000 s; push frames in"
    ):
        meter.push(early)


def test_an_end_before_the_last_frame_is_refused():
    meter = ExactRate(25)
    for frame in numbered([0.0, 1.0]):
        meter.push(frame)
    with pytest.raises(
        InputError, match=r"end at 0\.500000 s, before its last frame at 1\.000000 s"
    ):
        meter.finish(0.5)
