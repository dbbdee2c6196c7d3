"""Where network weights are on this machine: found by digest, fetched with a check, verified.

A file counts as the weights of a row only when its sha256 is the row's, whatever its name. Digests
are remembered by path, size and modification time, so that looking again costs nothing. This file
knows no network and imports nothing heavy.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from eval.weight_table import WEIGHTS, Weights
from joystreamer.errors import InputError, MissingWeights

FOLDER_VARIABLE: Final = "JOYSTREAMER_WEIGHTS"
"""Environment variable with folders of weights, separated like PATH, searched with subfolders."""

SHIPPED: Final = Path(__file__).parent / "shipped"
"""The project's own weights, which come with it; searched last, and recognised by digest like any other."""

MISSING: Final = "missing"
"""Stands for the digest of weights that are not on this machine."""

_CHUNK: Final = 1 << 20
_TIMEOUT_S: Final = 30.0

Progress = Callable[[int, int | None], None]
State = Literal["verified", "stand-in", "pinned", "changed", "missing"]


def user_cache() -> Path:
    """Return the folder of what can be made again: `JOYSTREAMER_CACHE`, or the user's cache."""
    given = os.environ.get("JOYSTREAMER_CACHE")
    if given:
        return Path(given)
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "joystreamer"


def weight_folders() -> tuple[Path, ...]:
    """Return the folders to search: `JOYSTREAMER_WEIGHTS`, or `weights` in the user cache."""
    given = [part for part in os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep) if part]
    return tuple(Path(part) for part in given) or (user_cache() / "weights",)


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightState:
    """What `verify` says of one row.

    Attributes:
        weights: The row.
        state: verified (the digest is the published one), stand-in (another row's file is taken),
            pinned (no published digest; same file as at first use), changed (not the file pinned at
            first use), or missing.
        path: The file, None when missing.
        message: One sentence for people.
    """

    weights: Weights
    state: State
    path: Path | None
    message: str


