"""Several processes: the accelerator, wrapping of networks, and whole tensors from sharded ones.

Data parallel (DDP) and sharded (FSDP2) training follow accelerate's own configuration. accelerate
shards only on accelerators; where it does not (two processes on CPUs), `sharded=True` applies the
same rule with torch directly: every block is a unit, the rest is the root.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from joystreamer.errors import InputError


def make_accelerator(
    *,
    precision: str = "no",
    trackers: tuple[str, ...] = (),
    project_dir: str | None = None,
    unused_parameters: bool = False,
) -> Any:
    """Return an accelerator; launch with torchrun or `accelerate launch` for several processes.

    Args:
        precision: `no`, `bf16` or `fp16`.
        trackers: Names that accelerate knows, such as `tensorboard` or `wandb`.
        project_dir: Where trackers that write files do so.
        unused_parameters: Whether a pass may leave parameters without gradients, as the adapters
            of the role that is not training do.

    Raises:
        InputError: A tracker's package is missing.
    """
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=unused_parameters)]
    try:
        return Accelerator(
            mixed_precision=precision,
            log_with=list(trackers) or None,
            project_dir=project_dir,
            kwargs_handlers=handlers,
        )
    except (ImportError, ValueError) as error:
        raise InputError(f"the training environment does not fit: {error}") from error


def is_sharded(accelerator: Any, sharded: bool) -> bool:
    """Whether networks are sharded, by accelerate's configuration or by request."""
    return bool(accelerator.is_fsdp2) or sharded


def shard(network: nn.Module) -> nn.Module:
    """Shard a network over all processes with torch's FSDP2, block by block, in place."""
    units = set(getattr(network, "_no_split_modules", None) or ())
    for module in list(network.modules()):
        if type(module).__name__ in units:
            fully_shard(module)
    fully_shard(network)
    return network


def wrap(
    accelerator: Any, network: nn.Module, optimiser: torch.optim.AdamW, sharded: bool
) -> tuple[Any, Any]:
    """Place a network and its optimiser for training.

    Args:
        accelerator: From `make_accelerator`.
        network: With `requires_grad` set as it will be trained.
        optimiser: Over the parameters of `network`; with own sharding it is rebuilt.
        sharded: Shard with torch if accelerate does not.
    """
    if sharded and not accelerator.is_fsdp2:
        names = [
            [_name_of(network, parameter) for parameter in group["params"]]
            for group in optimiser.param_groups
        ]
        network = shard(network.to(accelerator.device))
        table = dict(network.named_parameters())
        settings = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimiser.param_groups
        ]
        groups = [
            {**setting, "params": [table[name] for name in group]}
            for setting, group in zip(settings, names, strict=True)
        ]
        return network, accelerator.prepare_optimizer(torch.optim.AdamW(groups))
    wrapped = accelerator.prepare(network, optimiser)
    return wrapped[0], wrapped[1]


def _name_of(network: nn.Module, parameter: Tensor) -> str:
    for name, candidate in network.named_parameters():
        if candidate is parameter:
            return name
    raise ValueError("the optimiser holds a parameter that is not the network's")


def whole(tensor: Tensor) -> Tensor:
    """Return the full value of a tensor on the CPU; every process must call it together."""
    value = tensor.detach()
    if isinstance(value, DTensor):
        value = value.full_tensor()
    return value.cpu()


@torch.no_grad()
def assign(target: Tensor, value: Tensor) -> None:
    """Copy a full value into a tensor, sharding it if the target is sharded."""
    if isinstance(target, DTensor):
        device = target.to_local().device
        full = value.to(device=device, dtype=target.dtype)
        target.copy_(distribute_tensor(full, target.device_mesh, target.placements))
    else:
        target.copy_(value)


def add_up(accelerator: Any, value: Tensor) -> Tensor:
    """Sum a tensor over all processes."""
    total: Tensor = accelerator.reduce(value.to(accelerator.device), reduction="sum")
    return total


def mean_over_processes(accelerator: Any, values: Mapping[str, float]) -> dict[str, float]:
    """Average named numbers over all processes; the names must agree."""
    if not values:
        return {}
    table = torch.tensor(list(values.values()), dtype=torch.float32, device=accelerator.device)
    means = accelerator.reduce(table, reduction="mean").tolist()
    return dict(zip(values, means, strict=True))


def gradient_norm(parameters: Sequence[Tensor], limit: float) -> float:
    """Clip gradients to a total norm and return the norm before clipping."""
    norm: Any = torch.nn.utils.clip_grad_norm_(parameters, limit)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
