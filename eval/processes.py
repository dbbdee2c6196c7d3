"""Which of several processes this is, and on which device it works.

Started by `accelerate launch` or `torchrun`, accelerate answers; otherwise this is the only process
and neither accelerate nor torch is imported. Work is shared out by leases in the store, so the
processes never talk to each other and one that dies holds nobody up.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from joystreamer.errors import InputError


class Place(NamedTuple):
    """Where this process stands among the processes of a run.

    Attributes:
        rank: From 0.
        processes: How many there are.
    """

    rank: int = 0
    processes: int = 1


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def this_place(device: str = "auto") -> Place:
    """Return where this process stands.

    Args:
        device: Torch device asked for; 'cpu' keeps accelerate off the accelerators.
    """
    if not launched():
        return Place()
    from accelerate import PartialState

    state = PartialState(cpu=choose_device(device) == "cpu")
    return Place(state.process_index, state.num_processes)


def choose_device(asked: str) -> str:
    """Return the torch device to work on.

    Imports torch, so it is asked only once something needs a device.

    Args:
        asked: 'auto' takes a CUDA device where there is one, one per process.

    Raises:
        InputError: A CUDA device is asked for and there is none.
    """
    if asked == "cpu":
        return "cpu"
    import torch

    there = torch.cuda.is_available()
    if asked == "auto" and there:
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    if asked.startswith("cuda") and not there:
        raise InputError(
            f"device {asked!r} is asked for and this machine has no CUDA device; use --device cpu"
        )
    return "cpu" if asked == "auto" else asked


def run_in_processes(processes: int, arguments: Sequence[str]) -> int:
    """Run `python -m eval` with these arguments in several processes on this machine.

    Uses torch's own launcher: `accelerate launch --cpu --num_processes N` starts only one process
    where there is no accelerator (accelerate 1.15).

    Returns:
        The exit code: 0 when all processes ended well.
    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
        "--module", "eval", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return subprocess.run(command, env=environment, check=False).returncode
