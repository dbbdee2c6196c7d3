from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joystreamer.errors import InputError
from joystreamer.model.token_shard import shard_tokens


class Group:
    """The two facts about a process group that sharding asks for."""

    def __init__(self, processes: int, rank: int) -> None:
        self.processes, self.rank = processes, rank

    def size(self) -> int:
        return self.processes

    def get_local_rank(self) -> int:
        return self.rank


def config(processes: int, rank: int, *, anything: bool = False, ring: int = 1) -> SimpleNamespace:
    context = SimpleNamespace(
        _flattened_mesh=Group(processes, rank),
        ulysses_anything=anything,
        ring_anything=False,
        ring_degree=ring,
    )
    return SimpleNamespace(context_parallel_config=context)


@given(
    noisy=st.integers(1, 400),
    clean=st.integers(0, 60),
    processes=st.integers(1, 9),
    anything=st.booleans(),
)
def test_the_parts_tile_the_sequence(noisy, clean, processes, anything):
    total = noisy + clean
    shards = [
        shard_tokens(noisy, total, config(processes, rank, anything=anything))
        for rank in range(processes)
    ]
    assert [shard.start for shard in shards[1:]] == [shard.stop for shard in shards[:-1]]
    assert shards[0].start == 0
    assert shards[-1].stop == total + shards[0].padding
    assert sum(shard.noisy_held for shard in shards) == noisy
    lengths = {shard.stop - shard.start for shard in shards}
    assert max(lengths) - min(lengths) <= (1 if anything else 0)
    assert shards[0].padding == (0 if anything else -total % processes)


def test_the_paper_segment_on_eight_processes():
    shards = [shard_tokens(29_640, 33_150, config(8, rank)) for rank in range(8)]
    assert shards[0].padding == 2
    assert [shard.noisy_held for shard in shards] == [4144] * 7 + [632]
    assert not any(shard.is_whole for shard in shards)


def test_one_process_holds_everything():
    shard = shard_tokens(10, 14, None)
    assert shard.is_whole
    assert (shard.noisy_start, shard.noisy_stop, shard.padding) == (0, 10, 0)


def test_ring_attention_refuses_padding():
    assert shard_tokens(8, 10, config(2, 0, ring=2)).padding == 0
    with pytest.raises(InputError, match=r"11 tokens do not divide by 2 processes.*ring_anything"):
        shard_tokens(8, 11, config(2, 0, ring=2))
