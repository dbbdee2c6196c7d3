"""The API reference: docstrings name what is there, and pages can be made of them."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pdoc
import pdoc.render
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("joystreamer", "eval", "benchmarks", "dashboard")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
MANY = 6
"""Arguments from which a public function of the two libraries explains each."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def names_in(docstring: str, section: str) -> list[str] | None:
    """Return what a section of a Google-style docstring names; None without the section."""
    found = re.search(rf"^{section}:\n((?:    .*\n|\n)+)", docstring + "\n", re.M)
    if not found:
        return None
    entries = re.findall(
        r"^    \*{0,2}(\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:", found[1], flags=re.M
    )
    return [name.strip("* ") for entry in entries for name in entry.split(",")]


def arguments_of(function: Function) -> list[str]:
    """Return all parameters but self and cls."""
    every = function.args
    plain = [each.arg for each in (*every.posonlyargs, *every.args, *every.kwonlyargs)]
    rest = [each.arg for each in (every.vararg, every.kwarg) if each]
    return [name for name in (*plain, *rest) if name not in ("self", "cls")]


def functions() -> Iterator[tuple[str, Function]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_documented_arguments_are_the_functions_own():
    wrong = {}
    for place, function in functions():
        named = names_in(ast.get_docstring(function) or "", "Args")
        if named is not None and set(named) != set(arguments_of(function)):
            wrong[place] = sorted(set(named) ^ set(arguments_of(function)))
    assert not wrong


def test_public_functions_with_many_arguments_explain_them():
    silent = [
        place
        for place, function in functions()
        if place.startswith(("joystreamer/", "eval/"))
        and not function.name.startswith("_")
        and len(arguments_of(function)) >= MANY
        and not any("command" in ast.unparse(each) for each in function.decorator_list)
        and names_in(ast.get_docstring(function) or "", "Args") is None
    ]
    assert not silent


def test_documented_attributes_of_records_are_their_fields():
    wrong = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            named = names_in(ast.get_docstring(node) or "", "Attributes")
            fields = {
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign)
                and isinstance(each.target, ast.Name)
                and not each.target.id.startswith("_")
                and "ClassVar" not in ast.unparse(each.annotation)
            }
            if named is not None and fields - set(named):
                wrong[f"{path.relative_to(ROOT)} {node.name}"] = sorted(fields - set(named))
    assert not wrong


@pytest.mark.filterwarnings("default")  # pdoc warns of what it cannot link
def test_pages_are_made_without_a_network(tmp_path: Path):
    pdoc.render.configure(docformat="google")
    pdoc.pdoc("eval.statistics.bootstrap", output_directory=tmp_path)
    page = (tmp_path / "eval" / "statistics" / "bootstrap.html").read_text(encoding="utf-8")
    assert "Arguments:" in page
    assert "Returns:" in page
    assert (tmp_path / "index.html").is_file()


def test_make_docs_covers_every_package():
    done = subprocess.run(
        ["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert {"joystreamer.pipeline", "eval.statistics.bootstrap", "benchmarks.run"} <= modules
    assert {*PACKAGES} <= modules
    assert "dashboard.app" not in modules, "it draws when it is imported"


def test_make_docs_leaves_out_pages_that_draw_when_imported(tmp_path: Path):
    # By make itself: a package brings its files along, whatever else is named.
    command = ["make", "--old-file=setup", "docs", "DOCUMENTED=dashboard", f"DOCS={tmp_path}"]
    done = subprocess.run(
        [*command, f"BIN={Path(sys.executable).parent}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "dashboard" / "server.html").is_file()
    assert not (tmp_path / "dashboard" / "app.html").exists()
