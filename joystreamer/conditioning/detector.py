"""Finds the people (or puppets) in a picture from words, with open-vocabulary networks.

The only file here that loads a detector, and it does so on use. Any zero-shot detection model of
transformers fits (OWLv2, Grounding DINO); a SAM model turns its boxes into outlines if wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from joystreamer.conditioning.speakers import Box, box_mask
from joystreamer.errors import InputError, MissingWeights

DETECTOR = "google/owlv2-base-patch16-ensemble"
"""Detector used unless another is named."""

SEGMENTER = "facebook/sam-vit-base"
"""Outline network used when outlines are asked for."""

THRESHOLD = 0.2
"""Least score of a detection; 0.1 to 0.3 is usual for OWLv2."""

OVERLAP = 0.5
"""Two detections that share this much of their union are one."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One found object: what was asked for, how sure (0..1, higher is surer), where."""

    label: str
    score: float
    box: Box


class Detector:
    """An open-vocabulary detector.

    Args:
        source: Folder or hub name of the weights.
        device: Where it runs.

    Raises:
        MissingWeights: The weights are neither in the folder nor on this machine's hub cache.
    """

    def __init__(self, source: str | Path = DETECTOR, device: str = "cpu") -> None:
        from transformers import AutoModelForZeroShotObjectDetection

        self.processor, self.model = _load(AutoModelForZeroShotObjectDetection, source, device)

    @torch.no_grad()
    def detect(
        self, image: NDArray[np.uint8], labels: Sequence[str], threshold: float = THRESHOLD
    ) -> list[Detection]:
        """Objects that fit one of the labels, surest first, duplicates removed.

        Args:
            image: (H, W, 3) uint8.
            labels: Words such as "person" or "a red doll".
            threshold: Least score.
        """
        height, width = image.shape[:2]
        inputs = self.processor(images=image, text=[list(labels)], return_tensors="pt")
        outputs = self.model(**inputs.to(self.model.device))
        found = self.processor.post_process_grounded_object_detection(
            outputs=outputs, threshold=threshold, target_sizes=[(height, width)],
            text_labels=[list(labels)],
        )[0]  # fmt: skip
        detections = [
            Detection(str(label), float(score), clip_box(box.tolist(), height, width))
            for label, score, box in zip(
                found["text_labels"], found["scores"], found["boxes"], strict=True
            )
        ]
        return drop_duplicates(detections)


class Segmenter:
    """A SAM network that outlines what a box holds.

    Args:
        source: Folder or hub name of the weights.
        device: Where it runs.
    """

    def __init__(self, source: str | Path = SEGMENTER, device: str = "cpu") -> None:
        from transformers import AutoModelForMaskGeneration

        self.processor, self.model = _load(AutoModelForMaskGeneration, source, device)

    @torch.no_grad()
    def outline(self, image: NDArray[np.uint8], box: Box) -> NDArray[np.bool_]:
        """Mask (H, W) of the object in the box; the box itself if the network finds nothing."""
        corners = [[[box.x0, box.y0, box.x1, box.y1]]]
        inputs = self.processor(images=image, input_boxes=corners, return_tensors="pt")
        inputs = inputs.to(self.model.device)
        outputs = self.model(**inputs, multimask_output=False)
        masks = self.processor.post_process_masks(
            outputs.pred_masks.cpu(), inputs["original_sizes"].cpu(),
            inputs["reshaped_input_sizes"].cpu(),
        )  # fmt: skip
        mask: NDArray[np.bool_] = masks[0][0, 0].numpy().astype(np.bool_)
        return mask if mask.any() else box_mask(box, *image.shape[:2])


def choose_people(detections: Sequence[Detection], count: int) -> list[Detection]:
    """The `count` surest detections, from left to right.

    Raises:
        InputError: Fewer were found than there are speakers.
    """
    if len(detections) < count:
        raise InputError(
            f"{count} speaker(s) were named but {len(detections)} found in the picture; give boxes "
            "or masks, other words for them, or a lower threshold"
        )
    surest = sorted(detections, key=lambda found: -found.score)[:count]
    return sorted(surest, key=lambda found: found.box.x0 + found.box.x1)


def drop_duplicates(detections: Sequence[Detection]) -> list[Detection]:
    """Surest first, without those that overlap a surer one by more than half of their union."""
    kept: list[Detection] = []
    for found in sorted(detections, key=lambda found: -found.score):
        if all(intersection_over_union(found.box, other.box) < OVERLAP for other in kept):
            kept.append(found)
    return kept


def intersection_over_union(one: Box, other: Box) -> float:
    """Shared area over joint area, 0..1."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box.x1 - box.x0) * (box.y1 - box.y0) for box in (one, other))
    return shared / (areas - shared) if shared else 0.0


def clip_box(corners: Sequence[float], height: int, width: int) -> Box:
    """Box cut to the image; at least one pixel remains."""
    x0, y0 = min(max(corners[0], 0), width - 1), min(max(corners[1], 0), height - 1)
    x1, y1 = max(min(corners[2], width), x0 + 1), max(min(corners[3], height), y0 + 1)
    return Box(x0, y0, x1, y1)


def _load(model_class: Any, source: str | Path, device: str) -> tuple[Any, Any]:
    """Processor and network from a folder or the hub's cache."""
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(source)
        return processor, model_class.from_pretrained(source).eval().to(device)
    except OSError as error:
        raise MissingWeights(
            f"the detection network '{source}' is not on this machine and could not be fetched; "
            "name a folder that holds it, or give boxes or masks instead"
        ) from error
