"""Hypothesis strategies that spoil a valid document: its values, its keys, its form, its bytes.

A document is a list of records (dictionaries). It is written as JSON, JSON lines, CSV or TOML, so that
one valid sample gives thousands of files that are nearly right, which is where readers break.
"""

import copy
import csv
import io
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.hostile.damage import damage_bytes
from tests.hostile.words import SPLICES, TEXTS, hostile_values

Record = dict[str, Any]


@st.composite
def spoiled_records(
    draw: st.DrawFn, sample: Sequence[Mapping[str, Any]], guard: Path
) -> list[Record]:
    """Records like the sample with up to four changes."""
    records: list[Record] = [copy.deepcopy(dict(record)) for record in sample]
    for _ in range(draw(st.integers(0, 4))):
        if not records:
            break
        record = draw(st.sampled_from(records))
        _spoil(draw, record, records, guard)
    return records


def _spoil(draw: st.DrawFn, record: Record, records: list[Record], guard: Path) -> None:
    ways = ("replace", "replace", "replace", "inside", "inside", "add", "remove", "rename", "again")
    way = draw(st.sampled_from(ways))
    if way == "add" or not record:
        record[draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=8)))] = draw(
            hostile_values(guard)
        )
        return
    name = draw(st.sampled_from(sorted(record)))
    value = record[name]
    if way == "replace":
        record[name] = draw(hostile_values(guard))
    elif way == "inside" and isinstance(value, list) and value:
        place = draw(st.integers(0, len(value) - 1))
        if isinstance(value[place], dict) and value[place]:
            _spoil(draw, value[place], [], guard)
        else:
            value[place] = draw(hostile_values(guard))
    elif way == "inside" and isinstance(value, dict) and value:
        _spoil(draw, value, [], guard)
    elif way == "remove":
        del record[name]
    elif way == "rename":
        record[draw(st.sampled_from(TEXTS))] = record.pop(name)
    elif way == "again":
        records.append(copy.deepcopy(record))


@st.composite
def spoiled_files(
    draw: st.DrawFn, sample: Sequence[Mapping[str, Any]], form: str, guard: Path
) -> bytes:
    """A file in a form (`json`, `jsonl`, `csv`, `toml`), spoiled in its values and perhaps its bytes."""
    records = draw(spoiled_records(sample, guard))
    content = write_form(records, form)
    way = draw(
        st.sampled_from(("whole", "whole", "whole", "whole", "bytes", "text", "raw", "coded"))
    )
    if way == "bytes":
        return damage_bytes(content, random.Random(draw(st.integers(0, 2**32))))
    if way == "text":
        place = draw(st.integers(0, len(content)))
        return content[:place] + _encode(draw(st.sampled_from(SPLICES))) + content[place:]
    if way == "raw":
        return draw(st.one_of(st.binary(max_size=200), st.sampled_from(SPLICES).map(_encode)))
    if way == "coded":
        text = content.decode("utf-8", "replace")
        return text.encode(
            draw(st.sampled_from(("utf-16", "latin-1", "utf-8-sig", "gb18030"))), "replace"
        )
    return content


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def write_form(records: Sequence[Record], form: str) -> bytes:
    """Records in one of the forms."""
    if form == "json":
        return _encode(_json(records[0] if len(records) == 1 else list(records)))
    if form == "jsonl":
        return _encode("".join(_json(record) + "\n" for record in records))
    if form == "csv":
        return _encode(_csv(records))
    return _encode(_toml(records[0] if records else {}))


def _json(value: Any) -> str:
    # Half of the writers in the world escape, half do not; the length decides, so that it is fixed.
    escape = len(str(value)) % 2 == 0
    return json.dumps(value, ensure_ascii=escape)


def _csv(records: Sequence[Record]) -> str:
    columns = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", escapechar="\\")
    writer.writerow(columns)
    for record in records:
        writer.writerow([_cell(record.get(name, "")) for name in columns])
    return text.getvalue()


def _cell(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except ValueError:  # an integer of more digits than Python writes
        return "9" * 5000


def _toml(record: Record) -> str:
    flat = [f"{_key(name)} = {_toml_value(value)}\n" for name, value in record.items()]
    return "".join(flat)


def _key(name: str) -> str:
    return _toml_text(name)


def _toml_text(text: str) -> str:
    escaped = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            escaped.append("\\" + character)
        elif code < 32 or code == 127:
            escaped.append(f"\\u{code:04x}")
        else:
            escaped.append(character)
    return '"' + "".join(escaped) + '"'


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else {True: "nan"}.get(value != value, "inf")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(str(k))} = {_toml_value(v)}" for k, v in value.items())
        return "{" + inner + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return '"null"'
