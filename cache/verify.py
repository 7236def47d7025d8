"""Check a cache against its list and itself: each shard's hash, then each clip's checksum and finiteness.

HDF5 opens a file only once its size and hash agree: a damaged one can hang the library. Which clip of a
damaged file is hurt is told from the offsets in its record, without HDF5.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError
from ..files import sha256_of
from ..threads import usable_cores
from .checks import flaw
from .contents import Contents, scan
from .description import SHARDS, mending
from .layout import FEATURES, FORMAT_VERSION, SHARD_FORMAT, ShardRecord
from .marks import table
from .quarantine import read_quarantine
from .raw import opened, read_at
from .shard_list import LIST

MOST_THREADS = 4


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written."""

    shard: str | None
    """None when it is no shard that is meant."""
    clip: str | None
    """None when the whole shard is meant."""
    words: str

    def __str__(self) -> str:
        return f"shard {self.shard}, clip '{self.clip}': {self.words}" if self.clip else self.words


@dataclass(frozen=True)
class VerifyReport:
    """What was checked and what was found."""

    directory: Path
    shards: int
    """That should be there."""
    clips: int
    """In the shards that could be checked."""
    bytes: int
    """Likewise."""
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]
    """What is no harm: leftovers of a killed writer, files of somebody else, a clip in two shards."""

    @property
    def damaged_shards(self) -> tuple[str, ...]:
        """Names of the shards that have to be mended or made again."""
        return tuple(dict.fromkeys(problem.shard for problem in self.problems if problem.shard is not None))

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems

    @property
    def mending(self) -> str:
        """What to do about the problems."""
        return mending(self.directory)


def verify(directory: Path, *, on_shard: Callable[[str], None] | None = None) -> VerifyReport:
    """Check every shard of a cache, also of one too damaged to be opened for reading.

    Args:
        directory: the cache.
        on_shard: called with each shard's name when it has been checked, for a progress bar.

    Raises:
        InputError: the directory is not a cache, or cache.json is damaged.
    """
    return verified(scan(Path(directory)), on_shard=on_shard)


def verified(contents: Contents, *, on_shard: Callable[[str], None] | None = None) -> VerifyReport:
    """`verify`, of a cache that has been looked through already."""
    problems = [Problem(damaged.name, None, damaged.words) for damaged in contents.damaged]
    # Hashes and checksums are worked out without the interpreter's lock, so threads help.
    with ThreadPoolExecutor(min(MOST_THREADS, usable_cores()), thread_name_prefix="cache-verify") as pool:
        checks = pool.map(lambda record: list(check_shard(contents.shard_path(record), record)), contents.shards)
        for record, found in zip(contents.shards, checks, strict=True):
            problems.extend(found)
            if on_shard is not None:
                on_shard(record.name)
    problems.extend(_beside_the_shards(contents))
    return VerifyReport(
        directory=contents.directory,
        shards=len(contents.shards) + len(contents.damaged),
        clips=sum(len(record.ids) for record in contents.shards),
        bytes=sum(record.bytes for record in contents.shards),
        problems=tuple(problems),
        remarks=tuple(_remarks(contents)),
    )


def check_shard(path: Path, record: ShardRecord) -> Iterator[Problem]:
    """Whether a shard is, byte for byte, the one of its record; which clips are hurt if it is not."""
    try:
        clips = list(_check_clips(path, record))  # first of all, for it refuses what is no file
        intact = sha256_of(path) == record.sha256
    except OSError as error:
        yield Problem(record.name, None, f"shard {record.name} cannot be read: {error.strerror}")
        return
    except InputError as error:
        yield Problem(record.name, None, str(error))
        return
    yield from clips
    if intact:
        try:
            yield from list(_check_structure(path, record))
        except (OSError, RuntimeError) as error:  # the disk fails now: the same bytes have just been read
            said = " ".join(str(error).split())
            yield Problem(record.name, None, f"shard {record.name} cannot be read by HDF5: {said}")
    else:
        where = "the clips above are hurt" if clips else "no clip's features are hurt, but the rest of the file is"
        yield Problem(record.name, None, f"shard {record.name} is not what was written (its hash differs): {where}")


def _check_clips(path: Path, record: ShardRecord) -> Iterator[Problem]:
    """Each clip's checksum and finiteness, by the offsets of the record."""
    with opened(path) as descriptor:
        expected = np.frombuffer(table(descriptor, path, record.datasets["crc32"]), "<u4")
        names = np.frombuffer(table(descriptor, path, record.datasets["id"]), record.datasets["id"].dtype)
        for row, clip in enumerate(record.ids):
            places = {name: record.datasets[name] for name in FEATURES if name in record.datasets}
            parts = {
                name: read_at(descriptor, path, place.row_bytes, place.row_offset(row))
                for name, place in places.items()
            }
            words = flaw(record, parts, int(expected[row]))
            if words is not None:
                yield Problem(record.name, clip, words)
            if names[row] != clip.encode("utf-8"):
                yield Problem(record.name, clip, f"the shard itself calls this clip {names[row]!r}")


def _check_structure(path: Path, record: ShardRecord) -> Iterator[Problem]:
    """Whether HDF5 finds what the record says, so that other programs can read the file."""
    with h5py.File(path, "r", locking=False) as file:
        marks = (file.attrs.get("format"), file.attrs.get("format_version"), file.attrs.get("fingerprint"))
        if marks != (SHARD_FORMAT.encode(), FORMAT_VERSION, record.fingerprint.encode()):
            yield Problem(record.name, None, f"shard {record.name} is marked as another format or another cache's")
        for name, place in record.datasets.items():
            dataset = file.get(name)
            found = None if dataset is None else (dataset.id.get_offset(), dataset.shape, dataset.dtype.str)
            if found != (place.offset, place.shape, place.dtype):
                yield Problem(record.name, None, f"shard {record.name}: {name} does not lie where its record says")


def _beside_the_shards(contents: Contents) -> Iterator[Problem]:
    """What is wrong with the cache's other files."""
    listed = contents.listed
    if listed is None and contents.description.listed:
        yield Problem(None, None, f"{LIST}, the list of shards, is missing: lost shards cannot be told")
    if listed is None and not (contents.directory / SHARDS).is_dir():
        yield Problem(None, None, f"the folder {SHARDS} is missing")
    if listed is not None and listed.damaged:
        yield Problem(None, None, f"{LIST}, the list of shards, is damaged ({', '.join(listed.damaged)})")
    known = None if listed is None else listed.records.keys()
    unlisted = [record.name for record in contents.shards if known is not None and record.name not in known]
    if len(unlisted) > 1:  # a writer that was killed leaves one
        yield Problem(None, None, f"{LIST}, the list of shards, lacks {len(unlisted)}, the first {unlisted[0]}")
    try:
        read_quarantine(contents.directory)
    except InputError as error:
        yield Problem(None, None, str(error))


def _remarks(contents: Contents) -> Iterator[str]:
    if contents.listed is None:
        yield "without a list of its shards, as version 0.1 wrote caches: lost ones cannot be told"
    for path in contents.leftovers:
        yield f"{path.relative_to(contents.directory)} is unfinished and no data"
    for path in contents.strangers:
        yield f"{path.relative_to(contents.directory)} is no part of the cache and is left alone"
    yield from contents.duplicates
