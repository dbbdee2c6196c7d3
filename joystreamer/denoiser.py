"""The network behind the samplers' contract: conditions of one segment, and guidance (Eq. 2).

Knows the transformer's call and the three branches N, A, B; knows nothing of steps and schedules.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from joystreamer.guidance import combine_eq2, vanilla_weights
from joystreamer.options import ScaleSchedule


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentConditions:
    """What the network is told about one segment; tensors on the network's device.

    Attributes:
        text: (1, 512, text_dim) states of the segment's fragment.
        negative_text: Like `text`, of the negative prompt.
        reference: (1, 16, 1, H, W) reference latent.
        motion: (1, 16, 3, H, W) history, oldest to newest, or None.
        audio: (1, streams, T, 8, layers, audio_dim) speech windows.
        masks: (1, streams, rows, columns) or None for one stream.
        reference_offset: Added to the reference's time position; None takes the network's.
    """

    text: Tensor
    negative_text: Tensor
    reference: Tensor
    motion: Tensor | None
    audio: Tensor
    masks: Tensor | None = None
    reference_offset: float | None = None


@dataclass(frozen=True, slots=True)
class GuidedDenoiser:
    """Velocity of one segment under text and audio guidance.

    A branch whose net weight in Eq. 2 is zero is not run: with both scales at 1 one call is left
    (B alone), with equal scales two (N and B).

    Attributes:
        network: A `JoyStreamerTransformer3DModel`.
        conditions: Of the segment.
        text_scale: a_t.
        audio_scale: a_a.
        batched: Whether the branches run as one batch.
    """

    network: Any
    conditions: SegmentConditions
    text_scale: ScaleSchedule
    audio_scale: ScaleSchedule
    batched: bool = True

    def __call__(self, sample: Tensor, timestep: float) -> Tensor:
        """Guided velocity at a noisy sample (1, 16, T, H, W), float32."""
        a_t, a_a = self.text_scale.at(timestep), self.audio_scale.at(timestep)
        weights = vanilla_weights(a_t, a_a)
        shares = {"N": weights.negative, "A": weights.text, "B": weights.audio}
        names = [name for name, share in shares.items() if share != 0]
        if self.batched:
            velocities = dict(zip(names, self._run(sample, timestep, names), strict=True))
        else:
            velocities = {name: self._run(sample, timestep, [name]) for name in names}
        if len(names) == 1:
            return velocities[names[0]].reshape(sample.shape)
        # A branch without weight cancels out of Eq. 2 whatever stands in for it, as long as it is
        # the same tensor as its neighbour.
        audio = velocities.get("B", velocities.get("A"))
        text = velocities.get("A", audio if a_a else None)
        negative = velocities.get("N", text)
        assert audio is not None
        assert text is not None
        assert negative is not None
        guided = combine_eq2(negative, text, audio, a_t, a_a)
        return guided.reshape(sample.shape)

    def _run(self, sample: Tensor, timestep: float, names: list[str]) -> Tensor:
        """Velocities of the named branches, (branches, 16, T, H, W) float32."""
        given, network = self.conditions, self.network
        dtype, count = network.dtype, len(names)
        text = torch.cat([given.negative_text if name == "N" else given.text for name in names])
        null = torch.zeros_like(given.audio)
        audio = torch.cat([given.audio if name == "B" else null for name in names])

        def repeat(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.expand(count, *value.shape[1:])

        reference, motion = repeat(given.reference), repeat(given.motion)
        with network.cache_context("".join(names)):
            velocity = network(
                hidden_states=sample.expand(count, *sample.shape[1:]).to(dtype),
                timestep=torch.full((count,), timestep, device=sample.device),
                encoder_hidden_states=text.to(dtype),
                reference_latents=None if reference is None else reference.to(dtype),
                motion_latents=None if motion is None else motion.to(dtype),
                audio_features=audio.to(dtype),
                speaker_masks=repeat(given.masks),
                reference_offset=given.reference_offset,
                return_dict=False,
            )[0]
        return velocity.float()
