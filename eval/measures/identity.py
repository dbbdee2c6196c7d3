"""`identity.*`: is it still the person (or cat) of the reference image, and does it stay so?"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from eval.arcface import ALIGNED_SIZE, DETECTOR_SIZE, FACE_SCORE, NMS_IOU
from eval.backends.arcface_faces import ArcFaceEmbedder
from eval.backends.dinov2 import DinoSpec, load_embedder, prepare
from eval.backends.faces import MINIMUM_CONFIDENCE, find_faces, open_detector
from eval.backends.mediapipe_pose import MINIMUM_VISIBILITY, MediapipePose
from eval.drift import WINDOW_S, falling_drift
from eval.identity import cosine, likeness, square_around
from eval.measure import CannotMeasure, ClipInputs, Measure, Metric, Outcome
from eval.measures.drift import drift_details
from eval.series import Series
from eval.windows import long_details
from joystreamer.media import Frame, read_image

RATE: Final = 8.0
"""Frames per second."""

BATCH: Final = 8
"""Frames per pass through the network; bounds memory."""

FACE_FACTOR: Final = 1.5
PERSON_FACTOR: Final = 1.2
"""Side of the square crop over the longer side of the box."""

Region = Literal["full", "face", "person"]
Pixels = NDArray[np.uint8]

IDENTITY_METRIC: Final = Metric(
    name="identity.dinov2",
    unit="",
    better="higher",
    summary="IDC: likeness of the frames to the reference image",
)
CSIM_METRIC: Final = Metric(
    name="identity.csim",
    unit="",
    better="higher",
    summary="CSIM: ArcFace likeness of the largest face to the reference",
)
DRIFT_METRIC: Final = Metric(
    name="drift.identity",
    unit="",
    better="lower",
    summary="Likeness lost from the beginning to the end",
)
_MISSING: Final = {"full": "no_reference", "face": "no_face", "person": "no_person"}


class RegionCropper:
    """Cuts out of a picture what is compared; holds the detector it needs.

    Args:
        inputs: The clip.
        region: The whole picture, the largest face, or the person.
    """

    def __init__(self, inputs: ClipInputs, region: Region) -> None:
        self._region = region
        self._faces: Any = None
        self._pose: MediapipePose | None = None
        if region == "face":
            self._faces = open_detector(inputs.weights.find("face-detector"))
        elif region == "person":
            self._pose = MediapipePose(inputs.weights.find("pose-landmarker-lite"))

    def crop(self, frame: Frame) -> Pixels | None:
        """Return the region of a picture, or None where it is not found."""
        height, width = frame.rgb.shape[:2]
        if self._faces is not None:
            faces = find_faces(self._faces, frame.rgb)
            if not faces:
                return None
            box = faces[0]
            edges = (box.left, box.top, box.right, box.bottom)
            return frame.rgb[square_around(*edges, FACE_FACTOR, width, height)]
        if self._pose is not None:
            body = self._pose.find(frame)
            seen = None if body is None else body.points[body.visibility >= MINIMUM_VISIBILITY]
            if seen is None or len(seen) < 2:
                return None
            (left, top), (right, bottom) = seen.min(axis=0), seen.max(axis=0)
            return frame.rgb[square_around(left, top, right, bottom, PERSON_FACTOR, width, height)]
        return frame.rgb

    def close(self) -> None:
        """Free the detector."""
        for held in (self._faces, self._pose):
            if held is not None:
                held.close()


class DinoObserver:
    """Compares frames with the reference image, a batch at a time.

    Args:
        inputs: The clip.
        spec: Network and preparation.
        region: What of each picture is compared.
        weights: Row of the weights table.
    """

    def __init__(self, inputs: ClipInputs, *, spec: DinoSpec, region: Region, weights: str) -> None:
        if inputs.reference is None:
            raise CannotMeasure("no_reference", "the case has no reference image to compare with")
        self._inputs = inputs
        self._spec = spec
        self._region = region
        self._embedder = load_embedder(inputs.weights.find(weights), spec, inputs.device)
        reference = RegionCropper(inputs, region)
        crop = reference.crop(Frame(0.0, read_image(inputs.reference)))
        reference.close()
        if crop is None:
            raise CannotMeasure(_MISSING[region], f"no {region} was found in the reference image")
        self._reference = self._embedder.embed(prepare(crop, spec)[None])[0]
        self._cropper = RegionCropper(inputs, region)
        self._times: list[float] = []
        self._cosines: list[float] = []
        self._waiting: list[tuple[list[int], NDArray[np.float32]]] = []
        self._last: Pixels | None = None

    def see(self, frame: Frame) -> None:
        """Prepare one frame; embed when a batch is full."""
        place = len(self._times)
        self._times.append(frame.time_s)
        self._cosines.append(float("nan"))
        if frame.rgb is self._last and self._waiting:
            self._waiting[-1][0].append(place)  # a slow clip shows one picture several times
            return
        crop = self._cropper.crop(frame)
        if crop is None:
            self._last = None
            return
        if len(self._waiting) == BATCH:
            self._embed()
        self._last = frame.rgb
        self._waiting.append(([place], prepare(crop, self._spec)))

    def _embed(self) -> None:
        if not self._waiting:
            return
        vectors = self._embedder.embed(np.stack([picture for _, picture in self._waiting]))
        values = cosine(vectors, self._reference)
        for (places, _), value in zip(self._waiting, values, strict=True):
            for place in places:
                self._cosines[place] = float(value)
        self._waiting = []

    def finish(self) -> Mapping[str, Outcome]:
        """Return identity and its drift."""
        self._embed()
        self._cropper.close()
        end_s = max(self._inputs.probe.duration_s, self._times[-1] if self._times else 0.0)
        return identity_outcomes(
            np.asarray(self._times), np.asarray(self._cosines), end_s, IDENTITY_METRIC, self._region
        )


class ArcFaceObserver:
    """Compares the largest face of every frame with that of the reference image."""

    def __init__(self, inputs: ClipInputs) -> None:
        if inputs.reference is None:
            raise CannotMeasure("no_reference", "the case has no reference image to compare with")
        find = inputs.weights.find
        self._inputs = inputs
        self._embedder = ArcFaceEmbedder(find("scrfd-10g"), find("arcface-r50"))
        reference = self._embedder.embed(read_image(inputs.reference))
        if reference is None:
            raise CannotMeasure("no_face", "no face was found in the reference image")
        self._reference = reference
        self._times: list[float] = []
        self._cosines: list[float] = []

    def see(self, frame: Frame) -> None:
        """Embed one frame's largest face."""
        vector = self._embedder.embed(frame.rgb)
        self._times.append(frame.time_s)
        self._cosines.append(
            float("nan") if vector is None else float(cosine(vector, self._reference))
        )

    def finish(self) -> Mapping[str, Outcome]:
        """Return likeness and its drift."""
        end_s = max(self._inputs.probe.duration_s, self._times[-1] if self._times else 0.0)
        return identity_outcomes(
            np.asarray(self._times), np.asarray(self._cosines), end_s, CSIM_METRIC, "face"
        )