class WeightFolder:
    """Finds, fetches and verifies the files of the weights table.

    Args:
        folders: Folders searched with all their subfolders, first match wins; `fetch` writes into
            the first. Default: `weight_folders()`.
        memory: Folder in which digests and pins are remembered. Default: `user_cache()`.
        table: Rows that are known.
    """

    def __init__(
        self,
        folders: Sequence[Path] | None = None,
        *,
        memory: Path | None = None,
        table: Sequence[Weights] = WEIGHTS,
    ) -> None:
        self.folders = tuple(folders) if folders is not None else weight_folders()
        self.table = {row.name: row for row in table}
        self._memory = memory if memory is not None else user_cache()
        self._known: dict[str, Path] = {}

    def find(self, name: str) -> Path:
        """Return the file of a row, or of the row that stands in for it.

        Raises:
            MissingWeights: Neither is in the folders, or a file without a published digest is no
                longer the one that was used first.
        """
        path = self._locate(self._row(name))
        if path is None:
            raise MissingWeights(self._missing_sentence(self._row(name)))
        return path

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """Return the sha256 of what `find` returns for each name; 'missing' for nothing."""
        found: dict[str, str] = {}
        for name in names:
            try:
                found[name] = self.digest(self.find(name))
            except MissingWeights:
                found[name] = MISSING
        return found

    def verify(self) -> list[WeightState]:
        """Read every known file again and return one state per row, in the order of the table."""
        states = []
        for row in self.table.values():
            own = self._own(row, fresh=True)
            if own is not None and row.sha256 is not None:
                states.append(
                    _state(row, "verified", own, f"is {row.name}: its sha256 is the published one.")
                )
            elif own is not None:
                states.append(self._pinned_state(row, own))
            elif (path := self._stand_in(row)) is not None:
                states.append(
                    _state(
                        row, "stand-in", path, f"stands in for {row.name}; scores name its digest."
                    )
                )
            else:
                states.append(_state(row, "missing", None, self._missing_sentence(row)))
        return states

    def fetch(self, name: str, progress: Progress | None = None) -> Path:
        """Download a row's file into the first folder, going on where an earlier attempt stopped.

        Args:
            name: Row of the table.
            progress: Called with bytes so far and bytes in all (None when unknown).

        Returns:
            The file, verified when a digest is published.

        Raises:
            InputError: There is no URL, the host cannot be reached, the folder cannot be written,
                or what came is not the file.
        """
        row = self._row(name)
        present = self._own(row)
        if present is not None:
            return present
        if not row.url:
            raise InputError(
                f"{row.name} is not published as a file of its own: put {row.file} into "
                f"{self.folders[0]}, "
                f"made from {row.source}"
            )
        target = self.folders[0] / row.file
        part = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            download(row.url, part, progress)
        except PermissionError as error:
            raise InputError(
                f"cannot write {error.filename}: set {FOLDER_VARIABLE} to a folder of yours"
            ) from error
        if row.sha256 is not None:
            came = file_digest(part)
            if came != row.sha256:
                part.unlink()
                raise InputError(
                    f"what came from {row.url} has sha256 {came}, but {row.name} has "
                    f"{row.sha256}; it was "
                    "thrown away: fetch again, or get the file from its authors"
                )
        part.replace(target)
        self._known.pop(name, None)
        return target

    def _row(self, name: str) -> Weights:
        if name not in self.table:
            raise InputError(f"no weights are called {name!r}; there are: {', '.join(self.table)}")
        return self.table[name]

    def _locate(self, row: Weights) -> Path | None:
        return self._own(row) or self._stand_in(row)

    def _stand_in(self, row: Weights) -> Path | None:
        return self._own(self.table[row.stand_in]) if row.stand_in in self.table else None

    def _own(self, row: Weights, *, fresh: bool = False) -> Path | None:
        known = self._known.get(row.name)
        if known is not None and not fresh and known.is_file():
            return known
        for path in self._candidates(row):
            if row.sha256 is None or self.digest(path, fresh=fresh) == row.sha256:
                if row.sha256 is None and not fresh and not self._pin(row, path):
                    raise MissingWeights(self._pinned_state(row, path).message)
                if not (fresh and row.sha256 is None):
                    self._known[row.name] = path
                return path
        return None

    def _candidates(self, row: Weights) -> Iterator[Path]:
        for folder in (*self.folders, SHIPPED):
            for path in _files(folder):
                if path.name.endswith(".part"):
                    continue
                if row.size is None or row.sha256 is None:
                    if path.name == row.file:
                        yield path
                elif path.stat().st_size == row.size:
                    yield path

    def digest(self, path: Path, *, fresh: bool = False) -> str:
        """Return a file's sha256, remembered by path, size and modification time unless `fresh`."""
        status = path.stat()
        key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        remembered = _read_json(self._memory / "digests.json")
        if fresh or key not in remembered:
            remembered[key] = file_digest(path)
            _write_json(self._memory / "digests.json", remembered)
        return remembered[key]

    def _pin(self, row: Weights, path: Path) -> bool:
        pins = _read_json(self._memory / "pins.json")
        digest = self.digest(path)
        if row.name not in pins:
            pins[row.name] = digest
            _write_json(self._memory / "pins.json", pins)
        return pins[row.name] == digest

    def _pinned_state(self, row: Weights, path: Path) -> WeightState:
        pinned = _read_json(self._memory / "pins.json").get(row.name)
        digest = self.digest(path)
        if pinned is None:
            words = f"has no published sha256; it will be pinned as {digest[:16]} at its first use."
            return _state(row, "pinned", path, words)
        if pinned == digest:
            return _state(
                row,
                "pinned",
                path,
                f"has no published sha256; it is the file pinned at first use, {digest[:16]}.",
            )
        words = (
            f"is not the file that was first used as {row.name} "
            f"(sha256 {digest[:16]}, pinned {pinned[:16]}): "
        )
        return _state(
            row,
            "changed",
            path,
            words + f"put that file back, or remove the line from {self._memory / 'pins.json'}.",
        )

    def _missing_sentence(self, row: Weights) -> str:
        looked = ", ".join(str(folder) for folder in self.folders)
        do = (
            f"run `python -m eval weights fetch {row.name}`"
            if row.url
            else f"put {row.file} there ({row.source})"
        )
        return (
            f"{row.name} ({row.file}) is not in {looked}: {do}, "
            f"or point {FOLDER_VARIABLE} at the folder that has it"
        )


def download(url: str, part: Path, progress: Progress | None = None) -> None:
    """Append what is still lacking of `url` to `part`, by an HTTP Range request.

    Raises:
        InputError: The host cannot be reached, answers with an error, or stops in the middle.
    """
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            _receive(answer, part, have, progress)
    except HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is lacking; the caller's digest decides
        raise InputError(
            f"{url} answered {error.code} {error.reason}: get the file by hand and verify it"
        ) from error
    except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise InputError(
            f"{url} cannot be reached ({why}): this machine seems offline; bring the file by "
            f"hand, or run the "
            "same command again to go on where it stopped"
        ) from error


def _receive(answer: HTTPResponse, part: Path, have: int, progress: Progress | None) -> None:
    """Write the body of `answer`, after `have` bytes when the host honoured the range."""
    resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
    length = answer.headers.get("Content-Length")
    done = have if resumed else 0
    total = done + int(length) if length is not None else None
    with part.open("ab" if resumed else "wb") as file:
        while block := answer.read(_CHUNK):
            file.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def file_digest(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(row: Weights, state: State, path: Path | None, words: str) -> WeightState:
    return WeightState(
        weights=row, state=state, path=path, message=words if path is None else f"{path} {words}"
    )


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file():
                yield path


def _read_json(path: Path) -> dict[str, str]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {str(key): str(value) for key, value in read.items()} if isinstance(read, dict) else {}


def _write_json(path: Path, content: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may have remembered something since: what it wrote is kept.
    merged = {**_read_json(path), **content}
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(merged, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
