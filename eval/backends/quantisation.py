"""Weight-only quantisation of linear layers: half or a quarter of the memory, no further package.

Weights are rounded to 8 bits per output row, or to 4 bits per group of 64 inputs, and brought back
when used. Not bitsandbytes' scheme, so scores are a spec of their own.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from eval.quality import GROUP

Bits = Literal[8, 4]


class QuantisedLinear(nn.Module):
    """A linear layer whose weights are held in 8 or 4 bits.

    Args:
        linear: The layer to hold; its input width must be a multiple of `GROUP` for 4 bits.
        bits: 8 or 4.
    """

    def __init__(self, linear: nn.Linear, bits: Bits) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self.bits = bits
        self.shape = tuple(weight.shape)
        group = weight.shape[1] if bits == 8 else GROUP
        grouped = weight.float().reshape(weight.shape[0], -1, group)
        top = 127 if bits == 8 else 7
        scale = grouped.abs().amax(dim=2, keepdim=True).clamp(min=1e-12) / top
        levels = torch.round(grouped / scale).to(torch.int8).reshape(self.shape)
        if bits == 4:
            pairs = (levels + 8).to(torch.uint8).reshape(self.shape[0], -1, 2)
            levels = pairs[..., 0] | (pairs[..., 1] << 4)
        self.register_buffer("levels", levels)
        self.register_buffer("scale", scale.to(weight.dtype))
        self.bias = linear.bias

    def weight(self) -> Tensor:
        """Return the weights as they are used, (outputs, inputs)."""
        levels, scale = self.levels, self.scale
        assert isinstance(levels, Tensor)
        assert isinstance(scale, Tensor)
        if self.bits == 4:
            low, high = (levels & 15).to(torch.int8) - 8, (levels >> 4).to(torch.int8) - 8
            levels = torch.stack([low, high], dim=-1)
        grouped = levels.reshape(self.shape[0], scale.shape[1], -1).to(scale.dtype) * scale
        return grouped.reshape(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return functional.linear(x, self.weight(), self.bias)


def quantise(module: nn.Module, bits: Bits) -> nn.Module:
    """Replace every linear layer inside `module` in place and return it."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, QuantisedLinear(child, bits))
        else:
            quantise(child, bits)
    return module
