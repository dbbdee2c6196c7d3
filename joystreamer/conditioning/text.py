"""Prompts as the network reads them: UMT5 states, cut to their true length and padded with zeros.

Wan's convention: the network sees 512 positions without a mask, so the padding must be zeros and
not the encoder's states of padding tokens.
"""

import re
from collections.abc import Sequence
from typing import Any

import ftfy
import torch
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.options import NEGATIVE_PROMPT

MOST_TOKENS = 512
"""Text positions that Wan's networks were trained with."""


def text_positions(tokenizer: Any) -> int:
    """Text positions that a network sees: its tokenizer's own limit, at most 512."""
    return min(MOST_TOKENS, int(tokenizer.model_max_length))


def negative_that_fits(tokenizer: Any, prompt: str) -> str:
    """Return the negative prompt, or an empty one for Wan's own where the network is too small for it.

    A network with fewer positions than Wan's negative prompt has tokens was never trained with it; a
    prompt that somebody chose stays, and is refused like any other if it is too long.

    Args:
        tokenizer: Tokenizer of the UMT5 encoder.
        prompt: Negative prompt.
    """
    if prompt != NEGATIVE_PROMPT:
        return prompt
    tokens = len(tokenizer(clean_prompt(prompt), add_special_tokens=True)["input_ids"])
    return prompt if tokens <= text_positions(tokenizer) else ""


def clean_prompt(prompt: str) -> str:
    """Prompt with broken encodings mended and runs of white space as one space."""
    return re.sub(r"\s+", " ", ftfy.fix_text(prompt)).strip()


@torch.no_grad()
def encode_prompts(
    tokenizer: Any, encoder: Any, prompts: Sequence[str], *, device: torch.device | str = "cpu"
) -> Tensor:
    """Text states of several prompts.

    Args:
        tokenizer: Tokenizer of the UMT5 encoder.
        encoder: `UMT5EncoderModel`.
        prompts: Texts; an empty one is encoded as its end token.
        device: Where the encoder runs.

    Returns:
        (prompts, positions, channels) in the encoder's precision, zero beyond each prompt's length;
        512 positions, or as many as the tokenizer allows if that is less.

    Raises:
        InputError: A prompt has more tokens than positions.
    """
    positions = text_positions(tokenizer)
    cleaned = [clean_prompt(prompt) for prompt in prompts]
    encoded = [tokenizer(text, add_special_tokens=True)["input_ids"] for text in cleaned]
    for text, ids in zip(cleaned, encoded, strict=True):
        if len(ids) > positions:
            raise InputError(
                f"the prompt beginning {text[:40]!r} has {len(text.split())} words "
                f"({len(ids)} tokens); at most {positions} tokens fit, so shorten it"
            )
    states = []
    for ids in encoded:
        tokens = torch.tensor([ids], device=device)
        hidden = encoder(tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[0]
        padding = hidden.new_zeros(positions - len(ids), hidden.shape[-1])
        states.append(torch.cat([hidden, padding]))
    return torch.stack(states)
