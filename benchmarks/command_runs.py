"""Run a competitor's command on one case: in its folder, within its time, again after a failure.

Everything it prints goes to a log, what was run and how long it took to a record. A case that fails is a
fact with a reason, never an exception; what is left of a stopped command is ended with its whole group.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.adapters import Adapter, Asked, fill, result_pattern
from benchmarks.importers.dialogue_json import dialogue_record
from benchmarks.sound_mix import one_sound, sound_seconds
from eval.backends.ffmpeg_route import find_ffmpeg
from eval.records import Case
from eval.store.files import write_text, written_atomically
from joystreamer.errors import InputError
from joystreamer.media import probe

GRACE_S: Final = 5.0
"""Seconds between asking a command to end and ending it."""

PROMISED_LENGTH: Final = 0.5
"""A clip shorter than this share of the sound counts as failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandSetting:
    """Where and how a system's commands run on this machine.

    Attributes:
        home: Folder to run in; None for the case's own.
        python: Python of the system's environment; '' for ours.
        environment: Further environment variables, for example CUDA_VISIBLE_DEVICES.
    """

    home: Path | None = None
    python: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandRun:
    """What became of a case.

    Attributes:
        ok: Whether a clip is there.
        reason: Why not, in one sentence.
        command: The last command that ran.
        attempts: How often it was tried.
        seconds: Time of the last attempt.
        exit_code: Its exit code, None when it was stopped or could not start.
        commit: Commit of the folder it ran in, '' when that is no checkout.
    """

    ok: bool
    reason: str = ""
    command: tuple[str, ...] = ()
    attempts: int = 0
    seconds: float = 0.0
    exit_code: int | None = None
    commit: str = ""


def render_by_command(
    adapter: Adapter, case: Case, out: Path, *, seed: int = 0, setting: CommandSetting | None = None
) -> CommandRun:
    """Render a case by a competitor's command.

    Beside `out` stand its log (`.log`) and its record (`.json`). The clip appears under its name only
    when it is whole.

    Args:
        adapter: The template.
        case: With a picture and recordings.
        out: Clip to write, ending in .mp4.
        seed: Given to the command.
        setting: Where to run.
    """
    setting = setting or CommandSetting()
    out.parent.mkdir(parents=True, exist_ok=True)
    work = (out.parent / f".work-{out.stem}").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        run = _attempts(adapter, case, out, work, seed, setting)
    except InputError as error:
        run = CommandRun(ok=False, reason=str(error))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    record: dict[str, Any] = {**asdict(run), "adapter": adapter.name, "case": case.id, "seed": seed}
    record["settings"] = dict(adapter.settings)
    write_text(out.with_suffix(".json"), json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return run


def _attempts(
    adapter: Adapter, case: Case, out: Path, work: Path, seed: int, setting: CommandSetting
) -> CommandRun:
    if adapter.home and setting.home is None:
        raise InputError(
            f"{adapter.name} runs in {adapter.home}; say where with --home {adapter.name}=FOLDER"
        )
    audio = one_sound(case, work)
    target = work / f"{out.stem}.mp4"
    asked = Asked(
        case=case, audio=audio, seconds=sound_seconds(audio), out=target, work=work, seed=seed
    )
    command = fill(adapter, asked, python=setting.python, ffmpeg=find_ffmpeg())
    if adapter.input:
        key = "cond_video" if adapter.input == "infinitetalk" else "cond_image"
        text = json.dumps(dialogue_record(case, image_key=key), ensure_ascii=False)
        write_text(work / "input.json", text)
    commit = checkout_commit(setting.home)
    run = CommandRun(ok=False)
    for attempt in range(1, adapter.retries + 2):
        started = time.monotonic()
        code, reason = _once(adapter, command, work, out.with_suffix(".log"), setting)
        if not reason:
            reason = _take(adapter, asked, out)
        run = CommandRun(
            ok=not reason,
            reason=reason,
            command=command,
            attempts=attempt,
            seconds=round(time.monotonic() - started, 3),
            exit_code=code,
            commit=commit,
        )
        if run.ok:
            break
    return run


def _once(
    adapter: Adapter, command: tuple[str, ...], work: Path, log: Path, setting: CommandSetting
) -> tuple[int | None, str]:
    """Run a command once; return its exit code and why it failed, '' when it did not."""
    with log.open("ab") as file:
        file.write(f"$ {json.dumps(command, ensure_ascii=False)}\n".encode())
        file.flush()
        try:
            process = subprocess.Popen(
                command,
                cwd=setting.home or work,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **setting.environment},
                start_new_session=True,
            )
        except OSError as error:
            return None, f"the command {command[0]!r} cannot be started ({error.strerror})"
        try:
            code = process.wait(adapter.timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            return None, f"it was stopped after {adapter.timeout_s:g} s"
        except BaseException:
            _end(process)
            raise
    return code, "" if code == 0 else f"it ended with exit code {code}; see {log.name}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command and everything it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _take(adapter: Adapter, asked: Asked, out: Path) -> str:
    """Bring what a command left to its place; return why that fails, '' when it does not."""
    pattern = Path(result_pattern(adapter, asked))
    if pattern.is_relative_to(asked.work):
        matches = asked.work.glob(str(pattern.relative_to(asked.work)))
        found = [path for path in matches if path.is_file()]
    else:
        found = [pattern] if pattern.is_file() else []
    if not found:
        return f"it left no clip named {pattern.name}"
    newest = max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
    try:
        facts = probe(newest)
        if facts.duration_s < PROMISED_LENGTH * asked.seconds:
            return f"its clip lasts {facts.duration_s:.1f} s, the sound {asked.seconds:.1f} s"
        with written_atomically(out) as temporary:
            if adapter.sound == "add" or not facts.has_audio:
                _add_sound(newest, asked.audio, temporary)
            else:
                shutil.copyfile(newest, temporary)
    except InputError as error:
        return f"its clip cannot be used: {error}"
    return ""


def _add_sound(clip: Path, sound: Path, target: Path) -> None:
    command = [
        find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i", str(clip),
        "-i", str(sound), "-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", "-c:a", "aac",
        "-b:a", "192k", str(target),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"FFmpeg could not add the sound to {clip.name}: {last}")


def checkout_commit(folder: Path | None) -> str:
    """Return the commit of a checkout, '' when a folder is none or git is absent."""
    if folder is None:
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
