"""The plan of clips: complete epochs, any number of processes, refusals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.training.batches import BatchPlan


def plan(buckets, processes=1, micro=1, batch=4, seed=0):
    return BatchPlan(buckets, global_batch=batch, micro_batch=micro, processes=processes, seed=seed)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    batch=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 5),
)
def test_an_epoch_visits_full_buckets_without_repeats_and_never_mixes_them(sizes, batch, seed):
    buckets, first = [], 0
    for size in sizes:
        buckets.append(list(range(first, first + size)))
        first += size
    made = plan(buckets, batch=batch, seed=seed)
    for epoch in range(2):
        seen = [made.clips(epoch * made.per_epoch + n) for n in range(made.per_epoch)]
        for clips in seen:
            assert len(clips) == batch
            assert any(set(clips) <= set(bucket) for bucket in buckets)
        for bucket in buckets:
            inside = [clip for clips in seen for clip in clips if clip in bucket]
            if len(bucket) >= batch:
                assert len(inside) == len(set(inside)) == len(bucket) // batch * batch


@pytest.mark.parametrize(("processes", "micro"), [(1, 1), (1, 4), (2, 1), (2, 2), (4, 1)])
def test_any_number_of_processes_shares_the_same_global_batch(processes, micro):
    whole = plan([range(10)])
    made = plan([range(10)], processes=processes, micro=micro)
    assert made.accumulation * processes * micro == 4
    for update in range(5):
        shares = [s for process in range(processes) for s in made.shares(update, process)]
        by_place = {p: i for s in shares for p, i in zip(s.places, s.indices, strict=True)}
        assert tuple(by_place[place] for place in range(4)) == whole.clips(update)


def test_the_plan_needs_no_history():
    made, fresh = plan([range(10), range(10, 15)]), plan([range(10), range(10, 15)])
    walked = [made.clips(update) for update in range(9)]
    assert fresh.clips(8) == walked[8]
    assert walked[: made.per_epoch] != walked[made.per_epoch : 2 * made.per_epoch]


def test_impossible_plans_are_refused():
    with pytest.raises(InputError, match="holds no clip"):
        plan([[]])
    with pytest.raises(InputError, match="global batch 4 came with micro-batches of 3 on 1"):
        plan([range(8)], micro=3)
