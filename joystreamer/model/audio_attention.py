"""How speech enters the network: a projector, and a cross-attention in every block.

A latent frame listens to its own window of speech features (paper Sec. 3.2: stage 2; the paper
gives no sizes, the default ones are those of MultiTalk). Which token listens to which speaker is
decided in `speaker_routing`; making features from sound is `joystreamer.conditioning.audio`'s.
"""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn
from torch.nn import functional as F

from joystreamer.errors import InputError
from joystreamer.model.speaker_routing import SpeakerRoute

AUDIO_LAYER_FUSIONS = ("concatenate", "weighted")


class AudioProjector(nn.Module):
    """Turns the window of speech features of a latent frame into a few audio tokens.

    Args:
        audio_dim: Channels of a speech feature (wav2vec2 hidden size).
        audio_layers: Hidden layers of the speech encoder per feature.
        audio_window: Speech features (one per video frame) per latent frame.
        audio_tokens: Audio tokens per latent frame.
        audio_token_dim: Channels of an audio token.
        audio_hidden_dim: Width of the two hidden layers.
        audio_layer_fusion: 'concatenate' feeds all layers side by side (MultiTalk); 'weighted'
            feeds their learned convex mixture (Wan-S2V style, for encoders with many layers).
    """

    def __init__(
        self,
        *,
        audio_dim: int,
        audio_layers: int,
        audio_window: int,
        audio_tokens: int,
        audio_token_dim: int,
        audio_hidden_dim: int,
        audio_layer_fusion: str,
    ) -> None:
        super().__init__()
        if audio_layer_fusion not in AUDIO_LAYER_FUSIONS:
            raise InputError(
                f"audio_layer_fusion is {audio_layer_fusion!r}; it must be one of "
                f"{', '.join(AUDIO_LAYER_FUSIONS)}; correct the model configuration"
            )
        self.window = (audio_window, audio_layers, audio_dim)
        self.tokens = audio_tokens
        fused = audio_layers if audio_layer_fusion == "concatenate" else 1
        self.layer_logits = None
        if audio_layer_fusion == "weighted":
            self.layer_logits = nn.Parameter(torch.zeros(audio_layers))
        self.linear_1 = nn.Linear(audio_window * fused * audio_dim, audio_hidden_dim)
        self.linear_2 = nn.Linear(audio_hidden_dim, audio_hidden_dim)
        self.linear_3 = nn.Linear(audio_hidden_dim, audio_tokens * audio_token_dim)
        self.norm = nn.LayerNorm(audio_token_dim)

    def forward(self, audio_features: Tensor) -> Tensor:
        """Project speech features.

        Args:
            audio_features: (B, S, T, window, layers, audio_dim), S streams over T latent frames.
                All zeros is null audio (paper Eq. 2: 'a zero embedding').

        Returns:
            Audio tokens (B*S*T, tokens, audio_token_dim), grouped by (batch, stream, frame).

        Raises:
            InputError: The features do not have the configured window, layers and channels.
        """
        if audio_features.ndim != 6 or audio_features.shape[3:] != self.window:
            raise InputError(
                f"audio_features have shape {tuple(audio_features.shape)}; this model takes "
                f"(batch, streams, latents, {', '.join(map(str, self.window))}); use the speech "
                "encoder that the checkpoint was made with"
            )
        if self.layer_logits is not None:
            mixture = self.layer_logits.softmax(dim=0).to(audio_features.dtype)
            audio_features = torch.einsum("bstwlc,l->bstwc", audio_features, mixture)
        hidden = audio_features.flatten(3).flatten(0, 2)
        hidden = F.relu(self.linear_1(hidden))
        hidden = F.relu(self.linear_2(hidden))
        return self.norm(self.linear_3(hidden).unflatten(-1, (self.tokens, -1)))


class AudioAttnProcessor:
    """Runs the audio cross-attention of all speakers in one call of the chosen backend."""

    _attention_backend = None  # set by `set_attention_backend`
    _parallel_config = None  # set by `enable_parallelism`; unused: audio keys are on every device

    def __call__(
        self,
        attn: "AudioAttention",
        hidden_states: Tensor,
        audio_tokens: Tensor,
        route: SpeakerRoute,
    ) -> Tensor:
        """Attend; shapes as in `AudioAttention.forward`."""
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(attn.to_k(audio_tokens)).unflatten(2, (attn.heads, -1))
        value = attn.to_v(audio_tokens).unflatten(2, (attn.heads, -1))
        tokens = query.flatten(0, 1)
        if route.queries is None:
            tiles = tokens.unflatten(0, (key.shape[0], -1))
        else:
            tiles = tokens.index_select(0, route.queries.flatten())
            tiles = tiles.unflatten(0, tuple(route.queries.shape))
            if route.streams is not None:
                key = key.index_select(0, route.streams)
                value = value.index_select(0, route.streams)
        answers = dispatch_attention_fn(
            tiles,
            key,
            value,
            attn_mask=None,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
            parallel_config=None,
        )
        answers = answers.flatten(2, 3).flatten(0, 1).type_as(query)
        if route.slots is not None:
            answers = answers.index_select(0, route.slots.flatten())
            if route.weights is not None:
                answers = answers.unflatten(0, tuple(route.slots.shape))
                answers = (answers * route.weights.unsqueeze(-1)).sum(dim=1).type_as(query)
        return attn.to_out[1](
            attn.to_out[0](answers.view(hidden_states.shape[0], -1, attn.inner_dim))
        )


class AudioAttention(WanAttention):
    """Wan's cross-attention with keys and values from audio tokens and a zero-initialised output.

    Args:
        dim: Width of the transformer.
        heads: Attention heads.
        eps: Of the RMS norms of queries and keys.
        audio_token_dim: Channels of an audio token.
    """

    _default_processor_cls = AudioAttnProcessor
    _available_processors = [AudioAttnProcessor]  # noqa: RUF012 - the form diffusers reads
    _supports_qkv_fusion = False  # keys and values are a few tokens: nothing to gain

    def __init__(self, dim: int, heads: int, eps: float, audio_token_dim: int) -> None:
        super().__init__(
            dim=dim,
            heads=heads,
            dim_head=dim // heads,
            eps=eps,
            cross_attention_dim_head=dim // heads,
            processor=AudioAttnProcessor(),
        )
        self.to_k = nn.Linear(audio_token_dim, self.kv_inner_dim, bias=True)
        self.to_v = nn.Linear(audio_token_dim, self.kv_inner_dim, bias=True)
        self.silence_output()

    @torch.no_grad()
    def silence_output(self) -> None:
        """Zero the output projection, so that a new layer changes nothing."""
        self.to_out[0].weight.zero_()
        self.to_out[0].bias.zero_()

    def forward(
        self, hidden_states: Tensor, audio_tokens: Tensor, route: SpeakerRoute, **kwargs: Any
    ) -> Tensor:
        """Let noisy video tokens listen.

        Args:
            hidden_states: (B, noisy tokens, dim).
            audio_tokens: (B*S*T, tokens, audio_token_dim), grouped by (batch, stream, frame).
            route: Which token attends to which group.
            **kwargs: Passed to a custom processor.

        Returns:
            The update (B, noisy tokens, dim).
        """
        return self.processor(self, hidden_states, audio_tokens, route, **kwargs)
