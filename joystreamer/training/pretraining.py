"""Flow-matching stages as tasks of the loop: foundation, text teacher, stage 1, stage 2.

One task serves all four: they differ in what the network sees (`form`), which parameters train, and
whether a small text or speech encoder learns along (only the tiny stack trains its own; pretrained
UMT5 and wav2vec2 stay as they are and their outputs are cached).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from joystreamer.conditioning.audio import CONTEXT_SECONDS, WINDOW_AFTER, WINDOW_BEFORE
from joystreamer.errors import InputError
from joystreamer.training.batches import Batch
from joystreamer.training.flow_matching import (
    ALL_PARAMETERS,
    ConditionDropout,
    drop_rows,
    flow_matching_loss,
    noise_batch,
    select_parameters,
)
from joystreamer.training.precision import keep_masters, match_norms
from joystreamer.training.randomness import normal
from joystreamer.training.schedules import TauSchedule
from joystreamer.training.task import Draws, Rates, Trained
from joystreamer.training.teachers import (
    AvatarConditions,
    TextTeacherConditions,
    avatar_velocity,
    text_teacher_velocity,
)

Form = Literal["text-to-video", "image-to-video", "avatar"]

SPEECH_CONTEXT = 25 * int(CONTEXT_SECONDS)
"""Video frames of sound on either side of a segment that the speech encoder also hears."""


class LearningStack(nn.Module):
    """The network and the encoders that learn along with it, as one module to wrap.

    Args:
        network: The transformer.
        text_encoder: `UMT5EncoderModel` that trains, or None when text states are cached.
        speech_encoder: `Wav2Vec2Model` that trains, or None when speech features are cached.
    """

    def __init__(
        self, network: nn.Module, text_encoder: Any = None, speech_encoder: Any = None
    ) -> None:
        super().__init__()
        self.network = network
        self.text_encoder = text_encoder
        self.speech_encoder = speech_encoder
        self._no_split_modules = list(getattr(network, "_no_split_modules", None) or ())

    def forward(self, run: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Encode what is to be encoded, then run the network.

        Args:
            run: Called with (network, text states, speech windows or None).
            batch: With `text` or `text_ids` and `text_mask`; with `audio` or `speech` or neither.

        Returns:
            What `run` returns.
        """
        return run(self.network, self._text(batch), self._speech(batch))

    def _text(self, batch: Batch) -> Tensor:
        if self.text_encoder is None:
            return batch["text"]
        mask = batch["text_mask"]
        longest = int(mask.sum(1).max())
        states = self.text_encoder(
            batch["text_ids"][:, :longest], attention_mask=mask[:, :longest]
        ).last_hidden_state
        states = states * mask[:, :longest, None]
        padded: Tensor = F.pad(states, (0, 0, 0, mask.shape[1] - longest))
        return padded

    def _speech(self, batch: Batch) -> Tensor | None:
        if self.speech_encoder is not None:
            return speech_windows(self.speech_encoder, batch["speech"])
        return batch.get("audio")


