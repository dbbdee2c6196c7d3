"""The local judge with a tiny real vision-language network of Qwen's shape, made here."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.backends.judges import NO, YES, LocalJudge, VerdictCache, folder_digest, open_judge

WORDS = (
    "<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "yes", "no", "user", "assistant", "wall", "cat",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %} {{ c['text'] }} {% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A network of 13 words and one layer, with processor, as a user's folder would hold it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    path: Path = tmp_path_factory.mktemp("judge")
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=list(WORDS[1:7]),
    )
    tokenizer.image_token, tokenizer.video_token = "<|image_pad|>", "<|video_pad|>"
    pixels = {"min_pixels": 28 * 28, "max_pixels": 4 * 28 * 28}
    Qwen2VLProcessor(
        Qwen2VLImageProcessor(**pixels),
        tokenizer,
        Qwen2VLVideoProcessor(**pixels),
        chat_template=TEMPLATE,
    ).save_pretrained(path)
    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    text = {
        "vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "rope_parameters": rope, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    tokens = {
        "image_token_id": 5,
        "video_token_id": 6,
        "vision_start_token_id": 3,
        "vision_end_token_id": 4,
    }
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **tokens)
    Qwen2VLForConditionalGeneration(config).save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path / "cache"))


def jpeg(level: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.full((56, 56, 3), level, np.uint8)).save(target, "JPEG")
    return target.getvalue()


def test_the_probability_is_that_of_the_first_word(folder):
    judge = LocalJudge(folder, "cpu")
    verdict = judge.answer([jpeg(20), jpeg(200)], "wall yes or no")
    images = [Image.open(io.BytesIO(jpeg(level))) for level in (20, 200)]
    content = [{"type": "image", "image": each} for each in images]
    message = {"role": "user", "content": [*content, {"type": "text", "text": "wall yes or no"}]}
    inputs = judge._processor.apply_chat_template(
        [message], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = judge._model(**inputs).logits[0, -1]
    yes, no = logits[WORDS.index("yes")], logits[WORDS.index("no")]
    expected = float(torch.sigmoid(yes - no))
    assert verdict.probability == pytest.approx(expected, abs=1e-5)
    assert set(YES) & set(WORDS) == {"yes"}
    assert set(NO) & set(WORDS) == {"no"}


def test_pictures_and_questions_change_the_answer(folder):
    judge = LocalJudge(folder, "cpu")
    first = judge.answer([jpeg(20)], "wall").probability
    assert judge.answer([jpeg(20)], "wall").probability == first
    assert judge.answer([jpeg(200)], "wall").probability != first
    assert judge.answer([jpeg(20)], "cat").probability != first


def test_a_folder_is_known_by_what_is_in_it(folder, monkeypatch):
    monkeypatch.setenv("JOYSTREAMER_JUDGE", f"transformers:{folder}")
    judge = open_judge("cpu")
    assert judge.identity.startswith(f"network {folder_digest(folder)[:16]}, greedy")
    assert open_judge("cpu") is judge


def test_kept_verdicts_come_back_whole(folder, tmp_path):
    cache, judge = VerdictCache(tmp_path / "verdicts"), LocalJudge(folder, "cpu")
    first = cache.answer(judge, [jpeg(20)], "wall")
    assert cache.answer(judge, [jpeg(20)], "wall") == first
    assert len(list((tmp_path / "verdicts").rglob("*.json"))) == 1
    cache.answer(judge, [jpeg(20)], "cat")
    assert len(list((tmp_path / "verdicts").rglob("*.json"))) == 2
