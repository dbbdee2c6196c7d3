"""What a clip is asked to be: one record, read from command line options, JSON or a line of JSONL.

Reads JSON and checks names, types and files' presence in words; loads no picture and no sound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from joystreamer.conditioning.speakers import Box
from joystreamer.conditioning.tracks import Turn
from joystreamer.errors import InputError, brief
from joystreamer.json_files import is_finite, is_there, parse_object, read_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """One person of the picture.

    At most one of box, mask and words says where they are; words are looked for by a detector.

    Attributes:
        name: For turns, previews and errors.
        audio: Their track from the start of the clip, if the job has no turns.
        box: Where they are, in pixels of the image.
        mask: Picture file of the image's size, white where they are.
        words: What a detector should look for, such as "woman in red".
    """

    name: str
    audio: Path | None = None
    box: Box | None = None
    mask: Path | None = None
    words: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec:
    """One clip to make.

    Attributes:
        image: Reference picture.
        prompt: Words for the whole clip.
        out: The clip, `.mp4`.
        audio: Sound of the only speaker, or of two in stereo.
        stereo: Whether the left and right channel of `audio` are two speakers.
        speakers: People of the picture, for several.
        turns: Stretches of speech, for conversations of any number of rounds.
        transcript: What is said, for the planner.
        options: Changes of sampling options by name.
    """

    image: Path
    prompt: str
    out: Path
    audio: Path | None = None
    stereo: bool = False
    speakers: tuple[Speaker, ...] = ()
    turns: tuple[Turn, ...] = ()
    transcript: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse jobs whose parts contradict each other."""
        names = [speaker.name for speaker in self.speakers]
        if len(set(names)) != len(names):
            raise InputError(
                f"two speakers share a name ({', '.join(names)}); name each differently"
            )
        own = [speaker.name for speaker in self.speakers if speaker.audio is not None]
        sources = sum((self.audio is not None, bool(self.turns), bool(own)))
        if sources != 1:
            raise InputError(
                "give sound in exactly one way: one audio file, audio per speaker, or turns; "
                f"{sources} came"
            )
        if self.stereo and (self.audio is None or len(self.speakers) != 2):
            raise InputError("stereo needs one audio file and two speakers: left, then right")
        if self.audio is not None and not self.stereo and len(self.speakers) > 1:
            raise InputError(
                f"one audio file came for {len(self.speakers)} speakers; give audio per speaker, "
                "turns, or a stereo file"
            )
        for speaker in self.speakers:
            ways = (speaker.box, speaker.mask, speaker.words)
            if sum(way is not None for way in ways) > 1:
                raise InputError(
                    f"speaker {speaker.name} has several of box, mask and words; give one of them"
                )
        if own and len(own) != len(self.speakers):
            silent = [name for name in names if name not in own]
            raise InputError(
                f"speaker {silent[0]} has no audio but others do; give each an audio file, or turns"
            )


LATEST_START_S = 36_000
"""Seconds; the longest clip that is made (ten hours), so that a slip of the pen asks for no terabyte."""

LONGEST_NAME = 200
"""Bytes of a clip's name: file systems allow 255, and the names beside it are longer."""

_JOB_KEYS = (
    "image",
    "prompt",
    "out",
    "audio",
    "stereo",
    "speakers",
    "turns",
    "transcript",
    "options",
)
_SPEAKER_KEYS = ("name", "audio", "box", "mask", "words")
_TURN_KEYS = ("speaker", "audio", "start")


def parse_job(plain: Mapping[str, Any], folder: Path, *, where: str = "the job") -> JobSpec:
    """A job from plain values; paths are relative to `folder`.

    Raises:
        InputError: Names an unknown key, a missing key, a wrong type or a missing file.
    """
    _check_keys(plain, _JOB_KEYS, where)
    for name in ("image", "prompt", "out"):
        if not isinstance(plain.get(name), str):
            raise InputError(f"{where} needs the text {name!r}; it has {brief(plain.get(name))}")
    speakers = tuple(
        _parse_speaker(entry, number, folder, where)
        for number, entry in enumerate(_list_of(plain, "speakers", where), start=1)
    )
    turns = tuple(
        _parse_turn(entry, number, speakers, folder, where)
        for number, entry in enumerate(_list_of(plain, "turns", where), start=1)
    )
    options = plain.get("options", {})
    if not isinstance(options, dict):
        raise InputError(
            f"{where} has a {type(options).__name__} under 'options'; write an object of names and "
            "values"
        )
    return JobSpec(
        image=_file(folder, plain["image"], where),
        prompt=plain["prompt"],
        out=_target(folder, plain["out"], where),
        audio=_file(folder, plain["audio"], where) if plain.get("audio") else None,
        stereo=_switch(plain, "stereo", where),
        speakers=speakers,
        turns=turns,
        transcript=_optional_text(plain, "transcript", where),
        options=options,
    )


