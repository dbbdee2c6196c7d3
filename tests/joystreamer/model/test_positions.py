import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

from joystreamer.model.positions import SegmentRotaryEmbedding, TokenGrid, segment_grids

CPU = torch.device("cpu")


def test_a_full_segment_stands_where_the_hand_written_table_says():
    grids = segment_grids(
        frames=19, rows=30, columns=52, reference_offset=10.0, motion_buckets=(1, 2)
    )
    noisy, reference, newest, older = grids
    assert noisy.times == tuple(float(t) for t in range(19))
    assert [*reference.times, *newest.times, *older.times] == [29.0, -1.0, -3.0]
    for fine in (noisy, reference, newest):
        assert fine.rows == tuple(float(r) for r in range(30))
    assert noisy.columns == tuple(float(c) for c in range(52))
    # 15 coarse rows span all 30 fine ones, from the first to the last.
    assert list(older.rows) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 29]
    assert older.columns[:4] == (0.0, 2.0, 4.0, 6.0)
    assert older.columns[-1] == 51.0
    assert len(older.columns) == 26
    assert [len(grid) for grid in grids] == [29_640, 1560, 1560, 390]
    assert sum(len(grid) for grid in grids) == 33_150


@pytest.mark.parametrize(("offset", "time"), [(10, 29.0), (3, 22.0), (0, 19.0), (-5.5, 13.5)])
def test_the_reference_offset_is_any_number(offset, time):
    grids = segment_grids(frames=19, rows=2, columns=2, reference_offset=offset)
    assert grids[1].times == (time,)


def test_a_third_bucket_stands_where_wan_s2v_puts_it():
    grids = segment_grids(frames=20, rows=8, columns=8, motion_buckets=(1, 2, 16))
    assert [grid.times for grid in grids[1:]] == [(-1.0,), (-3.0,), (-19.0, -14.0, -9.0, -4.0)]
    assert grids[3].rows == (0.0, 7.0)


def test_nothing_is_added_without_reference_and_motion():
    assert len(segment_grids(frames=19, rows=2, columns=2)) == 1


def test_angles_equal_wans_table_where_the_table_reaches():
    ours = SegmentRotaryEmbedding(128)
    wans = WanRotaryPosEmbed(128, (1, 2, 2), 1024)
    expected = wans(torch.zeros(1, 16, 21, 60, 104))
    got = ours(segment_grids(frames=21, rows=30, columns=52), CPU)
    assert (ours.time_dim, ours.row_dim, ours.column_dim) == (44, 42, 42)
    for mine, theirs in zip(got, expected, strict=True):
        assert torch.equal(mine, theirs)


def test_a_negative_time_turns_the_other_way():
    rope = SegmentRotaryEmbedding(48)

    def turn(time: float) -> tuple[torch.Tensor, torch.Tensor]:
        return rope((TokenGrid(times=(time,), rows=(3.0,), columns=(2.0,)),), CPU)

    (cos_past, sin_past), (cos_future, sin_future) = turn(-7.0), turn(7.0)
    split = rope.time_dim
    torch.testing.assert_close(cos_past, cos_future)
    torch.testing.assert_close(sin_past[..., :split], -sin_future[..., :split])
    assert torch.equal(sin_past[..., split:], sin_future[..., split:])


def test_positions_far_beyond_any_table_are_exact():
    rope = SegmentRotaryEmbedding(48)
    cosines, _ = rope((TokenGrid(times=(1e6 + 0.5,), rows=(0.0,), columns=(0.0,)),), CPU)
    expected = torch.cos(torch.tensor(1e6 + 0.5, dtype=torch.float64)).float()
    assert cosines[0, 0, 0, 0] == expected


def test_padding_stands_at_the_origin():
    rope = SegmentRotaryEmbedding(48)
    grids = segment_grids(frames=2, rows=2, columns=2)
    cosines, sines = rope(grids, CPU, padding=3)
    assert cosines.shape == (1, 11, 1, 48)
    assert bool((cosines[:, 8:] == 1).all())
    assert bool((sines[:, 8:] == 0).all())


def test_few_shapes_are_kept():
    rope = SegmentRotaryEmbedding(48)
    for frames in range(1, 12):
        rope(segment_grids(frames=frames, rows=2, columns=2), CPU)
    assert len(rope._cache) == 4


def test_angles_first_needed_in_inference_mode_serve_training():
    rope = SegmentRotaryEmbedding(48)
    grids = segment_grids(frames=2, rows=2, columns=2)
    with torch.inference_mode():
        rope(grids, CPU)
    cosines, _ = rope(grids, CPU)
    weight = torch.ones(48, requires_grad=True)
    (weight * cosines).sum().backward()
    assert weight.grad is not None
