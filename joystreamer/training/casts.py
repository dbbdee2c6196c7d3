"""Who plays audio teacher, student and fake score of one expert.

`SharedCast`: three roles on one frozen base with two adapters. `FullCast`: three networks. The
distillation task asks a cast for velocities and never learns which it is.
"""

import copy
from typing import Any, Protocol

import torch
from torch import Tensor

from joystreamer.training.lora import TEACHER, AdapterOptions, AdapterRoles
from joystreamer.training.parallel import shard
from joystreamer.training.precision import match_norms
from joystreamer.training.task import Rates, Trained
from joystreamer.training.teachers import AvatarConditions, avatar_velocity

STUDENT, FAKE = "student", "fake"


class Cast(Protocol):
    """The three roles of one expert."""

    trained: tuple[Trained, ...]

    def trained_name(self, role: str) -> str:
        """Name under which the loop knows a trained role."""
        ...

    def start(self, accelerator: Any, networks: dict[str, Any], *, sharded: bool) -> None:
        """Take the wrapped networks by trained name."""
        ...

    def velocity(
        self, role: str, conditions: AvatarConditions, sample: Tensor, tau: Tensor
    ) -> Tensor:
        """Velocity of `student`, `fake` or `teacher`."""
        ...

    def move(self, device: torch.device) -> None:
        """Bring the networks somewhere (parking an idle expert)."""
        ...


class SharedCast:
    """Three roles on one frozen base.

    Args:
        base: The audio teacher; with the stage-2 weights merged.
        name: Of the expert, a prefix of the trained roles' names.
        adapters: Size of the adapters.
        student: Rates of the student.
        fake: Rates of the fake score.
        checkpointing: Recompute activations in the backward pass.
        seed: Of the adapters' initial weights.
    """

    def __init__(
        self,
        base: Any,
        name: str,
        adapters: AdapterOptions,
        student: Rates,
        fake: Rates,
        *,
        checkpointing: bool = False,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.base = base.eval()
        self.roles = AdapterRoles(base, (STUDENT, FAKE), adapters, seed)
        if checkpointing:
            self.roles.enable_checkpointing()
        self.wrapped: Any = base
        self.trained: tuple[Trained, ...] = tuple(
            Trained(
                name=self.trained_name(role),
                network=base,
                parameters=dict(self.roles.parameters[role]),
                rates=rates,
                averaged=role == STUDENT,
            )
            for role, rates in ((STUDENT, student), (FAKE, fake))
        )

    def trained_name(self, role: str) -> str:
        """`high-student`, for example."""
        return f"{self.name}-{role}"

    def start(self, accelerator: Any, networks: dict[str, Any], *, sharded: bool) -> None:  # noqa: ARG002
        """Take the wrapped base."""
        self.wrapped = networks[self.trained_name(STUDENT)]

    def velocity(
        self, role: str, conditions: AvatarConditions, sample: Tensor, tau: Tensor
    ) -> Tensor:
        """Run the base in a role; the role stays until the next call asks for another.

        It is deliberately not switched back: the forward pass decides for its own recomputation.
        """
        self.roles.switch(role)
        network = self.wrapped if torch.is_grad_enabled() else self.base
        return avatar_velocity(network, conditions, sample, tau)

    def move(self, device: torch.device) -> None:
        """Bring the base with its adapters to a device."""
        self.base.to(device)


class FullCast:
    """Three networks: a frozen teacher and full-parameter student and fake score.

    Args:
        base: The audio teacher; student and fake score start as copies of it.
        name: Of the expert.
        student: Rates of the student.
        fake: Rates of the fake score.
        checkpointing: Recompute activations in the backward pass.
    """

    def __init__(
        self, base: Any, name: str, student: Rates, fake: Rates, *, checkpointing: bool = False
    ) -> None:
        self.name = name
        self.networks: dict[str, Any] = {
            STUDENT: copy.deepcopy(base).float(),
            FAKE: copy.deepcopy(base).float(),
            TEACHER: base,
        }
        base.requires_grad_(False)
        trained = []
        for role, rates in ((STUDENT, student), (FAKE, fake)):
            network = self.networks[role].requires_grad_(True)
            match_norms(network)
            if checkpointing:
                network.enable_gradient_checkpointing()
            trained.append(
                Trained(
                    name=self.trained_name(role),
                    network=network,
                    parameters=dict(network.named_parameters()),
                    rates=rates,
                    averaged=role == STUDENT,
                )
            )
        for network in self.networks.values():
            network.eval()
        self.wrapped = dict(self.networks)
        self.trained: tuple[Trained, ...] = tuple(trained)

    def trained_name(self, role: str) -> str:
        """`high-student`, for example."""
        return f"{self.name}-{role}"

    def start(self, accelerator: Any, networks: dict[str, Any], *, sharded: bool) -> None:
        """Take the wrapped student and fake score; bring or shard the teacher."""
        for role in (STUDENT, FAKE):
            self.wrapped[role] = networks[self.trained_name(role)]
        teacher = self.networks[TEACHER].to(accelerator.device)
        self.wrapped[TEACHER] = shard(teacher) if sharded else teacher

    def velocity(
        self, role: str, conditions: AvatarConditions, sample: Tensor, tau: Tensor
    ) -> Tensor:
        """Run the network of a role."""
        return avatar_velocity(self.wrapped[role], conditions, sample, tau)

    def move(self, device: torch.device) -> None:
        """Bring all three to a device."""
        for network in self.networks.values():
            network.to(device)
