"""Lip-sync scoring side by side with syncnet-python 0.2.3: same clip, weights and boxes, one run.

    python -m benchmarks.performance.sync [--seconds 4] [--rounds 2] [--memory-seconds 60]

Weights are seeded and calibrated random numbers, so the face detector's answer is meaningless: both
sides run its network on every picture they search and then take the same made-up box. Its random
heads are silenced, which spares both sides a post-processing that real weights would not cause.
Rounds alternate between the contestants, because the machine may be shared; peak memory is taken in
processes of their own.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import cv2
import numpy as np
import torch

from benchmarks.performance.dated_report import table, write_report
from eval.backends.face_crops import cut_out
from eval.backends.ffmpeg_route import find_ffmpeg
from eval.backends.random_weights import random_s3fd, random_syncnet
from eval.backends.s3fd import Layers, S3FDFinder, fastest_layers
from eval.backends.shots import CutFinder
from eval.backends.syncnet import NetworkEmbedder, new_syncnet
from eval.measure import ClipInputs
from eval.measures.sync import SYNC
from eval.sync.clean import CleanObserver, CleanRules, Instruments
from eval.sync.reference import MOCHA, ReferenceObserver
from eval.watching import watch_clip
from eval.weights import WeightFolder
from joystreamer.media import ClipWriter, probe

PACKAGES: Final = (
    "numpy",
    "opencv-contrib-python",
    "syncnet-python",
    "torch",
    "ncnn",
    "imageio-ffmpeg",
)
OURS: Final = ("mocha", "clean", "every-frame")
SIZE: Final = (1280, 720)
FACE_PX: Final = 320
"""Size of the clips for memory: large enough for the face."""

Clock = defaultdict[str, float]


class Run(NamedTuple):
    """One contestant's run.

    Attributes:
        seconds: Wall time.
        cpu_s: Processor time of all threads and child processes; what counts on a shared machine.
        clock: Wall time per stage.
    """

    seconds: float
    cpu_s: float
    clock: Clock


def cpu_seconds() -> float:
    """Return the processor time of this process and its children so far."""
    return sum(os.times()[:4])


def box_at(frame: int) -> np.ndarray:
    """Return a face that sways by 20 px in 3 s, as talking heads do: (1, 5)."""
    left = 480 + 20 * np.sin(frame * 2 * np.pi / 75)
    top = 180 + 6 * np.cos(frame * 2 * np.pi / 50)
    return np.array([[left, top, left + FACE_PX, top + FACE_PX, 0.99]])


def make_clip(path: Path, seconds: float, size: tuple[int, int] = SIZE, drift: int = 1) -> None:
    """Write a clip of a drifting smooth picture with bursts of noise as speech."""
    dice = np.random.default_rng(0)
    coarse = dice.integers(40, 216, (9, 16, 3)).astype(np.uint8)
    wall = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    times = np.arange(round(seconds * 16_000)) / 16_000
    sound = dice.normal(size=len(times)) * 0.1 * (np.sin(2 * np.pi * 3 * times) > 0)
    with ClipWriter(path, 25, audio=sound.astype(np.float32), sample_rate=16_000) as writer:
        for index in range(round(seconds * 25)):
            writer.write(np.roll(wall, drift * index // 2, axis=1))


def silent_s3fd() -> torch.nn.Module:
    """Return the detector with random layers and heads that never see a face."""
    network: Any = random_s3fd(0)
    for head in network.conf:
        head.weight.zero_()
        head.bias.fill_(-3.0)
        head.bias[:-1] = 3.0
    return network


@contextmanager
def timed(clock: Clock, stage: str) -> Iterator[None]:
    """Add the seconds of a block to a stage."""
    started = time.perf_counter()
    yield
    clock[stage] += time.perf_counter() - started


class BriefNetwork(torch.nn.Module):
    """SyncNet whose visual branch answers zeros after some calls, to measure memory in less time."""

    def __init__(self, network: torch.nn.Module, calls: int) -> None:
        super().__init__()
        self.network: Any = network
        self.left = calls

    def forward_lip(self, clips: torch.Tensor) -> torch.Tensor:
        """Embed windows, or answer zeros."""
        self.left -= 1
        if self.left < 0:
            return torch.zeros(len(clips), 1024)
        embedded: torch.Tensor = self.network.forward_lip(clips)
        return embedded

    def forward_aud(self, sound: torch.Tensor) -> torch.Tensor:
        """Embed sound."""
        embedded: torch.Tensor = self.network.forward_aud(sound)
        return embedded


class TimedFinder:
    """Our detector, timed, whose answer is replaced by the made-up box.

    Args:
        layers: S3FD's.
        clock: Where seconds go.
        searches: Pictures that really go through the network; None for all.
    """

    def __init__(self, layers: Layers, clock: Clock, searches: int | None) -> None:
        self._finder = S3FDFinder(layers)
        self._clock = clock
        self._left = searches
        self.count = 0

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the made-up face for every picture."""
        boxes = []
        with timed(self._clock, "face detection"):
            if self._left is None or self._left > 0:
                self._finder.find(images)
                self._left = None if self._left is None else self._left - len(images)
        for _ in images:
            boxes.append(box_at(self.count))
            self.count += 1
        return boxes


