"""Configurations of every component as functions, and a whole tiny pipeline made on the spot.

`tiny` means small, not simpler: the same classes and mechanisms as `paper`, with fewer channels and
layers. Its weights are random, so its clips are noise, yet of the right size, length and sound.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from transformers import (
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from joystreamer.errors import InputError
from joystreamer.memory import Workload
from joystreamer.model.configurations import paper_transformer_config, tiny_transformer_config
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.options import GenerationOptions, ScaleSchedule
from joystreamer.pipeline import JoyStreamerPipeline
from joystreamer.samplers import make_scheduler

TINY_VOCABULARY = (
    "the a an and of in on at to with is are her his their she he they it person man woman girl boy "
    "puppet doll cat dog talks speaks sings smiles looks walks turns waves raises lifts moves jumps "
    "nods stands still stays place goes appears falls gets blushes closer face night puppets two three "
    "hand hands head arm arms left right up down camera zooms pans in out background room park "
    "street red green blue yellow white black then while slowly quickly cup book ball hat light dark"
)
"""Whole words of the tiny tokenizer; everything else is spelled in characters."""

TINY_TEXT_POSITIONS = 256
"""Half of Wan's: room for its negative prompt, which the tiny tokenizer spells in 243 tokens."""
TRAINED_TEXT_POSITIONS = 64
"""Of a tiny model that is trained: its captions have at most 48 tokens. Networks attend to every position
without a mask, so that more of them would cost as much as the video and drown the words in padding."""
TINY_TEXT_DIM, TINY_AUDIO_DIM, TINY_AUDIO_LAYERS = 32, 32, 4


def paper_sampling(**changes: Any) -> GenerationOptions:
    """Many-step sampling with guidance at 480x832, as the audio teacher is sampled."""
    return GenerationOptions(**changes)


def talking_sampling(**changes: Any) -> GenerationOptions:
    """Like `paper_sampling` for prompts that ask for plain talking: the reference nearer by 7.

    The paper (section 4.3) adds 3 rather than 10 to the reference's index for trivial prompts.
    """
    return GenerationOptions(**{"reference_offset": 3.0, **changes})


def distilled_sampling(**changes: Any) -> GenerationOptions:
    """Four steps without guidance, for a distilled checkpoint."""
    unguided = {"text_scale": ScaleSchedule(1.0), "audio_scale": ScaleSchedule(1.0)}
    return GenerationOptions(**{"sampler": "distilled", "steps": 4, **unguided, **changes})


def tiny_sampling(**changes: Any) -> GenerationOptions:
    """Two guided steps at 64x64: seconds on one CPU core."""
    return GenerationOptions(**{"steps": 2, "area": 64 * 64, **changes})


SAMPLING: dict[str, Callable[..., GenerationOptions]] = {
    "paper": paper_sampling,
    "talking": talking_sampling,
    "distilled": distilled_sampling,
    "tiny": tiny_sampling,
}
"""Sampling presets by the name they have on the command line."""


def sampling_preset(name: str, **changes: Any) -> GenerationOptions:
    """Options of a named preset, with changes.

    Raises:
        InputError: No preset has that name.
    """
    if name not in SAMPLING:
        raise InputError(f"no preset is called {name!r}; choose one of {', '.join(SAMPLING)}")
    return SAMPLING[name](**changes)


def paper_vae_config() -> dict[str, Any]:
    """Wan2.1's 16-channel VAE, 4x8x8 (the class's own defaults, written out)."""
    return {
        "base_dim": 96,
        "z_dim": 16,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "temperal_downsample": [False, True, True],
    }


def tiny_vae_config(*, width: int = 8, residual: bool = False) -> dict[str, Any]:
    """A VAE with the same strides and channels; pixels are folded 2x2 to save a level.

    Args:
        width: Channels of the first level; 16 with `residual` learned puppets best when tried.
        residual: Whether up- and down-sampling have parameter-free shortcuts.
    """
    return {
        "base_dim": width,
        "z_dim": 16,
        "dim_mult": [1, 2, 2],
        "num_res_blocks": 1,
        "temperal_downsample": [True, True],
        "patch_size": 2,
        "in_channels": 12,
        "out_channels": 12,
        "is_residual": residual,
    }


def paper_text_config() -> dict[str, Any]:
    """UMT5-XXL's encoder."""
    return {
        "vocab_size": 256384,
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10240,
        "num_layers": 24,
        "num_heads": 64,
        "feed_forward_proj": "gated-gelu",
    }


