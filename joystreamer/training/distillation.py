"""Twin-teacher distillation as a task of the loop: critic and student take turns.

Binds the pure update of `dmd.py` to casts of networks, an image-to-video text teacher and a batch's
conditions. Which expert, which exit step and which stretch of tau an update uses is drawn once per
update, the same on every process.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.training.batches import Batch
from joystreamer.training.casts import FAKE, STUDENT, Cast
from joystreamer.training.dmd import (
    Guidance,
    Role,
    compare,
    critic_loss,
    matching_gradient,
    roll_out,
    student_loss,
)
from joystreamer.training.dmd_log import MatchingLog
from joystreamer.training.lora import TEACHER
from joystreamer.training.randomness import normal, seeded
from joystreamer.training.schedules import (
    AVATAR_BOUNDARY,
    TEXT_TEACHER_BOUNDARY,
    Bucket,
    Expert,
    ExpertRun,
    draw_index,
    expert_of,
    expert_run,
    student_timesteps,
)
from joystreamer.training.task import Draws, Trained
from joystreamer.training.teachers import (
    AvatarConditions,
    Experts,
    TextTeacherConditions,
    avatar_velocity,
    bind,
    freeze,
    text_teacher_velocity,
)

Kind = Literal["student", "fake"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationOptions:
    """Numbers of a distillation run.

    Attributes:
        guidance: Equation and scales of the real score.
        run: Exit steps and tau of the run (high, low or joint).
        critic_updates: Critic updates per student update (the video recipes: 5).
        critic_warmup: Critic updates before the first student update; ours.
        motion_dropout: Share of updates without history.
        boundary: Level at which the avatar's experts change.
        text_boundary: Level at which the text teacher's experts change.
        explain_every: Student updates between measurements of the critic on teacher samples.
        seed: Of the decisions per update.
    """

    guidance: Guidance = field(default_factory=Guidance)
    run: ExpertRun = field(default_factory=lambda: expert_run("joint"))
    critic_updates: int = 5
    critic_warmup: int = 100
    motion_dropout: float = 0.1
    boundary: float = AVATAR_BOUNDARY
    text_boundary: float = TEXT_TEACHER_BOUNDARY
    explain_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a ratio without a critic."""
        if self.critic_updates < 1 or self.critic_warmup < 0:
            raise InputError(
                f"critic_updates {self.critic_updates} and critic_warmup {self.critic_warmup} came; "
                "give at least 1 and at least 0"
            )

    def kind(self, update: int) -> Kind:
        """Whose turn an update is: the warm-up, then cycles of critic updates and one student's."""
        if update < self.critic_warmup:
            return "fake"
        position = (update - self.critic_warmup) % (self.critic_updates + 1)
        return "student" if position == self.critic_updates else "fake"

    def student_updates(self, updates: int) -> int:
        """How many of the first `updates` are the student's."""
        return max(0, updates - self.critic_warmup) // (self.critic_updates + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What all processes do in one update.

    Attributes:
        kind: Whose turn it is.
        exit_index: Step at which the student's rollout stops.
        bucket: Stretch of tau in which no network changes its expert.
        history: Whether the networks see motion frames.
        trained: Name of the role that steps.
    """

    kind: Kind
    exit_index: int
    bucket: Bucket
    history: bool
    trained: str


class DistillationTask:
    """Distils a student against audio teacher and text teacher.

    Args:
        casts: Casts by expert; one network for all levels is given under both names.
        text_teacher: Experts of the image-to-video text teacher; None for vanilla distillation.
        options: Numbers of the run.
        constants: `negative_text` (1, tokens, dim).
        earlier: The frozen distilled high expert, from whose samples a low run starts.
        park_idle: Keep the networks that an update does not need on the CPU (joint mode; one
            process only, since DDP's buckets cannot move).
    """

    def __init__(
        self,
        casts: Mapping[Expert, Cast],
        text_teacher: Experts | None,
        options: DistillationOptions,
        constants: Mapping[str, Tensor],
        *,
        earlier: Any = None,
        park_idle: bool = False,
    ) -> None:
        self.casts, self.text_teacher, self.options = casts, text_teacher, options
        self.constants, self.earlier, self.park_idle = dict(constants), earlier, park_idle
        if options.guidance.equation == "twin" and text_teacher is None:
            raise InputError(
                "twin-teacher distillation needs a text teacher and none was given; name one, or "
                "choose the vanilla equation"
            )
        if text_teacher is not None:
            freeze({"high": text_teacher.high, "low": text_teacher.low})
        if earlier is not None:
            freeze({"earlier": earlier})
        self.levels = student_timesteps(shift=options.run.tau.shift)
        self.buckets = options.run.tau.buckets(options.boundary, options.text_boundary)
        self._check_experts()
        unique = {id(cast): cast for cast in casts.values()}
        self.trained: Sequence[Trained] = tuple(
            trained for cast in unique.values() for trained in cast.trained
        )
        self.log = MatchingLog()
        self.decision: Decision | None = None
        self.student_updates = 0
        self.accelerator: Any = None

    def _check_experts(self) -> None:
        """Every level that the run may visit must have its networks."""
        options = self.options
        for exit_index in options.run.exits:
            self._cast_at(self.levels[exit_index])
        for bucket in self.buckets:
            self._cast_at(bucket.low)
            if self.text_teacher is not None and options.guidance.equation == "twin":
                self.text_teacher.at(torch.tensor([bucket.low]))
        first = min(options.run.exits)
        if first > 0 and self.earlier is None and "high" not in self.casts:
            raise InputError(
                f"a run whose first exit is step {first} starts from samples of the distilled "
                "high-noise expert, which was not given; distil the high expert first and name it"
            )

    def _cast_at(self, level: float) -> Cast:
        side = expert_of(level, self.options.boundary)
        if side not in self.casts:
            raise InputError(
                f"level {level:g} needs the {side}-noise expert of the avatar, which this run does "
                f"not train; its experts are {', '.join(self.casts)}"
            )
        return self.casts[side]

    def phase(self, update: int) -> str:
        """Draw what this update does; every process draws the same."""
        generator = seeded(self.options.seed, update, "decision")
        exits = self.options.run.exits
        exit_index = exits[draw_index([1.0] * len(exits), generator)]
        bucket = self.buckets[draw_index([b.probability for b in self.buckets], generator)]
        dropout = self.options.motion_dropout
        history = draw_index([dropout, 1.0 - dropout], generator) == 1
        kind = self.options.kind(update)
        level = self.levels[exit_index] if kind == "student" else bucket.low
        cast = self._cast_at(level)
        self.student_updates = self.options.student_updates(update)
        self.decision = Decision(
            kind=kind,
            exit_index=exit_index,
            bucket=bucket,
            history=history,
            trained=cast.trained_name(STUDENT if kind == "student" else FAKE),
        )
        if self.park_idle:
            self._park(self.decision)
        return self.decision.trained

    def start(
        self, accelerator: Any, networks: Mapping[str, Any], *, sharded: bool = False
    ) -> None:
        """Take the wrapped networks and bring the frozen ones to the device."""
        self.accelerator = accelerator
        self.park_idle = self.park_idle and accelerator.num_processes == 1
        for cast in {id(cast): cast for cast in self.casts.values()}.values():
            cast.start(accelerator, dict(networks), sharded=sharded)
        frozen = [self.earlier]
        if self.text_teacher is not None and not self.park_idle:
            frozen += [self.text_teacher.high, self.text_teacher.low]
        for network in frozen:
            if network is not None:
                network.to(accelerator.device)
        self.constants = {
            name: value.to(accelerator.device) for name, value in self.constants.items()
        }

    def _park(self, decision: Decision) -> None:
        """Bring the experts this update needs to the device and the others to the CPU."""
        levels = [*self.levels[: decision.exit_index + 1], decision.bucket.low]
        needed = {id(self._cast_at(level)) for level in levels}
        for cast in {id(cast): cast for cast in self.casts.values()}.values():
            away = id(cast) not in needed
            cast.move(torch.device("cpu") if away else self.accelerator.device)
        if self.text_teacher is None or decision.kind == "fake":
            return
        told = self.text_teacher.at(torch.tensor([decision.bucket.low]))
        for network in (self.text_teacher.high, self.text_teacher.low):
            if network is not None:
                network.to(self.accelerator.device if network is told else "cpu")

    def loss(self, phase: str, batch: Batch, draws: Draws) -> tuple[Tensor, Mapping[str, float]]:
        """Loss of the role whose turn it is."""
        decision = self.decision
        assert decision is not None
        assert decision.trained == phase
        conditions = self._conditions(batch, decision)
        clean = batch["latents"]
        sample = self._sample(clean, conditions, decision, draws)
        tau = self.options.run.tau.within(decision.bucket).sample(len(clean), draws.samples)
        tau = tau.to(clean.device)
        noise = normal(sample.detach(), draws.samples)
        cast = self._cast_at(decision.bucket.low)
        if decision.kind == "fake":
            loss = critic_loss(
                sample, tau, noise, lambda x, t: cast.velocity(FAKE, conditions, x, t)
            )
            return loss, {}
        return self._student_loss(sample, tau, noise, batch, conditions, decision, draws)

    def report(self, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Figures by noise level since the last report."""
        return self.log.report(total(self.log.sums.float()))

    def _conditions(self, batch: Batch, decision: Decision) -> AvatarConditions:
        return AvatarConditions(
            text=batch["text"],
            reference=batch["reference"],
            motion=batch["motion"] if decision.history else None,
            audio=batch["audio"],
        )

    def _sample(
        self, like: Tensor, conditions: AvatarConditions, decision: Decision, draws: Draws
    ) -> Tensor:
        """Roll the student out to its exit step; gradients only in the student's turn."""

        def student(sample: Tensor, level: float) -> Tensor:
            tau = torch.full((len(sample),), level, device=sample.device)
            side = expert_of(level, self.options.boundary)
            if side not in self.casts:
                return avatar_velocity(self.earlier, conditions, sample, tau)
            return self.casts[side].velocity(STUDENT, conditions, sample, tau)

        return roll_out(
            student,
            normal(like, draws.samples),
            self.levels,
            decision.exit_index,
            draws.samples,
            grad=decision.kind == "student",
        )

    def _student_loss(
        self,
        sample: Tensor,
        tau: Tensor,
        noise: Tensor,
        batch: Batch,
        conditions: AvatarConditions,
        decision: Decision,
        draws: Draws,
    ) -> tuple[Tensor, Mapping[str, float]]:
        options = self.options
        fields = self._fields(batch, conditions, decision, draws)
        level = self.levels[decision.exit_index]
        judged = compare(sample, tau, noise, fields, options.guidance, level)
        update = matching_gradient(sample, judged.real, judged.fake)
        self.log.add(tau, judged, update, options.guidance)
        figures = {"exit_level": level, "amplitude": float(sample.detach().float().std())}
        if options.explain_every and self.student_updates % options.explain_every == 0:
            with torch.no_grad():
                fake = fields[Role.FAKE]
                teacher = judged.terms[Role.AUDIO]
                fresh = normal(sample.detach(), draws.samples)  # the teacher has seen `noise`
                figures["critic_loss_on_student"] = float(critic_loss(sample, tau, fresh, fake))
                figures["critic_loss_on_teacher"] = float(critic_loss(teacher, tau, fresh, fake))
        return student_loss(sample, update.gradient), figures

    def _fields(
        self, batch: Batch, conditions: AvatarConditions, decision: Decision, draws: Draws
    ) -> dict[Role, Callable[[Tensor, Tensor], Tensor]]:
        """Velocity fields of the teachers and the fake score for this batch."""
        cast = self._cast_at(decision.bucket.low)
        deaf = conditions.without_audio()
        negative = deaf.with_text(self.constants["negative_text"].expand_as(conditions.text))
        fields: dict[Role, Callable[[Tensor, Tensor], Tensor]] = {
            Role.NEGATIVE: lambda x, t: cast.velocity(TEACHER, negative, x, t),
            Role.TEXT: lambda x, t: cast.velocity(TEACHER, deaf, x, t),
            Role.AUDIO: lambda x, t: cast.velocity(TEACHER, conditions, x, t),
            Role.FAKE: lambda x, t: cast.velocity(FAKE, conditions, x, t),
        }
        if self.text_teacher is not None and self.options.guidance.equation == "twin":
            anchor = "image_condition" if decision.history else "reference_condition"
            encoded = batch[anchor]
            told = TextTeacherConditions(
                text=batch["text"],
                encoded=encoded,
                anchor_noise=normal(encoded[:, :, :1], draws.samples),
            )
            fields[Role.TEXT_TEACHER] = bind(
                self.text_teacher,
                lambda network, x, t: text_teacher_velocity(network, told, x, t),
            )
        return fields