class TimedEmbedder(NetworkEmbedder):
    """Our embedder, timed.

    Args:
        network: SyncNet.
        clock: Where seconds go.
        calls: Calls that really go through the visual branch; None for all.
    """

    def __init__(self, network: torch.nn.Module, clock: Clock, calls: int | None) -> None:
        super().__init__(network)
        self._clock = clock
        self._left = calls

    def see(self, crops: np.ndarray) -> np.ndarray:
        """Embed crops."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                return np.zeros((len(crops) - 4, 1024), np.float32)
        with timed(self._clock, "SyncNet, lips"):
            return super().see(crops)

    def hear(self, windows: np.ndarray) -> np.ndarray:
        """Embed sound."""
        with timed(self._clock, "SyncNet, sound"):
            return super().hear(windows)


def run_ours(
    variant: str,
    clip: Path,
    networks: list[torch.nn.Module],
    searches: int | None,
) -> Run:
    """Score a clip through the harness's own decode.

    Takes the networks off the list: ours hold weights of their own, and the others are let go.
    """
    clock: Clock = defaultdict(float)
    tools = Instruments(
        finder=TimedFinder(fastest_layers(networks.pop()), clock, searches),
        embedder=TimedEmbedder(networks.pop(), clock, None if searches is None else 2),
        cutter=cut_out,
        cut_finder=lambda: CutFinder().is_cut,
    )
    start: Callable[[ClipInputs], Any]
    if variant == "mocha":
        start = lambda inputs: ReferenceObserver(inputs, tools, MOCHA)  # noqa: E731
    else:
        rules = CleanRules(every=1) if variant == "every-frame" else CleanRules()
        start = lambda inputs: CleanObserver(inputs, tools, rules)  # noqa: E731
    row = next(row for row in SYNC if row.variant == variant)
    measure = type(row)(
        **{name: getattr(row, name) for name in ("name", "variant", "version", "metrics", "rate")},
        start=start,
    )
    inputs = ClipInputs(path=clip, probe=probe(clip), weights=WeightFolder())
    started, busy = time.perf_counter(), cpu_seconds()
    watched = watch_clip(inputs, [measure])
    seconds, busy = time.perf_counter() - started, cpu_seconds() - busy
    outcome = watched.by_measure[row.spec].outcomes["sync.confidence"]
    if outcome.value is None:
        raise click.ClickException(f"{variant} gave no score: {outcome.message}")
    clock["decoding"] += watched.decode_s
    beside = clock.pop("face detection")  # in a thread of its own
    clock["other, and waiting for faces"] = seconds - sum(clock.values())
    clock["face detection, beside the rest"] = beside
    return Run(seconds, busy, clock)


def run_package(clip: Path, networks: list[torch.nn.Module], searches: int | None) -> Run:
    """Score a clip by the package's pipeline."""
    from syncnet_python.detectors.s3fd import S3FD
    from syncnet_python.syncnet_pipeline import PipelineConfig, SyncNetPipeline
    from syncnet_python.SyncNetInstance import SyncNetInstance

    clock: Clock = defaultdict(float)

    class Finder(S3FD):
        count, left = 0, searches

        def detect_faces(self, *arguments: Any, **options: Any) -> np.ndarray:
            with timed(clock, "face detection"):
                if self.left is None or self.left > 0:
                    super().detect_faces(*arguments, **options)
                    self.left = None if self.left is None else self.left - 1
            self.count += 1
            return box_at(self.count - 1)

    class Scorer(SyncNetInstance):
        def evaluate(self, opt: Any) -> tuple[int, float, float]:
            with timed(clock, "SyncNet and reading crops"):
                result: tuple[int, float, float] = super().evaluate(opt)
            return result

    class Pipeline(SyncNetPipeline):
        def _load_s3fd(self, _path: str) -> Finder:
            return Finder(net=networks[1], device="cpu")

        def _load_syncnet(self, _path: str) -> Scorer:
            network = networks[0] if searches is None else BriefNetwork(networks[0], 2)
            return Scorer(net=network, device="cpu")

    pipeline = Pipeline(PipelineConfig(ffmpeg_bin=find_ffmpeg()), device="cpu")
    started, busy = time.perf_counter(), cpu_seconds()
    with open(os.devnull, "w") as nowhere, _stdout_to(nowhere.fileno()):  # noqa: PTH123
        offsets = pipeline.inference(str(clip))[0]
    seconds, busy = time.perf_counter() - started, cpu_seconds() - busy
    if not offsets:
        raise click.ClickException("the package gave no score")
    clock["files, FFmpeg, shots"] = seconds - sum(clock.values())
    return Run(seconds, busy, clock)


