"""Puppet suites by name: written into the user's cache on first use, whole or not at all.

A folder lies in one named by a digest of the code that makes it, so that another generator never meets older
media. A suite's version names what is in it: code that makes the same pictures, sounds and words
gives the same version.
"""

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from benchmarks.expectations import EXPECTATIONS_FILE
from benchmarks.puppet.casting import LICENCE, cast
from benchmarks.puppet.suites import PUPPET_SUITES, SEED, VERSION
from benchmarks.suite_writer import case_record, header
from eval.checkout import ROOT
from eval.reader import CASES_FILE, SUITE_FILE
from eval.records import Suite
from eval.store.files import TEMPORARY_PREFIX, digest_file, write_text
from eval.weights import user_cache

SOURCES: Final = (
    "benchmarks/puppet/casting.py",
    "benchmarks/puppet/drawing.py",
    "benchmarks/puppet/facts.py",
    "benchmarks/puppet/look.py",
    "benchmarks/puppet/on_demand.py",
    "benchmarks/puppet/program.py",
    "benchmarks/puppet/render.py",
    "benchmarks/puppet/suites.py",
    "benchmarks/puppet/timeline.py",
    "benchmarks/puppet/voice.py",
    "benchmarks/puppet/wording.py",
    "benchmarks/suite_writer.py",
    "benchmarks/suites/gsb-96/cases.jsonl",
    "benchmarks/suites/gsb-96/expectations.toml",
    "benchmarks/suites/talk-90/cases.jsonl",
    "benchmarks/suites/talk-90/expectations.toml",
    "eval/puppet/case.py",
)
"""Files that decide what is in a puppet suite."""


def puppet_suite_names() -> tuple[str, ...]:
    """Return the names of the suites that are made on the spot."""
    return tuple(PUPPET_SUITES)


def generator_digest() -> str:
    """Return 12 hex digits of the code that makes suites."""
    digests = "".join(digest_file(ROOT / name) for name in SOURCES)
    return hashlib.sha256(digests.encode()).hexdigest()[:12]


def puppet_suite_folder(name: str, cache: Path | None = None) -> Path:
    """Return the folder of a puppet suite; it is written when it is not there yet.

    Args:
        name: One of `puppet_suite_names()`.
        cache: Where such folders are kept; by default `suites` in the user's cache.

    Raises:
        InputError: The cache cannot be written.
    """
    cache = cache or user_cache() / "suites"
    folder = cache / generator_digest() / name
    if not (folder / SUITE_FILE).is_file():
        write_puppet_suite(name, folder)
    return folder


def write_puppet_suite(name: str, out: Path) -> Path:
    """Write a puppet suite to a folder that appears when it is whole.

    Args:
        name: One of `puppet_suite_names()`.
        out: The folder; if another process makes it first, or it exists, it stays as it is.

    Returns:
        The folder.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        _write(name, partial)
        os.sync()  # once for all files, before the folder has its name
        try:
            partial.rename(out)
        except OSError:
            if not (out / SUITE_FILE).is_file():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _write(name: str, folder: Path) -> None:
    sketch = PUPPET_SUITES[name]()
    media = folder / "media"
    media.mkdir(parents=True)
    cases = tuple(cast(one, media, SEED) for one in sketch.sketches)
    lines = [json.dumps(case_record(case, folder), ensure_ascii=False) for case in cases]
    digests = [digest_file(path) for path in sorted(media.iterdir())]
    mark = hashlib.sha256("\n".join([*lines, *digests]).encode()).hexdigest()[:8]
    suite = Suite(
        name=sketch.name, version=f"{VERSION}+{mark}", asks=sketch.asks, cases=cases,
        dimensions=sketch.dimensions, licence=LICENCE,
    )  # fmt: skip
    write_text(folder / CASES_FILE, "".join(f"{line}\n" for line in lines))
    write_text(folder / EXPECTATIONS_FILE, sketch.promises)
    write_text(folder / SUITE_FILE, header(suite))