def speech_windows(encoder: Any, samples: Tensor) -> Tensor:
    """Return the speech windows of a segment with gradients into the encoder.

    The same arithmetic as `joystreamer.conditioning.audio.SpeechEncoder.windows`, batched.

    Args:
        encoder: `Wav2Vec2Model`.
        samples: (B, samples) standardised sound at 16 kHz: the segment's video frames with two
            before and after for the first and last window, and the context on either side.

    Returns:
        (B, 1, latents, 8, layers, channels).
    """
    heard = round(samples.shape[1] * 25 / 16_000)

    def resample(_module: Any, _inputs: Any, features: Tensor) -> Tensor:
        return F.interpolate(features, size=heard, mode="linear", align_corners=True)

    hook = encoder.feature_extractor.register_forward_hook(resample)
    try:
        states = encoder(samples, output_hidden_states=True).hidden_states[1:]
    finally:
        hook.remove()
    features = torch.stack(states, dim=2)[:, SPEECH_CONTEXT : heard - SPEECH_CONTEXT]
    windows = features.unfold(1, WINDOW_BEFORE + 4 + WINDOW_AFTER, 4)  # (B, n, layers, C, 8)
    return windows.permute(0, 1, 4, 2, 3)[:, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainingOptions:
    """What a flow-matching stage trains and sees.

    Attributes:
        form: `text-to-video` sees the prompt, `image-to-video` also a first frame (36 channels),
            `avatar` the reference and the history.
        parameters: Which parameters of the network train, as regular expressions.
        audio: Whether the network hears (stage 2); `avatar` only.
        tau: Noise levels; one expert's interval for a two-expert model.
        dropout: How often conditions are taken away.
        rates: Of the optimiser (paper: AdamW, 2e-5).
    """

    form: Form
    parameters: tuple[str, ...] = (ALL_PARAMETERS,)
    audio: bool = False
    tau: TauSchedule = field(default_factory=lambda: TauSchedule(minimum=0.0, maximum=1000.0))
    dropout: ConditionDropout = field(default_factory=ConditionDropout)
    rates: Rates = field(default_factory=lambda: Rates(rate=2e-5))

    def __post_init__(self) -> None:
        """Refuse audio where nothing listens."""
        if self.audio and self.form != "avatar":
            raise InputError(f"audio came with form {self.form!r}; only the avatar form hears")


class FlowMatchingTask:
    """Trains a network to predict the velocity of noised clips.

    Args:
        network: The transformer.
        options: What trains and what is seen.
        constants: `empty_text` (1, tokens, dim), or `empty_text_ids` and `empty_text_mask` when the
            text encoder trains.
        text_encoder: Trains along if given.
        speech_encoder: Trains along if given.
        checkpointing: Recompute activations in the backward pass.
    """

    ROLE = "network"

    def __init__(
        self,
        network: Any,
        options: PretrainingOptions,
        constants: Mapping[str, Tensor],
        *,
        text_encoder: Any = None,
        speech_encoder: Any = None,
        checkpointing: bool = False,
    ) -> None:
        self.options = options
        self.constants = dict(constants)
        chosen = select_parameters(network, options.parameters)
        keep_masters(chosen.values())
        match_norms(network)
        if checkpointing:
            network.enable_gradient_checkpointing()
        self.stack = LearningStack(network, text_encoder, speech_encoder)
        parameters = {f"network.{name}": value for name, value in chosen.items()}
        for part in ("text_encoder", "speech_encoder"):
            encoder = getattr(self.stack, part)
            if encoder is not None:
                encoder.eval().requires_grad_(True)  # gradients, but no dropout and no masking
                named = dict(encoder.named_parameters())
                # wav2vec2 has one vector that only its own masking uses.
                parameters.update(
                    {f"{part}.{n}": v for n, v in named.items() if n != "masked_spec_embed"}
                )
                if "masked_spec_embed" in named:
                    named["masked_spec_embed"].requires_grad_(False)
        self.trained: Sequence[Trained] = (
            Trained(name=self.ROLE, network=self.stack, parameters=parameters, rates=options.rates),
        )
        self.wrapped: Any = self.stack

    def phase(self, update: int) -> str:  # noqa: ARG002
        """Always the network."""
        return self.ROLE

    def start(self, accelerator: Any, networks: Mapping[str, Any], *, sharded: bool) -> None:  # noqa: ARG002
        """Take the wrapped stack and bring the constants to its device."""
        self.wrapped = networks[self.ROLE]
        self.constants = {
            name: value.to(accelerator.device) for name, value in self.constants.items()
        }

    def loss(self, phase: str, batch: Batch, draws: Draws) -> tuple[Tensor, Mapping[str, float]]:  # noqa: ARG002
        """Flow-matching loss on the noisy latents."""
        batch = self._drop_conditions(batch, draws)
        clean = batch["latents"]
        tau = self.options.tau.sample(len(clean), draws.samples).to(clean.device)
        noised = noise_batch(clean, tau, draws.samples)
        run = self._runner(batch, noised.sample, tau, draws)
        velocity = self.wrapped(run, batch)
        loss = flow_matching_loss(velocity, noised.target)
        return loss, {"tau": float(tau.mean())}

    def report(self, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:  # noqa: ARG002
        """Nothing beyond the loss."""
        return {}

    def _drop_conditions(self, batch: Batch, draws: Draws) -> Batch:
        """Take prompts, sound and history away at their rates."""
        dropout, batch = self.options.dropout, dict(batch)
        if self.stack.text_encoder is None:
            batch["text"] = drop_rows(
                batch["text"], self.constants["empty_text"], dropout.text, draws.samples
            )
        else:
            states = [generator.get_state() for generator in draws.samples]
            for name in ("text_ids", "text_mask"):
                for generator, state in zip(draws.samples, states, strict=True):
                    generator.set_state(state)  # ids and mask fall together
                batch[name] = drop_rows(
                    batch[name], self.constants[f"empty_{name}"], dropout.text, draws.samples
                )
        if not self.options.audio:
            batch.pop("audio", None)
        if torch.rand(1, generator=draws.shared).item() < dropout.motion:
            batch.pop("motion", None)
        return batch

    def _runner(
        self, batch: Batch, sample: Tensor, tau: Tensor, draws: Draws
    ) -> Callable[..., Tensor]:
        """Return how the network is called in this form."""
        options = self.options

        def run(network: Any, text: Tensor, speech: Tensor | None) -> Tensor:
            if options.form == "image-to-video":
                encoded = batch["image_condition"]
                teacher = TextTeacherConditions(
                    text=text,
                    encoded=encoded,
                    anchor_noise=normal(encoded[:, :, :1], draws.samples),
                )
                return text_teacher_velocity(network, teacher, sample, tau)
            if options.form == "text-to-video":
                return avatar_velocity(network, AvatarConditions(text=text), sample, tau)
            if options.audio and speech is not None:
                null = torch.zeros_like(speech[:1])
                speech = drop_rows(speech, null, options.dropout.audio, draws.samples)
            conditions = AvatarConditions(
                text=text,
                reference=batch["reference"],
                motion=batch.get("motion"),
                audio=speech if options.audio else None,
            )
            return avatar_velocity(network, conditions, sample, tau)

        return run
