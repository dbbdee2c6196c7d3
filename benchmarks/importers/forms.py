"""The one table of forms that can be read and written, and the two functions that use it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.expectations import EXPECTATIONS_FILE
from benchmarks.importers import dialogue_json, lists, tables
from benchmarks.importers.imported import Imported, Source
from benchmarks.suite_writer import write_suite
from eval.fields import nearest
from eval.reader import read_suite
from eval.records import Case, Suite
from eval.store.files import write_text
from joystreamer.errors import InputError

UNSTATED: Final = "as its source"
"""Licence of imported cases when the user names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A way other projects write their cases down.

    Attributes:
        name: Name on the command line.
        summary: What it is.
        read: Reads it.
        write: Writes cases in it.
        options: Options that `write` is called with.
    """

    name: str
    summary: str
    read: Callable[[Source], Imported]
    write: Callable[[Sequence[Case], Path, Mapping[str, str]], Sequence[Path]]
    options: Mapping[str, str]


def _form(
    name: str,
    summary: str,
    read: Callable[[Source], Imported],
    write: Callable[[Sequence[Case], Path, Mapping[str, str]], Sequence[Path]],
    **options: str,
) -> Form:
    return Form(name=name, summary=summary, read=read, write=write, options=options)


_JSON: Final = (dialogue_json.read_dialogues, dialogue_json.write_dialogues)
_LINES: Final = (lists.read_joined_lines, lists.write_joined_lines)
FORMS: Final[Mapping[str, Form]] = {
    form.name: form
    for form in (
        _form("mochabench", "MoChaBench's CSV of prompts", tables.read_mochabench, tables.write_mochabench),
        _form("prompts", "one prompt per row, ids 01, 02, ...", tables.read_prompts, tables.write_prompts),
        _form("multitalk", "MultiTalk's JSON inputs", *_JSON),
        _form("infinitetalk", "InfiniteTalk's JSON inputs", *_JSON, image_key="cond_video"),
        _form("longcat", "LongCat-Video-Avatar's JSON inputs", *_JSON),
        _form("omniavatar", "OmniAvatar's prompt@@image@@audio lines", *_LINES),
        _form("hallo3", "Hallo3's prompt@@image@@audio lines", *_LINES),
        _form("echomimicv3", "EchoMimicV3's folders prompts, imgs, audios", lists.read_folder, lists.write_echomimic),
        _form("hunyuan", "HunyuanVideo-Avatar's CSV", tables.read_hunyuan, tables.write_hunyuan),
        _form("emtd", "EMTD's CSV of addresses and times", tables.read_emtd, tables.write_emtd),
        _form("folder", "pictures, recordings and texts of the same name", lists.read_folder, lists.write_folder),
        _form("csv", "any CSV, by a mapping of columns", tables.read_mapped, tables.write_table),
    )
}  # fmt: skip
"""Every form by its name on the command line."""


def find_form(name: str) -> Form:
    """Return a form.

    Raises:
        InputError: None has that name.
    """
    if name not in FORMS:
        raise InputError(
            f"no form is called {name!r}{nearest(name, tuple(FORMS))}; forms: {', '.join(FORMS)}"
        )
    return FORMS[name]


def import_suite(form: str, source: Source, out: Path, *, name: str) -> tuple[Suite, Imported]:
    """Read a foreign list and write it as a suite folder.

    Raises:
        InputError: Nothing could be read.
    """
    found = find_form(form).read(source)
    if not found.cases:
        raise InputError("\n".join(found.problems) or f"{source.path} holds no cases")
    suite = Suite(
        name=name,
        version="1.0",
        asks=f"Cases imported from {source.path.name} ({form}).",
        cases=tuple(replace(case, licence=case.licence or UNSTATED) for case in found.cases),
        licence=source.licence or UNSTATED,
    )
    write_suite(suite, out)
    write_text(
        out / EXPECTATIONS_FILE,
        f"# Imported prompts may repeat one another.\ncases = {len(suite.cases)}\n"
        "unique_prompts = false\nshared_words = 0\nshared_characters = 0\n",
    )
    return replace(suite, root=out), found


def export_suite(
    root: Path, form: str, out: Path, options: Mapping[str, str] | None = None
) -> Sequence[Path]:
    """Write the cases of a suite folder in a foreign form; return the files.

    Raises:
        InputError: The form cannot hold a case.
    """
    chosen = find_form(form)
    out.mkdir(parents=True, exist_ok=True)
    return chosen.write(read_suite(root).cases, out, {**chosen.options, **(options or {})})
