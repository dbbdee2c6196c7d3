"""How a clip is sampled: one frozen record, the home of every sampling default.

Knows numbers only. Presets (`joystreamer.presets`) are functions that return such a record.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

from joystreamer.errors import BRIEF, InputError, brief
from joystreamer.guidance import AUDIO_SCALE_LOW_NOISE, TEXT_SCALE
from joystreamer.json_files import is_finite
from joystreamer.samplers import STUDENT_TIMESTEPS, SamplerName
from joystreamer.segments import FragmentRule

NEGATIVE_PROMPT = (
    "overexposed, static, blurred details, subtitles, watermark, worst quality, low quality, "
    "JPEG artefacts, ugly, deformed, extra fingers, poorly drawn hands, poorly drawn face, "
    "fused fingers, frozen picture, cluttered background, three legs, walking backwards"
)
"""Default words to avoid; ours, in the vocabulary that Wan's users know."""


_KINDS = {
    "height": "whole number",
    "width": "whole number",
    "area": "whole number",
    "steps": "whole number",
    "seed": "whole number",
    "shift": "number",
    "reference_offset": "number",
}
"""Numeric options; JSON may bring anything."""

MAX_FRAME_PIXELS = 7680 * 4320
"""The largest frame that clips are read with (8K), far above what the networks were trained for."""

_OPTIONAL = ("height", "width", "reference_offset")


def _is_number(value: object, *, whole: bool) -> bool:
    return is_finite(value) and (not whole or isinstance(value, int))


@dataclass(frozen=True, slots=True)
class ScaleSchedule:
    """A guidance scale, constant or by timestep.

    Attributes:
        value: Scale wherever no threshold is exceeded.
        above: Pairs (threshold, scale): at a timestep above the highest exceeded threshold, its
            scale holds. The paper's dynamic rule is `ScaleSchedule(4.0, ((950.0, 0.1),))`.
    """

    value: float
    above: tuple[tuple[float, float], ...] = ()

    def at(self, timestep: float) -> float:
        """Scale at a timestep in 0..1000."""
        exceeded = [pair for pair in self.above if timestep > pair[0]]
        return max(exceeded)[1] if exceeded else self.value

    @classmethod
    def parse(cls, text: str) -> "ScaleSchedule":
        """Read `4`, or `4,950:0.1` (4 in general, 0.1 above timestep 950).

        Raises:
            InputError: The text has another form.
        """
        try:
            first, *rest = text.split(",")
            pairs = (pair.split(":") for pair in rest)
            above = tuple((float(edge), float(scale)) for edge, scale in pairs)
            if not all(
                map(math.isfinite, (float(first), *(part for pair in above for part in pair)))
            ):
                raise ValueError("not finite")
            return cls(float(first), above)
        except ValueError as error:
            raise InputError(
                f"guidance scale {brief(text)} came; write a number, or a number and "
                "threshold:number pairs such as 4,950:0.1"
            ) from error

    def __str__(self) -> str:
        """The text that `parse` reads."""
        pairs = (f"{_exact(edge)}:{_exact(scale)}" for edge, scale in self.above)
        return ",".join([_exact(self.value), *pairs])


