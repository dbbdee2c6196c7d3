"""Generate and train as stages: the tiny model, 32x32 pixels, one step per segment, three updates."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from joystreamer.cli import main
from joystreamer.media import write_clip
from joystreamer.training.checkpoint import checkpoints
from tests.faults.stage import DAMAGED, Item, Place, State, hashed, inode, whole_files
from tests.joystreamer.made_media import make_speech, write_wav

VARIES = ("wall_seconds", "commit", "notes")
"""Fields of a report that say how a run went and not what it made."""


class Generate:
    """`joystreamer generate`: two segments."""

    name = "generate"
    databases = False

    def prepare(self, place: Place) -> None:
        """Make a picture and four seconds of speech."""
        Image.new("RGB", (40, 48), (180, 120, 90)).save(place.notes / "face.png")
        write_wav(place.notes / "voice.wav", make_speech(4.0))

    def run(self, place: Place) -> None:
        """Make the clip."""
        main(
            [
                "generate", "--model", "tiny", "--image", str(place.notes / "face.png"),
                "--audio", str(place.notes / "voice.wav"), "--prompt", "A man talks. He waves.",
                "--out", str(place.folder / "clip.mp4"), "--steps", "1", "--size", "32x32",
                "--text-scale", "1", "--audio-scale", "1", "--device", "cpu",
            ]
        )  # fmt: skip

    def state(self, place: Place) -> State:
        """The clip and what stands beside it; segments that are kept for the next run."""
        found: State = {}
        for name in ("clip.mp4", "clip.plan.json"):
            path = place.folder / name
            if path.is_file():
                found[name] = Item(hashed(path))
        report = place.folder / "clip.json"
        if report.is_file():
            told = json.loads(report.read_text())
            kept = {name: value for name, value in told.items() if name not in VARIES}
            kept["segments"] = [
                {name: value for name, value in part.items() if name not in ("resumed", "timings")}
                for part in told["segments"]
            ]
            found["clip.json"] = Item(json.dumps(kept, sort_keys=True))
        return found

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """What is left over beside the clip."""
        names = {path.name for path in place.folder.iterdir()}
        return [f"{name} is left" for name in sorted(names - {"clip.mp4", "clip.json", "clip.plan.json"})]  # fmt: skip

    def victims(self, place: Place) -> Sequence[Path]:
        """Finished segments, the plan and the mark of the job; a finished clip's papers."""
        return [path for path in whole_files(place.folder) if path.name != "lock"]

    def mend(self, place: Place, victim: Path) -> None:
        """Remove what is damaged, and segments after it."""
        for path in whole_files(victim.parent):
            if path == victim or (path.suffix == ".zip" and path.name > victim.name):
                path.unlink()


class Train:
    """`joystreamer train`: three updates, a checkpoint after each."""

    name = "train"
    databases = False

    def prepare(self, place: Place) -> None:
        """Make one film."""
        frames = [np.full((32, 32, 3), 40 + index, np.uint8) for index in range(90)]
        sound = (0.1 * np.sin(np.arange(57_600) / 5)).astype(np.float32)
        write_clip(place.notes / "film.mp4", frames, 25, audio=sound)
        line = {"video": "film.mp4", "caption": "a puppet walks"}
        (place.notes / "clips.jsonl").write_text(json.dumps(line) + "\n")

    def run(self, place: Place) -> None:
        """Train from the newest checkpoint."""
        settings = {
            "loop.updates": 3, "loop.global_batch": 1, "loop.micro_batch": 1, "cache.area": 1024,
            "loop.log_every": 1, "loop.checkpoint_every": 1, "loop.keep_checkpoints": 3,
        }  # fmt: skip
        given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        main(
            [
                "train", "--preset", "tiny-stage-1", "--model", "tiny", "--manifest",
                str(place.notes / "clips.jsonl"), "--out", str(place.folder / "run"), *given,
            ]
        )  # fmt: skip

    def state(self, place: Place) -> State:
        """Checkpoints, the log, the cache and the final weights."""
        run = place.folder / "run"
        found: State = {}
        for folder in checkpoints(run):
            parts = sorted(folder.glob("network*.safetensors"))
            found[f"checkpoint {folder.name}"] = Item(
                " ".join(hashed(path) for path in parts), inode(folder / "state.json")
            )
        lines = _log(run / "metrics.jsonl")
        updates = [line["update"] for line in lines]
        for number in sorted(set(updates)):
            losses = [line for line in lines if line["update"] == number]
            doubled = f"{DAMAGED}, {len(losses)} times " if len(losses) > 1 else ""
            found[f"update {number}"] = Item(doubled + json.dumps(losses[-1], sort_keys=True))
        final = run / "final"
        if (final / "model_index.json").is_file():
            found |= {
                f"final {path.relative_to(final)}": Item(hashed(path))
                for path in whole_files(final)
                if path.name != "README.md"
            }
        return found

    def complaints(self, before: State, after: State, place: Place) -> list[str]:
        """Parts of checkpoints that nobody finished."""
        left = [path.name for path in (place.folder / "run").glob(".partial-*")]
        return [f"{name} is left" for name in left]

    def victims(self, place: Place) -> Sequence[Path]:
        """The checkpoint that is read next, and the cache."""
        run = place.folder / "run"
        read = [*checkpoints(run)[-1:], run / "cache"]
        return [path for folder in read for path in whole_files(folder)]

    def mend(self, place: Place, victim: Path) -> None:
        """Remove the damaged checkpoint's folder, or the damaged file."""
        if victim.parent.name.startswith("step-"):
            for path in victim.parent.iterdir():
                path.unlink()
            victim.parent.rmdir()
        elif victim.parent.name == "cache":
            for path in victim.parent.iterdir():
                path.unlink()
        else:
            victim.unlink()


def _log(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a log; a last line that a kill cut off is not there for any reader."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
