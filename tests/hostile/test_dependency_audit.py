"""The audit of dependencies never looks like a pass where nothing was looked up."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from eval.checkout import ROOT

SCRIPT = ROOT / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = spec_from_file_location("dependency_audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def advisory(folder: Path, **affected: Any) -> Path:
    folder.mkdir(exist_ok=True)
    plain = {"id": "PYSEC-1", "affected": [{"package": {"name": "Pillow"}, **affected}]}
    (folder / "a.json").write_text(json.dumps(plain))
    return folder


def spans(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "found"),
    [
        ({"versions": ["12.0.0"]}, True),
        ({"versions": ["11.0.0"]}, False),
        (spans({"introduced": "0"}, {"fixed": "12.0.1"}), True),
        (spans({"introduced": "0"}, {"fixed": "12.0.0"}), False),
        (spans({"introduced": "0"}, {"last_affected": "12.0.0"}), True),
        (spans({"introduced": "12.1"}), False),
        (spans({"introduced": "1"}, {"fixed": "2"}, {"introduced": "11.9"}), True),
    ],
)
def test_a_snapshot_tells_which_versions_are_affected(
    audit: Any, tmp_path: Path, affected: dict[str, Any], found: bool
) -> None:
    findings, why = audit.by_snapshot(advisory(tmp_path, **affected), {"pillow": "12.0.0"})
    assert why == ""
    assert findings == ([("pillow", "12.0.0", "PYSEC-1")] if found else [])


@pytest.mark.parametrize("content", [None, "{"])
def test_a_snapshot_that_cannot_be_read_is_no_pass(
    audit: Any, tmp_path: Path, content: str | None
) -> None:
    if content:
        (tmp_path / "a.json").write_text(content)
    findings, why = audit.by_snapshot(tmp_path, {"pillow": "12.0.0"})
    assert findings == []
    assert "holds no" in why or "cannot be read" in why


def test_every_locked_package_is_looked_up(audit: Any) -> None:
    packages = audit.locked()
    pinned = [line for line in audit.LOCK.read_text().splitlines() if "==" in line]
    assert len(packages) == len(pinned)
    assert packages["sqlalchemy"]


def run_script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False,
        env={"JOYSTREAMER_ADVISORIES": str(folder), "PATH": ""},
    )  # fmt: skip


def test_the_script_says_not_audited_and_fails_where_an_audit_is_required(tmp_path: Path) -> None:
    done = run_script(tmp_path)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "not audited")
    assert run_script(tmp_path, "--required").returncode == 1


def test_the_script_fails_on_a_finding(tmp_path: Path) -> None:
    done = run_script(advisory(tmp_path, **spans({"introduced": "0"})))
    assert done.returncode == 1
    assert done.stdout.startswith("vulnerable: pillow ")
