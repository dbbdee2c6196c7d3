"""Competitors as command templates: which command renders a case, and what it needs and leaves.

A template is a TOML file in `benchmarks/systems` or anywhere: a list of arguments with placeholders, so
no shell is involved and no quoting can go wrong. Filling one in runs nothing.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from eval.fields import Fields, ProblemsFound, nearest
from eval.records import Case, System
from eval.text_files import read_toml
from joystreamer.errors import InputError

SYSTEMS: Final = Path(__file__).resolve().parent / "systems"
FRAME_RATE: Final = 25
"""Frames per second that {frames} counts; nearly every system's own rate."""

PLACEHOLDERS: Final = {
    "image": "reference picture",
    "audio": "sound of the case, several voices summed",
    "prompt": "text",
    "out": "clip to write",
    "seed": "seed",
    "seconds": "length of the sound",
    "frames": "the same in frames at 25 per second",
    "segments": "segments that cover the sound, by the table [segments]",
    "input_json": "the case as the JSON of 'input'",
    "stem": "path of the clip to write, without .mp4",
    "work": "an empty folder of this case",
    "python": "Python of the system's own environment, by default ours",
    "ffmpeg": "the FFmpeg program",
}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments:
    """How many segments a system needs for a length.

    Attributes:
        frames_per_second: Its frame rate.
        first: Frames of the first segment.
        further: New frames of every further one.
    """

    frames_per_second: float
    first: int
    further: int

    def needed(self, seconds: float) -> int:
        """Return the number of segments that cover so many seconds."""
        rest = math.ceil(seconds * self.frames_per_second) - self.first
        return 1 + max(0, math.ceil(rest / self.further))


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A competitor's command.

    Attributes:
        name: Name of the system on leaderboards.
        title: What it is.
        source: Where it comes from.
        licence: Licence of its code.
        documented: Where its command is documented.
        notes: What a reader should know.
        command: Arguments with placeholders; empty for a closed system.
        home: What the folder it must be run in is; '' when any will do.
        input: Form of {input_json}: multitalk, infinitetalk or longcat; '' when unused.
        result: Pattern of what it writes, the newest match is taken; '' for {out}.
        sound: 'keep' the clip's own, or 'add' the case's to a silent clip.
        speakers: Voices it can take apart; more than that are refused.
        timeout_s: Seconds after which a case is stopped.
        retries: Further attempts after a failure.
        settings: Placeholders of its own, with their documented values.
        segments: For {segments}.
    """

    name: str
    title: str = ""
    source: str = ""
    licence: str = ""
    documented: str = ""
    notes: str = ""
    command: tuple[str, ...] = ()
    home: str = ""
    input: str = ""
    result: str = ""
    sound: str = "keep"
    speakers: int = 1
    timeout_s: float = 3600.0
    retries: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    segments: Segments | None = None

    @property
    def closed(self) -> bool:
        """Whether it offers no command to run."""
        return not self.command

    def system(self, card: Mapping[str, Any] | None = None) -> System:
        """Return the competitor's record."""
        facts = {"source": self.source, "licence": self.licence, "documented": self.documented}
        return System(
            name=self.name,
            kind="competitor",
            notes=self.notes,
            card={"title": self.title, **facts, **(card or {})},
        )


def shipped_adapters() -> tuple[Adapter, ...]:
    """Return every shipped template, by name."""
    return tuple(read_adapter(path) for path in sorted(SYSTEMS.glob("*.toml")))


def find_adapter(name: str) -> Adapter:
    """Return a shipped template by name, or one by the path of its file.

    Raises:
        InputError: There is none.
    """
    path = Path(name) if name.endswith(".toml") else SYSTEMS / f"{name}.toml"
    if not path.is_file():
        known = [path.stem for path in SYSTEMS.glob("*.toml")]
        raise InputError(
            f"no adapter is called {name!r}{nearest(name, known)}; "
            f"there are: {', '.join(sorted(known))}, or give a .toml file"
        )
    return read_adapter(path)


def change_settings(adapter: Adapter, overrides: Mapping[str, str]) -> Adapter:
    """Return an adapter with other values of its settings.

    Args:
        adapter: What is to be changed.
        overrides: NAME.SETTING -> value; those of other adapters are left alone.

    Raises:
        InputError: The adapter has no such setting.
    """
    settings = dict(adapter.settings)
    for key, value in overrides.items():
        name, _, setting = key.rpartition(".")
        if name != adapter.name:
            continue
        if setting not in settings:
            raise InputError(
                f"{adapter.name} has no setting {setting!r}{nearest(setting, tuple(settings))}; "
                f"settings: {', '.join(settings) or 'none'}"
            )
        settings[setting] = value
    return replace(adapter, settings=settings)


