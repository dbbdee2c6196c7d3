"""Text states: zero padding, true length, cleaning, the limit."""

import pytest
import torch

from joystreamer.conditioning.text import clean_prompt, encode_prompts, negative_that_fits
from joystreamer.errors import InputError
from joystreamer.options import NEGATIVE_PROMPT
from joystreamer.presets import TRAINED_TEXT_POSITIONS, tiny_tokenizer


def encode(pipeline, *prompts):
    return encode_prompts(pipeline.tokenizer, pipeline.text_encoder, prompts)


def test_states_are_cut_to_length_and_padded_with_zeros(tiny_pipeline):
    states = encode(tiny_pipeline, "a man talks", "the woman waves while the camera zooms in")
    assert states.shape == (2, 256, 32)
    for row, prompt in enumerate(("a man talks", "the woman waves while the camera zooms in")):
        length = len(tiny_pipeline.tokenizer(prompt)["input_ids"])
        assert states[row, :length].abs().amin(dim=0).max() > 0
        assert states[row, :length].abs().sum(dim=-1).min() > 0
        assert not states[row, length:].any()


def test_neighbours_do_not_change_a_prompt(tiny_pipeline):
    alone = encode(tiny_pipeline, "a cat jumps")
    together = encode(tiny_pipeline, "a much longer sentence about a dog", "a cat jumps")
    assert torch.equal(alone[0], together[1])


def test_an_empty_prompt_is_its_end_token(tiny_pipeline):
    states = encode(tiny_pipeline, "")
    assert states[0, 0].any()
    assert not states[0, 1:].any()


def test_prompts_are_cleaned():
    assert clean_prompt("  a\n\n man\t talks â€“ loudly ") == "a man talks – loudly"


def test_the_tiny_tokenizer_knows_words_and_spells_the_rest(tiny_pipeline):
    tokenizer = tiny_pipeline.tokenizer
    assert tokenizer.tokenize("the woman waves") == ["▁the", "▁woman", "▁waves"]
    assert tokenizer.decode(tokenizer("xylophone!")["input_ids"], skip_special_tokens=True) == (
        "xylophone!"
    )


def test_five_thousand_words_are_refused_in_one_sentence(tiny_pipeline):
    with pytest.raises(InputError, match=r"has 5000 words \(5001 tokens\); at most 256 tokens fit"):
        encode(tiny_pipeline, "man " * 5000)


def test_wans_negative_prompt_is_left_out_where_it_never_fitted(tiny_pipeline):
    small = tiny_tokenizer(TRAINED_TEXT_POSITIONS)
    assert negative_that_fits(tiny_pipeline.tokenizer, NEGATIVE_PROMPT) == NEGATIVE_PROMPT
    assert negative_that_fits(small, NEGATIVE_PROMPT) == ""
    chosen = "blurred " * 40  # somebody's own is refused with its length, not dropped
    assert negative_that_fits(small, chosen) == chosen