def read_job(path: Path) -> JobSpec:
    """A job from a JSON file.

    Raises:
        InputError: The file is missing or not a JSON object, or does not describe a job.
    """
    return parse_job(parse_object(read_text(path), f"'{path}'"), path.parent, where=f"'{path}'")


def read_jobs(path: Path) -> list[JobSpec]:
    """Jobs from a JSONL file, one object per line; empty lines are skipped.

    Raises:
        InputError: Names file and line.
    """
    jobs = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            where = f"'{path}', line {number}"
            jobs.append(parse_job(parse_object(line, where), path.parent, where=where))
    if not jobs:
        raise InputError(f"'{path}' holds no jobs; write one JSON object per line")
    targets = [job.out.resolve() for job in jobs]
    double = next((target for target in targets if targets.count(target) > 1), None)
    if double is not None:
        raise InputError(f"two jobs of '{path}' write {double.name}; give each its own out")
    return jobs


def _parse_speaker(entry: Any, number: int, folder: Path, where: str) -> Speaker:
    where = f"{where}, speaker {number}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is a {type(entry).__name__}; write an object")
    _check_keys(entry, _SPEAKER_KEYS, where)
    box = entry.get("box")
    if box is not None and not (isinstance(box, list) and len(box) == 4):
        raise InputError(f"{where} has box {brief(box)}; write [x0, y0, x1, y1] in pixels")
    return Speaker(
        name=_optional_text(entry, "name", where) or f"speaker-{number}",
        audio=_file(folder, entry["audio"], where) if entry.get("audio") else None,
        box=Box(*(_number(side, f"{where}, box") for side in box)) if box else None,
        mask=_file(folder, entry["mask"], where) if entry.get("mask") else None,
        words=_optional_text(entry, "words", where),
    )


def _parse_turn(
    entry: Any, number: int, speakers: tuple[Speaker, ...], folder: Path, where: str
) -> Turn:
    where = f"{where}, turn {number}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is a {type(entry).__name__}; write an object")
    _check_keys(entry, _TURN_KEYS, where)
    names = [speaker.name for speaker in speakers]
    if entry.get("speaker") not in names:
        raise InputError(
            f"{where} is spoken by {brief(entry.get('speaker'))}; the speakers are {', '.join(names)}"
        )
    if not entry.get("audio"):
        raise InputError(f"{where} has no audio; give a file with this stretch of speech")
    start = entry.get("start")
    return Turn(
        speaker=names.index(entry["speaker"]),
        audio=_file(folder, entry["audio"], where),
        start=None if start is None else _start(start, where),
    )


def _start(value: Any, where: str) -> float:
    start = _number(value, f"{where}, start")
    if not 0 <= start <= LATEST_START_S:
        raise InputError(f"{where} starts at {start:g} s; give 0 to {LATEST_START_S} s")
    return start


def _target(folder: Path, name: str, where: str) -> Path:
    target = folder / name
    if not target.name or "\0" in name or len(target.name.encode(errors="replace")) > LONGEST_NAME:
        raise InputError(
            f"{where} would write {brief(name)}; give a file name of at most {LONGEST_NAME} bytes"
        )
    return target


def _switch(plain: Mapping[str, Any], name: str, where: str) -> bool:
    value = plain.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"{where} has {name} {brief(value)}; write true or false")
    return value


def _optional_text(plain: Mapping[str, Any], name: str, where: str) -> str | None:
    value = plain.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where} has {name} {brief(value)}; write a text")
    return value


def _check_keys(plain: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in plain:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise InputError(f"{where} has the unknown key {brief(name)}; {hint}")


def _list_of(plain: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = plain.get(name, [])
    if not isinstance(value, list):
        raise InputError(f"{where} has a {type(value).__name__} under {name!r}; write a list")
    return value


def _number(value: Any, where: str) -> float:
    if not is_finite(value):
        raise InputError(f"{where} is {brief(value)}; write a number")
    return float(value)


def _file(folder: Path, name: Any, where: str) -> Path:
    if not isinstance(name, str):
        raise InputError(f"{where} names a file by {brief(name)}; write its path as text")
    path = folder / name
    if not is_there(path):
        raise InputError(
            f"{where} names '{name[:200]}', but there is no file '{str(path)[-200:]}'; check the path"
        )
    return path
