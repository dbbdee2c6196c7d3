"""From a manifest to what the networks train on: windows of clips, encoded once.

A window is 89 frames at 25 fps: nine of history and eighty of video, as at inference. The first 85
are encoded together (3 history latents, then 19 that are noised); the last frame alone is the
reference (pseudo last frame). The text teacher's condition is one frame followed by 76 of zeros.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from joystreamer.conditioning.audio import (
    SAMPLE_RATE,
    WINDOW_AFTER,
    WINDOW_BEFORE,
    SpeechEncoder,
    TrackScale,
    prepare_track,
)
from joystreamer.conditioning.picture import choose_size, fit_image
from joystreamer.conditioning.text import clean_prompt, encode_prompts, text_positions
from joystreamer.errors import InputError
from joystreamer.media.audio import read_audio
from joystreamer.media.resampling import resample_frames
from joystreamer.media.video import iter_frames
from joystreamer.options import NEGATIVE_PROMPT
from joystreamer.segments import SegmentLayout
from joystreamer.training.manifest import Box, ClipRecord
from joystreamer.training.pretraining import SPEECH_CONTEXT
from joystreamer.training.shards import ShardWriter

FRAMES = ("frames", "regions")
LATENTS = ("latents", "motion", "reference")
CONDITIONS = ("image_condition", "reference_condition")
"""What an image-to-video teacher is shown: the last frame of the history, or the reference."""
CACHE_FORMAT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheOptions:
    """What is stored for each window.

    Attributes:
        contents: Groups of parts: `frames` (pixels, for a codec), `latents`, `image_condition` and
            `reference_condition` (an image-to-video teacher's, with and without history), `text` and
            `audio` (states of pretrained encoders), `text_ids` and `speech` (inputs of encoders that
            train).
        area: Pixels per frame aimed at; each clip keeps its shape among the allowed sizes.
        multiple: Sides are multiples of this many pixels.
        stride: Frames between windows of one clip.
        precision: Of stored states and latents: float16, bfloat16 or float32.
        per_shard: Windows per shard.
        negative_prompt: What guidance turns away from; its states are kept beside the clips.
        layout: Lengths of a window.
    """

    contents: tuple[str, ...] = ("latents", *CONDITIONS, "text", "audio")
    area: int = 480 * 832
    multiple: int = 32
    stride: int = 76
    precision: str = "bfloat16"
    per_shard: int = 32
    negative_prompt: str = NEGATIVE_PROMPT
    layout: SegmentLayout = field(default_factory=SegmentLayout)

    def __post_init__(self) -> None:
        """Refuse unknown groups."""
        known = ("frames", "latents", *CONDITIONS, "text", "text_ids", "audio", "speech")
        unknown = sorted(set(self.contents) - set(known))
        if unknown:
            raise InputError(
                f"cache contents {', '.join(unknown)} came; choose from {', '.join(known)}"
            )

    @property
    def frames(self) -> int:
        """Frames per window: history and video (89)."""
        return self.layout.motion_frames + self.layout.video_frames

    @property
    def dtype(self) -> torch.dtype:
        """Of what is stored."""
        found: torch.dtype = getattr(torch, self.precision)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoders:
    """Networks that turn a window into what is stored; those not needed may be None.

    Attributes:
        vae: `AutoencoderKLWan`.
        tokenizer: Of the text encoder.
        text_encoder: `UMT5EncoderModel`.
        speech_encoder: `Wav2Vec2Model`.
        fingerprint: Names the weights; part of every entry's key.
    """

    vae: Any = None
    tokenizer: Any = None
    text_encoder: Any = None
    speech_encoder: Any = None
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheReport:
    """What a build did.

    Attributes:
        added: Windows encoded now.
        known: Windows that were there already, duplicates included.
        refused: Clip ids and why they were left out.
    """

    added: int
    known: int
    refused: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One stretch of a clip, still as pixels and sound.

    Attributes:
        frames: (89, H, W, 3) uint8.
        boxes: One box per frame, or none.
        track: The clip's whole sound, loudness normalised, 16 kHz.
        start: First video frame of the window in the clip.
        caption: What happens.
    """

    frames: NDArray[np.uint8]
    boxes: tuple[Box, ...]
    track: NDArray[np.float32]
    start: int
    caption: str


def build_cache(
    records: list[ClipRecord], folder: Path, options: CacheOptions, encoders: Encoders
) -> CacheReport:
    """Encode every window of every clip that is not stored yet.

    A clip that cannot be used (damaged, too short) is left out and reported, here and in
    `refused.json`; the rest goes on.

    Args:
        records: From `read_manifest`.
        folder: Of the cache; a stopped build goes on where it was.
        options: What is stored.
        encoders: Networks.
    """
    writer = ShardWriter(folder, options.per_shard)
    added, known, refused = 0, 0, {}
    for record in track(records, description="caching"):
        prefix = _clip_digest(record, options, encoders)
        try:
            for window in _windows(record, options):
                size = window.frames.shape[1:3]
                key = hashlib.sha256(f"{prefix} {window.start}".encode()).hexdigest()[:32]
                if key in writer.keys:
                    known += 1
                    continue
                facts = {
                    "clip": record.id,
                    "start": window.start,
                    "bucket": f"{size[0]}x{size[1]}",
                    "tags": dict(record.tags),
                }
                writer.add(key, encode_window(window, options, encoders), facts)
                added += 1
        except InputError as error:
            refused[record.id] = str(error)
    writer.flush()
    writer.write_constants(_constants(options, encoders))
    (folder / "refused.json").write_text(json.dumps(refused, indent=1, sort_keys=True))
    return CacheReport(added=added, known=known, refused=refused)


@torch.no_grad()
def encode_window(window: Window, options: CacheOptions, encoders: Encoders) -> dict[str, Tensor]:
    """Return everything that is stored for a window."""
    parts: dict[str, Tensor] = {}
    layout = options.layout
    first = window.start + layout.motion_frames  # video frame of the first noisy latent
    if "frames" in options.contents:
        parts["frames"] = torch.from_numpy(window.frames.copy())
        parts["regions"] = torch.tensor(window.boxes or [(0.0, 0.0, 0.0, 0.0)] * options.frames)
    pixels = torch.from_numpy(window.frames.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    if "latents" in options.contents:
        parts.update(_encode_latents(pixels, layout, encoders.vae, options.dtype))
    for name in CONDITIONS:
        if name in options.contents:
            parts[name] = _encode_condition(pixels, name, layout, encoders.vae).to(options.dtype)
    if "text" in options.contents:
        states = _text_states(encoders, [window.caption])
        parts["text"] = states[0].to(options.dtype)
    if "text_ids" in options.contents:
        parts["text_ids"], parts["text_mask"] = tokenize(encoders.tokenizer, window.caption)
    if "audio" in options.contents:
        speech = SpeechEncoder(encoders.speech_encoder)
        scale = TrackScale.of(window.track)
        features = speech.windows(window.track, scale, first, layout.noisy_latents)
        parts["audio"] = features[None].to(options.dtype)
    if "speech" in options.contents:
        parts["speech"] = _cut_speech(window.track, first, layout).half()
    return parts


def tokenize(tokenizer: Any, caption: str) -> tuple[Tensor, Tensor]:
    """Return a caption's token ids and their mask, both (positions,) int64."""
    positions = text_positions(tokenizer)
    ids = tokenizer(clean_prompt(caption), add_special_tokens=True)["input_ids"][:positions]
    padded, mask = torch.zeros(2, positions, dtype=torch.int64)
    padded[: len(ids)] = torch.tensor(ids)
    mask[: len(ids)] = 1
    return padded, mask


def encode_frames(vae: Any, pixels: Tensor) -> Tensor:
    """Return normalised latents (1, 16, n, H/8, W/8) of pixels (1, 3, 4 n - 3, H, W) in -1..1."""
    parameter = next(vae.parameters())
    latents = vae.encode(pixels.to(parameter.device, parameter.dtype)).latent_dist.mode().float()
    mean, spread = (
        torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    normalised: Tensor = ((latents - mean) / spread).cpu()
    return normalised


def _encode_latents(
    pixels: Tensor, layout: SegmentLayout, vae: Any, dtype: torch.dtype
) -> dict[str, Tensor]:
    last = layout.motion_frames + layout.usable_frames
    together = encode_frames(vae, pixels[:, :, :last])
    parts = {
        "motion": together[:, :, : layout.motion_latents],
        "latents": together[:, :, layout.motion_latents :],
        "reference": encode_frames(vae, pixels[:, :, -1:]),
    }
    return {name: value[0].to(dtype) for name, value in parts.items()}


def _encode_condition(pixels: Tensor, name: str, layout: SegmentLayout, vae: Any) -> Tensor:
    """The image-to-video teacher's: one frame, then empty ones."""
    index = layout.motion_frames - 1 if name == "image_condition" else -1
    zeros = torch.zeros_like(pixels[:, :, : layout.usable_frames])
    return encode_frames(vae, torch.cat([pixels[:, :, index][:, :, None], zeros], dim=2))[0]


def _cut_speech(track_: NDArray[np.float32], first: int, layout: SegmentLayout) -> Tensor:
    """Standardised sound of a window with the context that the speech encoder hears."""
    start = first - WINDOW_BEFORE - SPEECH_CONTEXT
    frames = layout.usable_frames + WINDOW_BEFORE + WINDOW_AFTER + 2 * SPEECH_CONTEXT
    scale = TrackScale.of(track_)
    low, high = (round(frame * SAMPLE_RATE / layout.fps) for frame in (start, start + frames))
    cut = np.zeros(high - low, dtype=np.float32)
    inside = track_[max(0, low) : max(0, high)]
    offset = max(0, -low)
    cut[offset : offset + inside.size] = inside
    return torch.from_numpy((cut - np.float32(scale.mean)) / np.float32(scale.spread))


def _constants(options: CacheOptions, encoders: Encoders) -> dict[str, Tensor]:
    """The empty and the negative prompt in the form that the stage needs."""
    found: dict[str, Tensor] = {}
    if "text" in options.contents:
        states = _text_states(encoders, ["", options.negative_prompt])
        found["empty_text"], found["negative_text"] = states[:1].clone(), states[1:].clone()
    if "text_ids" in options.contents:
        ids, mask = tokenize(encoders.tokenizer, "")
        found["empty_text_ids"], found["empty_text_mask"] = ids[None], mask[None]
    return found


def _text_states(encoders: Encoders, prompts: list[str]) -> Tensor:
    device = next(encoders.text_encoder.parameters()).device
    states = encode_prompts(encoders.tokenizer, encoders.text_encoder, prompts, device=device)
    return states.cpu()


def _windows(record: ClipRecord, options: CacheOptions) -> Iterator[Window]:
    """Cut a clip into windows of 89 frames at 25 fps."""
    layout, length = options.layout, options.frames
    frames = resample_frames(iter_frames(record.video), layout.fps)
    kept: list[NDArray[np.uint8]] = []
    size: tuple[int, int] | None = None
    sound = read_audio(record.audio or record.video, sample_rate=SAMPLE_RATE)
    whole = np.zeros(1, dtype=np.float32) if sound is None or not sound.size else sound
    track_ = prepare_track(whole, f"the sound of clip {record.id}")
    start = seen = 0
    for frame in frames:
        if size is None:
            height, width = frame.rgb.shape[:2]
            size = choose_size(height, width, options.area, options.multiple)
        kept.append(fit_image(frame.rgb, *size))
        seen += 1
        if len(kept) == length:
            boxes = record.regions
            if len(boxes) == 1:
                boxes = boxes * length
            elif boxes:
                boxes = tuple(islice(boxes, start, start + length))
                if len(boxes) < length:
                    raise InputError(
                        f"clip {record.id} has regions for {len(record.regions)} frames; give one "
                        "box, or one per frame at 25 fps"
                    )
            yield Window(
                frames=np.stack(kept),
                boxes=boxes,
                track=track_,
                start=start,
                caption=record.caption,
            )
            start += options.stride
            kept = kept[options.stride :]
    if seen < length:
        raise InputError(
            f"clip {record.id} has {seen} frames at {layout.fps} fps; a window needs {length} "
            f"({length / layout.fps:.2f} s): give a longer clip"
        )


def _clip_digest(record: ClipRecord, options: CacheOptions, encoders: Encoders) -> str:
    """Digest of everything that decides what a clip's windows become."""
    digest = hashlib.sha256()
    for path in (record.video, record.audio):
        if path is not None:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    settings = [
        CACHE_FORMAT, record.caption, list(record.regions), list(options.contents), options.area,
        options.multiple, options.precision, encoders.fingerprint,
    ]  # fmt: skip
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()