def _exact(number: float) -> str:
    """The shortest text that reads back as the same number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationOptions:
    """Everything that decides a clip apart from its inputs and weights.

    Attributes:
        height: Pixels; None takes the image's shape at the preset's area.
        width: Pixels; None likewise.
        area: Pixels per frame aimed at when height and width are None.
        sampler: `unipc` or `euler` with guidance, `distilled` without.
        steps: Denoiser calls per segment; the distilled sampler has its own list.
        shift: Flow shift of the noise schedule.
        text_scale: a_t of Eq. 2; 1 with audio_scale 1 means no guidance.
        audio_scale: a_a of Eq. 2.
        distilled_timesteps: Raw student timesteps before the shift.
        negative_prompt: Words of the N branch of Eq. 2.
        reference_offset: Added to the reference's time position; None takes the network's (10).
            The paper uses 3 for plain talking, read as "in place of 10", see docs/generate.md.
        first_segment: `empty` shows no history to the first pass; `reference` shows nine copies of
            the reference image.
        fragment_rule: How prompt fragments are laid over time.
        batch_guidance: Whether the branches of Eq. 2 run as one batch (faster) or one by one.
        seed: Seed of the whole clip.
    """

    height: int | None = None
    width: int | None = None
    area: int = 480 * 832
    sampler: SamplerName = "unipc"
    steps: int = 40
    shift: float = 5.0
    text_scale: ScaleSchedule = field(default_factory=lambda: ScaleSchedule(TEXT_SCALE))
    audio_scale: ScaleSchedule = field(default_factory=lambda: ScaleSchedule(AUDIO_SCALE_LOW_NOISE))
    distilled_timesteps: tuple[float, ...] = STUDENT_TIMESTEPS
    negative_prompt: str = NEGATIVE_PROMPT
    reference_offset: float | None = None
    first_segment: Literal["empty", "reference"] = "empty"
    fragment_rule: FragmentRule = "spread"
    batch_guidance: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no sampler can use."""
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            optional = name in _OPTIONAL and value is None
            if not optional and not _is_number(value, whole=kind == "whole number"):
                raise InputError(f"{name} is {brief(value)}; give a {kind}")
        choices = {
            "sampler": ("unipc", "euler", "distilled"),
            "first_segment": ("empty", "reference"),
            "fragment_rule": ("spread", "hold", "replan"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {brief(getattr(self, name))}; choose one of {', '.join(allowed)}"
                )
        if not 1 <= self.steps <= 1000:
            raise InputError(
                f"steps is {self.steps}; choose 1 to 1000 (40 is usual, 4 if distilled)"
            )
        if not isinstance(self.negative_prompt, str) or not isinstance(self.batch_guidance, bool):
            raise InputError(
                f"negative_prompt is {brief(self.negative_prompt)} and batch_guidance is "
                f"{brief(self.batch_guidance)}; give a text, and true or false"
            )
        if (self.height is None) != (self.width is None):
            raise InputError("only one of height and width was given; give both or neither")
        if self.height is not None and self.width is not None:
            shown = f"size {self.width}x{self.height}"
            pixels = self.height * self.width if min(self.height, self.width) > 0 else 0
        else:
            shown, pixels = f"area is {self.area}", self.area
        if not 0 < pixels <= MAX_FRAME_PIXELS:
            raise InputError(
                f"{shown[:BRIEF]}; give 1 to {MAX_FRAME_PIXELS} pixels per frame, such as 399360"
            )
        if not self.distilled_timesteps:
            raise InputError("distilled_timesteps is empty; give the steps, such as 1000 and 500")
        if self.shift <= 0:
            raise InputError(f"shift is {self.shift}; it must be above 0 (5 suits 480x832)")

    @property
    def calls(self) -> int:
        """Sampler steps per segment."""
        return len(self.distilled_timesteps) if self.sampler == "distilled" else self.steps

    def to_json(self) -> dict[str, Any]:
        """Plain values, scales as their text; read back by `from_json`."""
        plain = asdict(self)
        plain["text_scale"], plain["audio_scale"] = str(self.text_scale), str(self.audio_scale)
        plain["distilled_timesteps"] = list(self.distilled_timesteps)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "GenerationOptions":
        """Options from plain values.

        Raises:
            InputError: A name is unknown; the nearest known one is suggested.
        """
        known = {entry.name for entry in fields(cls)}
        for name in plain:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = (
                    f"; did you mean {near[0]}?"
                    if near
                    else f"; known are {', '.join(sorted(known))}"
                )
                raise InputError(f"unknown option {brief(name)}{hint}")
        values = dict(plain)
        for name in ("text_scale", "audio_scale"):
            if name in values and not isinstance(values[name], ScaleSchedule):
                values[name] = ScaleSchedule.parse(str(values[name]))
        if "distilled_timesteps" in values:
            steps = values["distilled_timesteps"]
            if not isinstance(steps, list | tuple) or not all(
                _is_number(step, whole=False) for step in steps
            ):
                raise InputError(
                    f"distilled_timesteps is {brief(steps)}; write a list of numbers such as [1000, 500]"
                )
            values["distilled_timesteps"] = tuple(map(float, steps))
        return cls(**values)
