"""What happens when: one prompt becomes a few fragments in order of time (paper, section 4.1).

Telling every segment the whole prompt makes it act the whole prompt again. A plan shares the actions
out. Backends only answer a question in text; asking again, checking and falling back live here.
"""

import json
import re
import warnings
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from joystreamer.errors import InputError, JoyStreamerError, brief
from joystreamer.segments import FragmentRule, fragment_count

ATTEMPTS = 3
"""How often a backend is asked before the rule-based split takes over."""

LONGEST_FRAGMENT_WORDS = 150
"""A longer fragment is no fragment: the answer is refused. Ours; UMT5 holds about 400 words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRequest:
    """What a planner is told.

    Attributes:
        prompt: The user's words for the whole clip.
        seconds: Length of the clip.
        rule: How fragments will be laid over time; decides how many there are.
        transcript: What is said, if known.
        image: Reference image, uint8 (H, W, 3), for backends that see.
    """

    prompt: str
    seconds: float
    rule: FragmentRule = "spread"
    transcript: str | None = None
    image: NDArray[np.uint8] | None = None

    @property
    def count(self) -> int:
        """Fragments wanted: one per 3.24 s, at most five unless re-planned."""
        return fragment_count(self.seconds, self.rule)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Fragments in order of time, and how they came about.

    Attributes:
        fragments: At least one text.
        backend: Who wrote them.
        attempts: Questions asked of a language model; 0 for the rules.
        warnings: Why a backend was given up, in words.
    """

    fragments: tuple[str, ...]
    backend: str
    attempts: int = 0
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for the file beside the clip."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Plan":
        """Plan from plain values, checked.

        Raises:
            InputError: No list of texts under `fragments`.
        """
        fragments = plain.get("fragments")
        if not isinstance(fragments, list) or not fragments:
            raise InputError("the plan has no list of texts under 'fragments'; write at least one")
        if not all(isinstance(text, str) and text.strip() for text in fragments):
            raise InputError("a fragment of the plan is not a text or empty; write words in each")
        return cls(fragments=tuple(fragments), backend=str(plain.get("backend", "file")))


class PlannerBackend(Protocol):
    """Something that answers a question about a picture in text."""

    name: str

    def ask(self, question: str, image: NDArray[np.uint8] | None) -> str:
        """Answer to the question; raises JoyStreamerError where it cannot be had."""
        ...


def make_plan(request: PlanRequest, backend: PlannerBackend | None = None) -> Plan:
    """Plan a clip.

    Args:
        request: What is known.
        backend: Language model to ask; None splits by rules.

    Returns:
        A plan with exactly `request.count` fragments from a backend, or at most so many by rules.

    Raises:
        InputError: The prompt is empty.
    """
    if not request.prompt.strip():
        raise InputError("the prompt is empty; describe the person and what they do")
    if backend is None:
        return Plan(fragments=split_by_rules(request.prompt, request.count), backend="rules")
    problems: list[str] = []
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = backend.ask(write_question(request, problems), request.image)
            fragments = read_answer(answer, request.count)
        except JoyStreamerError as error:
            problems.append(str(error))
        else:
            return Plan(
                fragments=fragments,
                backend=backend.name,
                attempts=attempt,
                warnings=tuple(problems),
            )
    warnings.warn(
        f"planner {backend.name} gave no usable plan in {ATTEMPTS} attempts ({problems[-1]}); "
        "the prompt is split by rules instead",
        stacklevel=2,
    )
    return Plan(
        fragments=split_by_rules(request.prompt, request.count),
        backend="rules",
        attempts=ATTEMPTS,
        warnings=tuple(problems),
    )


def write_question(request: PlanRequest, problems: list[str]) -> str:
    """The question for a language model; earlier problems are named so that it can mend them."""
    said = f'\nThe person says: "{request.transcript}"' if request.transcript else ""
    again = f"\nYour last answer could not be used: {problems[-1]}" if problems else ""
    return (
        "You direct a talking-avatar video made from the attached picture.\n"
        f'Instruction for the whole video of {request.seconds:.1f} seconds: "{request.prompt}"{said}\n'
        f"Write exactly {request.count} descriptions of successive, equally long stretches of it. "
        "Each names the person, the surroundings and the camera as the picture and the instruction "
        "have them, and the one action of its stretch. Keep the order of the instruction, never "
        "repeat a finished action, and let an action with a result (something picked up) persist. "
        "One or two sentences each, in the language of the instruction.\n"
        f"Answer with a JSON list of {request.count} strings and nothing else.{again}"
    )


def read_answer(answer: str, count: int) -> tuple[str, ...]:
    """Fragments in a model's answer, which may wrap the list in other text.

    Raises:
        InputError: No JSON list of `count` different, not empty, not overlong texts.
    """
    start, end = answer.find("["), answer.rfind("]")
    try:
        found = json.loads(answer[start : end + 1]) if 0 <= start < end else None
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InputError(f"a JSON list of texts was asked for; {brief(answer)} came")
    fragments = tuple(" ".join(text.split()) for text in found)
    if len(fragments) != count:
        raise InputError(f"{count} fragments were asked for; {len(fragments)} came")
    if not all(fragments):
        raise InputError("a fragment is empty; each needs words")
    if len(set(fragments)) != len(fragments):
        raise InputError("two fragments are the same; each stretch needs its own action")
    longest = max(len(text.split()) for text in fragments)
    if longest > LONGEST_FRAGMENT_WORDS:
        raise InputError(f"a fragment has {longest} words; at most {LONGEST_FRAGMENT_WORDS} fit")
    return fragments


_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])\s*")
_THEN = re.compile(
    r"\s*(?:,\s*(?:and\s+)?then\s+|,\s*after that,?\s+|\band then\s+|，\s*然后|，\s*接着|，\s*随后)\s*",
    re.IGNORECASE,
)
_ACTION_START = re.compile(
    r"(?:he|she|it|they|then|next|now|after|finally|first|suddenly|他|她|它|然后|接着|最后)(?:\b|(?<=[一-鿿]))",
    re.IGNORECASE,
)


def split_by_rules(prompt: str, count: int) -> tuple[str, ...]:
    """Share a prompt's actions out by sentence ends and words such as "then".

    A first sentence that does not begin with "she", "then" and the like describes the scene, and
    is repeated in every fragment if actions follow it. `|` splits by hand.

    Args:
        prompt: Words for the whole clip.
        count: Most fragments wanted.

    Returns:
        At least one fragment and at most `count`; as many as there are actions.
    """
    if "|" in prompt:
        parts = [part.strip() for part in prompt.split("|")]
    else:
        sentences = [part.strip() for part in _SENTENCE_END.split(prompt.strip())]
        parts = [part.strip() for sentence in sentences for part in _THEN.split(sentence)]
    parts = [part for part in parts if part]
    if not parts:
        raise InputError("the prompt is empty; describe the person and what they do")
    scene = ""
    if "|" not in prompt and len(parts) > 2 and not _ACTION_START.match(parts[0]):
        scene, parts = parts[0], parts[1:]
    groups = min(count, len(parts))
    edges = [round(index * len(parts) / groups) for index in range(groups + 1)]
    chunks = (" ".join(parts[low:high]) for low, high in pairwise(edges))
    return tuple(f"{scene} {chunk}".strip() for chunk in chunks)
