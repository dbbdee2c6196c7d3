import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.model.speaker_routing import QUERY_TILE, check_speaker_masks, route_speakers


def hard_masks(labels: Tensor, streams: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, streams).permute(0, 3, 1, 2).float()


def follow(route, groups: int) -> Tensor:
    """Which audio group (or mixture of groups) each token ends up listening to."""
    streams = torch.arange(groups) if route.streams is None else route.streams
    rows = torch.nn.functional.one_hot(streams, groups).float()
    rows = rows[:, None].expand(-1, route.queries.shape[1], -1).reshape(-1, groups)
    answers = rows[route.slots]
    weights = torch.ones(route.slots.shape) if route.weights is None else route.weights
    return (answers * weights[..., None]).sum(dim=1)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 2),
    streams=st.integers(1, 5),
    frames=st.integers(1, 4),
    rows=st.integers(1, 5),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_every_held_token_listens_to_its_frame_of_its_speaker(
    seed, batch, streams, frames, rows, cut
):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(streams, (batch, rows, 3), generator=generator)
    tokens = frames * rows * 3
    start, stop = sorted(int(share * tokens) for share in cut)
    if start == stop:
        start, stop = 0, tokens
    route = route_speakers(hard_masks(labels, streams), frames, start, stop)
    heard = follow(route, batch * streams * frames).view(batch, stop - start, -1)
    for sample in range(batch):
        for token in range(start, stop):
            frame, position = divmod(token, rows * 3)
            stream = int(labels[sample].flatten()[position])
            expected = (sample * streams + stream) * frames + frame
            assert heard[sample, token - start].nonzero().flatten().tolist() == [expected]
    assert route.weights is None
    # The gathered queries are the tokens themselves.
    assert route.queries is not None
    assert route.slots is not None
    queries = route.queries.flatten()[route.slots.flatten()]
    assert queries.tolist() == list(range(batch * (stop - start)))


def test_keys_are_copied_only_where_a_group_has_no_or_several_tiles():
    labels = torch.arange(4).repeat_interleave(2).view(1, 1, 8).expand(1, 8, 8)
    assert route_speakers(hard_masks(labels, 4), frames=2).streams is None
    nobody_hears_the_last = route_speakers(hard_masks(labels % 3, 4), frames=2).streams
    assert nobody_hears_the_last is not None
    assert nobody_hears_the_last.tolist() == list(range(6))
    large = torch.zeros(1, 1, 2 * QUERY_TILE, dtype=torch.int64)
    split = route_speakers(hard_masks(large, 1), frames=1).streams
    assert split is not None
    assert split.tolist() == [0, 0]


def test_soft_shares_visit_every_stream_and_sum_to_one():
    torch.manual_seed(0)
    masks = torch.rand(1, 3, 2, 2).softmax(dim=1)
    masks[:, :, 0, 0] = torch.tensor([0.0, 1.0, 0.0])
    route = route_speakers(masks, frames=2)
    heard = follow(route, 6).view(2, 4, 3, 2)  # frame, token, stream, frame heard
    for frame in range(2):
        torch.testing.assert_close(heard[frame, :, :, frame], masks[0].flatten(1).T)
        assert bool((heard[frame, :, :, 1 - frame] == 0).all())


def test_three_speakers_and_silence_cost_hardly_more_rows_than_one():
    """At 480x832 the rows attended to, padding included, stay within a few per cent of a token's
    own work, which is dominated by its projections."""
    labels = torch.full((1, 30, 52), 3)
    labels[:, 5:28, 2:16] = 0
    labels[:, 5:28, 18:34] = 1
    labels[:, 5:28, 36:50] = 2
    route = route_speakers(hard_masks(labels, 4), frames=19)
    assert route.queries is not None
    rows, tokens = route.queries.numel(), 19 * 1560
    assert route.queries.shape[1] == QUERY_TILE
    assert rows / tokens < 1.25
    width, audio_tokens = 5120, 32
    attention = 4 * audio_tokens * width  # multiply-adds x 2, per row: scores and values
    projections = 2 * 2 * width * width  # query and output
    stream = 19 * audio_tokens * 2 * 2 * 768 * width  # keys and values of one stream
    one = tokens * (projections + attention) + stream
    four = tokens * projections + rows * attention + 4 * stream
    assert four / one < 1.015


def test_masks_that_are_no_partition_are_refused():
    shape = (1, 2, 2, 2)
    check_speaker_masks(torch.full(shape, 0.5), shape)
    thirds = torch.full((1, 3, 2, 2), 1 / 3)
    check_speaker_masks(thirds.to(torch.bfloat16), (1, 3, 2, 2))  # they sum to 1.002
    with pytest.raises(InputError, match=r"the sum is off by 0.5 or a share is negative"):
        check_speaker_masks(torch.full(shape, 0.75), shape)
    negative = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(shape)
    with pytest.raises(InputError, match="a share is negative"):
        check_speaker_masks(negative, shape)
    with pytest.raises(
        InputError, match=r"shape \(1, 3, 2, 2\); audio and latents need \(1, 2, 2, 2\)"
    ):
        check_speaker_masks(torch.full((1, 3, 2, 2), 1 / 3), shape)
