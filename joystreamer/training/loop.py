"""The one training loop: every stage is a task that this loop drives.

A task says which networks train, which of them steps in update u, and what a micro-batch costs. The
loop owns precision, accumulation to a global batch, several processes, clipping, guards against
non-finite numbers, moving averages, logs, validation, checkpoints and exact resumption. An update
is one optimiser step of one network.
"""

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from joystreamer.errors import InputError, JoyStreamerError
from joystreamer.training.batches import BatchPlan, ClipSource
from joystreamer.training.checkpoint import (
    CheckpointFolder,
    flatten_optimiser,
    restore_optimiser,
)
from joystreamer.training.ema import MovingAverage
from joystreamer.training.parallel import (
    add_up,
    assign,
    gradient_norm,
    is_sharded,
    mean_over_processes,
    whole,
    wrap,
)
from joystreamer.training.progress import TrainingBar
from joystreamer.training.randomness import per_sample, seeded
from joystreamer.training.schedules import agree
from joystreamer.training.task import Draws, Task, Validate


class TrainingDiverged(JoyStreamerError):
    """Too many updates in a row had gradients that were not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopOptions:
    """How long, with what batch, and what is written; the same for every stage.

    Attributes:
        updates: Optimiser steps in all, of every network together.
        global_batch: Clips per update over all processes (paper: 64).
        micro_batch: Clips per forward pass of one process.
        seed: Of everything random.
        precision: `no` (float32), `bf16` or `fp16` arithmetic; masters stay in float32.
        clip: Largest gradient norm.
        rate_warmup: Updates over which learning rates rise linearly from zero.
        rate_end: Share of the learning rate that is left at the last update; it falls as a cosine.
        ema_decay: Weight of the past in the moving average; 0 for none.
        ema_start: Steps of a network before its average begins.
        sharded: Shard with torch where accelerate's configuration does not.
        skips: Updates in a row that may be skipped for non-finite gradients.
        log_every: Updates between lines of the log.
        checkpoint_every: Updates between checkpoints; one more is written at the end.
        keep_checkpoints: How many checkpoints stay on the disk.
        validate_every: Updates between validations; 0 for none.
    """

    updates: int
    global_batch: int = 64
    micro_batch: int = 1
    seed: int = 0
    precision: str = "no"
    clip: float = 10.0
    rate_warmup: int = 0
    rate_end: float = 1.0
    ema_decay: float = 0.0
    ema_start: int = 0
    sharded: bool = False
    skips: int = 10
    log_every: int = 10
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    validate_every: int = 0

    def __post_init__(self) -> None:
        """Refuse counts that lead nowhere."""
        if self.updates < 1 or self.checkpoint_every < 1 or self.keep_checkpoints < 1:
            raise InputError(
                f"updates {self.updates}, checkpoint_every {self.checkpoint_every} and "
                f"keep_checkpoints {self.keep_checkpoints} came; each must be at least 1"
            )
        if not 0.0 <= self.ema_decay < 1.0:
            raise InputError(f"ema_decay is {self.ema_decay}; give a number from 0 to below 1")
        if self.precision not in ("no", "bf16", "fp16"):
            raise InputError(f"precision is {self.precision!r}; choose one of no, bf16, fp16")
        if not 0.0 <= self.rate_end <= 1.0:
            raise InputError(f"rate_end is {self.rate_end}; give a share from 0 to 1")

    def rate_factor(self, done: int, steps: int) -> float:
        """Return what the learning rate is multiplied by.

        Args:
            done: Updates of the run so far.
            steps: Steps of the role that trains so far.
        """
        warm = min(1.0, (steps + 1) / self.rate_warmup) if self.rate_warmup else 1.0
        fallen = 0.5 - 0.5 * math.cos(math.pi * min(1.0, done / self.updates))
        return warm * (1.0 - (1.0 - self.rate_end) * fallen)


class TrainingLoop:
    """Drives a task from its first or last stored update to its end.

    Args:
        task: The stage.
        clips: Training clips.
        options: Lengths and sizes.
        folder: Of the run: checkpoints, `metrics.jsonl`.
        accelerator: From `parallel.make_accelerator`.
        validate: Measures samples; called every `validate_every` updates.
        description: Stored with every checkpoint: the resolved configuration.
    """

    def __init__(
        self,
        task: Task,
        clips: ClipSource,
        options: LoopOptions,
        folder: Path,
        accelerator: Any,
        validate: Validate | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        self.task, self.clips, self.options = task, clips, options
        self.accelerator, self.validate = accelerator, validate
        self.description = dict(description or {})
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = CheckpointFolder(self.folder, options.keep_checkpoints)
        self.plan = BatchPlan(
            clips.buckets(),
            global_batch=options.global_batch,
            micro_batch=options.micro_batch,
            processes=accelerator.num_processes,
            seed=options.seed,
        )
        self.done = 0
        self.steps = {trained.name: 0 for trained in task.trained}
        self.skipped = 0
        self._wrap_networks()
        self.averages = {
            trained.name: MovingAverage(
                trained.parameters, options.ema_decay, max(1, options.ema_start)
            )
            for trained in task.trained
            if trained.averaged and options.ema_decay
        }
        task.start(accelerator, self.networks, sharded=is_sharded(accelerator, options.sharded))

    def _wrap_networks(self) -> None:
        """Give every role its optimiser; networks that roles share are wrapped once."""
        self.networks: dict[str, Any] = {}
        self.optimisers: dict[str, Any] = {}
        wrapped: dict[int, Any] = {}
        sharded = is_sharded(self.accelerator, self.options.sharded)
        for trained in self.task.trained:
            settings = trained.rates
            optimiser = torch.optim.AdamW(
                list(trained.parameters.values()),
                lr=settings.rate,
                betas=settings.betas,
                weight_decay=settings.weight_decay,
            )
            known = wrapped.get(id(trained.network))
            if known is None:
                network, prepared = wrap(
                    self.accelerator, trained.network, optimiser, self.options.sharded
                )
                wrapped[id(trained.network)] = network
            else:
                network, prepared = known, self.accelerator.prepare_optimizer(optimiser)
            self.networks[trained.name], self.optimisers[trained.name] = network, prepared
            if sharded:  # the parameters were replaced by sharded ones
                table = dict(self.accelerator.unwrap_model(network).named_parameters())
                trained.parameters = {name: table[name] for name in trained.parameters}

    def run(self, stop_at: int | None = None) -> None:
        """Train up to the last update (or `stop_at`), from the newest checkpoint if there is one.

        Raises:
            TrainingDiverged: Gradients stayed non-finite.
            InputError: The checkpoint belongs to another kind of run.
        """
        end = self.options.updates if stop_at is None else min(stop_at, self.options.updates)
        newest = self.store.latest()
        if newest is not None and self.done == 0:
            self.restore(newest)
        elif self.done == 0:  # whatever was logged was lost with its checkpoint
            self._forget_after(-1)
        if self.done == 0 and self.options.validate_every:
            self._validate()
        logged: dict[str, list[float]] = {}
        with ExitStack() as stack:
            reader = stack.enter_context(ThreadPoolExecutor(1))
            advance = stack.enter_context(self._progress(end))
            while self.done < end:
                for name, value in self.step(reader).items():
                    logged.setdefault(name, []).append(value)
                advance(self.done)
                if self.done % self.options.log_every == 0 or self.done == end:
                    self._log({name: sum(v) / len(v) for name, v in logged.items()})
                    logged.clear()
                every = self.options.validate_every
                if every and (self.done % every == 0 or self.done == end):
                    self._validate()
                    if self._stopped():
                        break
                if self.done % self.options.checkpoint_every == 0 or self.done == end:
                    self.save()

    def step(self, reader: ThreadPoolExecutor) -> dict[str, float]:
        """Make the next update and nothing else; return its figures.

        Args:
            reader: Reads clips ahead.
        """
        figures = self._update(self.done, reader)
        self.done += 1
        return figures

    def _update(self, update: int, reader: ThreadPoolExecutor) -> dict[str, float]:
        """One optimiser step of the role whose turn it is."""
        phase = self.task.phase(update)
        shares = self.plan.shares(update, self.accelerator.process_index)
        waiting = [reader.submit(self.clips.read, share.indices) for share in shares]
        parameters = [
            p for trained in self.task.trained if trained.name == phase
            for p in trained.parameters.values()
        ]  # fmt: skip
        figures: dict[str, list[float]] = {}
        total = 0.0
        for number, (share, future) in enumerate(zip(shares, waiting, strict=True)):
            batch = {
                name: value.to(self.accelerator.device, non_blocking=True)
                for name, value in future.result().items()
            }
            draws = Draws(
                shared=seeded(self.options.seed, update, "shared"),
                samples=per_sample(self.options.seed, update, share.places),
            )
            last = number + 1 == len(shares)
            network = self.networks[phase]
            quiet: AbstractContextManager[Any] = (
                nullcontext() if last else self._without_sync(network)
            )
            with quiet:
                with self.accelerator.autocast():
                    loss, extra = self.task.loss(phase, batch, draws)
                self.accelerator.backward(loss / len(shares))
            total += float(loss.detach()) / len(shares)
            for name, value in extra.items():
                figures.setdefault(name, []).append(value)
        logs = {f"{phase}/{name}": sum(v) / len(v) for name, v in figures.items()}
        logs[f"{phase}/loss"] = total
        logs[f"{phase}/gradient_norm"] = self._step(phase, parameters)
        return logs

    def _without_sync(self, network: Any) -> AbstractContextManager[Any]:
        """Leave the exchange of gradients to the last micro-batch."""
        if is_sharded(self.accelerator, self.options.sharded) and not self.accelerator.is_fsdp2:
            return nullcontext()
        context: AbstractContextManager[Any] = self.accelerator.no_sync(network)
        return context

    def _step(self, phase: str, parameters: Sequence[Tensor]) -> float:
        """Clip, step unless something is not finite, average; return the gradient norm."""
        optimiser = self.optimisers[phase]
        self.accelerator.unscale_gradients(optimiser)
        norm = gradient_norm(parameters, self.options.clip)
        if math.isfinite(norm):
            self.skipped = 0
            rate = next(t.rates.rate for t in self.task.trained if t.name == phase)
            for group in optimiser.param_groups:
                group["lr"] = rate * self.options.rate_factor(self.done, self.steps[phase])
            optimiser.step()
            self.steps[phase] += 1
            if phase in self.averages:
                self.averages[phase].update(self.steps[phase])
        else:
            self.skipped += 1
        for trained in self.task.trained:
            for parameter in trained.parameters.values():
                parameter.grad = None
        if self.skipped > self.options.skips:
            raise TrainingDiverged(
                f"gradients of {phase} were not finite {self.skipped} times in a row at update "
                f"{self.done}; lower the learning rate or go back to an earlier checkpoint"
            )
        return norm

    def _log(self, values: dict[str, float]) -> None:
        """Write means since the last line, over all processes, to the log and the trackers."""
        values = mean_over_processes(self.accelerator, values)
        values.update(self.task.report(lambda sums: add_up(self.accelerator, sums)))
        self._record(values)

    def _record(self, values: Mapping[str, float]) -> None:
        self.accelerator.log(dict(values), step=self.done)
        if self.accelerator.is_main_process:
            with (self.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"update": self.done, **values}) + "\n")

    def _validate(self) -> None:
        """Measure samples of the averaged weights."""
        if self.validate is None:
            return
        self.accelerator.wait_for_everyone()
        with ExitStack() as stack:
            for average in self.averages.values():
                stack.enter_context(average.applied())
            if self.accelerator.is_main_process:
                found = self.validate(self.done)
                self._record({f"validation/{name}": value for name, value in found.items()})
        self.accelerator.wait_for_everyone()

    def _stopped(self) -> bool:
        """Whether the stop rule was broken; if so, go back to what was still good."""
        if not agree(int(self.validate is not None and self.validate.stop)):
            return False
        newest = self.store.latest()
        if newest is not None:
            self.restore(newest)
        return True

    def save(self) -> Path:
        """Write a checkpoint of everything that decides what comes next."""
        tensors: dict[str, dict[str, Tensor]] = {}
        for trained in self.task.trained:
            name, optimiser = trained.name, self.optimisers[trained.name].optimizer
            names = {id(p): key for key, p in trained.parameters.items()}
            tensors[name] = {key: whole(p) for key, p in trained.parameters.items()}
            tensors[f"{name}-optimiser"] = flatten_optimiser(optimiser, names)
            if name in self.averages:
                shadow = self.averages[name].shadow
                tensors[f"{name}-average"] = {key: whole(v) for key, v in shadow.items()}
        state = {
            "steps": self.steps,
            "skipped": self.skipped,
            "options": asdict(self.options),
            "description": self.description,
        }
        return self.store.write(self.done, tensors, state, self.accelerator)

    def restore(self, path: Path) -> None:
        """Go back to a checkpoint.

        Raises:
            InputError: It holds other networks than this run trains.
        """
        tensors, state = self.store.read(path, self.accelerator.process_index)
        for trained in self.task.trained:
            name, stored = trained.name, tensors.get(trained.name, {})
            if set(stored) != set(trained.parameters):
                raise InputError(
                    f"{path} holds {len(stored)} trained tensors of '{name}', this run trains "
                    f"{len(trained.parameters)}; resume with the preset that wrote it"
                )
            for key, parameter in trained.parameters.items():
                assign(parameter, stored[key])
            names = {id(p): key for key, p in trained.parameters.items()}
            flat = tensors.get(f"{name}-optimiser", {})
            restore_optimiser(self.optimisers[name].optimizer, names, flat)
            if name in self.averages:
                self.averages[name].load(tensors.get(f"{name}-average", {}))
        self.done, self.steps = state["step"], dict(state["steps"])
        self.skipped = state["skipped"]
        self._forget_after(self.done)

    def adopt(self, path: Path) -> None:
        """Begin with the networks of another run's checkpoint, averaged where it has an average.

        Optimisers, counters and averages start anew. The closing vanilla round begins so: its
        student and fake score are those of the twin run, its audio teacher is still the base.

        Raises:
            InputError: It holds other networks than this run trains.
        """
        tensors, _ = self.store.read(path, self.accelerator.process_index)
        for trained in self.task.trained:
            stored = tensors.get(f"{trained.name}-average") or tensors.get(trained.name, {})
            if set(stored) != set(trained.parameters):
                raise InputError(
                    f"{path} holds {len(stored)} tensors of '{trained.name}', this run trains "
                    f"{len(trained.parameters)}; continue from a run of the same kind"
                )
            for key, parameter in trained.parameters.items():
                assign(parameter, stored[key])

    def _forget_after(self, done: int) -> None:
        """Drop lines that a killed run logged after the checkpoint."""
        log = self.folder / "metrics.jsonl"
        if self.accelerator.is_main_process and log.is_file():
            complete = [line for line in log.read_text().splitlines() if line.endswith("}")]
            try:
                kept = [line for line in complete if json.loads(line)["update"] <= done]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"a line of '{log}' is damaged ({error}); remove the line, or the file"
                ) from error
            partial = log.with_suffix(".partial")
            partial.write_text("".join(f"{line}\n" for line in kept))
            partial.replace(log)

    def _progress(self, end: int) -> Any:
        return TrainingBar(end, self.done, shown=self.accelerator.is_main_process)
