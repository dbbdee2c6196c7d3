"""`sync.*`: SyncNet's distance, confidence and offset (Sync-D, Sync-C)."""

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from eval.face_tracks import CROP_SCALE, MAX_GAP, MIN_OVERLAP, SMOOTHING
from eval.measure import CannotMeasure, ClipInputs, Measure
from eval.puppet.case import KEY, read_puppet_case
from eval.puppet.faces import CROP_PX, LEAST, PuppetFaceFinder
from eval.sync.clean import CleanObserver, CleanRules, Instruments
from eval.sync.curve import MAX_SHIFT, MIN_WINDOWS
from eval.sync.networks import SyncEmbedder
from eval.sync.outcomes import FPS, METRICS
from eval.sync.reference import (
    JOONSON,
    LATENTSYNC,
    MIN_FACE_PX,
    MOCHA,
    ReferenceObserver,
    ReferenceRules,
)
from eval.sync.sound import ACTIVE_DB, MIN_ACTIVE_S, MIN_MODULATION

WEIGHTS: Final = ("syncnet-v2", "s3fd")
LIBRARIES: Final = (
    *(("ncnn",) if find_spec("ncnn") else ()),  # the detector runs without it too, more slowly
    "opencv-contrib-python",
    "syncnet-python",
    "torch",
)
PUPPET_WEIGHTS: Final = ("puppet-syncnet",)
PUPPET_RULES: Final = CleanRules(every=1, min_face_px=8.0)
"""Heads are found by colour, at no cost that would be worth leaving frames out; in a picture of 64
pixels a head measures 23, one of three 14."""


@lru_cache(maxsize=2)
def open_instruments(syncnet: Path, s3fd: Path, device: str) -> Instruments:
    """Load both networks; later clips of the same process share them.

    Args:
        syncnet: Weights file of SyncNet.
        s3fd: Weights file of the face detector.
        device: Torch device string.

    Raises:
        MissingExtra: `syncnet-python` is not installed.
        InputError: A file holds something else.
    """
    from eval.backends.face_crops import cut_out
    from eval.backends.s3fd import load_s3fd
    from eval.backends.shots import CutFinder
    from eval.backends.syncnet import load_syncnet

    return Instruments(
        finder=load_s3fd(s3fd, device),
        embedder=load_syncnet(syncnet, device),
        cutter=cut_out,
        cut_finder=lambda: CutFinder().is_cut,
    )


def _instruments(inputs: ClipInputs) -> Instruments:
    find = inputs.weights.find
    return open_instruments(find("syncnet-v2"), find("s3fd"), inputs.device)


def _start_clean(inputs: ClipInputs, *, rules: CleanRules) -> CleanObserver:
    return CleanObserver(inputs, _instruments(inputs), rules)


@lru_cache(maxsize=2)
def open_puppet_network(path: Path, device: str) -> SyncEmbedder:
    """Load the puppets' network; later clips of the same process share it.

    Args:
        path: Its weights.
        device: Torch device string.

    Raises:
        InputError: The file holds something else.
    """
    from eval.backends.puppet_syncnet import load_puppet_syncnet

    return load_puppet_syncnet(path, device)


def _start_puppet(inputs: ClipInputs) -> CleanObserver:
    from eval.backends.face_crops import cut_out
    from eval.backends.shots import CutFinder

    case = read_puppet_case(inputs.extra)
    if case is None:
        raise CannotMeasure("not_puppet")
    tools = Instruments(
        finder=PuppetFaceFinder(case),
        embedder=open_puppet_network(inputs.weights.find("puppet-syncnet"), inputs.device),
        cutter=cut_out,
        cut_finder=lambda: CutFinder().is_cut,
    )
    return CleanObserver(inputs, tools, PUPPET_RULES)


def _start_reference(inputs: ClipInputs, *, rules: ReferenceRules) -> ReferenceObserver:
    return ReferenceObserver(inputs, _instruments(inputs), rules)


def clean_parameters(rules: CleanRules) -> dict[str, Any]:
    """Return every constant of the default specification."""
    return asdict(rules) | {
        "detector_scale": 0.25,
        "detector_score": 0.9,
        "track_overlap": MIN_OVERLAP,
        "track_gap": MAX_GAP,
        "smoothing": SMOOTHING,
        "smoothing_ends": "repeat",
        "crop_scale": CROP_SCALE,
        "crop_px": 224,
        "cut_threshold": 27.0,
        "max_shift": MAX_SHIFT,
        "min_windows": MIN_WINDOWS,
        "outside": "missing",
        "silence_db": ACTIVE_DB,
        "min_active_s": MIN_ACTIVE_S,
        "min_modulation": MIN_MODULATION,
        "choose": "best",
    }


def puppet_parameters() -> dict[str, Any]:
    """Return every constant of the puppets' specification."""
    common = clean_parameters(PUPPET_RULES)
    kept = {name: value for name, value in common.items() if not name.startswith("detector_")}
    return kept | {"crop_px": CROP_PX, "finder": "colours", "least_head": LEAST}


def _clean(variant: str, rules: CleanRules, *, default: bool) -> Measure:
    return Measure(
        name="sync",
        variant=variant,
        version=1,
        metrics=METRICS,
        start=partial(_start_clean, rules=rules),
        parameters=clean_parameters(rules),
        rate=FPS,
        inputs=frozenset({"speakers"}),
        weights=WEIGHTS,
        libraries=LIBRARIES,
        default=default,
        source="Chung & Zisserman 2016; joonson/syncnet_python, corrected",
    )


def _reference(variant: str, rules: ReferenceRules, source: str, *, unverified: bool) -> Measure:
    start: Callable[[ClipInputs], ReferenceObserver] = partial(_start_reference, rules=rules)
    return Measure(
        name="sync",
        variant=variant,
        version=1,
        metrics=METRICS,
        start=start,
        parameters=asdict(rules) | {"outside": "zeros", "min_face_px": MIN_FACE_PX},
        rate="none",
        inputs=frozenset({"speech"}) if rules.sound == "given" else frozenset(),
        weights=WEIGHTS,
        libraries=(*LIBRARIES, "imageio-ffmpeg", "scenedetect"),
        default=False,
        unverified=unverified,
        source=source,
    )


def _puppet() -> Measure:
    return Measure(
        name="sync",
        variant="puppet",
        version=1,
        metrics=METRICS,
        start=_start_puppet,
        parameters=puppet_parameters(),
        rate=FPS,
        inputs=frozenset({"prompt", "speakers"}),  # what a puppet case says stands by its prompt
        weights=PUPPET_WEIGHTS,
        libraries=("opencv-contrib-python", "torch"),
        default=False,
        needs_extra=KEY,
        source="ours: the clean specification with a network trained on puppets",
    )


SYNC: Final[tuple[Measure, ...]] = (
    _clean("clean", CleanRules(), default=True),
    _clean("every-frame", CleanRules(every=1), default=False),
    _reference("mocha", MOCHA, "MoChaBench @043908d, syncnet-python 0.2.3", unverified=False),
    _reference("joonson", JOONSON, "joonson/syncnet_python @6efbb1c", unverified=True),
    _reference("latentsync", LATENTSYNC, "bytedance/LatentSync @a229c39", unverified=True),
    _puppet(),
)
"""All rows of the family; the first one runs by default."""
