"""One transformer block: Wan's, with two noise levels in one sequence and an ear for speech.

The sequence holds noisy tokens first and clean tokens (reference, motion) after them. Wan modulates
all tokens by one timestep; here the first part is modulated by the noisy level and the rest by
level 0, with a split index rather than a modulation per token.
"""

import torch
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor

from joystreamer.model.audio_attention import AudioAttention
from joystreamer.model.speaker_routing import SpeakerRoute


def modulate(hidden_states: Tensor, scale: Tensor, shift: Tensor, split: int) -> Tensor:
    """Scale and shift tokens by their noise level, in float32, returned in the dtype given.

    Args:
        hidden_states: (B, tokens, dim), the first `split` of them noisy.
        scale: (B, levels, dim); levels is 1 (all noisy) or 2 (noisy, clean).
        shift: (B, levels, dim).
        split: Number of noisy tokens.
    """
    if scale.shape[1] == 1:
        return hidden_states * (1 + scale) + shift
    noisy, clean = hidden_states[:, :split], hidden_states[:, split:]
    noisy = noisy * (1 + scale[:, :1]) + shift[:, :1]
    clean = clean * (1 + scale[:, 1:]) + shift[:, 1:]
    return torch.cat([noisy, clean], dim=1)


def add_gated(hidden_states: Tensor, update: Tensor, gate: Tensor, split: int) -> Tensor:
    """Add an update, gated by noise level in float32, to the tokens; dtype and shapes are kept.

    Args:
        hidden_states: (B, tokens, dim).
        update: (B, tokens, dim).
        gate: (B, levels, dim), float32.
        split: Number of noisy tokens.
    """
    if gate.shape[1] == 1:
        return (hidden_states.float() + update * gate).type_as(hidden_states)
    noisy = (hidden_states[:, :split].float() + update[:, :split] * gate[:, :1]).type_as(
        hidden_states
    )
    clean = (hidden_states[:, split:].float() + update[:, split:] * gate[:, 1:]).type_as(
        hidden_states
    )
    return torch.cat([noisy, clean], dim=1)


class JoyStreamerBlock(WanTransformerBlock):
    """Self-attention, text cross-attention, audio cross-attention, feed-forward.

    All parameters of Wan's block keep their names; `audio_norm` and `audio_attn` are new.

    Args:
        dim: Width of the transformer.
        ffn_dim: Width of the feed-forward network.
        num_heads: Attention heads.
        qk_norm: Kind of query and key normalisation.
        cross_attn_norm: Whether text attention has its own layer norm.
        eps: Of the norms.
        added_kv_proj_dim: Width of image tokens (Wan2.1 image-to-video), or None.
        audio_token_dim: Channels of an audio token, or None for a block without audio.
    """

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        qk_norm: str,
        cross_attn_norm: bool,
        eps: float,
        added_kv_proj_dim: int | None,
        audio_token_dim: int | None,
    ) -> None:
        super().__init__(dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim)
        self.audio_norm: FP32LayerNorm | None = None
        self.audio_attn: AudioAttention | None = None
        if audio_token_dim is not None:
            self.audio_norm = FP32LayerNorm(dim, eps, elementwise_affine=True)
            self.audio_attn = AudioAttention(dim, num_heads, eps, audio_token_dim)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        rotary_emb: tuple[Tensor, Tensor],
        noisy_tokens: int,
        attention_mask: Tensor | None = None,
        audio_tokens: Tensor | None = None,
        route: SpeakerRoute | None = None,
    ) -> Tensor:
        """Transform the tokens.

        Args:
            hidden_states: (B, tokens, dim), noisy tokens first.
            encoder_hidden_states: (B, text tokens, dim).
            temb: (B, levels, 6, dim); levels is 1 (all tokens noisy) or 2 (noisy, clean).
            rotary_emb: Cosines and sines, each (1, tokens, 1, head channels).
            noisy_tokens: How many of the tokens held here are noisy.
            attention_mask: (1, 1, 1, all tokens) bool, False for padding; None if there is none.
            audio_tokens: (B*S*T, audio tokens, channels), or None for no audio.
            route: Which token listens to which audio group.

        Returns:
            Tokens of the same shape.
        """
        modulation = self.scale_shift_table.unsqueeze(1) + temb.float()
        shift_sa, scale_sa, gate_sa, shift_ff, scale_ff, gate_ff = modulation.unbind(dim=2)
        split = noisy_tokens

        normed = modulate(self.norm1(hidden_states.float()), scale_sa, shift_sa, split)
        update = self.attn1(normed.type_as(hidden_states), None, attention_mask, rotary_emb)
        hidden_states = add_gated(hidden_states, update, gate_sa, split)

        normed = self.norm2(hidden_states.float()).type_as(hidden_states)
        hidden_states = hidden_states + self.attn2(normed, encoder_hidden_states, None, None)

        if (
            self.audio_attn is not None
            and self.audio_norm is not None
            and audio_tokens is not None
            and noisy_tokens > 0
        ):
            noisy = hidden_states[:, :noisy_tokens]
            normed = self.audio_norm(noisy.float()).type_as(noisy)
            noisy = noisy + self.audio_attn(normed, audio_tokens, route)
            hidden_states = torch.cat([noisy, hidden_states[:, noisy_tokens:]], dim=1)

        normed = modulate(self.norm3(hidden_states.float()), scale_ff, shift_ff, split)
        update = self.ffn(normed.type_as(hidden_states))
        return add_gated(hidden_states, update.float(), gate_ff, split)


# First-block caching and its kin look blocks up here.
TransformerBlockRegistry.register(
    model_class=JoyStreamerBlock,
    metadata=TransformerBlockMetadata(
        return_hidden_states_index=0, return_encoder_hidden_states_index=None
    ),
)
