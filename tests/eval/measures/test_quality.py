"""OneAlign's network against independent implementations of its parts; `quality.*` end to end."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from eval.backends.onealign import QAlignScorer, Wording, load_parameters, load_scorer, prepare
from eval.backends.onealign_network import OneAlign, OneAlignConfig
from eval.backends.quantisation import QuantisedLinear, quantise
from eval.catalog import find_measure
from eval.measure import CannotMeasure
from eval.measures.quality import QAlignObserver
from eval.quality import level_score

TINY = OneAlignConfig(
    image_size=28, vision_width=32, vision_layers=2, vision_heads=4, vision_hidden=48, queries=5,
    query_layers=2, query_hidden=40, width=64, layers=2, heads=4, hidden=96, vocabulary=50,
)  # fmt: skip


def encode(text: str) -> list[int]:
    """Letters as tokens."""
    return [3 + ord(letter) % 40 for letter in text]


@pytest.fixture(scope="module")
def network() -> OneAlign:
    torch.manual_seed(0)
    model = OneAlign(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return model.eval()


@pytest.mark.parity
def test_the_vision_transformer_is_clip(network):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        image_size=28, patch_size=14, layer_norm_eps=1e-6, hidden_act="quick_gelu",
    )  # fmt: skip
    clip = CLIPVisionModel(config).eval()
    ours = network.model.vision_model.state_dict()
    theirs = {}
    for key in clip.state_dict():
        short = key.removeprefix("vision_model.")
        names = {
            "embeddings.class_embedding": "embeddings.cls_token",
            "embeddings.patch_embedding.weight": "embeddings.patch_embed.weight",
            "embeddings.position_embedding.weight": "embeddings.position_embedding",
            "pre_layrnorm.weight": "embeddings.pre_layernorm.weight",
            "pre_layrnorm.bias": "embeddings.pre_layernorm.bias",
        }
        if short in names:
            theirs[key] = ours[names[short]].reshape(clip.state_dict()[key].shape)
        elif "self_attn" in short:
            block, _, kind = short.rpartition(".")
            block, _, part = block.rpartition(".")
            if part == "out_proj":
                theirs[key] = ours[f"{block}.dense.{kind}"]
            else:
                mixed = ours[f"{block}.query_key_value.{kind}"]
                heads = mixed.reshape(4, 3, 8, *mixed.shape[1:])
                index = {"q_proj": 0, "k_proj": 1, "v_proj": 2}[part]
                theirs[key] = heads[:, index].reshape(32, *mixed.shape[1:])
        else:
            source = short.replace("layer_norm1", "input_layernorm")
            theirs[key] = ours[source.replace("layer_norm2", "post_attention_layernorm")]
    clip.load_state_dict(theirs)
    images = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        # CLIP's model norms only the class token; ours norms them all, as published.
        hidden = clip(images).last_hidden_state
        found = network.model.vision_model(images)
        expected = network.model.vision_model.post_layernorm(hidden)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parity
def test_words_alone_pass_through_a_llama(network):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=50, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, rms_norm_eps=1e-5, max_position_embeddings=64,
    )  # fmt: skip
    llama = LlamaForCausalLM(config).eval()
    ours = network.state_dict()
    theirs = {
        key: ours[key] if key in ours else ours[f"{key.rpartition('.')[0]}.multiway.0.weight"]
        for key in llama.state_dict()
    }
    llama.load_state_dict(theirs)
    ids = torch.tensor([1, 7, 42, 3, 9, 9, 20])
    with torch.inference_mode():
        expected = llama(ids[None]).logits[0, -1]
        found = network(ids[:3], torch.zeros(0, 64), ids[3:])
    assert torch.allclose(found, expected, atol=1e-4)


def test_pictures_take_the_second_way(network):
    before, after = torch.tensor([1, 2]), torch.tensor([3])
    visual = torch.randn(4, 64)
    with torch.inference_mode():
        as_picture = network(before, visual, after)
        weights = network.model.layers[0].self_attn.k_proj.multiway[1].weight
        kept = weights.clone()
        weights.zero_()
        changed = network(before, visual, after)
        words = network(before, visual[:0], after)
        weights.copy_(kept)
        words_before = network(before, visual[:0], after)
    assert not torch.allclose(as_picture, changed)
    assert torch.equal(words, words_before)


def test_parameters_come_from_files_in_two_parts(network, tmp_path):
    state = network.state_dict() | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}
    keys = list(state)
    for part, chosen in enumerate((keys[: len(keys) // 2], keys[len(keys) // 2 :])):
        torch.save({key: state[key].half() for key in chosen}, tmp_path / f"{part}.bin")
    with torch.device("meta"):
        empty = OneAlign(TINY)
    load_parameters(empty, (tmp_path / "0.bin", tmp_path / "1.bin"))
    loaded = empty.state_dict()
    assert all(
        torch.equal(loaded[key], value.half()) for key, value in network.state_dict().items()
    )


def test_the_picture_is_padded_as_by_the_reference():
    from transformers import CLIPImageProcessor

    rgb = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    square = Image.new("RGB", (60, 60), (122, 116, 104))
    square.paste(Image.fromarray(rgb), (0, 10))
    processor = CLIPImageProcessor(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
    )
    expected = np.asarray(processor(square, return_tensors="np")["pixel_values"][0])
    # The processor may round once more on its way; one grey level is 0.015.
    assert np.abs(prepare(rgb, 56) - expected).max() < 0.02


def test_the_prompt_surrounds_the_picture():
    wording = Wording(encode, start=1)
    before, after = wording.ends("video")
    assert before == [1, *encode("USER: How would you rate the quality of this video?\n")]
    assert after == encode("\nASSISTANT: The quality of the video is")
    assert wording.levels == [
        encode(word)[0] for word in ("excellent", "good", "fair", "poor", "bad")
    ]


def scorer(network):
    return QAlignScorer(network, Wording(encode, 1), "cpu")


def test_image_scores_are_averaged_at_whole_seconds(network, feed, texture):
    judge = scorer(network)
    measure = find_measure("quality/qalign")
    from dataclasses import replace

    shown = [texture if index < 50 else 255 - texture for index in range(110)]
    ready = replace(measure, start=partial(QAlignObserver, kind="image", scorer=judge))
    found = feed(ready, shown, rate=25)
    expected = [
        float(level_score(judge.judge([judge.look(prepare(picture, 28))], "image")))
        for picture in (texture, texture, 255 - texture, 255 - texture)
    ]
    assert found["quality.qalign"].value == pytest.approx(np.mean(expected), abs=1e-6)
    assert found["quality.qalign_15"].value == pytest.approx(1 + 4 * np.mean(expected), abs=1e-5)
    assert found["drift.quality"].value == pytest.approx(expected[0] - expected[3], abs=1e-6)


def test_the_video_head_sees_all_frames_in_one_prompt(network, feed, texture):
    judge = scorer(network)
    from dataclasses import replace

    ready = replace(
        find_measure("quality/qalign-video"),
        start=partial(QAlignObserver, kind="video", scorer=judge),
    )
    found = feed(ready, [texture] * 75, rate=25)
    looked = judge.look(prepare(texture, 28))
    expected = float(level_score(judge.judge([looked] * 3, "video")))
    assert found["quality.qalign"].value == pytest.approx(expected, abs=1e-6)
    assert found["quality.qalign"].details["frames"] == 3


@pytest.mark.parametrize(("bits", "error"), [(8, 0.005), (4, 0.08)])
def test_quantised_layers_stay_close(bits, error):
    torch.manual_seed(0)
    linear = torch.nn.Linear(128, 96)
    held = QuantisedLinear(linear, bits)
    x = torch.randn(10, 128)
    relative = (held(x) - linear(x)).norm() / linear(x).norm()
    assert relative < error
    levels = held.state_dict()["levels"]
    size = levels.numel() * levels.element_size()
    assert size == linear.weight.numel() * bits // 8


def test_quantising_reaches_every_linear_layer(network):
    import copy

    small = quantise(copy.deepcopy(network.model.layers), 8)
    assert not [each for each in small.modules() if type(each) is torch.nn.Linear]
    assert sum(isinstance(each, QuantisedLinear) for each in small.modules()) == 2 * 9


def test_too_little_memory_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.backends.onealign.free_gigabytes", lambda device: 3.0)
    with pytest.raises(CannotMeasure) as caught:
        load_scorer((tmp_path / "a",), tmp_path / "b", 16, "cpu")
    assert caught.value.reason == "memory_missing"
    assert caught.value.message == (
        "OneAlign at 16 bits needs 16.5 GB of free memory on cpu, there are 3.0: choose "
        "quality/qalign-8bit, quality/qalign-4bit or quality/light"
    )


def test_light_quality_of_a_still_clip_does_not_drift(feed, texture):
    found = feed(find_measure("quality/light"), [texture] * 110)
    assert found["drift.sharpness"].value == pytest.approx(0, abs=1e-12)
    assert 0 <= found["quality.sharpness"].value <= 1
    assert found["quality.noise"].value < 3


def test_light_quality_falls_when_the_end_is_blurred(feed, texture):
    from scipy.ndimage import gaussian_filter

    noisy = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    soft = gaussian_filter(noisy, (2, 2, 0))
    found = feed(find_measure("quality/light"), [noisy] * 60 + [soft] * 60)
    assert found["drift.sharpness"].value > 0.2