def tiny_text_config() -> dict[str, Any]:
    """A two-layer UMT5 encoder over the tiny vocabulary."""
    return {
        "vocab_size": len(tiny_vocabulary()),
        "d_model": TINY_TEXT_DIM,
        "d_kv": 16,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 2,
        "feed_forward_proj": "gated-gelu",
    }


def paper_speech_config() -> dict[str, Any]:
    """The class of chinese-wav2vec2-base: 12 layers of 768 (wav2vec2-base's shape)."""
    return {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}


def tiny_speech_config() -> dict[str, Any]:
    """A four-layer wav2vec2 with the real convolution strides (20 ms per feature)."""
    return {
        "hidden_size": TINY_AUDIO_DIM,
        "num_hidden_layers": TINY_AUDIO_LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 32,
        "num_conv_pos_embedding_groups": 4,
        "vocab_size": 32,
    }


def tiny_vocabulary() -> list[tuple[str, float]]:
    """Pieces of the tiny tokenizer with their log-probabilities, in a fixed order."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("▁", -2.0), *((letter, -6.0) for letter in letters)]
    words = dict.fromkeys(TINY_VOCABULARY.split())
    return special + pieces + [(f"▁{word}", -3.0) for word in words if len(word) > 1]


def tiny_tokenizer(positions: int = TINY_TEXT_POSITIONS) -> T5Tokenizer:
    """A unigram tokenizer of UMT5's class, made in code without any file or network.

    Args:
        positions: Text positions of the network, and the most tokens of a prompt.
    """
    return T5Tokenizer(vocab=tiny_vocabulary(), extra_ids=0, model_max_length=positions)


def tiny_transformer(**changes: Any) -> JoyStreamerTransformer3DModel:
    """A random tiny transformer; its fresh audio layers are no-ops until trained."""
    config = tiny_transformer_config(
        text_dim=TINY_TEXT_DIM, audio_dim=TINY_AUDIO_DIM, audio_layers=TINY_AUDIO_LAYERS
    )
    return JoyStreamerTransformer3DModel(**{**config, **changes}).eval()


def tiny_vae(**changes: Any) -> AutoencoderKLWan:
    """A random tiny VAE."""
    return AutoencoderKLWan(**{**tiny_vae_config(), **changes}).eval()


def tiny_text_encoder() -> UMT5EncoderModel:
    """A random tiny UMT5 encoder."""
    return UMT5EncoderModel(UMT5Config(**tiny_text_config())).eval()


def tiny_speech_encoder() -> Wav2Vec2Model:
    """A random tiny wav2vec2."""
    return Wav2Vec2Model(Wav2Vec2Config(**tiny_speech_config())).eval()


def build_tiny_pipeline(
    seed: int = 0, *, experts: int = 2, text_positions: int = TINY_TEXT_POSITIONS
) -> JoyStreamerPipeline:
    """A whole pipeline of real classes with random weights.

    Args:
        seed: Seed of the weights; the global random state is left as it was.
        experts: 2, or 1 for a single network over all noise levels.
        text_positions: Most tokens of a prompt.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return JoyStreamerPipeline(
            tokenizer=tiny_tokenizer(text_positions),
            text_encoder=tiny_text_encoder(),
            audio_encoder=tiny_speech_encoder(),
            feature_extractor=Wav2Vec2FeatureExtractor(),
            vae=tiny_vae(),
            transformer=tiny_transformer(),
            transformer_2=tiny_transformer() if experts == 2 else None,
            scheduler=make_scheduler("unipc", GenerationOptions().shift),
        )


def paper_workload(height: int, width: int) -> Workload:
    """Sizes of the whole 14B pipeline, counted on the meta device: nothing is allocated."""
    with torch.device("meta"):
        parts = {
            "transformer": JoyStreamerTransformer3DModel(**paper_transformer_config()),
            "text_encoder": UMT5EncoderModel(UMT5Config(**paper_text_config())),
            "audio_encoder": Wav2Vec2Model(Wav2Vec2Config(**paper_speech_config())),
            "vae": AutoencoderKLWan(**paper_vae_config()),
        }
        pipeline = JoyStreamerPipeline(
            tokenizer=None,
            feature_extractor=None,
            scheduler=None,
            transformer_2=parts["transformer"],
            **parts,
        )
    return Workload.of(pipeline, height, width)
