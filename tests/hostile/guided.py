"""Coverage-guided fuzzing with atheris of the readers that are pure Python.

atheris is optional (extra `dev`, Linux wheels for Python 3.11 to 3.13): where it is absent, the
seeded generators are all there is, and the sentence says so.
"""

import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.hostile.watch import Sandbox

ABSENT: Final = (
    "atheris is not installed: pip install 'atheris>=3' (wheels for Python 3.11 to 3.13 on Linux)"
)

READERS: Final = (
    "suite",
    "manifest",
    "training",
    "job",
    "campaign",
    "votes",
    "adapter",
    "options",
    "answer",
)


def is_available() -> bool:
    """Whether atheris can be imported here."""
    return find_spec("atheris") is not None


def run_guided(name: str, seconds: int, folder: str) -> None:
    """Fuzz one reader until the time is over; libFuzzer ends the process itself.

    Exit code 0 means that nothing was found; 77 that an exception escaped, which is printed.
    """
    if not is_available():
        raise SystemExit(ABSENT)
    atheris: Any = import_module("atheris")

    with atheris.instrument_imports(include=["joystreamer", "eval", "benchmarks"]):
        from joystreamer.errors import JoyStreamerError
    read, sample = _reader(atheris, name)
    sandbox = Sandbox(Path(folder))
    corpus = Path(tempfile.mkdtemp(prefix="corpus-", dir=folder))
    (corpus / "sample").write_bytes(sample)

    def one(content: bytes) -> None:
        try:
            read(content, sandbox)
        except JoyStreamerError:
            return

    arguments = [f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=4096", "-timeout=30",
                 f"-artifact_prefix={folder}/", "-seed=1", str(corpus)]  # fmt: skip
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def _reader(atheris: Any, name: str) -> tuple[Callable[[bytes, Sandbox], object], bytes]:
    """A reader of bytes, imported under instrumentation, and a valid sample."""
    with atheris.instrument_imports(include=["joystreamer", "eval", "benchmarks"]):
        from tests.hostile import guided_readers

    return guided_readers.READERS[name]
