"""OneAlign's network (mPLUG-Owl2): a vision transformer, 64 queries, and a two-way LLaMA.

Written from the published code (Q-Future/Q-Align @14dfdff), whose own loader needs transformers
4.36; parameter names are those of the published files. Only what scoring needs: one forward pass,
no cache. Pictures and words share the language model's queries and feed-forward layers, but have
keys, values and norms of their own.

Shapes: B pictures, N tokens, C channels. The file is long because it is one network.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class OneAlignConfig:
    """Sizes of the network; the defaults are the published ones.

    Attributes:
        image_size: Pixels per side.
        patch: Pixels per side of a patch.
        vision_width: Channels of the vision transformer and of the queries.
        vision_layers: Its blocks.
        vision_heads: Its heads, and those of the query network.
        vision_hidden: Its feed-forward width.
        queries: Visual tokens per picture, before the end token.
        query_layers: Blocks of the query network.
        query_hidden: Its feed-forward width.
        width: Channels of the language model.
        layers: Its blocks.
        heads: Its heads.
        hidden: Its feed-forward width.
        vocabulary: Its tokens.
        rms_eps: Of its norms.
        rope_base: Of its rotary positions.
    """

    image_size: int = 448
    patch: int = 14
    vision_width: int = 1024
    vision_layers: int = 24
    vision_heads: int = 16
    vision_hidden: int = 4096
    queries: int = 64
    query_layers: int = 6
    query_hidden: int = 2816
    width: int = 4096
    layers: int = 32
    heads: int = 32
    hidden: int = 11008
    vocabulary: int = 32000
    rms_eps: float = 1e-5
    rope_base: float = 10000.0

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image_size // self.patch


class Stack(nn.Module):
    """Blocks under the name they have in the published files."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks)


class VisionEmbeddings(nn.Module):
    """Patches, class token and positions."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embed = nn.Conv2d(3, width, config.patch, config.patch, bias=False)
        self.position_embedding = nn.Parameter(torch.zeros(1, config.grid**2 + 1, width))
        self.pre_layernorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Turn (B, 3, H, W) into (B, N, C)."""
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)
        result: Tensor = self.pre_layernorm(tokens + self.position_embedding)
        return result


class VisionAttention(nn.Module):
    """Self-attention whose query, key and value are interleaved by head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        batch, length, width = x.shape
        mixed = self.query_key_value(x).view(batch, length, self.heads, 3, width // self.heads)
        query, key, value = mixed.permute(3, 0, 2, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.dense(mixed.transpose(1, 2).reshape(batch, length, width))
        return result


class VisionMLP(nn.Module):
    """Two layers with the quick GELU of CLIP."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        x = self.fc1(x)
        result: Tensor = self.fc2(x * torch.sigmoid(1.702 * x))
        return result


