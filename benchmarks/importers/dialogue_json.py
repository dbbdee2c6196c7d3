"""JSON inputs of MultiTalk, InfiniteTalk and LongCat-Video-Avatar: one object per case.

Keys: `prompt`, `cond_image` (InfiniteTalk: `cond_video`, a picture or a clip), `cond_audio` with
`person1`, `person2`; `audio_type` `para` (together) or `add` (one after the other); `bbox` per person as
rows and columns in pixels: top, left, bottom, right. `tts_audio` asks for speech that does not exist yet.
"""

import json
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.importers.imported import Imported, Source, identifier_of, language_of
from benchmarks.media_matching import IMAGES
from eval.fields import read_lines, shown
from eval.records import Case, Speaker, Tags
from eval.store.files import write_text, written_atomically
from joystreamer.errors import InputError
from joystreamer.media import read_audio, read_image

RATE: Final = 48_000


def read_dialogues(source: Source) -> Imported:
    """Read one such file, or every `.json` of a folder."""
    found = Imported()
    paths = sorted(source.path.glob("*.json")) if source.path.is_dir() else [source.path]
    if not paths:
        raise InputError(f"{source.path} holds no .json; give the folder of input files")
    for path in paths:
        try:
            given = json.loads("\n".join(read_lines(path)))
        except ValueError as error:
            found.problems.append(f"{path}: not JSON ({error}); expected one object")
            continue
        entries = given if isinstance(given, list) else [given]
        for number, entry in enumerate(entries, start=1):
            name = path.stem if len(entries) == 1 else f"{path.stem}-{number}"
            case = _dialogue(entry, identifier_of(name), str(path), source, found)
            if case is not None:
                found.cases.append(case)
    return found


def _dialogue(entry: Any, name: str, place: str, source: Source, found: Imported) -> Case | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
        found.problems.append(f"{place}: got {shown(entry)}, expected an object with 'prompt'")
        return None
    picture = str(entry.get("cond_image") or entry.get("cond_video") or "")
    path = found.file(picture, source.media, place) if picture else None
    image = path if path is not None and path.suffix.lower() in IMAGES else None
    sounds = _table(entry, "cond_audio")
    persons = sorted(sounds)
    audio = [found.file(str(sounds[person]), source.media, place) for person in persons]
    kind = entry.get("audio_type")
    if kind == "add" and len(audio) > 1 and all(audio):
        audio = list(_one_after_another([p for p in audio if p], name, source.scratch))
    boxes = _table(entry, "bbox")
    speakers = tuple(
        Speaker(audio=file, box=_fractions(boxes.get(person), image, place, found))
        for person, file in zip(persons, audio, strict=True)
    )
    extra: dict[str, Any] = {"speakers": max(1, len(persons)), "names": persons}
    if kind:
        extra["audio_type"] = kind
    if isinstance(entry.get("tts_audio"), dict):
        extra["tts"] = entry["tts_audio"]
    return Case(
        id=name,
        prompt=entry["prompt"].strip(),
        image=image,
        speakers=speakers if any(speaker.audio for speaker in speakers) else (),
        tags=Tags(language=language_of(entry["prompt"])),
        image_needed="" if image else f"the picture {picture}",
        source=place,
        licence=source.licence,
        extra=extra,
    )


def _table(entry: dict[str, Any], name: str) -> dict[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _fractions(
    box: Any, image: Path | None, place: str, found: Imported
) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom as fractions from top, left, bottom, right in pixels."""
    if box is None or image is None:
        return None
    height, width = read_image(image).shape[:2]
    if not isinstance(box, list) or len(box) != 4:
        found.problems.append(f"{place}: field 'bbox': got {shown(box)}, expected four pixels")
        return None
    top, left, bottom, right = (float(side) for side in box)
    sides = (left / width, top / height, min(1.0, right / width), min(1.0, bottom / height))
    if not (0 <= sides[0] < sides[2] and 0 <= sides[1] < sides[3]):
        found.problems.append(f"{place}: field 'bbox': {shown(box)} lies outside {width}x{height}")
        return None
    return sides


def _one_after_another(files: Sequence[Path], name: str, scratch: Path) -> Sequence[Path]:
    """Write each file's sound at its turn, silent before and after, all equally long."""
    sounds = []
    for file in files:
        samples = read_audio(file, sample_rate=RATE)
        sounds.append(np.zeros(0, np.float32) if samples is None else samples)
    total = sum(sound.size for sound in sounds)
    start, written = 0, []
    for number, sound in enumerate(sounds, start=1):
        whole = np.zeros(total, np.float32)
        whole[start : start + sound.size] = sound
        start += sound.size
        written.append(write_wave(scratch / f"{name}.{number}.wav", whole))
    return written


def write_wave(target: Path, samples: NDArray[np.float32], rate: int = RATE) -> Path:
    """Write mono sound in [-1, 1] as 16-bit WAV."""
    with written_atomically(target) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return target


def dialogue_record(case: Case, *, image_key: str = "cond_image") -> dict[str, Any]:
    """Return the JSON input of a case; paths are absolute.

    Several speakers are written as `para`: our recordings are as long as the clip.
    """
    named = [f"person{number}" for number in range(1, len(case.speakers) + 1)]
    record: dict[str, Any] = {
        "prompt": case.prompt,
        image_key: str(case.image.resolve()) if case.image else "",
        "cond_audio": {
            person: str(speaker.audio.resolve())
            for person, speaker in zip(named, case.speakers, strict=True)
            if speaker.audio is not None
        },
    }
    if len(case.speakers) > 1:
        record["audio_type"] = "para"
        boxes = {
            person: _pixels(speaker.box, case.image)
            for person, speaker in zip(named, case.speakers, strict=True)
            if speaker.box is not None and case.image is not None
        }
        if len(boxes) == len(case.speakers):
            record["bbox"] = boxes
    return record


def _pixels(box: tuple[float, float, float, float], image: Path) -> list[int]:
    with Image.open(image) as picture:
        width, height = picture.size
    left, top, right, bottom = box
    return [round(top * height), round(left * width), round(bottom * height), round(right * width)]


def write_dialogues(cases: Sequence[Case], out: Path, options: Mapping[str, str]) -> Sequence[Path]:
    """Write one JSON file per case; option `image_key` names the picture's key."""
    written = []
    for case in cases:
        record = dialogue_record(case, image_key=options.get("image_key", "cond_image"))
        target = out / f"{case.id}.json"
        write_text(target, json.dumps(record, ensure_ascii=False, indent=4) + "\n")
        written.append(target)
    return written
