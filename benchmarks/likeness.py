"""Find prompts that repeat one another: shared runs of words, or of Chinese characters.

A template filled ninety-six times shows as long shared runs, also when names and objects differ.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")
_HAN: Final = re.compile(r"[\u3400-\u9fff]")


class SharedRun(NamedTuple):
    """The first stretch that two texts share.

    Attributes:
        later: Index of the later text.
        earlier: Index of the earlier text.
        run: What they share.
    """

    later: int
    earlier: int
    run: str


def han_characters(text: str) -> str:
    """Return the Chinese characters of a text, everything else left out."""
    return "".join(_HAN.findall(text))


def words(text: str) -> list[str]:
    """Return the lower-case words of a text that are not Chinese."""
    return [word.lower() for word in _WORD.findall(_HAN.sub(" ", text))]


def runs(tokens: Sequence[str], length: int) -> Iterable[tuple[str, ...]]:
    """Yield every run of so many tokens."""
    return (tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1))


def shared_runs(
    texts: Sequence[str], *, word_count: int, character_count: int
) -> tuple[SharedRun, ...]:
    """Return one shared run per pair of texts that have one.

    Args:
        texts: Prompts.
        word_count: Words in a run that no two texts may share; 0 to allow any.
        character_count: The same for Chinese characters.
    """
    found: dict[tuple[int, int], SharedRun] = {}
    for length, cut, joint in (
        (word_count, words, " "),
        (character_count, lambda text: list(han_characters(text)), ""),
    ):
        if not length:
            continue
        first: dict[tuple[str, ...], int] = {}
        for index, text in enumerate(texts):
            for run in runs(cut(text), length):
                earlier = first.setdefault(run, index)
                if earlier != index and (index, earlier) not in found:
                    found[index, earlier] = SharedRun(index, earlier, joint.join(run))
    return tuple(sorted(found.values()))
