"""JoyStreamerPipeline: an image, speech and words become a clip of any length, segment by segment.

Read `stream` top to bottom: it is the paper's Fig. 4 at inference. Each pass sees the reference as
a pseudo last frame, nine frames of history and its stretch of speech, and adds 76 frames. Memory
does not grow with the clip, since segments are yielded as they finish. Files, jobs and resuming are
`jobs`' business. Longer than most files, so that one pass can be followed in one place.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from joystreamer.conditioning.audio import SpeechEncoder, SpeechStreams, prepare_track
from joystreamer.conditioning.picture import check_size, choose_size, fit_image, fit_mask
from joystreamer.conditioning.planner import PlannerBackend, PlanRequest, make_plan
from joystreamer.conditioning.speakers import token_masks
from joystreamer.conditioning.text import encode_prompts, negative_that_fits
from joystreamer.denoiser import GuidedDenoiser, SegmentConditions
from joystreamer.errors import InputError, MissingWeights
from joystreamer.loading import load_wan_components
from joystreamer.options import GenerationOptions
from joystreamer.probes import DriftGuard, ProbeClip
from joystreamer.samplers import (
    TRAIN_TIMESTEPS,
    Denoiser,
    ExpertDenoiser,
    make_scheduler,
    sample_distilled,
    sample_flow,
)
from joystreamer.scene import RenderedSegment, Scene, StreamState
from joystreamer.segments import Segment, SegmentLayout, plan_segments

StepCallback = Callable[[Any, int, float, dict[str, Any]], dict[str, Any] | None]
"""diffusers' `callback_on_step_end`: (pipeline, step, timestep, tensors) -> changed tensors."""

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


@dataclass
class JoyStreamerOutput(BaseOutput):
    """What a call returns.

    Attributes:
        frames: By `output_type`: a list of PIL images; float32 (frames, H, W, 3) in 0..1; a tensor
            (frames, 3, H, W) in 0..1; or latents (1, 16, 19 x segments, H/8, W/8).
        fragments: Prompt fragments that were told.
        fps: Frames per second.
    """

    frames: Any
    fragments: tuple[str, ...]
    fps: int