@contextmanager
def _stdout_to(descriptor: int) -> Iterator[None]:
    """Keep the package's and FFmpeg's chatter off the terminal."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)


def run(who: str, clip: Path, searches: int | None = None) -> Run:
    """Build networks afresh and run one contestant once."""
    # Calibration takes more memory than scoring does, and memory does not depend on values.
    networks = [random_syncnet(0) if searches is None else new_syncnet().eval(), silent_s3fd()]
    if who == "package":
        return run_package(clip, networks, searches)
    return run_ours(who, clip, networks, searches)


class Peak(NamedTuple):
    """Highest memory of a process, in MB.

    Attributes:
        own: Anonymous memory: what the process itself holds.
        resident: With the pages of library files, which the system shares and may drop.
    """

    own: float
    resident: float


class OwnMemory(threading.Thread):
    """Watches the anonymous memory of this process; the system keeps a peak of the resident one only."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0

    def run(self) -> None:
        """Look every few milliseconds."""
        status = Path("/proc/self/status")
        while True:
            line = next(line for line in status.read_text().splitlines() if "RssAnon" in line)
            self.peak_mb = max(self.peak_mb, int(line.split()[1]) / 1024)
            time.sleep(0.005)


def peak_memories(clips: Sequence[Path], contestants: Sequence[str]) -> dict[str, list[Peak]]:
    """Return the highest memory of one process per contestant and clip, run side by side."""
    start = [sys.executable, "-m", "benchmarks.performance.sync", "--child"]
    running = {
        who: [
            subprocess.Popen([*start, who, str(clip)], stdout=subprocess.PIPE, text=True)
            for clip in clips
        ]
        for who in contestants
    }
    peaks: dict[str, list[Peak]] = {}
    for who, processes in running.items():
        answers = [process.communicate()[0] for process in processes]
        if any(process.returncode for process in processes):
            raise click.ClickException(f"{who} failed; its message is above")
        peaks[who] = [
            Peak(*map(float, answer.strip().splitlines()[-1].split())) for answer in answers
        ]
        click.echo(f"memory, {who}: {peaks[who]} MB", err=True)
    return peaks


def measure_times(clip: Path, rounds: int) -> dict[str, list[Run]]:
    """Alternate between all contestants."""
    times: dict[str, list[Run]] = {who: [] for who in ("package", *OURS)}
    for number in range(rounds):
        for who in times:
            times[who].append(run(who, clip))
            click.echo(f"round {number + 1}, {who}: {times[who][-1].seconds:.1f} s", err=True)
    return times


