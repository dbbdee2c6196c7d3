"""Whoever turns a case into a clip: one of our checkpoints, or a competitor's command.

A renderer says which settings decide its clips; two runs under one name must have the same. Networks
are loaded with the first case and let go with the last.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from benchmarks.adapters import Adapter
from benchmarks.checkpoints import (
    CheckpointSettings,
    checkpoint_files,
    find_checkpoint,
    read_settings,
)
from benchmarks.command_runs import CommandSetting, checkout_commit, render_by_command
from benchmarks.sound_mix import voices
from eval.records import Case, System
from joystreamer.errors import InputError, JoyStreamerError

TINY_MODEL = "tiny"
"""Name of the random model that `joystreamer generate` makes on the spot."""


class Renderer(Protocol):
    """Turns cases into clips.

    Attributes:
        system: Who it is on leaderboards.
        settings: Everything that decides its clips, plain data.
    """

    system: System
    settings: Mapping[str, Any]

    def render(self, case: Case, out: Path, seed: int) -> str:
        """Write a clip and then its report (`.json`); return why that failed, '' when it did not."""
        ...

    def close(self) -> None:
        """Let go of networks."""
        ...


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits of plain settings."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class CommandRenderer:
    """A competitor's command."""

    def __init__(self, adapter: Adapter, setting: CommandSetting | None = None) -> None:
        self.adapter = adapter
        self.setting = setting or CommandSetting()
        commit = checkout_commit(self.setting.home)
        self.system = adapter.system({"commit": commit} if commit else None)
        decisive = ("command", "input", "result", "sound", "settings", "segments")
        facts = asdict(adapter)
        self.settings: Mapping[str, Any] = {
            **{name: facts[name] for name in decisive},
            "commit": commit,
        }

    def render(self, case: Case, out: Path, seed: int) -> str:
        """Run the command."""
        return render_by_command(self.adapter, case, out, seed=seed, setting=self.setting).reason

    def close(self) -> None:
        """Nothing is held."""


class ModelRenderer:
    """One of our checkpoints: a folder of a saved pipeline, or `tiny`."""

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        preset: str = "",
        changes: Mapping[str, Any] | None = None,
        device: str = "auto",
        detector: str = "",
    ) -> None:
        """Describe a checkpoint; nothing is loaded yet.

        Args:
            model: Folder of a saved pipeline, name of a bundled one, or `tiny`.
            name: System name; by default the folder's.
            preset: Sampling preset; by default what its `benchmark.json` says, with the options
                there; without one `paper`, or `tiny` for the tiny model.
            changes: Sampling options on top of it.
            device: 'auto' takes a CUDA device where there is one, one per process.
            detector: Open-vocabulary detector that finds speakers without box or mask.

        Raises:
            InputError: The folder does not exist, or its `benchmark.json` does not fit.
        """
        model = find_checkpoint(model)
        own = read_settings(Path(model))
        if preset:
            own = CheckpointSettings(family=own.family, step=own.step, notes=own.notes)
        self._model, self._device, self._detector = model, device, detector
        standard = TINY_MODEL if model == TINY_MODEL else "paper"
        self._preset = preset or own.preset or standard
        self._changes = {**own.options, **(changes or {})}
        self._opened: tuple[Any, Any, Any] | None = None
        self.system = System(
            name=name or Path(model).name,
            kind="checkpoint",
            family=own.family,
            step=own.step,
            notes=own.notes,
            card={"model": Path(model).name, "preset": self._preset, **self._changes},
        )
        self.settings: Mapping[str, Any] = {
            "model": model_fingerprint(model),
            "preset": self._preset,
            "changes": self._changes,
            "detector": detector,
        }

    def render(self, case: Case, out: Path, seed: int) -> str:
        """Run the pipeline; a stopped clip goes on at its last whole segment."""
        from joystreamer.jobs import run_job

        try:
            pipeline, options, tools = self._open()
            run_job(pipeline, case_job(case, out), replace(options, seed=seed), tools)
        except JoyStreamerError as error:
            return str(error)
        return ""

    def _open(self) -> tuple[Any, Any, Any]:
        if self._opened is None:
            from eval.processes import choose_device
            from joystreamer.commands.opening import open_pipeline
            from joystreamer.conditioning.finder import FoundByWords
            from joystreamer.jobs import Tools
            from joystreamer.options import GenerationOptions
            from joystreamer.presets import sampling_preset

            plain = {**sampling_preset(self._preset).to_json(), **self._changes}
            options = GenerationOptions.from_json(plain)
            folder, adapter = self._model, None
            if folder != TINY_MODEL:
                files = checkpoint_files(Path(folder))
                folder, adapter = str(files.pipeline), files.adapter
            opened = open_pipeline(
                folder, options, device=choose_device(self._device), loras=(adapter, None)
            )
            find = FoundByWords(self._detector, None) if self._detector else None
            self._opened = (
                opened.pipeline,
                replace(options, batch_guidance=opened.batch_guidance),
                Tools(find=find, notes=opened.notes),
            )
        return self._opened

    def close(self) -> None:
        """Let go of the pipeline."""
        self._opened = None


def model_fingerprint(model: str) -> str:
    """Return a digest of a checkpoint: every configuration, names and sizes of weights, its adapter.

    Each clip's own report holds the digests of the weights themselves.

    Raises:
        InputError: The folder does not exist, or its adapter's pipeline does not.
    """
    if model == TINY_MODEL:
        return TINY_MODEL
    files = checkpoint_files(Path(model))
    facts: dict[str, Any] = {
        path.relative_to(files.pipeline).as_posix(): path.read_text(encoding="utf-8")
        if path.suffix == ".json" and path.stat().st_size < 1 << 20
        else path.stat().st_size
        for path in sorted(files.pipeline.rglob("*"))
        if path.is_file()
    }
    if files.adapter is not None:
        facts["adapter"] = hashlib.sha256(files.adapter.read_bytes()).hexdigest()
    return settings_digest(facts)


def case_job(case: Case, out: Path) -> Any:
    """Return the job of a case: one voice alone, or several people with their regions.

    Raises:
        InputError: Picture or recording is missing.
    """
    from joystreamer.conditioning.speakers import Box
    from joystreamer.job_spec import JobSpec
    from joystreamer.job_spec import Speaker as JobSpeaker

    if case.image is None:
        raise InputError(f"case {case.id!r} has no picture; fill the suite first")
    recorded = voices(case)
    if len(recorded) == 1 and case.speakers[0].box is None and case.speakers[0].mask is None:
        return JobSpec(image=case.image, prompt=case.prompt, out=out, audio=recorded[0])
    with Image.open(case.image) as picture:
        width, height = picture.size
    speakers = tuple(
        JobSpeaker(
            name=f"speaker-{number}",
            audio=speaker.audio,
            box=Box(
                speaker.box[0] * width, speaker.box[1] * height,
                speaker.box[2] * width, speaker.box[3] * height,
            )
            if speaker.box and not speaker.mask
            else None,
            mask=speaker.mask,
            words=None if speaker.box or speaker.mask else "person",
        )
        for number, speaker in enumerate(case.speakers, start=1)
    )  # fmt: skip
    return JobSpec(image=case.image, prompt=case.prompt, out=out, speakers=speakers)
