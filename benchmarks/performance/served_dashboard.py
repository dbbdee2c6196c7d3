"""A dashboard as a process of its own: started, asked until it answers, watched, stopped.

It runs as `python -m dashboard serve`, because benches may not import the dashboard. Knows no bench.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eval.checkout import ROOT


class Server(NamedTuple):
    """A running dashboard.

    Attributes:
        process: Its process.
        port: Where it listens, on this machine alone.
        start_s: Wall seconds from its start to its first answer.
        start_cpu_s: Processor seconds it used for that.
    """

    process: subprocess.Popen[bytes]
    port: int
    start_s: float = 0.0
    start_cpu_s: float = 0.0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Processor time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Memory it holds now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(text.split("VmRSS:")[1].split()[0]) / 1024

    def holds_torch(self) -> bool:
        """Whether a library of torch is in its memory."""
        return "libtorch" in Path(f"/proc/{self.process.pid}/maps").read_text()


@contextlib.contextmanager
def serving(root: Path, database: str | None = None) -> Iterator[Server]:
    """Serve a workspace until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "dashboard", "serve", "-w", str(root), "--port", str(port)]
    command += ["--database", database] if database else []
    begun = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    server = Server(process, port)
    try:
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=5).close()
                break
            time.sleep(0.02)
        wall = time.monotonic() - begun
        yield server._replace(start_s=wall, start_cpu_s=server.cpu_s())
    finally:
        process.terminate()
        process.wait(20)