class JoyStreamerPipeline(DiffusionPipeline):
    """Renders talking avatars.

    Args:
        tokenizer: Of the text encoder.
        text_encoder: `UMT5EncoderModel`.
        audio_encoder: `Wav2Vec2Model`.
        feature_extractor: `Wav2Vec2FeatureExtractor`; its `do_normalize` is obeyed.
        vae: `AutoencoderKLWan`, 16 channels, 4x8x8.
        transformer: `JoyStreamerTransformer3DModel`, the high-noise expert (or the only one).
        scheduler: Flow-matching scheduler; a call's options may choose another.
        transformer_2: The low-noise expert, or None.
        boundary_ratio: Noise level at and above which the first expert works (Wan2.2-T2V: 0.875).
    """

    model_cpu_offload_seq = "text_encoder->audio_encoder->transformer->transformer_2->vae"
    _optional_components = ["transformer_2"]  # noqa: RUF012 - the form diffusers reads
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012

    def __init__(
        self,
        tokenizer: Any,
        text_encoder: Any,
        audio_encoder: Any,
        feature_extractor: Any,
        vae: Any,
        transformer: Any,
        scheduler: Any,
        transformer_2: Any = None,
        boundary_ratio: float = 0.875,
    ) -> None:
        super().__init__()
        self.register_modules(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            audio_encoder=audio_encoder,
            feature_extractor=feature_extractor,
            vae=vae,
            transformer=transformer,
            scheduler=scheduler,
            transformer_2=transformer_2,
        )
        self.register_to_config(boundary_ratio=boundary_ratio)
        self.layout = SegmentLayout()

    @classmethod
    def from_wan(cls, source: str | Path, **components: Any) -> "JoyStreamerPipeline":
        """Build the pipeline from Wan2.2-T2V-A14B; what JoyStreamer adds starts as a no-op.

        See `joystreamer.loading.load_wan_components` for the arguments and errors.
        """
        return cls(**load_wan_components(source, **components))

    @property
    def size_multiple(self) -> int:
        """Pixels that width and height must be multiples of: 32, or 64 with the 4x FramePack bucket.

        The VAE's 8, times the patch of 2, times the coarsest bucket's 1, 2 or 4.
        """
        coarsest = {1: 1, 2: 2, 3: 4}[len(self.transformer.config.motion_buckets)]
        return 16 * coarsest

    def clip_size(self, image: NDArray[np.uint8], options: GenerationOptions) -> tuple[int, int]:
        """(height, width) of the clip: the options', else the image's shape at the options' area.

        Raises:
            InputError: The options' size does not fit the patches.
        """
        if options.height is None or options.width is None:
            return choose_size(image.shape[0], image.shape[1], options.area, self.size_multiple)
        check_size(options.height, options.width, self.size_multiple)
        return options.height, options.width

    def plan(self, scene: Scene, options: GenerationOptions) -> tuple[Segment, ...]:
        """Segments of the clip."""
        return plan_segments(
            scene.seconds,
            seed=options.seed,
            fragments=len(scene.fragments),
            rule=options.fragment_rule,
            layout=self.layout,
        )

    @torch.no_grad()
    def stream(
        self,
        scene: Scene,
        options: GenerationOptions | None = None,
        *,
        state: StreamState | None = None,
        guard: DriftGuard | None = None,
        callback_on_step_end: StepCallback | None = None,
    ) -> Generator[RenderedSegment, None, None]:
        """Render a clip and yield its segments as they finish.

        Args:
            scene: Image, speech, words and regions.
            options: Sampling; the paper's by default.
            state: Continue after the segment that returned it; results do not depend on stops.
            guard: Acts on measured drift; off by default.
            callback_on_step_end: diffusers' callback after each sampler step.

        Yields:
            Segments in order; their frames add up to ceil(seconds x 25).

        Raises:
            InputError: The scene does not fit itself or the network.
            MissingWeights: A component was not loaded.
        """
        options = options or GenerationOptions()
        self._check_components()
        scene.check()
        segments = self.plan(scene, options)
        height, width = self.clip_size(scene.image, options)
        image = fit_image(scene.image, height, width)
        regions = None if scene.regions is None else _fit_regions(scene.regions, height, width)
        masks = None if regions is None else token_masks(regions, height // 16, width // 16)
        streams = SpeechStreams(
            self._speech_encoder(), scene.tracks, with_silence=masks is not None
        )
        negative = negative_that_fits(self.tokenizer, options.negative_prompt)
        text = self._encode_text([*scene.fragments, negative])
        reference = self._encode_frames(image[None])
        if state is None and options.first_segment == "reference":
            history = np.repeat(image[None], self.layout.motion_frames, axis=0)
            state = StreamState(next_index=0, history=history)
        first = 0 if state is None else state.next_index
        with self.progress_bar(total=(len(segments) - first) * options.calls) as bar:
            for segment in segments[first:]:
                clock = _Clock()
                if scene.locate is not None and state is not None and segment.index > 0:
                    masks = token_masks(scene.locate(state.history[-1]), height // 16, width // 16)
                conditions = SegmentConditions(
                    text=text[segment.fragment][None],
                    negative_text=text[-1:],
                    reference=reference,
                    motion=None if state is None else self._encode_frames(state.history),
                    audio=self._move(
                        streams.windows(segment.start_frame, self.layout.noisy_latents)
                    ),
                    masks=None if masks is None else self._move(masks),
                    reference_offset=options.reference_offset,
                )
                clock.lap("conditions")
                latents = self._denoise(conditions, segment, options, callback_on_step_end, bar)
                clock.lap("denoising")
                frames = self._decode_segment(conditions, latents)
                clock.lap("decoding")
                state, drifted = self._carry_on(segment, frames, image, state, guard)
                yield RenderedSegment(
                    segment=segment,
                    frames=frames[: segment.frames],
                    state=state,
                    latents=latents.cpu(),
                    drifted=drifted,
                    timings=clock.laps,
                )
        self.maybe_free_model_hooks()

    @torch.no_grad()
    def __call__(
        self,
        image: NDArray[np.uint8] | Image.Image,
        audio: NDArray[np.float32] | Sequence[NDArray[np.float32]],
        prompt: str | Sequence[str],
        *,
        regions: NDArray[np.bool_] | None = None,
        options: GenerationOptions | None = None,
        planner: PlannerBackend | None = None,
        guard: DriftGuard | None = None,
        output_type: str = "pil",
        callback_on_step_end: StepCallback | None = None,
        **changes: Any,
    ) -> JoyStreamerOutput:
        """Render a clip into memory; `jobs.run_job` writes one of any length to disk.

        Args:
            image: Reference image.
            audio: 16 kHz mono samples, or one such track per speaker.
            prompt: Words for the whole clip (they are planned), or finished fragments.
            regions: (speakers, height, width) bool on the image for several speakers.
            options: Sampling; the paper's by default.
            planner: Language model that splits the prompt; None splits by rules.
            guard: Acts on measured drift; off by default.
            output_type: `pil`, `np`, `pt` or `latent`.
            callback_on_step_end: diffusers' callback after each sampler step.
            **changes: Single options by name, such as `seed=3`.

        Raises:
            InputError: Something does not fit, in one sentence.
        """
        if output_type not in OUTPUT_TYPES:
            raise InputError(
                f"output_type {output_type!r} came; choose one of {', '.join(OUTPUT_TYPES)}"
            )
        options = replace(options or GenerationOptions(), **_known(changes))
        pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
        given = [audio] if isinstance(audio, np.ndarray) else list(audio)
        tracks = tuple(prepare_track(track) for track in given)
        scene = Scene(image=pixels, tracks=tracks, fragments=("planned below",), regions=regions)
        if isinstance(prompt, str):
            request = PlanRequest(
                prompt=prompt, seconds=scene.seconds, rule=options.fragment_rule, image=pixels
            )
            scene = replace(scene, fragments=make_plan(request, planner).fragments)
        else:
            scene = replace(scene, fragments=tuple(prompt))
        rendered = self.stream(
            scene, options, guard=guard, callback_on_step_end=callback_on_step_end
        )
        frames = _collect(rendered, output_type)
        return JoyStreamerOutput(frames=frames, fragments=scene.fragments, fps=self.layout.fps)

    def _denoise(
        self,
        conditions: SegmentConditions,
        segment: Segment,
        options: GenerationOptions,
        callback: StepCallback | None,
        bar: Any,
    ) -> Tensor:
        """Latents (1, 16, 19, H/8, W/8) of one segment, from its own seed."""
        generator = torch.Generator().manual_seed(segment.seed)
        shape = (*conditions.reference.shape[:2], self.layout.noisy_latents)
        noise = torch.randn(*shape, *conditions.reference.shape[3:], generator=generator)

        def on_step(step: int, timestep: float, sample: Tensor) -> Tensor:
            bar.update()
            if callback is None:
                return sample
            changed = callback(self, step, timestep, {"latents": sample}) or {}
            return changed.get("latents", sample)

        denoiser, noise = self._denoiser(conditions, options), self._move(noise)
        if options.sampler == "distilled":
            return sample_distilled(
                denoiser,
                noise,
                generator,
                shift=options.shift,
                timesteps=options.distilled_timesteps,
                on_step=on_step,
            )
        scheduler = make_scheduler(options.sampler, options.shift)
        return sample_flow(denoiser, noise, scheduler, options.steps, on_step)

    def _denoiser(self, conditions: SegmentConditions, options: GenerationOptions) -> Denoiser:
        """The expert or experts under guidance."""
        high, low = (
            GuidedDenoiser(
                network,
                conditions,
                options.text_scale,
                options.audio_scale,
                batched=options.batch_guidance,
            )
            for network in (self.transformer, self.transformer_2)
        )
        if self.transformer_2 is None:
            return high
        return ExpertDenoiser(high, low, self.config.boundary_ratio * TRAIN_TIMESTEPS)

    def _decode_segment(self, conditions: SegmentConditions, latents: Tensor) -> NDArray[np.uint8]:
        """The 76 frames of one segment.

        History goes in front, so that every denoised latent stands for four frames: 3 + 19 latents
        are 85 frames, of which nine are dropped. Without history the reference leads: 1 + 19
        latents are 77 frames, of which one is dropped.
        """
        lead = conditions.reference if conditions.motion is None else conditions.motion
        frames = self._decode_latents(torch.cat([lead, latents], dim=2))
        return frames[self.layout.decoded_frames(lead.shape[2]) :]

    def _carry_on(
        self,
        segment: Segment,
        frames: NDArray[np.uint8],
        image: NDArray[np.uint8],
        before: StreamState | None,
        guard: DriftGuard | None,
    ) -> tuple[StreamState, tuple[str, ...]]:
        """State for the next segment, and which probe values made the guard act."""
        history = frames[-self.layout.motion_frames :]
        after = StreamState(next_index=segment.index + 1, history=history)
        if guard is None:
            return after, ()
        clip = ProbeClip(frames=frames, fps=self.layout.fps, reference=image)
        values = dict(guard.probe(clip))
        if segment.index == 0 or before is None or before.anchor is None:
            return replace(after, anchor=history, first_values=values), ()
        after = replace(after, anchor=before.anchor, first_values=before.first_values)
        drifted = guard.exceeded(before.first_values, values)
        if drifted:
            after = replace(after, history=guard.correct(history, before.anchor))
        return after, drifted

    def _check_components(self) -> None:
        """Name what was not loaded, and encoders that do not belong to the transformer."""
        missing = [
            name
            for name in self.components
            if name not in self._optional_components and getattr(self, name, None) is None
        ]
        if missing:
            raise MissingWeights(
                f"the pipeline lacks {', '.join(missing)}; load a complete folder, or pass the "
                "component to from_pretrained or from_wan"
            )
        wanted = (self.transformer.config.audio_layers, self.transformer.config.audio_dim)
        if self._speech_encoder().shape != wanted:
            raise InputError(
                f"the speech encoder gives layers x channels of {self._speech_encoder().shape} but "
                f"the transformer was made for {wanted}; use the encoder it was trained with"
            )

    def _speech_encoder(self) -> SpeechEncoder:
        return SpeechEncoder(
            self.audio_encoder, self.layout.fps, normalise=self.feature_extractor.do_normalize
        )

    def _encode_text(self, prompts: Sequence[str]) -> Tensor:
        device = self._execution_device
        return encode_prompts(self.tokenizer, self.text_encoder, prompts, device=device).to(device)

    def _encode_frames(self, frames: NDArray[np.uint8]) -> Tensor:
        """Normalised latents (1, 16, n, H/8, W/8), float32, of 4 n - 3 frames (N, H, W, 3)."""
        pixels = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None]
        pixels = pixels.to(self._execution_device).float() / 127.5 - 1
        latents = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mode().float()
        mean, spread = self._latent_statistics()
        return (latents - mean) / spread

    def _decode_latents(self, latents: Tensor) -> NDArray[np.uint8]:
        """Frames (4 n - 3, H, W, 3) of n normalised latents."""
        mean, spread = self._latent_statistics()
        decoded = self.vae.decode((latents * spread + mean).to(self.vae.dtype), return_dict=False)[
            0
        ]
        pixels = ((decoded[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        frames: NDArray[np.uint8] = pixels.permute(1, 2, 3, 0).cpu().numpy()
        return frames

    def _latent_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of the VAE's channels, (1, 16, 1, 1, 1)."""
        mean, spread = (
            torch.tensor(values, device=self._execution_device).view(1, -1, 1, 1, 1)
            for values in (self.vae.config.latents_mean, self.vae.config.latents_std)
        )
        return mean, spread

    def _move(self, value: Tensor) -> Tensor:
        return value.to(self._execution_device)


class _Clock:
    """Seconds since the last lap, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _fit_regions(regions: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Regions of the image on the clip; fitting may make neighbours overlap by a pixel's edge."""
    fitted = np.stack([fit_mask(region, height, width) for region in regions])
    first = np.cumsum(fitted, axis=0) == 1
    disjoint: NDArray[np.bool_] = fitted & first
    return disjoint


def _known(changes: dict[str, Any]) -> dict[str, Any]:
    """Option changes given by name, with texts and numbers as scales."""
    parsed = GenerationOptions.from_json(changes)
    return {name: getattr(parsed, name) for name in changes}


def _collect(rendered: Iterator[RenderedSegment], output_type: str) -> Any:
    """All segments in the asked form."""
    segments = list(rendered)
    if output_type == "latent":
        return torch.cat([part.latents for part in segments if part.latents is not None], dim=2)
    frames = np.concatenate([part.frames for part in segments])
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in frames]
    if output_type == "np":
        return frames.astype(np.float32) / 255
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
