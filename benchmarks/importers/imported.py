"""What every importer returns, and how it finds files that a list names."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from eval.records import Case
from joystreamer.json_files import is_there

NAMED_LANGUAGES: Final = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where to import from.

    Attributes:
        path: The list, table or folder.
        media: Folder that the paths in it are relative to.
        scratch: Folder for sound that has to be laid out anew.
        mapping: Field -> column, for tables with columns of their own.
        licence: Licence of the media.
    """

    path: Path
    media: Path
    scratch: Path
    mapping: dict[str, str] = field(default_factory=dict)
    licence: str = ""


@dataclass(kw_only=True)
class Imported:
    """What an importer found.

    Attributes:
        cases: Cases in the order of the source; media that are not there are left out.
        problems: One sentence per line that could not be read.
        absent: One sentence per medium that is named and not there.
    """

    cases: list[Case] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    def file(self, name: str, media: Path, place: str) -> Path | None:
        """Return a named file below `media`, None (and a note) when it is not there.

        Lists carry Windows and foreign paths: separators are mended, and when the whole path does not
        exist, its ending is tried piece by piece, down to the bare name.
        """
        parts = [part for part in re.split(r"[\\/]+", name.strip()) if part not in ("", ".", "..")]
        for start in range(len(parts)):
            path = media.joinpath(*parts[start:])
            if is_there(path):
                return path
        self.absent.append(f"{place}: {name[:200]} is not below {media}")
        return None


def language_of(text: str) -> str:
    """Return 'zh' for a text with Chinese characters, else 'en'."""
    return "zh" if NAMED_LANGUAGES.search(text) else "en"


def identifier_of(text: str) -> str:
    """Return a text as a case id: letters, digits, space and . _ + @ = - only, not empty."""
    name = re.sub(r"[^\w .+@=-]+", "-", text.strip()).strip(" .-")
    return re.sub(r"\.{2,}", ".", name)[:120] or "case"


def with_unique_ids(cases: Iterable[Case]) -> list[Case]:
    """Return cases whose ids differ: repeated ones get a number."""
    seen: Counter[str] = Counter()
    result = []
    for case in cases:
        seen[case.id] += 1
        count = seen[case.id]
        result.append(case if count == 1 else replace(case, id=f"{case.id}-{count}"))
    return result
