"""What the documents name is there, and what is there is named."""

import re
import subprocess
from pathlib import Path

import pytest

from eval.cli import main

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOREIGN = r"(?:/home/|/root/|C:\\)"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_resolve(path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_no_machine(path):
    assert not re.search(FOREIGN, path.read_text(encoding="utf-8"))


def test_every_eval_command_named_in_the_documents_exists():
    known = set(main.commands)
    for path in DOCUMENTS:
        for name in re.findall(r"python -m eval ([a-z]+)", path.read_text(encoding="utf-8")):
            assert name in known, f"{path.name}: {name}"


def test_every_eval_command_is_named_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in main.commands:
        assert f"python -m eval {name}" in readme, name


def test_the_readme_names_every_top_level_folder():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    folders = {name.split("/")[0] for name in tracked.splitlines() if "/" in name}
    assert folders <= {"joystreamer", "eval", "benchmarks", "dashboard", "tests", "docs", ".ci"}
    for name in folders - {".ci", "tests"}:
        assert f"{name}/" in readme, name


def test_every_make_target_of_the_documents_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    for path in DOCUMENTS:
        for name in re.findall(
            r"^(?:    )?make ([a-z-]+)", path.read_text(encoding="utf-8"), flags=re.M
        ):
            assert name in targets, f"{path.name}: make {name}"
