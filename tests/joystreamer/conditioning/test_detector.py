"""Finding people by words: choice, duplicates, and a tiny random OWLv2 end to end."""

import json

import numpy as np
import pytest

from joystreamer.conditioning.detector import (
    Detection,
    Detector,
    choose_people,
    clip_box,
    drop_duplicates,
    intersection_over_union,
)
from joystreamer.conditioning.finder import FoundByWords
from joystreamer.conditioning.speakers import Box
from joystreamer.errors import InputError, MissingWeights


def found(score, x0, x1):
    return Detection("person", score, Box(x0, 0, x1, 10))


def test_overlap_by_hand():
    assert intersection_over_union(Box(0, 0, 2, 2), Box(1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert intersection_over_union(Box(0, 0, 2, 2), Box(2, 0, 3, 2)) == 0.0
    assert intersection_over_union(Box(0, 0, 2, 2), Box(0, 0, 2, 2)) == 1.0


def test_duplicates_go_and_the_surest_stays():
    kept = drop_duplicates([found(0.5, 0, 10), found(0.9, 1, 11), found(0.4, 30, 40)])
    assert [each.score for each in kept] == [0.9, 0.4]


def test_people_are_the_surest_from_left_to_right():
    people = choose_people([found(0.9, 50, 60), found(0.2, 0, 5), found(0.8, 10, 20)], 2)
    assert [each.box.x0 for each in people] == [10, 50]
    with pytest.raises(InputError, match=r"3 speaker\(s\) were named but 1 found"):
        choose_people([found(0.9, 0, 1)], 3)


def test_boxes_are_cut_to_the_image():
    assert clip_box([-5.0, 3.0, 99.0, 99.0], 20, 40) == Box(0, 3.0, 40, 20)
    box = clip_box([50.0, 50.0, 60.0, 60.0], 20, 40)
    assert (box.x1 - box.x0, box.y1 - box.y0) == (1, 1)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(MissingWeights, match="name a folder that holds it, or give boxes or masks"):
        Detector(tmp_path / "absent")


@pytest.fixture(scope="module")
def tiny_owl(tmp_path_factory):
    """A random OWLv2 of real classes in a folder."""
    import torch
    from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2 import Owlv2ImageProcessor

    folder = tmp_path_factory.mktemp("owl")
    letters = [chr(code) for code in range(33, 127)]
    pieces = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    torch.manual_seed(0)
    text = {"vocab_size": len(pieces), "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
              "num_attention_heads": 2, "image_size": 64, "patch_size": 16}  # fmt: skip
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    images = Owlv2ImageProcessor(size={"height": 64, "width": 64})
    Owlv2Processor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def test_a_real_detector_class_runs_end_to_end(tiny_owl):
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    detections = Detector(tiny_owl).detect(image, ["person"], threshold=0.0)
    assert detections
    scores = [each.score for each in detections]
    assert scores == sorted(scores, reverse=True)
    for each in detections:
        assert each.label == "person"
        assert 0 <= each.box.x0 < each.box.x1 <= 80
        assert 0 <= each.box.y0 < each.box.y1 <= 48


def test_finder_gives_one_mask_per_word(tiny_owl):
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    masks = FoundByWords(tiny_owl, threshold=0.0)(image, ["person"])
    assert len(masks) == 1
    assert masks[0].shape == (64, 64)
    assert masks[0].any()
    regions = FoundByWords(tiny_owl, threshold=0.0).locator(["person"])(image)
    assert regions.shape == (1, 64, 64)
