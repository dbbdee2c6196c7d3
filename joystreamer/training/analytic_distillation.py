"""Distils a few-step student in the world of closed-form teachers, many arms at once.

Uses the same pure functions as the training of the real model (`dmd.py`, `schedules.py`,
`guidance.py`); only the networks are small perceptrons. All arms (equation x scales x seed) are
stacked along a leading dimension of the weights, so a whole ablation costs one run. Arms of one
seed share initial weights, prompts, audio and start noise, so their differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from joystreamer.guidance import add_noise, combine_eq2, combine_eq3, velocity_to_clean
from joystreamer.training.analytic import (
    DIRECTIONS,
    Conditions,
    Reading,
    audio_teacher,
    draw_conditions,
    read_clips,
    text_teacher,
)
from joystreamer.training.dmd import (
    Guidance,
    critic_loss,
    matching_gradient,
    roll_out,
    student_loss,
)
from joystreamer.training.randomness import normal
from joystreamer.training.schedules import TauSchedule, draw_index, student_timesteps

DIMS = 3
FREQUENCIES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalyticRecipe:
    """Sizes and rates; all ours, chosen so that an ablation takes about half a minute on a core.

    Attributes:
        width: Units per hidden layer.
        batch: Samples per arm and update.
        pretraining: Flow-matching updates from the audio teacher, which student and critic share.
        critic_updates: Critic updates per student update.
        pretraining_rate: Learning rate of the pretraining.
        student_rate: Learning rate of the student.
        critic_rate: Learning rate of the critic.
        decay: Student updates over which both rates fall linearly to a tenth.
        tau: Distribution of the noise level of comparison.
    """

    width: int = 48
    batch: int = 96
    pretraining: int = 400
    critic_updates: int = 5
    pretraining_rate: float = 5e-3
    student_rate: float = 1.5e-3
    critic_rate: float = 3e-3
    decay: int = 400
    tau: TauSchedule = field(default_factory=TauSchedule)


class StackedPerceptron(nn.Module):
    """One velocity network per arm, evaluated together.

    Args:
        arms: Number of networks.
        width: Units per hidden layer.
        generator: Source of the initial weights.
    """

    def __init__(self, arms: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = (DIMS + 1 + 2 * FREQUENCIES + DIRECTIONS + 1, width, width, DIMS)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for size, following in pairwise(sizes):
            weight = torch.randn(arms, size, following, generator=generator) / size**0.5
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(arms, 1, following)))

    def forward(self, sample: Tensor, tau: Tensor, conditions: Conditions) -> Tensor:
        """Velocity (arms * batch, 3); rows of one arm are consecutive."""
        arms = self.weights[0].shape[0]
        sigma = tau[:, None] / 1000.0
        frequencies = 2.0 ** torch.arange(FREQUENCIES) * torch.pi / 2
        hidden = torch.cat(
            [
                sample,
                sigma,
                (sigma * frequencies).sin(),
                (sigma * frequencies).cos(),
                nn.functional.one_hot(conditions.prompt, DIRECTIONS).to(sample),
                conditions.audio[:, None],
            ],
            dim=1,
        ).reshape(arms, -1, self.weights[0].shape[1])
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer + 1 < len(self.weights):
                hidden = nn.functional.silu(hidden)
        return hidden.flatten(0, 1)

    def select(self, arms: Sequence[int]) -> "StackedPerceptron":
        """Copy the networks at these indices, in this order."""
        chosen = StackedPerceptron(
            len(arms), self.weights[0].shape[-1], torch.Generator().manual_seed(0)
        )
        chosen.load_state_dict(
            {name: value[list(arms)] for name, value in self.state_dict().items()}
        )
        return chosen


class AnalyticAblation:
    """Every arm of an ablation, with everything needed to stop and go on bit for bit.

    Args:
        arms: Guidance of each arm.
        seeds: How many repetitions of every arm; they differ in initial weights and in all draws.
        recipe: Sizes and rates.
        seed: Of the whole ablation.
    """

    def __init__(
        self,
        arms: Sequence[Guidance],
        seeds: int,
        recipe: AnalyticRecipe | None = None,
        seed: int = 0,
    ) -> None:
        self.recipe = recipe or AnalyticRecipe()
        self.seeds = seeds
        self.generator = torch.Generator().manual_seed(seed)
        self.timesteps = student_timesteps()
        self.set_guidance(arms)
        pretrained = self._pretrain()
        order = [index for _ in arms for index in range(seeds)]
        self.student, self.critic = pretrained.select(order), pretrained.select(order)
        self.set_rates(self.recipe.student_rate, self.recipe.critic_rate)

    def set_guidance(self, arms: Sequence[Guidance]) -> None:
        """Give every arm a (new) guidance; a closing vanilla round changes it in mid-run."""
        self.arms = tuple(arms)

    def keep(self, arm: int) -> None:
        """Go on with the students of one arm only."""
        rows = range(arm * self.seeds, (arm + 1) * self.seeds)
        self.student, self.critic = self.student.select(rows), self.critic.select(rows)
        self.set_guidance(self.arms[arm : arm + 1])
        self.set_rates(self.recipe.student_rate, self.recipe.critic_rate)

    def set_rates(self, student_rate: float, critic_rate: float) -> None:
        """Start fresh optimisers with these rates; beta1 = 0 as in every published video recipe."""
        betas = (0.0, 0.999)
        self.student_optimiser = torch.optim.Adam(
            self.student.parameters(), lr=student_rate, betas=betas
        )
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=critic_rate, betas=betas
        )
        self.updates = 0

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next."""
        return {
            "student": self.student.state_dict(),
            "critic": self.critic.state_dict(),
            "student_optimiser": self.student_optimiser.state_dict(),
            "critic_optimiser": self.critic_optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        self.student.load_state_dict(state["student"])
        self.critic.load_state_dict(state["critic"])
        self.student_optimiser.load_state_dict(state["student_optimiser"])
        self.critic_optimiser.load_state_dict(state["critic_optimiser"])
        self.generator.set_state(state["generator"])
        self.updates = state["updates"]

    def update(self) -> tuple[float, float]:
        """Train the critic, then the student once; return (student loss, last critic loss)."""
        for _ in range(self.recipe.critic_updates):
            critic = self._update_critic()
        student = self._update_student()
        self.updates += 1
        for optimiser in (self.student_optimiser, self.critic_optimiser):
            for group in optimiser.param_groups:
                start = group.setdefault("initial_lr", group["lr"])
                group["lr"] = start * max(0.1, 1.0 - 0.9 * self.updates / self.recipe.decay)
        return student, critic

    def read(self, clips: int = 512, seed: int = 99) -> list[list[Reading]]:
        """Sample every student without guidance and measure it: `[arm][seed]`."""
        generator = torch.Generator().manual_seed(seed)
        conditions = draw_conditions(clips, generator)
        rows = len(self.arms) * self.seeds
        everyone = Conditions(
            prompt=conditions.prompt.repeat(rows), audio=conditions.audio.repeat(rows)
        )
        noise = torch.randn(clips, DIMS, generator=generator).repeat(rows, 1)
        clean = self._roll_out(noise, everyone, len(self.timesteps) - 1, generator, grad=False)
        readings = [read_clips(part, conditions) for part in clean.chunk(rows)]
        return [readings[start : start + self.seeds] for start in range(0, rows, self.seeds)]

    def _pretrain(self) -> StackedPerceptron:
        """Teach one network per seed the audio teacher's field; the students start from it."""
        recipe = self.recipe
        network = StackedPerceptron(self.seeds, recipe.width, self.generator)
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.pretraining_rate)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, recipe.pretraining)
        for _ in range(recipe.pretraining):
            count = recipe.batch * self.seeds
            conditions = draw_conditions(count, self.generator)
            tau = TauSchedule(shift=3.0, maximum=1000.0).sample(count, self.generator)
            # Wide enough to teach the field everywhere a student may wander.
            clean = 1.5 * torch.randn(count, DIMS, generator=self.generator)
            noised = add_noise(clean, torch.randn(count, DIMS, generator=self.generator), tau)
            target = audio_teacher(noised, tau, conditions.prompt, conditions.audio)
            loss = ((network(noised, tau, conditions) - target) ** 2).mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        return network

    def _draw(self) -> tuple[Tensor, Conditions]:
        """Start noise and conditions; the same for every arm of a seed."""
        count, arms = self.recipe.batch * self.seeds, len(self.arms)
        conditions = draw_conditions(count, self.generator)
        noise = torch.randn(count, DIMS, generator=self.generator)
        return noise.repeat(arms, 1), Conditions(
            prompt=conditions.prompt.repeat(arms), audio=conditions.audio.repeat(arms)
        )

    def _roll_out(
        self, noise: Tensor, conditions: Conditions, exit_index: int, generator: torch.Generator,
        *, grad: bool,
    ) -> Tensor:  # fmt: skip
        def step(sample: Tensor, level: float) -> Tensor:
            return self.student(sample, torch.full((len(sample),), level), conditions)

        return roll_out(step, noise, self.timesteps, exit_index, generator, grad=grad)

    def _sample(self, *, grad: bool) -> tuple[Tensor, Conditions, Tensor, Tensor, float]:
        """A student's sample with fresh tau and noise for judging it."""
        noise, conditions = self._draw()
        exit_index = draw_index([1.0] * len(self.timesteps), self.generator)
        sample = self._roll_out(noise, conditions, exit_index, self.generator, grad=grad)
        count = self.recipe.batch * self.seeds
        tau = self.recipe.tau.sample(count, self.generator).repeat(len(self.arms))
        fresh = normal(sample[:count], self.generator).repeat(len(self.arms), 1)
        return sample, conditions, tau, fresh, self.timesteps[exit_index]

    def _update_critic(self) -> float:
        sample, conditions, tau, noise, _ = self._sample(grad=False)
        loss = critic_loss(sample, tau, noise, lambda x, t: self.critic(x, t, conditions))
        self.critic_optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.critic_optimiser.step()
        return float(loss.detach())

    def _update_student(self) -> float:
        sample, conditions, tau, noise, level = self._sample(grad=True)
        real, fake = self._real_and_fake(sample.detach(), conditions, tau, noise, level)
        loss = student_loss(sample, matching_gradient(sample, real, fake).gradient)
        self.student_optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.student_optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def _real_and_fake(
        self, sample: Tensor, conditions: Conditions, tau: Tensor, noise: Tensor, level: float
    ) -> tuple[Tensor, Tensor]:
        """Guided clean prediction of the teachers, arm by arm, and the critic's."""
        noised = add_noise(sample, noise, tau)
        prompt, audio = conditions.prompt, conditions.audio
        negative = audio_teacher(noised, tau, None, None)
        heard = audio_teacher(noised, tau, prompt, audio)
        deaf = audio_teacher(noised, tau, prompt, None)
        told = text_teacher(noised, tau, prompt)
        fake = self.critic(noised, tau, conditions)
        real = []
        for arm, n, a, b, t, levels in zip(
            self.arms,
            *(values.chunk(len(self.arms)) for values in (negative, deaf, heard, told, tau)),
            strict=True,
        ):
            scale = arm.audio_scale_at(levels, level)
            real.append(
                combine_eq3(n, b, t, arm.text_scale, scale)
                if arm.equation == "twin"
                else combine_eq2(n, a, b, arm.text_scale, scale)
            )
        return (
            velocity_to_clean(torch.cat(real), noised, tau),
            velocity_to_clean(fake, noised, tau),
        )
