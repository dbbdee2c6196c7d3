"""Look at one picture or recording: large enough, with a face, loud and long enough, seen before?

Limits stand in one place; each finding is a clause that says what was found and what fits. Faces need
MediaPipe's detector: without its weights they are 'not checked', never 'absent'.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eval.records import Case
from eval.store.files import digest_file
from joystreamer.errors import InputError, JoyStreamerError
from joystreamer.media import integrated_loudness, read_audio, read_image

SAMPLE_RATE: Final = 16_000
HASH_SIDE: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaLimits:
    """What pictures and recordings must keep.

    Attributes:
        short_side_px: Least pixels of a picture's shorter side; 480 is the paper's smaller size.
        face_share: Least width of the largest face as a share of the picture's.
        quietest_lufs: Least loudness (ITU-R BS.1770).
        loudest_lufs: Greatest loudness.
        clipped_share: Greatest share of samples at full scale.
        duration_tolerance_s: A recording may be so much shorter or longer than asked for,
        duration_tolerance_share: or by this share of it, whichever is more.
        hash_bits: Pictures whose 64-bit difference hashes differ in no more bits look the same.
    """

    short_side_px: int = 480
    face_share: float = 0.04
    quietest_lufs: float = -36.0
    loudest_lufs: float = -9.0
    clipped_share: float = 0.001
    duration_tolerance_s: float = 1.0
    duration_tolerance_share: float = 0.1
    hash_bits: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LookedAt:
    """What was seen of one file.

    Attributes:
        path: The file.
        digest: sha256.
        findings: Clauses about what does not fit; empty when all does.
        unreadable: The file cannot be used at all.
        face: 'found', 'absent', or 'not checked: WHY'; '' for recordings.
        look: Difference hash of a picture, 0 for recordings.
        seconds: Length of a recording, 0 for pictures.
        loudness_lufs: Loudness of a recording, None when silent.
    """

    path: Path
    digest: str
    findings: tuple[str, ...] = ()
    unreadable: bool = False
    face: str = ""
    look: int = 0
    seconds: float = 0.0
    loudness_lufs: float | None = None


class FaceFinder:
    """Finds faces with MediaPipe where its weights are at hand.

    Attributes:
        problem: Why faces cannot be checked, '' when they can.
    """

    def __init__(self, detector: Any = None, problem: str = "") -> None:
        self._detector, self.problem = detector, problem

    def widest(self, rgb: NDArray[np.uint8]) -> float:
        """Return the width of the largest face as a share of the picture's, 0 without a face."""
        from eval.backends.faces import find_faces

        faces = find_faces(self._detector, rgb)
        return (faces[0].right - faces[0].left) / rgb.shape[1] if faces else 0.0


@contextmanager
def open_face_finder() -> Iterator[FaceFinder]:
    """Yield a face finder; without weights or package one that says why it cannot find."""
    try:
        from eval.backends.faces import close_detector, open_detector
        from eval.weights import WeightFolder

        detector = open_detector(WeightFolder().find("face-detector"))
    except (JoyStreamerError, ImportError) as error:
        yield FaceFinder(problem=str(error).splitlines()[0])
        return
    try:
        yield FaceFinder(detector)
    finally:
        close_detector(detector)


def look_at_image(path: Path, case: Case, limits: MediaLimits, faces: FaceFinder) -> LookedAt:
    """Look at a reference picture.

    Args:
        path: The picture.
        case: Only human subjects need a face.
        limits: What fits.
        faces: From `open_face_finder`.
    """
    digest = digest_file(path)
    try:
        rgb = read_image(path)
    except InputError as error:
        return LookedAt(path=path, digest=digest, findings=(str(error),), unreadable=True)
    findings = []
    short = min(rgb.shape[:2])
    if short < limits.short_side_px:
        findings.append(
            f"the shorter side has {short} px, at least {limits.short_side_px} are needed"
        )
    face = "not checked: no human subject"
    if case.tags.subject == "human":
        face = f"not checked: {faces.problem}"
        if not faces.problem:
            share = faces.widest(rgb)
            face = "found" if share else "absent"
            if not share:
                findings.append("no face was found; let it look at the camera")
            elif share < limits.face_share:
                findings.append(
                    f"the face is {share:.1%} of the width, at least {limits.face_share:.0%} is needed"
                )
    return LookedAt(
        path=path, digest=digest, findings=tuple(findings), face=face, look=difference_hash(rgb)
    )


def difference_hash(rgb: NDArray[np.uint8]) -> int:
    """Return 64 bits that say where a small grey copy brightens from left to right.

    Nearly equal for re-encoded, resized or slightly brightened copies of a picture.
    """
    grey = (
        Image.fromarray(rgb).convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    )
    small = np.asarray(grey, dtype=np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def look_at_sound(path: Path, case: Case, limits: MediaLimits) -> LookedAt:
    """Look at a recording: readable, loud enough, not clipped, as long as the case asks."""
    digest = digest_file(path)
    try:
        samples = read_audio(path, sample_rate=SAMPLE_RATE)
        if samples is None or not samples.size:
            raise InputError(f"{path} holds no sound; give a recording")
    except InputError as error:
        return LookedAt(path=path, digest=digest, findings=(str(error),), unreadable=True)
    seconds = samples.size / SAMPLE_RATE
    loudness = integrated_loudness(samples, SAMPLE_RATE)
    return LookedAt(
        path=path,
        digest=digest,
        findings=tuple(_sound_findings(samples, seconds, loudness, case, limits)),
        seconds=seconds,
        loudness_lufs=loudness,
    )


def _sound_findings(
    samples: NDArray[np.float32],
    seconds: float,
    loudness: float | None,
    case: Case,
    limits: MediaLimits,
) -> Iterator[str]:
    if loudness is None:
        yield "it is silent; give a recording with a voice"
    elif not limits.quietest_lufs <= loudness <= limits.loudest_lufs:
        yield (
            f"its loudness is {loudness:.1f} LUFS, "
            f"{limits.quietest_lufs:g} to {limits.loudest_lufs:g} fits"
        )
    clipped = float(np.mean(np.abs(samples) >= 0.999))
    if clipped > limits.clipped_share:
        yield f"{clipped:.1%} of it is clipped, at most {limits.clipped_share:.1%} fits"
    if case.duration_s is not None:
        room = max(limits.duration_tolerance_s, limits.duration_tolerance_share * case.duration_s)
        if abs(seconds - case.duration_s) > room:
            yield f"it lasts {seconds:.1f} s, {case.duration_s:g} s with {room:.1f} s of room is asked for"