def identity_outcomes(
    times: NDArray[np.float64],
    cosines: NDArray[np.float64],
    end_s: float,
    metric: Metric,
    region: Region,
) -> dict[str, Outcome]:
    """Return the outcomes of a cosine series: its mean, and its drift.

    Raises:
        CannotMeasure: There was never anything to compare.
    """
    found = likeness(times, cosines)
    if found is None:
        reason = "too_short" if region == "full" else _MISSING[region]
        raise CannotMeasure(
            reason, f"no {region} was found in any of {len(times)} frames looked at"
        )
    details = asdict(found) | {"frames": len(times)} | long_details(times, cosines, end_s, "low")
    series = {"cosine": Series(times_s=times, values=cosines.astype(np.float32))}
    return {
        metric.name: Outcome(value=found.mean, details=details, series=series),
        DRIFT_METRIC.name: _drift(times, cosines, end_s, region),
    }


def _drift(
    times: NDArray[np.float64], cosines: NDArray[np.float64], end_s: float, region: Region
) -> Outcome:
    drift = falling_drift(times, cosines, end_s)
    if drift is not None:
        return Outcome(value=drift.value, details=drift_details(drift, WINDOW_S))
    if end_s < 2 * WINDOW_S:
        words = f"drift needs {2 * WINDOW_S:g} s, the clip has {end_s:.2f} s"
        return Outcome(reason="too_short", message=words)
    return Outcome(reason=_MISSING[region], message=f"no {region} was found at one end of the clip")


def _dinov2(
    variant: str, *, region: Region = "full", default: bool = False, **spec: Any
) -> Measure:
    chosen = DinoSpec(**spec)
    weights = f"dinov2-{chosen.size}"
    extra = {
        "full": {},
        "face": {"crop_factor": FACE_FACTOR, "minimum_confidence": MINIMUM_CONFIDENCE},
        "person": {"crop_factor": PERSON_FACTOR, "minimum_visibility": MINIMUM_VISIBILITY},
    }[region]
    detector = {"full": (), "face": ("face-detector",), "person": ("pose-landmarker-lite",)}[region]
    return Measure(
        name="identity",
        variant=variant,
        version=1,
        metrics=(IDENTITY_METRIC, DRIFT_METRIC),
        start=partial(DinoObserver, spec=chosen, region=region, weights=weights),
        parameters={
            **asdict(chosen),
            "token": "CLS after the final norm",
            "region": region,
            "window_s": WINDOW_S,
            **extra,
        },
        rate=RATE,
        inputs=frozenset({"reference"}),
        weights=(weights, *detector),
        libraries=("timm" if chosen.numerics == "timm" else "transformers", "pillow")
        + (("mediapipe",) if detector else ()),
        default=default,
        source="facebookresearch/dinov2; which size, token and crop the paper used is not known",
    )


IDENTITY: Final[tuple[Measure, ...]] = (
    _dinov2("dinov2", default=True),
    _dinov2("dinov2-small", size="small"),
    _dinov2("dinov2-large", size="large"),
    _dinov2("dinov2-giant", size="giant"),
    _dinov2("dinov2-518", image_size=518, resize=518),
    _dinov2("dinov2-letterbox", fit="letterbox"),
    _dinov2("dinov2-person", region="person"),
    _dinov2("dinov2-face", region="face"),
    _dinov2("dinov2-transformers", numerics="transformers"),
    Measure(
        name="identity",
        variant="arcface",
        version=1,
        metrics=(CSIM_METRIC, DRIFT_METRIC),
        start=ArcFaceObserver,
        parameters={
            "detector_size": DETECTOR_SIZE,
            "face_score": FACE_SCORE,
            "nms_iou": NMS_IOU,
            "aligned_size": ALIGNED_SIZE,
            "face": "largest",
            "window_s": WINDOW_S,
        },
        rate=RATE,
        inputs=frozenset({"reference"}),
        weights=("scrfd-10g", "arcface-r50"),
        libraries=("opencv-contrib-python",),
        default=False,
        unverified=True,
        source="deepinsight/insightface, buffalo_l",
    ),
)
"""The measures of this family."""
