"""Keep the start-up chatter of native libraries off the terminal.

They write to file descriptor 2 from C++, past Python's logging, and no setting silences all of it.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_logs_hidden() -> Iterator[None]:
    """Hide what native code writes to standard error in the block; show it when the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
