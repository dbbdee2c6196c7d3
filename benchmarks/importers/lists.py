"""Text lists and plain folders: OmniAvatar's and Hallo3's `prompt@@image@@audio`, EchoMimicV3's folders.

EchoMimicV3 keeps one text file per case in `prompts`, the picture in `imgs` and the speech in `audios`,
all of the same stem; a plain folder keeps them side by side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.importers.imported import (
    Imported,
    Source,
    identifier_of,
    language_of,
    with_unique_ids,
)
from benchmarks.media_matching import IMAGES, SOUNDS
from benchmarks.suite_writer import copy_to
from eval.fields import read_lines
from eval.records import Case, Speaker, Tags
from eval.store.files import write_text
from joystreamer.errors import InputError

SEPARATOR: Final = "@@"
ECHOMIMIC_FOLDERS: Final = ("prompts", "imgs", "audios")


def _read(
    name: str, prompt: str, image: Path | None, audio: Sequence[Path], source: Source, place: str
) -> Case:
    return Case(
        id=identifier_of(name),
        prompt=prompt,
        image=image,
        speakers=tuple(Speaker(audio=path) for path in audio),
        tags=Tags(language=language_of(prompt)),
        image_needed="" if image else "a reference picture",
        source=place,
        licence=source.licence,
        extra={"speakers": max(1, len(audio))},
    )


def read_joined_lines(source: Source) -> Imported:
    """Read `prompt@@image@@audio` lines; image or audio may be left out."""
    found = Imported()
    for number, line in enumerate(read_lines(source.path), start=1):
        if not line.strip():
            continue
        place = f"{source.path}:{number}"
        prompt, *paths = (part.strip() for part in line.split(SEPARATOR))
        if len(paths) > 2:
            found.problems.append(
                f"{place}: {len(paths) + 1} parts, expected prompt{SEPARATOR}image{SEPARATOR}audio"
            )
            continue
        image = found.file(paths[0], source.media, place) if paths and paths[0] else None
        sounds = [found.file(path, source.media, place) for path in paths[1:] if path]
        name = Path(paths[-1]).stem if paths else f"line-{number}"
        found.cases.append(
            _read(name, prompt, image, [path for path in sounds if path], source, place)
        )
    found.cases = with_unique_ids(found.cases)
    return found


def write_joined_lines(
    cases: Sequence[Case], out: Path, _options: Mapping[str, str]
) -> Sequence[Path]:
    """Write `infer_samples.txt`.

    Raises:
        InputError: A prompt holds the separator, or a case has several voices.
    """
    lines = []
    for case in cases:
        voices = [speaker.audio for speaker in case.speakers if speaker.audio]
        if len(voices) > 1:
            raise InputError(f"case {case.id!r} has {len(voices)} voices; this list takes one")
        if SEPARATOR in case.prompt:
            raise InputError(f"the prompt of case {case.id!r} holds {SEPARATOR}; reword it")
        image = str(case.image.resolve()) if case.image else ""
        audio = str(voices[0].resolve()) if voices else ""
        lines.append(SEPARATOR.join((" ".join(case.prompt.split()), image, audio)))
    write_text(out / "infer_samples.txt", "".join(f"{line}\n" for line in lines))
    return [out / "infer_samples.txt"]


def read_folder(source: Source) -> Imported:
    """Read a folder of pictures, recordings and texts that share their stems.

    EchoMimicV3's `prompts`, `imgs` and `audios` are understood too. `NAME.1.wav`, `NAME.2.wav` are
    several voices of one case.

    Raises:
        InputError: No folder, or nothing in it fits together.
    """
    if not source.path.is_dir():
        raise InputError(f"{source.path} is not a folder; give one with pictures and recordings")
    found = Imported()
    files: dict[str, dict[str, list[Path]]] = {}
    roots = {source.path, source.media}
    for path in sorted({path for root in roots for path in root.rglob("*") if path.is_file()}):
        kind = _kind(path)
        if kind:
            stem = path.stem
            head, _, number = stem.rpartition(".")
            stem = head if kind == "sound" and number.isdecimal() and head else stem
            files.setdefault(stem, {}).setdefault(kind, []).append(path)
    for stem, kinds in sorted(files.items()):
        if "text" not in kinds and not ("image" in kinds and "sound" in kinds):
            continue
        prompt = " ".join(" ".join(read_lines(kinds["text"][0])).split()) if "text" in kinds else ""
        images = kinds.get("image", [])
        if not images:
            found.absent.append(f"{stem}: no picture of that name below {source.media}")
        if not kinds.get("sound"):
            found.absent.append(f"{stem}: no recording of that name below {source.media}")
        image = images[0] if images else None
        place = str(kinds.get("text", images)[0])
        found.cases.append(_read(stem, prompt, image, kinds.get("sound", []), source, place))
    if not found.cases:
        raise InputError(f"{source.path} holds no pictures and recordings of the same name")
    return found


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return ""
    return "image" if suffix in IMAGES else "sound" if suffix in SOUNDS else "text" if suffix == ".txt" else ""  # fmt: skip


def write_echomimic(
    cases: Sequence[Case], out: Path, _options: Mapping[str, str]
) -> Sequence[Path]:
    """Write EchoMimicV3's three folders."""
    prompts, pictures, sounds = ECHOMIMIC_FOLDERS
    return _write_folders(cases, (out / prompts, out / pictures, out / sounds))


def write_folder(cases: Sequence[Case], out: Path, _options: Mapping[str, str]) -> Sequence[Path]:
    """Write pictures, recordings and prompts side by side."""
    return _write_folders(cases, (out, out, out))


def _write_folders(cases: Sequence[Case], folders: tuple[Path, Path, Path]) -> Sequence[Path]:
    written = []
    for case in cases:
        written.append(folders[0] / f"{case.id}.txt")
        write_text(written[-1], case.prompt + "\n")
        if case.image is not None:
            written.append(
                copy_to(case.image, folders[1] / f"{case.id}{case.image.suffix.lower()}")
            )
        voices = [speaker.audio for speaker in case.speakers if speaker.audio]
        for number, voice in enumerate(voices, start=1):
            ending = "" if len(voices) == 1 else f".{number}"
            target = folders[2] / f"{case.id}{ending}{voice.suffix.lower()}"
            written.append(copy_to(voice, target))
    return written