class VisionLayer(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.self_attn = VisionAttention(width, config.vision_heads)
        self.input_layernorm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = VisionMLP(width, config.vision_hidden)
        self.post_attention_layernorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        x = x + self.self_attn(self.input_layernorm(x))
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return result


class VisionModel(nn.Module):
    """The vision transformer: every token after the last norm."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.embeddings = VisionEmbeddings(config)
        self.encoder = Stack(VisionLayer(config) for _ in range(config.vision_layers))
        self.post_layernorm = nn.LayerNorm(config.vision_width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Turn (B, 3, H, W) into (B, N, C)."""
        x = self.embeddings(images)
        for layer in self.encoder.layers:
            x = layer(x)
        result: Tensor = self.post_layernorm(x)
        return result


def sine_positions(width: int, places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return fixed sine and cosine positions, (places, width)."""
    omega = 1.0 / 10000 ** (np.arange(width // 2, dtype=np.float32) / (width / 2.0))
    angles = places.reshape(-1, 1) * omega
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def grid_positions(width: int, grid: int) -> NDArray[np.float32]:
    """Return fixed positions of a square grid behind a class token at zero, (grid² + 1, width)."""
    rows, columns = np.mgrid[:grid, :grid].astype(np.float32)
    halves = [sine_positions(width // 2, columns), sine_positions(width // 2, rows)]
    return np.concatenate([np.zeros((1, width), np.float32), np.concatenate(halves, axis=1)])


class QueryAttention(nn.Module):
    """Queries look at themselves and at the picture."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.heads = config.vision_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        places = np.arange(config.queries, dtype=np.float32)
        self.register_buffer("q_pos_embed", torch.from_numpy(sine_positions(width, places)))
        grid = torch.from_numpy(grid_positions(width, config.grid))
        self.register_buffer("k_pos_embed", grid)

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        """Map queries (B, Q, C) and what they see (B, Q + N, C) to (B, Q, C)."""
        query_places, key_places = self.q_pos_embed, self.k_pos_embed
        assert isinstance(query_places, Tensor)
        assert isinstance(key_places, Tensor)
        positions = torch.cat([query_places, key_places]).to(seen.dtype)
        query = self._split(self.query(queries + query_places.to(queries.dtype)))
        key, value = self._split(self.key(seen + positions)), self._split(self.value(seen))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(queries.shape)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class QueryMLP(nn.Module):
    """Gated feed-forward with a norm in the middle."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden)
        self.w2 = nn.Linear(hidden, width)
        self.w3 = nn.Linear(width, hidden)
        self.ffn_ln = nn.LayerNorm(hidden, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, Q, C) to (B, Q, C)."""
        result: Tensor = self.w2(self.ffn_ln(functional.silu(self.w1(x)) * self.w3(x)))
        return result


class QueryOutput(nn.Module):
    """Projection and feed-forward with their residuals."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.out_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = QueryMLP(width, config.query_hidden)

    def forward(self, mixed: Tensor, queries: Tensor) -> Tensor:
        """Add the attention's answer to the (normalised) queries."""
        queries = queries + self.out_proj(mixed)
        result: Tensor = queries + self.mlp(self.norm2(queries))
        return result


class QueryLayer(nn.Module):
    """One block of the query network; the residual starts after the first norm, as published."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.attention = QueryAttention(config)
        self.output = QueryOutput(config)
        self.norm1 = nn.LayerNorm(config.vision_width)
        self.normk = nn.LayerNorm(config.vision_width)

    def forward(self, queries: Tensor, picture: Tensor) -> Tensor:
        """Map queries (B, Q, C) given the picture (B, N, C)."""
        queries = self.norm1(queries)
        seen = torch.cat([queries, self.normk(picture)], dim=1)
        result: Tensor = self.output(self.attention(queries, seen), queries)
        return result


class QueryBlock(nn.Module):
    """A query layer under its published name."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.crossattention = QueryLayer(config)

    def forward(self, queries: Tensor, picture: Tensor) -> Tensor:
        """Map queries (B, Q, C) given the picture (B, N, C)."""
        result: Tensor = self.crossattention(queries, picture)
        return result


class VisualAbstractor(nn.Module):
    """Queries a picture and brings the answers into the language model's space."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.encoder = Stack(QueryBlock(config) for _ in range(config.query_layers))
        self.visual_fc = nn.Linear(config.vision_width, config.width)
        self.query_embeds = nn.Parameter(torch.zeros(1, config.queries, config.vision_width))
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, config.width))

    def forward(self, picture: Tensor) -> Tensor:
        """Turn (B, N, C) into (B, queries + 1, language width)."""
        queries = self.query_embeds.expand(len(picture), -1, -1)
        for layer in self.encoder.layers:
            queries = layer(queries, picture)
        ends = self.vit_eos.expand(len(picture), -1, -1)
        return torch.cat([self.visual_fc(queries), ends], dim=1)


class RMSNorm(nn.Module):
    """LLaMA's norm: computed in single precision."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        single = x.float()
        scaled = single * torch.rsqrt(single.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * scaled.to(x.dtype)


class TwoWay(nn.Module):
    """Two modules of one shape: the first for words, the second for pictures."""

    def __init__(self, words: nn.Module, pictures: nn.Module) -> None:
        super().__init__()
        self.multiway = nn.ModuleList([words, pictures])

    def forward(self, x: Tensor, is_picture: Tensor) -> Tensor:
        """Map (N, C), choosing by the bool mask (N,)."""
        words = self.multiway[0](x)
        return torch.where(is_picture[:, None], self.multiway[1](x), words)


class LanguageAttention(nn.Module):
    """Causal attention with rotary positions and two-way keys and values."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.base = config.rope_base

        def linear() -> nn.Linear:
            return nn.Linear(config.width, config.width, bias=False)

        self.q_proj = linear()
        self.k_proj = TwoWay(linear(), linear())
        self.v_proj = TwoWay(linear(), linear())
        self.o_proj = linear()

    def forward(self, x: Tensor, is_picture: Tensor) -> Tensor:
        """Map (N, C) to (N, C)."""
        length, width = x.shape
        parts = (self.q_proj(x), self.k_proj(x, is_picture), self.v_proj(x, is_picture))
        query, key, value = (part.view(length, self.heads, -1).transpose(0, 1) for part in parts)
        query, key = rotate(query, self.base), rotate(key, self.base)
        mixed = functional.scaled_dot_product_attention(
            query[None], key[None], value[None], is_causal=True
        )[0]
        result: Tensor = self.o_proj(mixed.transpose(0, 1).reshape(length, width))
        return result


def rotate(x: Tensor, base: float) -> Tensor:
    """Turn (heads, N, C) by LLaMA's rotary positions: halves, not neighbours, form the planes."""
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)[:, None] * rates
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class LanguageMLP(nn.Module):
    """Gated feed-forward."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) to (N, C)."""
        result: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class LanguageLayer(nn.Module):
    """Pre-norm block with two-way norms."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()

        def norm() -> RMSNorm:
            return RMSNorm(config.width, config.rms_eps)

        self.self_attn = LanguageAttention(config)
        self.mlp = LanguageMLP(config.width, config.hidden)
        self.input_layernorm = TwoWay(norm(), norm())
        self.post_attention_layernorm = TwoWay(norm(), norm())

    def forward(self, x: Tensor, is_picture: Tensor) -> Tensor:
        """Map (N, C) to (N, C)."""
        x = x + self.self_attn(self.input_layernorm(x, is_picture), is_picture)
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x, is_picture))
        return result


class OneAlignModel(nn.Module):
    """Everything below the output layer."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.vision_model = VisionModel(config)
        self.visual_abstractor = VisualAbstractor(config)
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(LanguageLayer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.rms_eps)


class OneAlign(nn.Module):
    """Pictures between two pieces of text, and the logits of the next word."""

    def __init__(self, config: OneAlignConfig) -> None:
        super().__init__()
        self.config = config
        self.model = OneAlignModel(config)
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)

    def look(self, images: Tensor) -> Tensor:
        """Return visual tokens (B, queries + 1, C) of pictures (B, 3, H, W)."""
        result: Tensor = self.model.visual_abstractor(self.model.vision_model(images))
        return result

    def forward(self, before: Tensor, visual: Tensor, after: Tensor) -> Tensor:
        """Return the next word's logits, (vocabulary,).

        Args:
            before: Token ids ahead of the pictures, (N,).
            visual: Visual tokens in a row, (M, C).
            after: Token ids behind them, (N,).
        """
        words = self.model.embed_tokens
        x = torch.cat([words(before), visual, words(after)])
        is_picture = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        is_picture[len(before) : len(before) + len(visual)] = True
        for layer in self.model.layers:
            x = layer(x, is_picture)
        result: Tensor = self.lm_head(self.model.norm(x[-1:]))[0]
        return result