def time_sections(times: dict[str, list[Run]], seconds: float) -> list[tuple[str, str]]:
    """Return the report's sections on time."""
    base = times["package"]
    rows, parts = [], []
    for who, runs in times.items():
        rows.append(
            (
                who,
                f"{statistics.median(run.seconds for run in runs):.1f}",
                _ratios([old.seconds / new.seconds for old, new in zip(base, runs, strict=True)]),
                f"{statistics.median(run.cpu_s for run in runs):.1f}",
                _ratios([old.cpu_s / new.cpu_s for old, new in zip(base, runs, strict=True)]),
            )
        )
        stages = {stage for run in runs for stage in run.clock}
        middle = {stage: statistics.median(run.clock[stage] for run in runs) for stage in stages}
        ranked = sorted(middle.items(), key=lambda item: -item[1])
        parts.append((who, ", ".join(f"{stage} {spent:.1f} s" for stage, spent in ranked)))
    heads = ("contestant", "seconds", "package / this", "processor seconds", "package / this")
    note = (
        f"A 720p clip of {seconds:g} s with one face, {torch.get_num_threads()} thread(s), "
        f"{len(base)} round(s); medians, and the range of the ratios over rounds."
    )
    return [
        ("Time", f"{note}\n\n{table(heads, rows)}"),
        ("Where it goes", table(("contestant", "wall time"), parts)),
    ]


def _ratios(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def memory_section(folder: Path, seconds: float) -> tuple[str, str]:
    """Return the report's section on peak memory: at length, and at a quarter of it."""
    rows = []
    short, long = folder / "short.mp4", folder / "long.mp4"
    make_clip(short, seconds / 4, drift=0)
    make_clip(long, seconds, drift=0)
    peaks = peak_memories((short, long), ("package", "mocha", "clean"))
    reference = peaks["package"][1]
    for who, (quarter, whole) in peaks.items():
        share = whole.own / reference.own
        resident = whole.resident / reference.resident
        rows.append(
            (
                who, f"{quarter.own:.0f}", f"{whole.own:.0f}", f"{share:.2f}",
                f"{whole.resident:.0f}", f"{resident:.2f}",
            )
        )  # fmt: skip
    heads = (
        "contestant",
        f"{seconds / 4:g} s clip, MB",
        f"{seconds:g} s clip, MB",
        "of the package",
        f"{seconds:g} s clip, with library files, MB",
        "of the package",
    )
    note = (
        "Highest memory of one process at 720p: its own (anonymous), networks included, and with the "
        "pages of library files, some 600 MB of torch that every process shares. To save time the "
        "detector's network runs on the first eight pictures and SyncNet's visual branch on the first "
        "two batches only, on both sides; what they hold does not grow afterwards."
    )
    return "Memory", f"{note}\n\n{table(heads, rows)}"


@click.command()
@click.option("--seconds", default=4.0, help="Length of the timed clip.")
@click.option("--rounds", default=2, help="Times every contestant runs; 0 skips timing.")
@click.option("--memory-seconds", default=60.0, help="Length of the clip for memory; 0 skips it.")
@click.option("--threads", default=2, help="Threads of torch and OpenCV.")
@click.option("--child", hidden=True, help="Run one contestant and print its peak memory.")
@click.argument("clip", required=False, type=click.Path(path_type=Path))
def main(
    seconds: float,
    rounds: int,
    memory_seconds: float,
    threads: int,
    child: str | None,
    clip: Path | None,
) -> None:
    """Time lip-sync scoring against syncnet-python and write a dated report."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tools = folder / "bin"
        tools.mkdir()
        (tools / "ffmpeg").symlink_to(find_ffmpeg())  # the package calls plain `ffmpeg`
        os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
        if child is not None and clip is not None:
            watch = OwnMemory()
            watch.start()
            run(child, clip, searches=8)
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            click.echo(f"{watch.peak_mb:.0f} {resident:.0f}")
            return
        memory = [memory_section(folder, memory_seconds)] if memory_seconds else []
        if clip is None and rounds:
            clip = folder / "clip.mp4"
            make_clip(clip, seconds)
        times = measure_times(clip, rounds) if clip is not None and rounds else None
        sections = memory if times is None else time_sections(times, seconds) + memory
        path = write_report("sync", "Lip-sync scoring beside syncnet-python", sections, PACKAGES)
    click.echo(str(path))


if __name__ == "__main__":
    main()
