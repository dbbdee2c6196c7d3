"""The board or a comparison as a file for other programs: CSV and Parquet."""

import json
from pathlib import Path
from typing import Final

from eval.leaderboard import Board, Comparison
from eval.store.files import write_bytes
from eval.text_files import safe_cell

PROVENANCE_KEY: Final = b"joystreamer"
"""Parquet metadata under which the provenance lies, as JSON."""


def write_csv(path: Path, item: Board | Comparison) -> None:
    """Write the table of a board or comparison as CSV: UTF-8, line feeds, empty for missing.

    Args:
        path: Where to write; its folder is made, the file replaced atomically.
        item: What `build_board` or `compare` returned.

    Raises:
        InputError: The file cannot be written.
    """
    table = item.table().map(safe_cell)
    write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_parquet(path: Path, item: Board | Comparison) -> None:
    """Write the table of a board or comparison as Parquet, its provenance in the file's metadata.

    Args:
        path: Where to write; its folder is made, the file replaced atomically.
        item: What `build_board` or `compare` returned.

    Raises:
        InputError: The file cannot be written.
    """
    # Imported here: half a second that printing a table need not wait for.
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(item.table(), preserve_index=False)
    provenance = json.dumps(item.to_json()["provenance"], sort_keys=True).encode()
    known = table.schema.metadata or {}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({**known, PROVENANCE_KEY: provenance}), sink)
    write_bytes(path, sink.getvalue().to_pybytes())
