import pytest
import torch
from torch import nn

from joystreamer.errors import InputError
from joystreamer.model.frame_pack import FramePack


def make_pack(buckets: tuple[int, ...]) -> tuple[FramePack, nn.Conv3d]:
    torch.manual_seed(0)
    patch = nn.Conv3d(16, 24, (1, 2, 2), stride=(1, 2, 2))
    pack = FramePack(16, 24, (1, 2, 2), buckets)
    pack.start_from_patch_embedding(patch)
    return pack, patch


def average(latents: torch.Tensor, merge: int) -> torch.Tensor:
    return nn.functional.avg_pool3d(latents, merge)


def embed(patch: nn.Conv3d, latents: torch.Tensor) -> torch.Tensor:
    return patch(latents).flatten(2).transpose(1, 2)


def test_new_kernels_average_and_then_embed():
    pack, patch = make_pack((1, 2, 16))
    history = torch.randn(2, 16, 19, 16, 8)
    tokens = pack(history)
    parts = [
        embed(patch, history[:, :, 18:]),
        embed(patch, average(history[:, :, 16:18], 2)),
        embed(patch, average(history[:, :, :16], 4)),
    ]
    torch.testing.assert_close(tokens, torch.cat(parts, dim=1), atol=1e-5, rtol=1e-5)


def test_kernels_are_the_patch_kernel_divided_by_8_and_64():
    pack, patch = make_pack((1, 2, 16))
    weights = {name: value for name, value in pack.state_dict().items() if "weight" in name}
    shapes = {name: tuple(value.shape[2:]) for name, value in weights.items()}
    assert shapes == {
        "proj.weight": (1, 2, 2),
        "proj_2x.weight": (2, 4, 4),
        "proj_4x.weight": (4, 8, 8),
    }
    assert torch.equal(weights["proj.weight"], patch.weight)
    twice = patch.weight.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    assert torch.equal(weights["proj_2x.weight"] * 8, twice)
    four = twice.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    assert torch.equal(weights["proj_4x.weight"] * 64, four)


def test_the_newest_latent_keeps_its_detail():
    pack, _ = make_pack((1, 2))
    history = torch.randn(1, 16, 3, 8, 8)
    tokens = pack(history)
    assert tokens.shape == (1, 16 + 4, 24)
    changed = history.clone()
    changed[:, :, 2] += 1
    other = pack(changed)
    assert not torch.equal(other[:, :16], tokens[:, :16])
    assert torch.equal(other[:, 16:], tokens[:, 16:])


@pytest.mark.parametrize("buckets", [(1, 1), (0,), (1, 3), (1, 2, 6)])
def test_a_bucket_that_its_kernel_cannot_cut_is_refused(buckets):
    with pytest.raises(
        InputError, match=r"motion bucket \d holds \d latents.*choose motion_buckets"
    ):
        FramePack(16, 24, (1, 2, 2), buckets)


def test_a_history_of_the_wrong_length_is_refused():
    pack, _ = make_pack((1, 2))
    with pytest.raises(InputError, match=r"hold 4 latents; the buckets .* take exactly 3"):
        pack(torch.zeros(1, 16, 4, 8, 8))


def test_a_size_that_does_not_divide_is_refused_in_pixels():
    pack, _ = make_pack((1, 2))
    with pytest.raises(
        InputError, match=r"90x160 do not divide by 4x4.*multiple of 32 x 32 pixels"
    ):
        pack(torch.zeros(1, 16, 3, 90, 160))
    wide, _ = make_pack((1, 2, 16))
    with pytest.raises(
        InputError, match=r"60x104 do not divide by 8x8.*multiple of 64 x 64 pixels"
    ):
        wide(torch.zeros(1, 16, 19, 60, 104))
