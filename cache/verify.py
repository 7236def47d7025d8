"""Check a cache against itself: each shard's size and hash, then each clip's checksum and finiteness.

HDF5 opens a file only once its size and hash agree: a damaged one can hang the library. Which clip of a
damaged file is hurt is told from the offsets in its record, without HDF5.
"""

import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ..files import sha256_of
from ..threads import usable_cores
from .contents import SHARDS, Contents, scan
from .layout import FORMAT_VERSION, SHARD_FORMAT, Place, ShardRecord
from .storage import all_finite

MOST_THREADS = 4


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written."""

    shard: str
    clip: str | None
    """None when the whole shard is meant."""
    words: str

    def __str__(self) -> str:
        return f"shard {self.shard}, clip '{self.clip}': {self.words}" if self.clip else self.words


@dataclass(frozen=True)
class VerifyReport:
    """What was checked and what was found."""

    shards: int
    clips: int
    bytes: int
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]
    """What is no harm: leftovers of a killed writer, a clip in two shards."""

    @property
    def damaged_shards(self) -> tuple[str, ...]:
        """Names of the shards that have to be made again."""
        return tuple(dict.fromkeys(problem.shard for problem in self.problems))

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems


def verify(directory: Path, *, on_shard: Callable[[str], None] | None = None) -> VerifyReport:
    """Check every shard of a cache, also of one too damaged to be opened for reading.

    Args:
        directory: the cache.
        on_shard: called with each shard's name when it has been checked, for a progress bar.

    Raises:
        InputError: the directory is not a cache.
    """
    contents = scan(Path(directory))
    problems = [Problem(damaged.name, None, damaged.words) for damaged in contents.damaged]
    # Hashes and checksums are worked out without the interpreter's lock, so threads help.
    with ThreadPoolExecutor(min(MOST_THREADS, usable_cores()), thread_name_prefix="cache-verify") as pool:
        checks = pool.map(lambda record: list(_check_shard(contents, record)), contents.shards)
        for record, found in zip(contents.shards, checks, strict=True):
            problems.extend(found)
            if on_shard is not None:
                on_shard(record.name)
    remarks = tuple(f"{SHARDS}/{path.name} is unfinished and no data" for path in contents.leftovers)
    return VerifyReport(
        shards=len(contents.shards) + len(contents.damaged),
        clips=sum(len(record.ids) for record in contents.shards),
        bytes=sum(record.bytes for record in contents.shards),
        problems=tuple(problems),
        remarks=remarks + contents.duplicates,
    )


def _check_shard(contents: Contents, record: ShardRecord) -> Iterator[Problem]:
    path = contents.shard_path(record)
    try:
        intact = sha256_of(path) == record.sha256
        with path.open("rb") as file:
            clips = list(_check_clips(file.fileno(), record))
    except OSError as error:
        yield Problem(record.name, None, f"shard {record.name} cannot be read: {error.strerror}")
        return
    yield from clips
    if intact:
        yield from _check_structure(path, record)
    else:
        where = "the clips above are hurt" if clips else "no clip's features are hurt, but the rest of the file is"
        yield Problem(record.name, None, f"shard {record.name} is not what was written (its hash differs): {where}")


def _check_clips(descriptor: int, record: ShardRecord) -> Iterator[Problem]:
    """Each clip's checksum and finiteness, by the offsets of the record."""
    crc32_place, id_place = record.datasets["crc32"], record.datasets["id"]
    for row, clip in enumerate(record.ids):
        expected = int(np.frombuffer(_row_bytes(descriptor, crc32_place, row), "<u4")[0])
        crc32, finite = 0, True
        for place in record.features:
            data = _row_bytes(descriptor, place, row)
            crc32 = zlib.crc32(data, crc32)
            finite = finite and all_finite(np.frombuffer(data, place.dtype))
        if crc32 != expected:
            yield Problem(record.name, clip, "its features do not have the checksum they were written with")
        elif not finite:
            yield Problem(record.name, clip, "its features are not all finite")
        name = _row_bytes(descriptor, id_place, row).rstrip(b"\0")
        if name != clip.encode("utf-8"):
            yield Problem(record.name, clip, f"the shard itself calls this clip {name!r}")


def _row_bytes(descriptor: int, place: Place, row: int) -> bytes:
    data = b""
    while len(data) < place.row_bytes:
        more = os.pread(descriptor, place.row_bytes - len(data), place.row_offset(row) + len(data))
        if not more:
            raise OSError(None, "it ends early")
        data += more
    return data


def _check_structure(path: Path, record: ShardRecord) -> Iterator[Problem]:
    """Whether HDF5 finds what the record says, so that other programs can read the file."""
    with h5py.File(path, "r") as file:
        marks = (file.attrs.get("format"), file.attrs.get("format_version"), file.attrs.get("fingerprint"))
        if marks != (SHARD_FORMAT.encode(), FORMAT_VERSION, record.fingerprint.encode()):
            yield Problem(record.name, None, f"shard {record.name} is marked as another format or another cache's")
        for name, place in record.datasets.items():
            dataset = file.get(name)
            found = None if dataset is None else (dataset.id.get_offset(), dataset.shape, dataset.dtype.str)
            if found != (place.offset, place.shape, place.dtype):
                yield Problem(record.name, None, f"shard {record.name}: {name} does not lie where its record says")
