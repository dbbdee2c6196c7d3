"""Every command in the documents is tried: run as written, run dry, or at least held to its options."""

import ast
import csv
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import click
import pytest
from click.testing import CliRunner

from tests.doc_blocks import (
    COMMANDS,
    DOCUMENTS,
    LANGUAGES,
    MARKS,
    ROOT,
    Block,
    commands_of,
    name_of,
    read_blocks,
    without_fences,
)
from tests.joystreamer.made_media import make_portrait, make_speech, write_wav

GROUPS = {
    "eval": "eval.cli",
    "benchmarks": "benchmarks.cli",
    "dashboard": "dashboard.cli",
    "joystreamer.training": "joystreamer.cli",
}
"""Modules that are run with -m, and where their commands are."""

STEPS = ("cp", "mkdir", "ls", "export")
"""Commands of the system that a page may use between ours."""

IN_A_COPY = ("docs/tutorials/add-a-metric.md",)
"""Pages that change the code: tried in a copy of the checkout."""

SERIES = (("docs/tutorials/score-against-a-competitor.md", "docs/tutorials/gsb-campaign.md"),)
"""Pages that go on in the folder of the page before."""

WAIT_S = 120.0

EVERY_PAGE = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
TRIED = {"run", "dry-run", "serve"}


def chains() -> list[tuple[Path, ...]]:
    """Return the pages with something to run, those of a series together."""
    tried = [
        path for path in DOCUMENTS if any(TRIED & set(block.marks) for block in read_blocks(path))
    ]
    series = [tuple(ROOT / name for name in names) for names in SERIES]
    followers = {path for pages in series for path in pages}
    return [*series, *((path,) for path in tried if path not in followers)]


