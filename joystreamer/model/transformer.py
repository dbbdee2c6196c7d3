"""The denoiser: a Wan transformer that also sees a reference, a motion history and speech.

One segment is one sequence: noisy latents, then the clean reference (pseudo last frame), then the
clean, packed motion history. Knows nothing of sampling, of images or of sound.
"""

import math
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import FromOriginalModelMixin, PeftAdapterMixin
from diffusers.models._modeling_parallel import ContextParallelInput, ContextParallelOutput
from diffusers.models.attention import AttentionMixin
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanTimeTextImageEmbedding
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from joystreamer.errors import InputError
from joystreamer.model.audio_attention import AudioProjector
from joystreamer.model.block import JoyStreamerBlock
from joystreamer.model.frame_pack import FramePack
from joystreamer.model.positions import SegmentRotaryEmbedding, segment_grids
from joystreamer.model.segment_inputs import fill_channels, list_audio_blocks, measure_segment
from joystreamer.model.speaker_routing import SpeakerRoute, check_speaker_masks, route_speakers
from joystreamer.model.token_shard import TokenShard, shard_tokens


class JoyStreamerTransformer3DModel(
    ModelMixin, ConfigMixin, PeftAdapterMixin, FromOriginalModelMixin, CacheMixin, AttentionMixin
):
    """Predicts the flow-matching velocity of the noisy latents of one segment.

    With reference, motion and audio absent it equals diffusers' `WanTransformer3DModel`; freshly
    initialised audio layers change nothing either, since their outputs are zero.

    Args:
        patch_size: Patch in latents (time, height, width); time must be 1.
        num_attention_heads: Attention heads.
        attention_head_dim: Channels per head.
        in_channels: Channels in (16; 36 for an image-to-video base: noise, mask, condition).
        out_channels: Channels out.
        text_dim: Width of text embeddings.
        freq_dim: Width of the sinusoidal timestep embedding.
        ffn_dim: Width of the feed-forward networks.
        num_layers: Blocks.
        cross_attn_norm: Whether text attention has its own layer norm.
        qk_norm: Kind of query and key normalisation.
        eps: Of the norms.
        image_dim: Width of CLIP image embeddings (Wan2.1 image-to-video only).
        added_kv_proj_dim: Width of image tokens in text attention (Wan2.1 image-to-video only).
        rope_max_seq_len: Kept for Wan configurations; positions here are not tabled.
        pos_embed_seq_len: Length of learned image positions (Wan2.1 first-last-frame only).
        motion_buckets: Motion latents per FramePack bucket, newest first.
        reference_offset: Distance added to the reference's temporal position.
        audio_dim: Channels of a speech feature.
        audio_layers: Hidden layers per speech feature.
        audio_window: Speech features per latent frame.
        audio_tokens: Audio tokens per latent frame.
        audio_token_dim: Channels of an audio token.
        audio_hidden_dim: Hidden width of the audio projector.
        audio_layer_fusion: 'concatenate' or 'weighted', see `AudioProjector`.
        audio_block_indices: Blocks with audio attention; all of them if None.

    Raises:
        InputError: The configuration contradicts itself.
    """

    _supports_gradient_checkpointing = True
    _skip_layerwise_casting_patterns = [  # noqa: RUF012 - the form diffusers reads
        "patch_embedding",
        "condition_embedder",
        "frame_pack",
        "audio_projector",
        "norm",
    ]
    _no_split_modules = ["JoyStreamerBlock"]  # noqa: RUF012
    _keep_in_fp32_modules = [  # noqa: RUF012 - the form diffusers reads
        "time_embedder",
        "scale_shift_table",
        "norm1",
        "norm2",
        "norm3",
        "audio_norm",
        "layer_logits",
    ]
    _keys_to_ignore_on_load_unexpected = ["norm_added_q"]  # noqa: RUF012 - as Wan ignores it
    _repeated_blocks = ["JoyStreamerBlock"]  # noqa: RUF012
    _cp_plan = {  # noqa: RUF012 - the form diffusers reads
        "rope": {
            0: ContextParallelInput(split_dim=1, expected_dims=4, split_output=True),
            1: ContextParallelInput(split_dim=1, expected_dims=4, split_output=True),
        },
        "blocks.0": {
            "hidden_states": ContextParallelInput(split_dim=1, expected_dims=3),
        },
        "proj_out": ContextParallelOutput(gather_dim=1, expected_dims=3),
    }

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,  # noqa: ARG002 - part of Wan's configuration
        pos_embed_seq_len: int | None = None,
        motion_buckets: tuple[int, ...] = (1, 2),
        reference_offset: float = 10.0,  # noqa: ARG002 - read from the configuration
        audio_dim: int = 768,
        audio_layers: int = 12,
        audio_window: int = 8,
        audio_tokens: int = 32,
        audio_token_dim: int = 768,
        audio_hidden_dim: int = 512,
        audio_layer_fusion: str = "concatenate",
        audio_block_indices: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if patch_size[0] != 1:
            raise InputError(
                f"patch_size is {tuple(patch_size)}; patches span one latent in time; use (1, h, w)"
            )
        with_audio = list_audio_blocks(audio_block_indices, num_layers)
        inner_dim = num_attention_heads * attention_head_dim
        self.rope = SegmentRotaryEmbedding(attention_head_dim)
        self.patch_embedding = nn.Conv3d(
            in_channels, inner_dim, kernel_size=patch_size, stride=patch_size
        )
        self.condition_embedder = WanTimeTextImageEmbedding(
            dim=inner_dim,
            time_freq_dim=freq_dim,
            time_proj_dim=inner_dim * 6,
            text_embed_dim=text_dim,
            image_embed_dim=image_dim,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        self.blocks = nn.ModuleList(
            JoyStreamerBlock(
                inner_dim,
                ffn_dim,
                num_attention_heads,
                qk_norm,
                cross_attn_norm,
                eps,
                added_kv_proj_dim,
                audio_token_dim if index in with_audio else None,
            )
            for index in range(num_layers)
        )
        self.norm_out = FP32LayerNorm(inner_dim, eps, elementwise_affine=False)
        self.proj_out = nn.Linear(inner_dim, out_channels * math.prod(patch_size))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, inner_dim) / inner_dim**0.5)
        self.frame_pack = FramePack(in_channels, inner_dim, patch_size, tuple(motion_buckets))
        self.frame_pack.start_from_patch_embedding(self.patch_embedding)
        self.audio_projector = AudioProjector(
            audio_dim=audio_dim,
            audio_layers=audio_layers,
            audio_window=audio_window,
            audio_tokens=audio_tokens,
            audio_token_dim=audio_token_dim,
            audio_hidden_dim=audio_hidden_dim,
            audio_layer_fusion=audio_layer_fusion,
        )
        self.gradient_checkpointing = False

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        reference_latents: Tensor | None = None,
        motion_latents: Tensor | None = None,
        audio_features: Tensor | None = None,
        speaker_masks: Tensor | None = None,
        reference_offset: float | None = None,
        encoder_hidden_states_image: Tensor | None = None,
        attention_kwargs: dict[str, Any] | None = None,  # noqa: ARG002 - read by the decorator
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the velocity (noise minus clean) of the noisy latents.

        Args:
            hidden_states: (B, in_channels, T, H, W) noisy latents; T = 19 in a full segment.
            timestep: (B,) noise level of the noisy latents, 0 (clean) to 1000; clean tokens get 0.
            encoder_hidden_states: (B, text tokens, text_dim); Wan pads text to 512 tokens.
            reference_latents: (B, C, 1, H, W) clean reference, or None.
            motion_latents: (B, C, sum of motion_buckets, H, W) clean, oldest to newest, or None.
            audio_features: (B, S, T, window, layers, audio_dim) for S streams, or None for a
                network without audio. All zeros is null audio; silence is a stream of its own.
            speaker_masks: (B or 1, S, rows, columns) shares of each stream per token, summing to
                one; rows = H / patch height. May be None only when S = 1.
            reference_offset: Overrides the configured temporal offset of the reference.
            encoder_hidden_states_image: CLIP image embeddings (Wan2.1 image-to-video only).
            attention_kwargs: {'scale': x} scales LoRA layers.
            return_dict: Whether to return an output object instead of a tuple.

        Returns:
            `sample` (B, out_channels, T, H, W), the velocity of the noisy latents only.

        Raises:
            InputError: Shapes do not fit each other or the configuration.
        """
        grid = measure_segment(
            hidden_states, reference_latents, self.config.in_channels, self.config.patch_size
        )
        hidden_states, shard, rotary_emb = self._embed_latents(
            hidden_states, reference_latents, motion_latents, reference_offset, grid
        )
        temb, modulation, text = self._embed_conditions(
            timestep, encoder_hidden_states, encoder_hidden_states_image, shard
        )
        audio_tokens, route = self._embed_audio(
            audio_features, speaker_masks, hidden_states, grid, shard
        )
        mask = None
        if shard.padding:
            mask = torch.arange(shard.total + shard.padding, device=hidden_states.device)
            mask = (mask < shard.total).view(1, 1, 1, -1)

        inputs = (text, modulation, rotary_emb, shard.noisy_held, mask, audio_tokens, route)
        for block in self.blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                hidden_states = self._gradient_checkpointing_func(block, hidden_states, *inputs)
            else:
                hidden_states = block(hidden_states, *inputs)

        if shard.is_whole:
            hidden_states = hidden_states[:, : shard.noisy]
        # Otherwise every process projects all it holds, so that the parts gathered are equal.
        shift, scale = (self.scale_shift_table.to(temb.device) + temb.unsqueeze(1)).chunk(2, dim=1)
        shift, scale = shift.to(hidden_states.device), scale.to(hidden_states.device)
        normed = (self.norm_out(hidden_states.float()) * (1 + scale) + shift).type_as(hidden_states)
        patches = self.proj_out(normed)[:, : shard.noisy]
        sample = self._unpatchify(patches, grid)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    @classmethod
    def from_single_file(
        cls, pretrained_model_link_or_path_or_dict: str | PathLike[str], **kwargs: Any
    ) -> "JoyStreamerTransformer3DModel":
        """Load one expert of Wan or JoyStreamer from a local `.safetensors` file or folder.

        diffusers' own loader only knows its own classes; this one reads both layouts.

        Args:
            pretrained_model_link_or_path_or_dict: Path of the file or folder.
            **kwargs: `torch_dtype`, `device`, `config`, as for `weights.wan_to_joystreamer`.
        """
        from joystreamer.model.weights import wan_to_joystreamer  # weights needs this class

        return wan_to_joystreamer(
            Path(pretrained_model_link_or_path_or_dict),
            dtype=kwargs.pop("torch_dtype", None),
            **kwargs,
        )

    def _embed_latents(
        self,
        hidden_states: Tensor,
        reference_latents: Tensor | None,
        motion_latents: Tensor | None,
        reference_offset: float | None,
        grid: tuple[int, int, int],
    ) -> tuple[Tensor, TokenShard, tuple[Tensor, Tensor]]:
        """Tokens of the segment in order, the part this process will hold, and positions."""
        tokens = [self.patch_embedding(hidden_states).flatten(2).transpose(1, 2)]
        if reference_latents is not None:
            reference = fill_channels(reference_latents, hidden_states)
            tokens.append(self.patch_embedding(reference).flatten(2).transpose(1, 2))
        if motion_latents is not None:
            tokens.append(self.frame_pack(fill_channels(motion_latents, hidden_states)))
        noisy, total = tokens[0].shape[1], sum(part.shape[1] for part in tokens)
        shard = shard_tokens(noisy, total, self._parallel_config)
        if shard.padding:
            tokens.append(
                tokens[0].new_zeros(tokens[0].shape[0], shard.padding, tokens[0].shape[2])
            )
        offset = self.config.reference_offset if reference_offset is None else reference_offset
        grids = segment_grids(
            frames=grid[0],
            rows=grid[1],
            columns=grid[2],
            reference_offset=None if reference_latents is None else offset,
            motion_buckets=() if motion_latents is None else self.frame_pack.buckets,
        )
        rotary_emb = self.rope(grids, hidden_states.device, shard.padding)
        return torch.cat(tokens, dim=1) if len(tokens) > 1 else tokens[0], shard, rotary_emb

    def _embed_conditions(
        self, timestep: Tensor, text: Tensor, image: Tensor | None, shard: TokenShard
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embedding of the noisy level (B, dim), modulation (B, levels, 6, dim), text tokens."""
        if shard.total == shard.noisy:
            temb, modulation, text, image = self.condition_embedder(timestep, text, image)
            modulation = modulation.unflatten(1, (1, 6, -1))
        else:
            levels = torch.stack([timestep, torch.zeros_like(timestep)], dim=1)
            temb, modulation, text, image = self.condition_embedder(
                levels.flatten(), text, image, timestep_seq_len=2
            )
            temb, modulation = temb[:, 0], modulation.unflatten(2, (6, -1))
        if image is not None:
            text = torch.cat([image, text], dim=1)
        return temb, modulation, text

    def _embed_audio(
        self,
        audio_features: Tensor | None,
        speaker_masks: Tensor | None,
        hidden_states: Tensor,
        grid: tuple[int, int, int],
        shard: TokenShard,
    ) -> tuple[Tensor | None, SpeakerRoute | None]:
        """Audio tokens of all streams and the route of the noisy tokens held here."""
        if audio_features is None:
            return None, None
        batch, streams, frames = audio_features.shape[:3]
        if (batch, frames) != (hidden_states.shape[0], grid[0]):
            raise InputError(
                f"audio_features cover batch {batch} and {frames} latents; the noisy latents have "
                f"batch {hidden_states.shape[0]} and {grid[0]} latents; give one window per latent"
            )
        shape = (batch, streams, grid[1], grid[2])
        if speaker_masks is not None:
            check_speaker_masks(speaker_masks, shape)
        elif streams > 1:
            raise InputError(
                f"audio_features hold {streams} streams but speaker_masks is None; pass masks of "
                f"shape {shape} that say which region each stream drives, silence last"
            )
        audio_tokens = self.audio_projector(audio_features.to(hidden_states.dtype))
        if streams == 1 and shard.is_whole:
            return audio_tokens, SpeakerRoute()
        if speaker_masks is None:
            speaker_masks = hidden_states.new_ones(shape)
        masks = speaker_masks.to(hidden_states.device).expand(shape)
        if shard.noisy_held == 0:
            return audio_tokens, SpeakerRoute()
        return audio_tokens, route_speakers(masks, frames, shard.noisy_start, shard.noisy_stop)

    def _unpatchify(self, patches: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Reorder patch outputs (B, tokens, patch pixels * channels) into latents."""
        shape = (patches.shape[0], *grid, *self.config.patch_size, -1)
        latents = patches.reshape(shape)
        # (B, T, rows, columns, patch t, patch h, patch w, C)
        latents = latents.permute(0, 7, 1, 4, 2, 5, 3, 6)
        return latents.flatten(6, 7).flatten(4, 5).flatten(2, 3)
