"""Who predicts what in distillation: conditions bound to networks, and the text teacher's adapter.

Turns networks and a batch of conditions into the velocity fields that `dmd.compare` asks for. Each
network is dispatched by its own expert boundary: the audio side at 875 (a text-to-video lineage),
the text teacher at 900 (image-to-video).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.guidance import add_noise
from joystreamer.training.dmd import VelocityField
from joystreamer.training.schedules import Expert, expert_of_batch

MASK_CHANNELS = 4
"""Channels of the image-to-video mask: one per video frame of a latent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AvatarConditions:
    """What the avatar network is told, apart from the noisy latents; batch first.

    Attributes:
        text: (B, text tokens, dim) states of the prompt.
        reference: (B, 16, 1, H, W) clean reference latent, or None.
        motion: (B, 16, 3, H, W) clean history, oldest first, or None.
        audio: (B, streams, T, 8, layers, dim) speech windows; zeros are null audio; None for a
            network without audio.
    """

    text: Tensor
    reference: Tensor | None = None
    motion: Tensor | None = None
    audio: Tensor | None = None

    def without_audio(self) -> "AvatarConditions":
        """The same with null audio: zeros, which is not encoded silence."""
        audio = None if self.audio is None else torch.zeros_like(self.audio)
        return AvatarConditions(
            text=self.text, reference=self.reference, motion=self.motion, audio=audio
        )

    def with_text(self, text: Tensor) -> "AvatarConditions":
        """The same with another prompt."""
        return AvatarConditions(
            text=text, reference=self.reference, motion=self.motion, audio=self.audio
        )


def avatar_velocity(
    network: Any, conditions: AvatarConditions, sample: Tensor, tau: Tensor
) -> Tensor:
    """Run a `JoyStreamerTransformer3DModel` on noisy latents.

    Args:
        network: The network, wrapped for parallel training or not.
        conditions: What it is told.
        sample: (B, 16, T, H, W) noisy latents.
        tau: (B,) noise levels.

    Returns:
        Velocity in the precision the network answers in.
    """
    velocity: Tensor = network(
        hidden_states=sample,
        timestep=tau,
        encoder_hidden_states=conditions.text,
        reference_latents=conditions.reference,
        motion_latents=conditions.motion,
        audio_features=conditions.audio,
        return_dict=False,
    )[0]
    return velocity


@dataclass(frozen=True, slots=True)
class Experts:
    """One or two networks that share the noise levels.

    Attributes:
        high: In charge at and above the boundary; None if this run never needs it.
        low: In charge below it; None if never needed, the same as `high` for a single network.
        boundary: Timestep on the 0-1000 scale.
        name: Whose experts they are, for the error.
    """

    high: Any
    low: Any
    boundary: float
    name: str

    def at(self, tau: Tensor) -> Any:
        """Return the network in charge of a batch of levels.

        Raises:
            InputError: The levels need two experts, or one that was not loaded.
        """
        if self.high is self.low and self.high is not None:
            return self.high
        side: Expert = expert_of_batch(tau, self.boundary)
        network = self.high if side == "high" else self.low
        if network is None:
            raise InputError(
                f"tau {float(tau.min()):g} to {float(tau.max()):g} needs the {side}-noise expert of "
                f"{self.name} (boundary {self.boundary:g}), which was not loaded; give it, or keep "
                "tau on the other side"
            )
        return network


def image_condition(encoded: Tensor) -> Tensor:
    """Build the 20-channel condition of a Wan image-to-video network.

    Args:
        encoded: (B, 16, slots, H, W) latents of the first frame followed by frames of zeros,
            normalised. Encoded zero frames are not zeros, so this cannot be made by padding.

    Returns:
        (B, 20, slots, H, W): the mask's four channels (ones in the first slot, zeros after), then
        `encoded`.
    """
    batch, _, slots, height, width = encoded.shape
    mask = encoded.new_zeros(batch, MASK_CHANNELS, slots, height, width)
    mask[:, :, 0] = 1
    return torch.cat([mask, encoded], dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTeacherConditions:
    """What the image-to-video text teacher is told.

    Attributes:
        text: (B, text tokens, dim) states of the prompt.
        encoded: (B, 16, 20, H, W) latents of the anchor frame and 76 frames of zeros; the anchor is
            the last history frame, or the reference image where there is no history.
        anchor_noise: (B, 16, 1, H, W) noise of the anchor's slot.
    """

    text: Tensor
    encoded: Tensor
    anchor_noise: Tensor


def text_teacher_velocity(
    network: Any, conditions: TextTeacherConditions, sample: Tensor, tau: Tensor
) -> Tensor:
    """Ask an image-to-video network about the student's noisy latents.

    The student's segment has 19 noisy latents of four frames each; the text teacher was trained on
    one latent of a single frame followed by such latents. So the anchor frame's latent is noised to
    the same level and put in front, the network sees 20 slots of 36 channels, and the answer for
    the anchor's slot is dropped.

    Args:
        network: Network with 36 input channels.
        conditions: Prompt and anchor.
        sample: (B, 16, 19, H, W) the student's noisy latents.
        tau: (B,) noise levels.

    Returns:
        Velocity (B, 16, 19, H, W).

    Raises:
        InputError: The condition does not have one slot more than the sample.
    """
    encoded = conditions.encoded
    if encoded.shape[2] != sample.shape[2] + 1:
        raise InputError(
            f"the text teacher's condition has {encoded.shape[2]} slots for {sample.shape[2]} noisy "
            f"latents; it needs {sample.shape[2] + 1}: the anchor frame and one per latent"
        )
    anchor = add_noise(encoded[:, :, :1], conditions.anchor_noise, tau).to(sample.dtype)
    slots = torch.cat([anchor, sample], dim=2)
    hidden = torch.cat([slots, image_condition(encoded).to(sample.dtype)], dim=1)
    velocity: Tensor = network(
        hidden_states=hidden,
        timestep=tau,
        encoder_hidden_states=conditions.text,
        return_dict=False,
    )[0]
    return velocity[:, :, 1:]


def bind(
    experts: Experts,
    run: Callable[[Any, Tensor, Tensor], Tensor],
    precision: torch.dtype | None = None,
) -> VelocityField:
    """Return the velocity field of whichever expert is in charge of tau.

    Args:
        experts: Networks.
        run: Called with (network, sample, tau).
        precision: Cast the sample to it before the call; leave it alone if None.
    """

    def field(sample: Tensor, tau: Tensor) -> Tensor:
        given = sample if precision is None else sample.to(precision)
        return run(experts.at(tau), given, tau)

    return field


def freeze(networks: Mapping[str, Any]) -> None:
    """Make networks teachers: no gradient reaches them, and nothing in them is random."""
    for network in networks.values():
        if network is not None:
            network.requires_grad_(False)
            network.eval()