def split_command(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the module of a command of ours and its arguments; module '' for other programs.

    `torchrun` and `accelerate launch` are passed over.
    """
    words = list(words)
    if words[0] == "joystreamer":
        return "joystreamer.training", words[1:]
    if words[0] in ("python", "torchrun", "accelerate") and "-m" in words:
        place = words.index("-m")
        return words[place + 1], words[place + 2 :]
    return "", words


def find_command(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """Return the click command that words name and the arguments left for it."""
    module, rest = split_command(words)
    command: click.Command = import_module(GROUPS[module]).main
    context = click.Context(command)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"{module} has no command {rest[0]!r}"
        command, rest = found, rest[1:]
        context = click.Context(command, parent=context)
    return command, rest


def options_of(command: click.Command) -> set[str]:
    """Return all spellings of a command's options."""
    context = click.Context(command)
    return {
        name for each in command.get_params(context) for name in (*each.opts, *each.secondary_opts)
    }


def check_words(words: Sequence[str], place: str) -> None:
    """Hold a command to its options and choices without running it."""
    module, rest = split_command(words)
    if not module:
        assert words[0] in (*STEPS, "python", "pip"), (
            f"{place}: {words[0]} is not a program of ours"
        )
        return
    if module not in GROUPS:
        assert find_spec(module) is not None, f"{place}: no module {module}"
        return
    command, rest = find_command(words)
    if "--help" in rest or "--list" in rest:
        return
    context = click.Context(command, info_name=place)
    try:
        given, left, _ = command.make_parser(context).parse_args(list(rest))
        assert not left or isinstance(command, click.Group), f"{place}: {left} is left over"
        for each in command.get_params(context):
            if isinstance(each.type, (click.Choice, click.IntRange)) and each.name in given:
                each.type_cast_value(context, given[each.name])
    except click.UsageError as error:
        raise AssertionError(f"{place}: {' '.join(words)}: {error.format_message()}") from error


# What blocks are ------------------------------------------------------------------------------------


@EVERY_PAGE
def test_every_block_says_what_it_is(path: Path) -> None:
    for block in read_blocks(path):
        assert block.language in LANGUAGES, (
            f"{block.place}: begin the fence with one of {LANGUAGES}"
        )
        marks = [mark for mark in block.marks if mark in MARKS]
        assert list(block.marks) == marks, f"{block.place}: unknown mark in {block.marks}"
        wanted = 1 if block.language == COMMANDS else 0
        assert len(marks) == wanted or block.marks == ("run",), (
            f"{block.place}: a block of commands has one mark of {MARKS}"
        )
        assert set(block.settings) <= {"needs", "file", "exit"}, block.place
        assert block.marks != ("check",) or block.settings.get("needs"), (
            f"{block.place}: say what it needs: {COMMANDS} check needs=weights"
        )


@EVERY_PAGE
def test_no_command_stands_outside_a_marked_block(path: Path) -> None:
    outside = without_fences(path.read_text(encoding="utf-8"))
    hidden = re.findall(r"^ {4,}(?:make|python|joystreamer|torchrun|export|pip) .*$", outside, re.M)
    assert not hidden, f"{name_of(path)}: {hidden}"


@EVERY_PAGE
def test_data_and_code_in_blocks_can_be_read(path: Path) -> None:
    for block in read_blocks(path):
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "python":
            ast.parse(block.text)
        elif block.language == "csv":
            widths = {len(row) for row in csv.reader(block.text.splitlines())}
            assert len(widths) == 1, block.place
        elif block.language == "json":
            try:
                json.loads(block.text)
            except json.JSONDecodeError:
                for line in block.text.splitlines():
                    json.loads(line)


# Options --------------------------------------------------------------------------------------------


@EVERY_PAGE
def test_commands_and_their_options_exist(path: Path) -> None:
    variables: dict[str, str] = {}
    for block in read_blocks(path):
        if block.language == COMMANDS and block.marks != ("make",):
            for words in commands_of(block, variables):
                check_words(words, block.place)


@EVERY_PAGE
def test_commands_named_in_sentences_exist(path: Path) -> None:
    text = re.sub(r"\s+", " ", without_fences(path.read_text(encoding="utf-8")))
    for span in re.findall(r"`((?:python -m |joystreamer )[^`]+)`", text):
        words = [word for word in shlex.split(span) if word not in ("…", "...")]
        module, rest = split_command(words)
        if module not in GROUPS:
            assert find_spec(module), span
            continue
        names = rest[0].split("|") if rest else []
        for name in names:
            command, arguments = find_command([*words[: len(words) - len(rest)], name, *rest[1:]])
            named = {word.split("=")[0] for word in arguments if word.startswith("--")}
            assert named - {"--help"} <= options_of(command), f"{name_of(path)}: {span}"


def test_make_targets_can_be_made() -> None:
    for path in DOCUMENTS:
        for block in read_blocks(path):
            if block.marks != ("make",):
                continue
            for words in commands_of(block):
                if words[0] == "make":
                    done = subprocess.run(
                        [words[0], "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True,
                        check=False,
                    )  # fmt: skip
                    assert done.returncode == 0, f"{block.place}: {done.stderr}"
                else:
                    assert words[:2] in (["git", "clone"], [".", ".venv/bin/activate"]) or (
                        words[0] == "cd"
                    ), f"{block.place}: {words}"


# Runs -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def documents_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where puppet suites are kept between the pages."""
    return tmp_path_factory.mktemp("documents-cache")


@pytest.fixture
def reader_folder(
    tmp_path: Path, documents_cache: Path, make_clip, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A reader's folder: one picture, one recording, clips of two systems."""
    from PIL import Image

    folder = tmp_path / "reader"
    folder.mkdir()
    Image.fromarray(make_portrait()).save(folder / "me.png")
    write_wav(folder / "speech.wav", make_speech(0.6))
    for place, system in enumerate(("OURS", "RIVAL")):
        make_clip(folder / "CLIPS" / system / "case1.mp4", seed=20 * place)
    shutil.copy(folder / "CLIPS" / "OURS" / "case1.mp4", folder / "talk.mp4")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(documents_cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


def copy_checkout(folder: Path) -> None:
    """Put the parts of the checkout that a metric touches into a folder."""
    leave = shutil.ignore_patterns("__pycache__", "results", "images")
    for name in ("joystreamer", "eval", "benchmarks", "dashboard", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for name in ("pyproject.toml", "tests/test_metrics_docs.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def apply_lines(text: str, diff: str) -> str:
    """Apply a diff without line numbers: added lines follow the line that stands before them."""
    before = None
    for line in diff.splitlines():
        sign, words = line[:1], line[1:]
        if sign == "+":
            assert text.count(f"{before}\n") == 1, f"{before!r} is not one line of the file"
            text = text.replace(f"{before}\n", f"{before}\n{words}\n")
        assert sign in " +", line
        before = words
    return text


def write_block(block: Block, folder: Path) -> None:
    """Write a block that says which file it is."""
    target = folder / block.settings["file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    if block.language == "diff":
        target.write_text(apply_lines(target.read_text(encoding="utf-8"), block.text), "utf-8")
    else:
        target.write_text(block.text, encoding="utf-8")


def run_here(words: Sequence[str]) -> tuple[int, str]:
    """Run a command of ours in this process."""
    module, rest = split_command(words)
    done = CliRunner().invoke(import_module(GROUPS[module]).main, rest)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def run_apart(words: Sequence[str], folder: Path, checkout: Path | None = None) -> tuple[int, str]:
    """Run a command in a process of its own; `folder` is the checkout if none is given."""
    if words[0] == "python":
        command = [sys.executable, *words[1:]]
    else:
        command = ["sh", "-c", " ".join(words)]  # unquoted: the shell completes patterns
    environment = {**os.environ, "PYTHONPATH": str(checkout or folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def visit(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Start a server on a free port, wait until it answers, and stop it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    kept = list(words)
    if "--port" in kept:
        del kept[kept.index("--port") : kept.index("--port") + 2]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *kept[1:], "--port", str(port)], cwd=folder, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        ends = time.monotonic() + WAIT_S
        while time.monotonic() < ends and server.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{port}/signin", timeout=WAIT_S) as answer:
                    return (0 if answer.status == 200 else answer.status), ""
            except HTTPError as error:
                return error.code, str(error)
            except OSError:
                time.sleep(0.2)
        return server.poll() or 1, (folder / "server.log").read_text()
    finally:
        server.terminate()
        server.wait(WAIT_S)


def commands_to_run(block: Block, variables: dict[str, str]) -> Iterator[list[str]]:
    """Yield a block's commands; a dry run adds `--dry-run` where it is not written."""
    for words in commands_of(block, variables):
        if "dry-run" in block.marks and "--dry-run" not in words:
            command, _ = find_command(words)
            assert "--dry-run" in options_of(command), f"{block.place}: no --dry-run; mark it check"
            words = [*words, "--dry-run"]
        yield words


def try_block(block: Block, folder: Path, variables: dict[str, str], *, copied: bool) -> None:
    """Do what a block says."""
    if block.settings.get("file"):
        write_block(block, folder)
    if block.language == "python" and "run" in block.marks:
        code, said = run_apart(["python", "-c", block.text], folder, checkout=ROOT)
        assert code == 0, f"{block.place}:\n{said}"
    if block.language != COMMANDS or not TRIED & set(block.marks):
        return
    for words in commands_to_run(block, variables):
        module, _ = split_command(words)
        if "serve" in block.marks:
            code, said = visit(words, folder)
        elif copied or module not in GROUPS:
            code, said = run_apart(words, folder)
        else:
            code, said = run_here(words)
        expected = int(block.settings.get("exit", "0"))
        assert code == expected, f"{block.place}: {' '.join(words)} ended with {code}:\n{said}"


@pytest.mark.xdist_group("documents")
@pytest.mark.parametrize("pages", chains(), ids=lambda pages: "+".join(map(name_of, pages)))
def test_commands_do_what_the_page_says(pages: tuple[Path, ...], reader_folder: Path) -> None:
    copied = name_of(pages[0]) in IN_A_COPY
    if copied:
        copy_checkout(reader_folder)
    variables: dict[str, str] = {}
    for path in pages:
        for block in read_blocks(path):
            try_block(block, reader_folder, variables, copied=copied)


# The tools of this file -----------------------------------------------------------------------------


def test_fences_are_read_with_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\nmake\n```\n\n```sh run needs=x\nX=1\na \\\n  b $X  # c\n```\n", "utf-8")
    plain, marked = read_blocks(page)
    assert (plain.language, marked.language, marked.marks) == ("", "sh", ("run",))
    assert marked.settings == {"needs": "x"}
    assert list(commands_of(marked)) == [["a", "b", "1"]]
    page.write_text("```\nmake\n", "utf-8")
    with pytest.raises(ValueError, match=r"page\.md:1: the fence is not closed"):
        read_blocks(page)


def test_unknown_options_are_found() -> None:
    with pytest.raises(AssertionError, match="No such option"):
        check_words(["python", "-m", "eval", "score", "--faster"], "page.md:1")
    with pytest.raises(AssertionError, match="has no command 'scores'"):
        check_words(["python", "-m", "eval", "scores"], "page.md:1")


def test_lines_are_added_after_the_line_before_them() -> None:
    assert apply_lines("a\nb\nc\n", " a\n+x\n+y\n b\n") == "a\nx\ny\nb\nc\n"
