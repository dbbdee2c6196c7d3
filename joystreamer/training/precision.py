"""Half-precision arithmetic over single-precision masters.

What trains is kept in float32, since a step of 1e-5 is lost in bfloat16; what is frozen stays in
half precision; autocast brings both together in matrix products. Norms are not products: their
inputs are brought to the precision of their weights here.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def keep_masters(parameters: Iterable[nn.Parameter]) -> None:
    """Raise parameters to float32 in place."""
    for parameter in parameters:
        parameter.data = parameter.data.float()


def match_norms(network: nn.Module) -> None:
    """Let every RMS norm compute in the precision of its weight and answer in that of its input.

    Otherwise torch falls back to an unfused kernel with a warning.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.RMSNorm):
            module.register_forward_pre_hook(_raise_input)
            module.register_forward_hook(_lower_output)


def _raise_input(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    module.input_dtype = inputs[0].dtype
    return (inputs[0].to(module.weight.dtype), *inputs[1:])


def _lower_output(module: Any, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.to(module.input_dtype)
