"""Samplers: from noise to a clean latent, given only a denoiser.

A sampler never sees a network. It calls a `Denoiser`, a function of a noisy sample and a timestep,
so a closed-form toy tests every sampler. Guidance, experts and conditions live behind the denoiser.

Convention (rectified flow): x_sigma = (1 - sigma) x0 + sigma noise, timestep = 1000 sigma, and the
denoiser returns the velocity dx/dsigma = noise - x0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from joystreamer.errors import InputError
from joystreamer.guidance import velocity_to_clean

SamplerName = Literal["unipc", "euler", "distilled"]

TRAIN_TIMESTEPS = 1000
"""Timestep of pure noise in Wan's schedulers."""

STUDENT_TIMESTEPS = (1000.0, 750.0, 500.0, 250.0)
"""Raw timesteps of the 4-step student, before the shift (Self-Forcing's list)."""


class Denoiser(Protocol):
    """What a sampler may ask of the outside world."""

    def __call__(self, sample: Tensor, timestep: float) -> Tensor:
        """Velocity (noise - x0) at `sample`.

        Args:
            sample: Noisy latents, float32, any shape.
            timestep: Noise level in 0..1000, not rounded.

        Returns:
            Velocity of the same shape, float32.
        """
        ...


StepHook = Callable[[int, float, Tensor], Tensor]
"""Called after each step with (step, timestep, sample); what it returns is carried on."""


@dataclass(frozen=True, slots=True)
class ExpertDenoiser:
    """Two denoisers that share the noise levels (Wan2.2: one expert per side of a boundary).

    Attributes:
        high: Asked at `timestep >= boundary`.
        low: Asked below.
        boundary: Timestep in 0..1000 (875 for T2V-A14B, 900 for I2V-A14B).
    """

    high: Denoiser
    low: Denoiser
    boundary: float

    def __call__(self, sample: Tensor, timestep: float) -> Tensor:
        """Velocity from the expert in charge of `timestep`."""
        return (self.high if timestep >= self.boundary else self.low)(sample, timestep)


def warp_timestep(timestep: float, shift: float) -> float:
    """Shift a timestep towards noise: sigma -> shift sigma / (1 + (shift - 1) sigma).

    With shift 5 the student's 1000, 750, 500, 250 become 1000, 937.5, 833.3, 625.
    """
    sigma = timestep / TRAIN_TIMESTEPS
    return TRAIN_TIMESTEPS * shift * sigma / (1 + (shift - 1) * sigma)


def make_scheduler(name: SamplerName, shift: float) -> Any:
    """The diffusers scheduler behind a many-step sampler's name.

    Args:
        name: `euler` (order 1) or `unipc` (predictor-corrector, order 2, Wan's own choice).
        shift: Flow shift; larger spends more steps at high noise.

    Returns:
        A fresh scheduler. The distilled sampler has no scheduler state: it gets Euler's, whose
        configuration then records the shift.
    """
    if shift <= 0:
        raise InputError(f"shift {shift} came; it must be above 0 (5 suits 480x832)")
    if name == "unipc":
        return UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        )
    return FlowMatchEulerDiscreteScheduler(shift=shift)


def sample_flow(
    denoiser: Denoiser,
    noise: Tensor,
    scheduler: Any,
    steps: int,
    on_step: StepHook | None = None,
) -> Tensor:
    """Integrate the flow from noise to data with a diffusers scheduler.

    The denoiser is asked at the scheduler's exact noise level. UniPC's own timesteps are cut to
    integers, which would cap its accuracy at about 1e-3.

    Args:
        denoiser: Velocity field.
        noise: Start, float32, standard normal.
        scheduler: Euler or UniPC in flow form; copied, so that no state leaks between segments.
        steps: Number of denoiser calls, at least 1.
        on_step: Hook after each step.

    Returns:
        The clean sample, float32.
    """
    scheduler = type(scheduler).from_config(scheduler.config)
    scheduler.set_timesteps(steps, device=noise.device)
    sample = noise.float()
    for step, own_timestep in enumerate(scheduler.timesteps):
        timestep = float(scheduler.sigmas[step]) * TRAIN_TIMESTEPS
        velocity = denoiser(sample, timestep)
        sample = scheduler.step(velocity, own_timestep, sample, return_dict=False)[0]
        if on_step is not None:
            sample = on_step(step, timestep, sample)
    return sample


def sample_distilled(
    denoiser: Denoiser,
    noise: Tensor,
    generator: torch.Generator,
    *,
    shift: float = 5.0,
    timesteps: Sequence[float] = STUDENT_TIMESTEPS,
    on_step: StepHook | None = None,
) -> Tensor:
    """Few-step stochastic sampling of the distilled student.

    Each step jumps to an estimate of the clean sample, then noises it again with fresh noise to the
    next level. The student is sampled without guidance.

    Args:
        denoiser: Velocity field of the student.
        noise: Start, float32, standard normal.
        generator: Source of the fresh noise, on the CPU, so that devices agree.
        shift: Warp of the timesteps.
        timesteps: Raw timesteps, falling, the first one 1000.
        on_step: Hook after each step.

    Returns:
        The clean sample, float32.
    """
    sample = noise.float()
    warped = [warp_timestep(value, shift) for value in timesteps]
    for step, timestep in enumerate(warped):
        clean = velocity_to_clean(denoiser(sample, timestep), sample, timestep)
        if step + 1 < len(warped):
            sigma = warped[step + 1] / TRAIN_TIMESTEPS
            fresh = torch.randn(noise.shape, generator=generator, dtype=torch.float32)
            sample = (1 - sigma) * clean + sigma * fresh.to(noise.device)
        else:
            sample = clean
        if on_step is not None:
            sample = on_step(step, timestep, sample)
    return sample
