"""Three roles on one frozen base: audio teacher (no adapter), student and fake score (an adapter).

One resident 14 B expert serves all three. The hazard is activation checkpointing: it recomputes a
block during the backward pass with whatever adapter is active *then*. So every checkpointed block
remembers the role of its forward pass and takes it up again when it is recomputed.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.utils.checkpoint import checkpoint

from joystreamer.errors import InputError
from joystreamer.training.precision import keep_masters

# Paper, Sec. 4.1: "the audio projection layer, audio cross-attention layers, and self-attention
# layers using the LoRA strategy".
TARGETS = (
    r"audio_projector\.linear_[123]"
    r"|blocks\.\d+\.(attn1|audio_attn)\.(to_q|to_k|to_v|to_out\.0)"
)
TEACHER = "teacher"


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterOptions:
    """Size of the adapters; ours, the paper gives none.

    Attributes:
        rank: Rank of the update.
        alpha: Its scale; the update is multiplied by alpha / rank.
        targets: Regular expression that matches the whole name of an adapted layer.
    """

    rank: int = 64
    alpha: float = 64.0
    targets: str = TARGETS

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        if self.rank < 1 or self.alpha <= 0:
            raise InputError(
                f"adapter rank {self.rank} and alpha {self.alpha:g} came; both must be above 0 "
                "(64 and 64 by default)"
            )


class AdapterRoles:
    """Switches one network between its roles and owns the parameter list of each.

    Args:
        network: A diffusers model; it is frozen and gets one adapter per role.
        roles: Names of the trained roles.
        options: Size of the adapters.
        seed: Of the adapters' initial weights (their effect starts at zero all the same).

    Raises:
        InputError: No layer's name matches the targets.
    """

    def __init__(
        self, network: Any, roles: tuple[str, ...], options: AdapterOptions, seed: int = 0
    ) -> None:
        self.network = network
        network.requires_grad_(False)
        with torch.random.fork_rng(devices=[]), ExitStack() as stack:
            torch.manual_seed(seed)
            stack.enter_context(warnings.catch_warnings())
            # Several adapters on one base are the point here.
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
            for role in roles:
                config = LoraConfig(
                    r=options.rank, lora_alpha=options.alpha, target_modules=options.targets
                )
                try:
                    network.add_adapter(config, adapter_name=role)
                except ValueError as error:
                    raise InputError(
                        f"no layer of {type(network).__name__} matches the adapter targets "
                        f"{options.targets!r}; name layers such as blocks.0.attn1.to_q"
                    ) from error
        self.layers: list[BaseTunerLayer] = [
            layer for layer in network.modules() if isinstance(layer, BaseTunerLayer)
        ]
        # Collected once: PEFT's switch flips requires_grad, so lists made later would differ.
        self.parameters: dict[str, dict[str, nn.Parameter]] = {
            role: {
                name: parameter
                for name, parameter in network.named_parameters()
                if "lora_" in name and f".{role}." in name
            }
            for role in roles
        }
        for table in self.parameters.values():
            keep_masters(table.values())
        self.active = ""
        self.switch(TEACHER)

    def switch(self, role: str) -> None:
        """Make the network play a role until the next switch.

        Args:
            role: One of the trained roles, or `TEACHER` for the bare base.
        """
        if role == self.active:
            return
        for layer in self.layers:
            if role == TEACHER:
                layer.enable_adapters(False)
            else:
                layer.enable_adapters(True)
                layer.set_adapter([role])
        for table in self.parameters.values():
            for parameter in table.values():
                parameter.requires_grad_(True)
        self.active = role

    @contextmanager
    def playing(self, role: str) -> Iterator[None]:
        """Play a role inside the block and return to the former one after it."""
        former = self.active
        self.switch(role)
        try:
            yield
        finally:
            self.switch(former)

    def enable_checkpointing(self) -> None:
        """Recompute blocks in the backward pass, each in the role of its forward pass."""
        self.network.enable_gradient_checkpointing(
            gradient_checkpointing_func=self._checkpoint_block
        )

    def _checkpoint_block(self, block: nn.Module, *inputs: Any) -> Any:
        role = self.active

        def run(*given: Any) -> Any:
            with self.playing(role):
                return block(*given)

        # The non-reentrant form is the one that gives adapters gradients when inputs need none.
        return checkpoint(run, *inputs, use_reentrant=False)


def adapter_size(network: nn.Module, options: AdapterOptions) -> int:
    """Return the number of parameters of one adapter, without making it."""
    return sum(
        options.rank * (layer.in_features + layer.out_features)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and re.fullmatch(options.targets, name)
    )


def refuse_sharded_adapters(*, sharded: bool, shared_base: bool) -> None:
    """Refuse adapters that share a base which is sharded over processes.

    Raises:
        InputError: Both at once.
    """
    if sharded and shared_base:
        raise InputError(
            "FSDP2 with adapters on one shared base came; switching adapters on sharded weights is "
            "not supported: use DDP (the frozen base is replicated), or FSDP2 with --full-parameter"
        )
