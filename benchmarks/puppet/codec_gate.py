"""The first gate: what survives the codec. Nothing is worth training on latents that lose the mouth.

Ground truth is encoded, decoded and judged by the oracles; the figures are also the ceilings that stand
beside every result.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.puppet.facts import puppet_facts
from benchmarks.puppet.footage import WINDOW
from benchmarks.puppet.look import WALLS, draw_identity, pick
from benchmarks.puppet.program import draw_program
from benchmarks.puppet.render import Actor, Scene, render
from benchmarks.puppet.timeline import FPS, perform
from benchmarks.puppet.voice import VOICES, speak
from eval.puppet.judge import judge
from eval.puppet.mouth import mouth_opening
from joystreamer.errors import InputError

LEAST_CORRELATION: Final = 0.9
LEAST_GAIN: Final = 0.8
MOST_COLOUR_SHIFT: Final = 4.0
"""Grey levels by which the mean colour may leave the truth between the first and the last half second."""
EDGE: Final = FPS // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """What decoded ground truth scores; means over clips.

    Attributes:
        psnr: Decibels, of pixels in 0..255.
        mouth_correlation: Of decoded mouths with their sound.
        worst_correlation: The lowest of a clip.
        mouth_gain: Decoded opening over true opening.
        colour_shift: Grey levels; see `MOST_COLOUR_SHIFT`.
        program: Share of programs that are still recognised.
        response: Measured change over asked change.
        flicker: In the oracle's unit.
    """

    psnr: float
    mouth_correlation: float
    worst_correlation: float
    mouth_gain: float
    colour_shift: float
    program: float
    response: float
    flicker: float

    def require(self) -> None:
        """Stop whoever would train on these latents.

        Raises:
            InputError: The mouth is lost or the colours drift.
        """
        if (
            self.mouth_correlation < LEAST_CORRELATION
            or self.mouth_gain < LEAST_GAIN
            or self.colour_shift > MOST_COLOUR_SHIFT
        ):
            raise InputError(
                f"the codec keeps mouth correlation {self.mouth_correlation:.2f}, gain "
                f"{self.mouth_gain:.2f} and shifts colours by {self.colour_shift:.1f}; at least "
                f"{LEAST_CORRELATION}, {LEAST_GAIN} and at most {MOST_COLOUR_SHIFT} are needed before "
                "anything is trained on it: train the codec longer"
            )

    def as_json(self) -> dict[str, float]:
        """Plain values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure_ceiling(vae: Any, *, clips: int = 12, seed: int = 1) -> Ceiling:
    """Send fresh ground truth of 89 frames through a codec and judge what comes out.

    Args:
        vae: A trained `AutoencoderKLWan`.
        clips: How many, none of them footage of a training set.
        seed: Of the clips.
    """
    rows: list[dict[str, float]] = []
    for index in range(clips):
        draw = np.random.default_rng([seed, 104_729, index])
        program = draw_program(draw, held_out=bool(index % 2))
        sound = speak(VOICES[index % len(VOICES)], WINDOW / FPS, draw, pauses=0.2)
        actor = Actor(
            identity=draw_identity(draw),
            poses=perform([program], [WINDOW]),
            mouth=mouth_opening(sound, WINDOW),
        )
        scene = Scene(actors=(actor,), wall=pick(WALLS, draw))
        truth = render(scene)
        shown = there_and_back(vae, truth)
        error = shown.astype(np.float64) - truth
        shift = error[-EDGE:].mean(axis=(0, 1, 2)) - error[:EDGE].mean(axis=(0, 1, 2))
        found = judge(shown, [sound], puppet_facts(scene, [program]))
        rows.append(
            {
                "psnr": float(10 * np.log10(255**2 / np.mean(error**2))),
                "colour_shift": float(np.abs(shift).max()),
                **{name: value for name, value in found.items() if value is not None},
            }
        )

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows if name in row]))

    return Ceiling(
        psnr=mean("psnr"),
        mouth_correlation=mean("mouth_correlation"),
        worst_correlation=min(row["mouth_correlation"] for row in rows),
        mouth_gain=mean("mouth_gain"),
        colour_shift=mean("colour_shift"),
        program=mean("program"),
        response=mean("response"),
        flicker=mean("flicker"),
    )


@torch.no_grad()
def there_and_back(vae: Any, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encode and decode frames (4 n + 1, H, W, 3) uint8."""
    pixels = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    latents = vae.encode(pixels).latent_dist.mode()
    decoded = vae.decode(latents, return_dict=False)[0][0]
    bright = ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    back: NDArray[np.uint8] = bright.permute(1, 2, 3, 0).numpy()
    return back
