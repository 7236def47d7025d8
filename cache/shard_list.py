"""The list of the shards that a cache has to hold: a second copy of every record, so that none is lost unnoticed.

shards.list grows by a line a shard, when the shard is done: the CRC-32 of the rest of the line, a space, and the record
as JSON. Of several lines with one name the last one counts. What is wrong with a line costs that line alone; what
stands behind the last line's end was being written when the writer was killed.
"""

import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import cannot_write, written_aside
from .layout import ShardRecord, record_of

LIST = "shards.list"


@dataclass(frozen=True)
class ShardList:
    """What shards.list says."""

    records: dict[str, ShardRecord]
    """By the shards' names."""
    damaged: tuple[str, ...] = ()
    """What is not as it was written: "line 3", or why nothing can be read."""
    unfinished: bool = False
    """Whether something stands behind the last line's end."""


def read_list(directory: Path) -> ShardList | None:
    """The list of a cache; None where it has none, as caches of version 0.1 do not."""
    path = directory / LIST
    try:
        *lines, rest = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        return ShardList({}, (f"it cannot be read: {error.strerror}",))
    records: dict[str, ShardRecord] = {}
    damaged = []
    for number, line in enumerate(lines, start=1):
        try:
            record = _record(line)
        except (InputError, ValueError, RecursionError):
            damaged.append(f"line {number}")
        else:
            records[record.name] = record
    return ShardList(records, tuple(damaged), bool(rest))


def add_to_list(directory: Path, record: ShardRecord) -> None:
    """Write a line for a finished shard, durably; the list has to exist and to end with a line's end."""
    path = directory / LIST
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_line(record))
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_list(directory: Path, records: Iterable[ShardRecord]) -> None:
    """Replace the whole list."""
    with written_aside(directory / LIST, "wb") as stream:
        for record in records:
            stream.write(_line(record))


def _line(record: ShardRecord) -> bytes:
    content = json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return b"%08x %b\n" % (zlib.crc32(content), content)


def _record(line: bytes) -> ShardRecord:
    crc32, _, content = line.partition(b" ")
    if crc32 != b"%08x" % zlib.crc32(content):
        raise ValueError
    return record_of(json.loads(content), LIST)
