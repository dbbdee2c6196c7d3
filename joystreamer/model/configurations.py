"""Configurations of the transformer: the paper's size, and a tiny one with every mechanism.

Plain dictionaries of constructor arguments, so that they can be compared, stored and overridden.
"""

from typing import Any


def paper_transformer_config(*, in_channels: int = 16) -> dict[str, Any]:
    """Configuration on Wan2.2-A14B (paper Sec. 4.1), audio sizes of MultiTalk.

    Args:
        in_channels: 16 for the text-to-video base, 36 for the image-to-video base.
    """
    return {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 40,
        "attention_head_dim": 128,
        "in_channels": in_channels,
        "out_channels": 16,
        "text_dim": 4096,
        "freq_dim": 256,
        "ffn_dim": 13824,
        "num_layers": 40,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
        "motion_buckets": (1, 2),
        "reference_offset": 10.0,
        "audio_dim": 768,
        "audio_layers": 12,
        "audio_window": 8,
        "audio_tokens": 32,
        "audio_token_dim": 768,
        "audio_hidden_dim": 512,
        "audio_layer_fusion": "concatenate",
        "audio_block_indices": None,
    }


def tiny_transformer_config(
    *,
    in_channels: int = 16,
    text_dim: int = 32,
    audio_dim: int = 32,
    audio_layers: int = 4,
) -> dict[str, Any]:
    """A configuration that a CPU trains in minutes: narrower and shallower, nothing left out.

    Args:
        in_channels: 16 for the text-to-video base, 36 for the image-to-video base.
        text_dim: Width of the tiny text encoder.
        audio_dim: Width of the tiny speech encoder.
        audio_layers: Hidden layers of the tiny speech encoder.
    """
    return {
        **paper_transformer_config(in_channels=in_channels),
        "num_attention_heads": 2,
        "attention_head_dim": 48,
        "text_dim": text_dim,
        "freq_dim": 64,
        "ffn_dim": 256,
        "num_layers": 4,
        "audio_dim": audio_dim,
        "audio_layers": audio_layers,
        "audio_token_dim": 32,
        "audio_hidden_dim": 128,
    }
