"""Finds several speakers by words: a detector, an optional outline network, and who is who."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joystreamer.conditioning.detector import THRESHOLD, Detector, Segmenter, choose_people
from joystreamer.conditioning.speakers import box_mask, make_disjoint


@dataclass(frozen=True, slots=True)
class FoundByWords:
    """Finds one region per text; networks are loaded on the first call.

    Attributes:
        detector: Folder or hub name of an open-vocabulary detector.
        segmenter: Folder or hub name of a SAM model; None keeps boxes.
        threshold: Least score of a detection.
        device: Where they run.
    """

    detector: str | Path
    segmenter: str | Path | None = None
    threshold: float = THRESHOLD
    device: str = "cpu"

    def __call__(self, image: NDArray[np.uint8], words: Sequence[str]) -> list[NDArray[np.bool_]]:
        """Masks (H, W) in the order of the words; people of the same words from left to right.

        Raises:
            InputError: Fewer were found than named.
            MissingWeights: A network is not on this machine.
        """
        network = Detector(self.detector, self.device)
        outliner = None if self.segmenter is None else Segmenter(self.segmenter, self.device)
        masks: list[NDArray[np.bool_] | None] = [None] * len(words)
        for text in dict.fromkeys(words):
            places = [index for index, word in enumerate(words) if word == text]
            people = choose_people(network.detect(image, [text], self.threshold), len(places))
            for place, found in zip(places, people, strict=True):
                masks[place] = (
                    box_mask(found.box, *image.shape[:2])
                    if outliner is None
                    else outliner.outline(image, found.box)
                )
        return [mask for mask in masks if mask is not None]

    def locator(self, words: Sequence[str]) -> "Relocator":
        """Finds the same people again in later frames."""
        return Relocator(self, tuple(words))


@dataclass(frozen=True, slots=True)
class Relocator:
    """A `Locator` of the pipeline: a frame to disjoint regions."""

    find: FoundByWords
    words: tuple[str, ...]

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Regions (speakers, H, W) on a frame."""
        return make_disjoint(self.find(frame, self.words))
