"""Which parts of a pipeline are on the device when: chosen from free memory, explained, overridable.

Arithmetic on parameter counts and sizes comes first and needs no device; `apply_plan` then calls
diffusers' own offloading. Activation figures are estimates, said to be so in every plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from joystreamer.errors import InputError

TIERS = (8, 12, 24, 48, 80)
"""Device memory in GB for which a way of running is kept."""

Residence = Literal["all", "component", "block", "leaf"]

_GB = 1e9
_TIER_SLACK = 0.92  # a card sold as 24 GB shows about 23.6 GiB, of which the desktop takes some
_STREAM_BLOCKS = 2  # blocks on the device while one computes and the next arrives
_RESERVE_GB = 0.6  # CUDA context and allocator slack


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Sizes that decide the need for memory.

    Attributes:
        parameters: Parameters per component.
        blocks: Blocks of a transformer.
        width: Channels of a token.
        ffn: Channels inside the feed-forward layers.
        tokens: Tokens of one segment.
        pixels: Pixels of one frame.
        vae_width: Channels of the VAE's first level.
    """

    parameters: Mapping[str, int]
    blocks: int
    width: int
    ffn: int
    tokens: int
    pixels: int
    vae_width: int

    @classmethod
    def of(cls, pipeline: Any, height: int, width: int) -> "Workload":
        """Workload of a pipeline at a size; works on the meta device."""
        config, layout = pipeline.transformer.config, pipeline.layout
        per_latent = (height // 16) * (width // 16)
        # FramePack: one latent at full density, then each bucket in a quarter of a latent's tokens.
        motion = 1 + 0.25 * (len(config.motion_buckets) - 1)
        return cls(
            parameters={
                name: sum(parameter.numel() for parameter in part.parameters())
                for name, part in pipeline.components.items()
                if isinstance(part, torch.nn.Module)
            },
            blocks=config.num_layers,
            width=config.num_attention_heads * config.attention_head_dim,
            ffn=config.ffn_dim,
            tokens=round(per_latent * (layout.noisy_latents + 1 + motion)),
            pixels=height * width,
            vae_width=pipeline.vae.config.base_dim,
        )

    def weights_gb(self, name: str, bytes_each: float) -> float:
        """Gigabytes of one component."""
        return self.parameters.get(name, 0) * bytes_each / _GB

    def activations_gb(self, branches: int) -> float:
        """Estimated peak of a forward pass in bf16: eight token-wide tensors and two FFN-wide."""
        return branches * self.tokens * (8 * self.width + 2 * self.ffn) * 2 / _GB

    def decoding_gb(self, *, tiled: bool) -> float:
        """Estimated peak of the float32 VAE: six tensors of four full-size frames."""
        pixels = min(self.pixels, 256 * 256) if tiled else self.pixels
        return pixels * 4 * self.vae_width * 4 * 6 / _GB


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPlan:
    """A way of running, and why.

    Attributes:
        tier: Gigabytes planned for.
        residence: `all` components on the device; one `component` at a time; `block`s of the
            transformers streamed; or every `leaf` layer streamed.
        fp8: Whether transformer weights are held in 8 bits and computed in bf16.
        tiled: Whether the VAE works in tiles.
        batch_guidance: Whether the guidance branches run as one batch.
        peak_gb: Estimated peak.
        explanation: Sentences for the user.
    """

    tier: int
    residence: Residence
    fp8: bool
    tiled: bool
    batch_guidance: bool
    peak_gb: float
    explanation: tuple[str, ...]


_LADDER: tuple[tuple[Residence, bool, bool, bool], ...] = (
    # residence, fp8, tiled, batched guidance: fastest first
    ("all", False, False, True),
    ("all", False, False, False),
    ("component", False, False, True),
    ("component", False, False, False),
    ("component", True, False, True),
    ("component", True, False, False),
    ("block", False, False, False),
    ("block", True, True, False),
    ("leaf", True, True, False),
)


def choose_tier(free_gb: float) -> int:
    """Largest tier that fits into free memory; the smallest if none does."""
    fitting = [tier for tier in TIERS if tier * _TIER_SLACK <= free_gb]
    return max(fitting, default=min(TIERS))


def plan_memory(workload: Workload, tier: int, *, guided: bool = True) -> MemoryPlan:
    """The fastest way of running whose estimated peak fits into a tier.

    Args:
        workload: Sizes.
        tier: One of `TIERS`.
        guided: Whether up to three branches run per step; the distilled student has one.

    Raises:
        InputError: No such tier.
    """
    if tier not in TIERS:
        listing = ", ".join(map(str, TIERS))
        raise InputError(f"memory tier {tier} came; choose one of {listing} (gigabytes)")
    for residence, fp8, tiled, batched in _LADDER:
        branches = 3 if guided and batched else 1
        peak = _estimate_peak(workload, residence, fp8, tiled, branches)
        if peak <= tier:
            break
    words = {
        "all": "every component stays on the device",
        "component": "one component at a time is on the device, the others wait in main memory",
        "block": "transformer blocks stream in one ahead of use, other components come when needed",
        "leaf": "single layers stream in when needed",
    }
    weights = sum(workload.weights_gb(name, 2) for name in workload.parameters)
    needed = 1 if residence == "all" else weights
    explanation: tuple[str, ...] = (
        f"planned for {tier} GB: {words[residence]}",
        f"transformer weights in {'8 bits, computed in bf16' if fp8 else 'bf16'}",
        "guidance branches run as one batch" if batched else "guidance branches run one by one",
        f"the VAE works {'in tiles' if tiled else 'on whole frames'}",
        f"estimated peak {peak:.1f} GB on the device; about {needed:.0f} GB of main memory "
        "(an estimate from sizes, not a measurement)",
    )
    if peak > tier:
        explanation = (*explanation, "this exceeds the tier: choose a smaller size")
    return MemoryPlan(
        tier=tier,
        residence=residence,
        fp8=fp8,
        tiled=tiled,
        batch_guidance=batched,
        peak_gb=peak,
        explanation=explanation,
    )


def _estimate_peak(
    workload: Workload, residence: Residence, fp8: bool, tiled: bool, branches: int
) -> float:
    """Peak gigabytes: the largest of what is on the device together, plus a reserve."""
    expert = workload.weights_gb("transformer", 1 if fp8 else 2)
    second = workload.weights_gb("transformer_2", 1 if fp8 else 2)
    text, speech = workload.weights_gb("text_encoder", 2), workload.weights_gb("audio_encoder", 4)
    vae = workload.weights_gb("vae", 4)
    active, decoding = workload.activations_gb(branches), workload.decoding_gb(tiled=tiled)
    if residence == "all":
        peak = expert + second + text + speech + vae + max(active, decoding)
    elif residence == "component":
        peak = max(expert + active, second + active, text, speech, vae + decoding)
    elif residence == "block":
        streamed = _STREAM_BLOCKS * expert / workload.blocks
        peak = max(streamed + active, vae + decoding, text / 12)
    else:
        streamed = 4 * expert / workload.blocks / 10
        peak = max(streamed + active, vae + decoding, text / 12)
    return peak + _RESERVE_GB


def free_device_gb(device: torch.device) -> float:
    """Free memory of a CUDA device in GB; 0 elsewhere, where nothing is planned."""
    if device.type != "cuda":
        return 0.0
    free, _ = torch.cuda.mem_get_info(device)
    return free / _GB


def apply_plan(pipeline: Any, plan: MemoryPlan, device: torch.device) -> None:
    """Arrange a pipeline on a device as planned."""
    experts = [part for part in (pipeline.transformer, pipeline.transformer_2) if part is not None]
    if plan.fp8:
        for expert in experts:
            expert.enable_layerwise_casting(
                storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16
            )
    if plan.tiled:
        pipeline.vae.enable_tiling()
    if plan.residence == "all":
        pipeline.to(device)
    elif plan.residence == "component":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        _stream_weights(pipeline, experts, plan.residence, device)


def _stream_weights(
    pipeline: Any, experts: list[Any], residence: str, device: torch.device
) -> None:
    """Group offloading: transformers by block or layer, the text encoder by layer."""
    from diffusers.hooks import apply_group_offloading

    streaming = {"use_stream": True} if device.type == "cuda" else {}
    kind = {"offload_type": "block_level", "num_blocks_per_group": 1}
    if residence == "leaf":
        kind = {"offload_type": "leaf_level"}
    for expert in experts:
        expert.enable_group_offload(
            onload_device=device, offload_device=torch.device("cpu"), **kind, **streaming
        )
    apply_group_offloading(
        pipeline.text_encoder,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
    )
    pipeline.vae.to(device)
    pipeline.audio_encoder.to(device)