def read_adapter(path: Path) -> Adapter:
    """Read a template.

    Raises:
        ProblemsFound: One sentence per mistake.
    """
    problems: list[str] = []
    table = read_toml(path, "see benchmarks/systems")
    fields = Fields(str(path), table, problems)
    standard = Adapter(name="x")
    settings = fields.raw("settings") or {}
    if not isinstance(settings, dict) or not all(isinstance(v, str) for v in settings.values()):
        fields.problem("settings", settings, "a table of texts")
        settings = {}
    adapter = Adapter(
        name=fields.identifier("name"),
        **{
            name: fields.text(name, default="")
            for name in (
                "title",
                "source",
                "licence",
                "documented",
                "notes",
                "home",
                "result",
            )
        },
        command=fields.items("command", _argument, "a text"),
        input=fields.choice("input", ("", "multitalk", "infinitetalk", "longcat"), default=""),
        sound=fields.choice("sound", ("keep", "add"), default=standard.sound),
        speakers=fields.integer("speakers", default=standard.speakers, low=1) or standard.speakers,
        timeout_s=fields.number("timeout_s", default=standard.timeout_s, low=0.1) or 1.0,
        retries=fields.integer("retries", default=standard.retries) or 0,
        settings=settings,
        segments=_segments(fields, problems),
    )
    fields.finish()
    problems += _placeholder_problems(str(path), adapter)
    if problems:
        raise ProblemsFound(problems)
    return adapter


def _argument(item: Any) -> str | None:
    return item if isinstance(item, str) else None


def _segments(fields: Fields, problems: list[str]) -> Segments | None:
    given = fields.raw("segments")
    if given is None:
        return None
    if not isinstance(given, dict):
        fields.problem("segments", given, "a table with frames_per_second, first, further")
        return None
    inner = Fields(f"{fields.place}: segments", given, problems)
    segments = Segments(
        frames_per_second=inner.number("frames_per_second", default=FRAME_RATE, low=1) or 1.0,
        first=inner.integer("first", default=1, low=1) or 1,
        further=inner.integer("further", default=1, low=1) or 1,
    )
    inner.finish()
    return segments


def _placeholder_problems(place: str, adapter: Adapter) -> list[str]:
    known = {*PLACEHOLDERS, *adapter.settings}
    used = {
        name for text in (*adapter.command, adapter.result) for name in _PLACEHOLDER.findall(text)
    }
    problems = [
        f"{place}: field 'command': {{{name}}} is unknown{nearest(name, sorted(known))}; "
        f"known: {', '.join(sorted(known))}"
        for name in sorted(used - known)
    ]
    if adapter.command and not used & {"out", "stem", "work"}:
        problems.append(f"{place}: field 'command': none of {{out}}, {{stem}}, {{work}} is used")
    if "segments" in used and adapter.segments is None:
        problems.append(f"{place}: {{segments}} is used without a table [segments]")
    if "input_json" in used and not adapter.input:
        problems.append(f"{place}: {{input_json}} is used without 'input'")
    return problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One case as a command sees it.

    Attributes:
        case: What is asked.
        audio: Its sound in one file.
        seconds: Length of the sound.
        out: Clip to write.
        work: Empty folder of this case.
        seed: Seed.
    """

    case: Case
    audio: Path
    seconds: float
    out: Path
    work: Path
    seed: int = 0


def fill(
    adapter: Adapter, asked: Asked, *, python: str = "", ffmpeg: str = "ffmpeg"
) -> tuple[str, ...]:
    """Return the command for a case, ready to run without a shell.

    Raises:
        InputError: The system is closed, or cannot take the case.
    """
    if adapter.closed:
        raise InputError(f"{adapter.name} has no command. {adapter.notes}")
    if len(asked.case.speakers) > adapter.speakers:
        raise InputError(
            f"case {asked.case.id!r} has {len(asked.case.speakers)} voices, "
            f"{adapter.name} takes {adapter.speakers}"
        )
    values = _values(adapter, asked, python, ffmpeg)
    return tuple(_replace(text, values) for text in adapter.command)


def result_pattern(adapter: Adapter, asked: Asked) -> str:
    """Return where the clip will be, as a path or a pattern."""
    return _replace(adapter.result or "{out}", _values(adapter, asked, "", "ffmpeg"))


def _values(adapter: Adapter, asked: Asked, python: str, ffmpeg: str) -> dict[str, str]:
    frames = math.ceil(asked.seconds * FRAME_RATE)
    segments = adapter.segments.needed(asked.seconds) if adapter.segments else 1
    return {
        **adapter.settings,
        "image": str(asked.case.image.resolve()) if asked.case.image else "",
        "audio": str(asked.audio.resolve()),
        "prompt": asked.case.prompt,
        "out": str(asked.out),
        "seed": str(asked.seed),
        "seconds": f"{asked.seconds:.3f}",
        "frames": str(frames),
        "segments": str(segments),
        "input_json": str(asked.work / "input.json"),
        "stem": str(asked.out.with_suffix("")),
        "work": str(asked.work),
        "python": python or sys.executable,
        "ffmpeg": ffmpeg,
    }


def _replace(text: str, values: Mapping[str, str]) -> str:
    """Fill placeholders in one pass, so that braces inside a prompt stay as they are."""
    return _PLACEHOLDER.sub(lambda fit: values.get(fit[1], fit[0]), text)
