"""Look the locked dependencies up in advisories: python .ci/audit.py [--required].

Asks, in this order: a folder of OSV advisories named by JOYSTREAMER_ADVISORIES (the unpacked
https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip, for machines without a network), else
pip-audit, which needs a network. Where neither can answer for a package it says "not audited" and why;
it never says that nothing was found without having looked. Exit code: 1 when something was found, or
when --required is given and something was not audited; else 0.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VARIABLE = "JOYSTREAMER_ADVISORIES"
UNREACHABLE = "no advisory database reachable"
TIMEOUT_S = 120

Finding = tuple[str, str, str]
"""Package, version, advisory."""


def locked(path: Path = LOCK) -> dict[str, str]:
    """Name -> version of every pinned package."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", path.read_text(encoding="utf-8"), re.M)
    return {normal(name): version for name, version in lines}


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def by_snapshot(folder: Path, packages: dict[str, str]) -> tuple[list[Finding], str]:
    """Look packages up in a folder of OSV files; (findings, why not audited or '')."""
    files = sorted(folder.rglob("*.json")) if folder.is_dir() else []
    if not files:
        return [], f"{VARIABLE} names {folder}, which holds no .json advisories"
    findings = []
    for file in files:
        try:
            advisory = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return [], f"{file} cannot be read ({error})"
        if "withdrawn" in advisory:
            continue
        findings += [
            (name, packages[name], advisory.get("id", file.stem))
            for affected in advisory.get("affected", [])
            for name in [normal(affected.get("package", {}).get("name", ""))]
            if name in packages and _is_affected(packages[name], affected)
        ]
    return sorted(set(findings)), ""


def _is_affected(version: str, affected: dict[str, Any]) -> bool:
    from packaging.version import InvalidVersion, Version

    if version in affected.get("versions", []):
        return True
    try:
        have = Version(version)
        return any(
            start <= have and (end is None or have < end or (closed and have == end))
            for spans in affected.get("ranges", [])
            if spans.get("type") == "ECOSYSTEM"
            for start, end, closed in _spans(spans.get("events", []))
        )
    except InvalidVersion:
        return False


def _spans(events: list[dict[str, str]]) -> Iterator[tuple[Any, Any, bool]]:
    """(first affected, end, whether the end is affected) of OSV's list of events."""
    from packaging.version import Version

    start = None
    for event in events:
        if "introduced" in event:
            start = Version(event["introduced"])
        elif start is not None and ("fixed" in event or "last_affected" in event):
            end = event.get("fixed") or event["last_affected"]
            yield start, Version(end), "fixed" not in event
            start = None
    if start is not None:
        yield start, None, False


def by_network(path: Path = LOCK) -> tuple[list[Finding], str]:
    """Ask pip-audit; (findings, why not audited or '')."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(path), "--no-deps", "--disable-pip",
               "--format", "json", "--progress-spinner", "off"]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return [], f"{UNREACHABLE} (no answer within {TIMEOUT_S} s)"
    if "No module named pip_audit" in done.stderr:
        return [], "pip-audit is not installed; install the extra 'dev'"
    try:
        listed = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return [], UNREACHABLE
    findings = [(d["name"], d["version"], v["id"]) for d in listed for v in d.get("vulns", [])]
    skipped = [d["name"] for d in listed if "skip_reason" in d]
    if skipped and len(skipped) == len(listed):
        return [], UNREACHABLE
    missing = f"{len(skipped)} of {len(listed)} packages have no entry: {', '.join(skipped[:8])}"
    return findings, missing if skipped or not listed else ""


def main(arguments: list[str]) -> int:
    """Audit and say what came of it in one line per finding; the exit code."""
    snapshot = os.environ.get(VARIABLE)
    packages = locked()
    findings, why = by_snapshot(Path(snapshot), packages) if snapshot else by_network()
    for name, version, advisory in findings:
        print(f"vulnerable: {name} {version}: {advisory}")  # noqa: T201
    if why:
        print(f"not audited: {why}")  # noqa: T201
    elif not findings:
        source = "the advisories in " + snapshot if snapshot else "pip-audit"
        print(f"audited: {len(packages)} locked packages, nothing known, by {source}")  # noqa: T201
    return 1 if findings or (why and "--required" in arguments) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
