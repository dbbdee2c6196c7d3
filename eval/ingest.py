"""Bring clips into a workspace: a folder or a manifest becomes systems and clips matched to cases.

Matching comes first and touches nothing, so that a dry run can show it; storing follows. A file that
cannot be decoded is stored with its problem, so that it is counted as missing rather than forgotten.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from eval.matching import Match, match_folder, match_manifest
from eval.records import Clip, Suite, System
from eval.store.files import TEMPORARY_PREFIX, ContentFolder, StoreUnwritable
from eval.store.registry import add_clip, add_suite, add_system, to_json
from eval.store.workspace import Workspace
from joystreamer.errors import InputError, printable
from joystreamer.media import probe, write_poster, write_proxy


class Stored(NamedTuple):
    """What became of one matched file.

    Attributes:
        match: The file and what it answers.
        clip_id: Row in the store.
        new: Whether it was not there before.
        problem: Why it cannot be decoded, '' when it can.
    """

    match: Match
    clip_id: int
    new: bool
    problem: str


@dataclass(frozen=True, kw_only=True)
class Matched:
    """How files and cases fit together, before anything is stored.

    Attributes:
        matches: Files with the system and case they answer.
        systems: Systems that appear, by name.
        layout: How the folder was read, in words.
        missing: (system, case) pairs of the suite without a file.
        left_over: Files that answer no case of the suite.
        ignored: Files that are no media.
        problems: Mistakes in the manifest, one sentence each.
    """

    matches: tuple[Match, ...]
    systems: dict[str, System]
    layout: str
    missing: tuple[tuple[str, str], ...] = ()
    left_over: tuple[Path, ...] = ()
    ignored: tuple[Path, ...] = ()
    problems: tuple[str, ...] = field(default=())


def match_source(
    source: Path,
    *,
    suite: Suite | None = None,
    system: str | None = None,
    pattern: str | None = None,
    template: System | None = None,
) -> Matched:
    """Say which file answers which case, without storing anything.

    Args:
        source: Folder of clips, or a manifest (.jsonl or .csv).
        suite: Cases to match by id; None to take cases as they come.
        system: Name of the one system whose clips these are; None to read names from the layout.
        pattern: File naming with {case}, {system} and {seed}, for example `{case}_{system}`.
        template: Kind, family, step and notes for the systems that appear.

    Raises:
        InputError: There is nothing to ingest, or the layout cannot be read.
    """
    if source.is_file():
        matches, layout, ignored, problems = match_manifest(source)
    elif source.is_dir():
        case_ids = frozenset(case.id for case in suite.cases) if suite else frozenset()
        matches, layout, ignored = match_folder(
            source, system=system, pattern=pattern, case_ids=case_ids
        )
        problems = []
    else:
        raise InputError(
            f"{source} does not exist; give a folder of clips or a manifest (.jsonl, .csv)"
        )
    if not matches and not problems:
        raise InputError(f"{source} holds no clips (looked for video files); check the path")
    template = template or System(name="template")
    systems = {match.system.name: match.system for match in matches}
    if source.is_dir():
        systems = {
            name: System(
                name=name, kind=template.kind, family=template.family, step=template.step,
                notes=template.notes, card=template.card,
            )
            for name in systems
        }  # fmt: skip
    known = {case.id for case in suite.cases} if suite else set()
    left_over = tuple(match.path for match in matches if suite and match.case not in known)
    kept = tuple(match for match in matches if not suite or match.case in known)
    answered = {(match.system.name, match.case) for match in kept}
    missing = tuple(
        (name, case.id)
        for name in systems
        for case in (suite.cases if suite else ())
        if (name, case.id) not in answered
    )
    return Matched(
        matches=kept, systems=systems, layout=layout, missing=missing, left_over=left_over,
        ignored=tuple(ignored), problems=tuple(problems),
    )  # fmt: skip


def store_matches(
    workspace: Workspace,
    matched: Matched,
    *,
    suite: Suite | None = None,
    proxies: bool = False,
) -> Iterator[Stored]:
    """Store matched files one by one; whatever was stored stays when this is interrupted.

    Args:
        workspace: Where.
        matched: From `match_source`.
        suite: Stored first when given.
        proxies: Also make web proxies now; otherwise they are made when first needed.
    """
    if suite is not None:
        add_suite(workspace, suite)
    with workspace.database.write() as connection:
        for system in matched.systems.values():
            add_system(connection, system)
    for match in matched.matches:
        yield _store(workspace, match, suite.name if suite else match.suite, proxies=proxies)


def _store(workspace: Workspace, match: Match, suite: str, *, proxies: bool) -> Stored:
    digest = workspace.media.add_file(match.path)
    media = workspace.media.path(digest, match.path.suffix.lower())
    facts: dict[str, Any] = {}
    problem = poster = proxy = ""
    try:
        facts = to_json(probe(media))
        poster = _derived(workspace.posters, ".jpg", lambda target: write_poster(media, target))
        if proxies:
            proxy = make_proxy(workspace, media)
    except StoreUnwritable:  # our trouble, and no problem of the clip
        raise
    except InputError as error:
        problem = str(error).replace(str(media), match.path.name)
    clip = Clip(
        system=match.system.name, suite=suite, case=match.case, seed=match.seed, digest=digest,
        name=match.path.name, probe=facts, problem=problem, borders_s=match.borders_s,
    )  # fmt: skip
    with workspace.database.write() as connection:
        clip_id, new = add_clip(connection, clip, poster=poster, proxy=proxy)
    return Stored(match, clip_id, new, problem)


def make_proxy(workspace: Workspace, media: Path) -> str:
    """Make the web proxy of a stored original; return its digest."""

    def write(target: Path) -> None:
        write_proxy(media, target)

    return _derived(workspace.proxies, ".mp4", write)


def _derived(folder: ContentFolder, suffix: str, write: Callable[[Path], None]) -> str:
    target = folder.root / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{suffix}"
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        write(target)
        return folder.add_file(target)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise StoreUnwritable(folder.root, error) from error
    finally:
        with suppress(OSError):
            target.unlink(missing_ok=True)


def describe(matched: Matched) -> Sequence[str]:
    """Return the match in sentences, for a dry run."""
    lines = [f"{len(matched.matches)} clips of {len(matched.systems)} systems ({matched.layout})"]
    for name in matched.systems:
        cases = sorted({match.case for match in matched.matches if match.system.name == name})
        lines.append(f"  {name}: {len(cases)} cases: {_listed(cases)}")
    by_system: dict[str, list[str]] = {}
    for name, case in matched.missing:
        by_system.setdefault(name, []).append(case)
    lines += [f"missing for {name}: {_listed(cases)}" for name, cases in by_system.items()]
    if matched.left_over:
        lines.append(
            f"left over, no such case: {_listed([path.name for path in matched.left_over])}"
        )
    if matched.ignored:
        names = list(dict.fromkeys(path.name for path in matched.ignored))
        lines.append(f"ignored, no video files: {_listed(names)}")
    return [*lines, *matched.problems]


def _listed(names: Sequence[str], limit: int = 12) -> str:
    rest = len(names) - limit
    return printable(", ".join(names[:limit])) + (f" and {rest} more" if rest > 0 else "")
