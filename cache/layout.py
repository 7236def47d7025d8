"""What lies where in a shard: the HDF5 file, and the JSON record beside it that says it is done.

What the file itself says of both is told in `marks`.

N clips of the shard, L time slices, S tokens, D channels.

    /visual (N, L, S, D)   /visual_scale (N, L, S)   the scales with int8 only
    /audio  (N, D)         /audio_scale  (N,)
    /id     (N,)           UTF-8, fixed length
    /crc32  (N,)           uint32 over a clip's bytes: visual, visual_scale, audio, audio_scale

Every data set is contiguous and unfiltered, so a clip's bytes lie at a known offset of the file. HDF5 lays
the file out (`create_empty_shard`); rows are written and read at those offsets without it, which needs no
global interpreter lock and cannot hang on a damaged file.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import InputError
from ..files import read_json
from .storage import STORAGE_TYPES, StorageType

SHARD_FORMAT = "avcil-shard"
FORMAT_VERSION = 1
PAGE = 4096  # large data sets start on a page, for readers that map them
VISUAL, AUDIO = ("visual", "visual_scale"), ("audio", "audio_scale")
FEATURES = (*VISUAL, *AUDIO)  # in the order in which crc32 runs over them
LATER = ("crc32", "audio_crc32", "facts", "notes")  # fields of a record that those of version 0.1 lack

Natural = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Place:
    """Where a data set lies in its file."""

    offset: Natural
    """Byte of the file at which the first element begins."""
    dtype: str
    """numpy dtype with byte order."""
    shape: tuple[Natural, ...]
    """First axis: the clips of the shard."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one clip's part."""
        return tuple(self.shape[1:])

    @property
    def row_bytes(self) -> int:
        """Bytes of one clip's part."""
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize

    @property
    def end(self) -> int:
        """Byte of the file just after the last element."""
        return self.offset + self.shape[0] * self.row_bytes

    def row_offset(self, row: int) -> int:
        """Byte of the file at which clip `row` begins."""
        return self.offset + row * self.row_bytes


@dataclass(frozen=True)
class ShardRecord:
    """The JSON beside a shard. It is written last: a shard without one is not data."""

    name: str
    """The file's name without its suffix."""
    bytes: Natural
    """Size of the HDF5 file."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Hash of the HDF5 file."""
    fingerprint: str
    """Digest of the fingerprint of the cache for which the shard was made."""
    storage: str
    """Name of the storage type."""
    datasets: dict[str, Place]
    """By name: visual, audio, id, crc32, and with int8 visual_scale and audio_scale."""
    ids: tuple[str, ...]
    """The clips, in the order of the rows."""
    versions: dict[str, str]
    """Of the libraries that made it."""
    crc32: tuple[Natural, ...] = ()
    """What /crc32 holds; nothing in records of version 0.1."""
    audio_crc32: tuple[Natural, ...] = ()
    """Checksum of each clip's audio and audio_scale alone, so that sound can be checked without pictures; likewise."""
    facts: dict[str, Any] | None = None
    """The facts of the fingerprint, from which a lost cache.json can be written again; likewise."""
    notes: dict[str, Any] | None = None
    """What the shard's writer wanted to say; likewise."""

    def __post_init__(self) -> None:
        if not self.ids or not all(self.ids):
            raise ValueError("a clip has no name, or there is no clip")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("a clip is listed twice")
        if self.storage not in STORAGE_TYPES:
            raise ValueError(f"no storage type is called '{self.storage}'")
        lacking = {"visual", "audio", "id", "crc32"} - self.datasets.keys()
        if lacking:
            raise ValueError(f"no place given for {', '.join(sorted(lacking))}")
        if not len(self.visual_shape) == 3 or not len(self.audio_shape) == 1:
            raise ValueError("visual has to be (N, L, S, D) and audio (N, D)")
        wanted = data_sets(self.ids, self.visual_shape, self.audio_shape, STORAGE_TYPES[self.storage])
        if unknown := self.datasets.keys() ^ wanted.keys():
            raise ValueError(f"{min(unknown)} does not go with storage type {self.storage}")
        end, before = 0, "the file's head"
        for name, place in sorted(self.datasets.items(), key=lambda item: item[1].offset):
            dtype, shape = wanted[name]
            if not place.shape or place.shape[0] != len(self.ids):
                raise ValueError(f"{name} does not have a row for each of the {len(self.ids)} clips")
            if (place.dtype, tuple(place.shape)) != (dtype.str, shape):
                raise ValueError(f"{name} is {place.dtype} {list(place.shape)} where {dtype.str} {list(shape)} is due")
            if place.offset < end:
                raise ValueError(f"{name} begins within {before}")
            end, before = place.end, name
            if end > self.bytes:
                raise ValueError(f"{name} ends beyond the end of the file")
        for checksums in (self.crc32, self.audio_crc32):
            if len(checksums) not in (0, len(self.ids)) or max(checksums, default=0) >= 2**32:
                raise ValueError(f"there is not one checksum of 32 bits for each of the {len(self.ids)} clips")

    @property
    def file_name(self) -> str:
        """Of the HDF5 file."""
        return f"{self.name}.h5"

    @property
    def visual_shape(self) -> tuple[int, ...]:
        """(L, S, D) of a clip."""
        return self.datasets["visual"].row_shape

    @property
    def audio_shape(self) -> tuple[int, ...]:
        """(D,) of a clip."""
        return self.datasets["audio"].row_shape

    @property
    def features(self) -> tuple[str, ...]:
        """The data sets of a clip's features, in the order in which crc32 runs over them."""
        return tuple(name for name in FEATURES if name in self.datasets)

    def to_json(self) -> Any:
        """Plain JSON values, for the record's file."""
        content = TypeAdapter(ShardRecord).dump_python(self, mode="json")
        return {name: value for name, value in content.items() if value or name not in LATER}


def data_sets(
    ids: tuple[str, ...], visual_shape: tuple[int, ...], audio_shape: tuple[int, ...], kind: StorageType
) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Type and shape of each data set that a shard of these clips has."""
    count = len(ids)
    wanted: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "id": (np.dtype(f"S{max(len(name.encode('utf-8')) for name in ids)}"), (count,)),
        "crc32": (np.dtype("<u4"), (count,)),
        "audio": (np.dtype(kind.file_dtype), (count, *audio_shape)),
        "visual": (np.dtype(kind.file_dtype), (count, *visual_shape)),
    }
    if kind.scaled:
        wanted["audio_scale"] = (np.dtype("<f4"), (count, *audio_shape[:-1]))
        wanted["visual_scale"] = (np.dtype("<f4"), (count, *visual_shape[:-1]))
    return wanted


def record_of(content: Any, where: str) -> ShardRecord:
    """A record from JSON values; `InputError` in one line, about `where`, when they are not one."""
    try:
        return TypeAdapter(ShardRecord).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        words = first["msg"].removeprefix("Value error, ")
        field = ".".join(str(part) for part in first["loc"]) or "the record"
        raise InputError(f"{where} is not the record of a shard ({field}: {words})") from None


def read_record(path: Path) -> ShardRecord:
    """Read a shard's JSON; `InputError` in one line when it is not one."""
    record = record_of(read_json(path), str(path))
    if record.name != path.stem:
        raise InputError(f"{path} is the record of another shard, '{record.name}'")
    return record


def create_empty_shard(
    path: Path,
    ids: tuple[str, ...],
    visual_shape: tuple[int, ...],
    audio_shape: tuple[int, ...],
    kind: StorageType,
    fingerprint: str,
) -> dict[str, Place]:
    """Lay out a shard's HDF5 file, its data sets allocated but not yet filled, and say where they lie.

    The same arguments give the same bytes: no times are kept, and nothing else in the file depends on when or
    where it is made. The file must not exist yet. HDF5 locks nothing: only one writer is at work, and there are file
    systems without locks.

    Raises:
        OSError, RuntimeError: HDF5 cannot write; it may tell of one and the same full disk by either.
    """
    wanted = data_sets(ids, visual_shape, audio_shape, kind)
    places = {}
    with h5py.File(path, "x", locking=False, alignment_threshold=PAGE, alignment_interval=PAGE) as file:
        attributes = {"format": SHARD_FORMAT, "storage": kind.name, "fingerprint": fingerprint}
        for key, text in attributes.items():
            file.attrs[key] = np.bytes_(text)
        file.attrs["format_version"] = np.int32(FORMAT_VERSION)
        for name in sorted(wanted):
            dtype, shape = wanted[name]
            dataset = _allocate(file, name, dtype, shape)
            if name in ("visual", "audio") and np.dtype(kind.file_dtype).kind == "u":
                dataset.attrs["stored_as"] = np.bytes_(kind.name)
            places[name] = Place(offset=dataset.id.get_offset(), dtype=dtype.str, shape=shape)
    return places


def _allocate(file: Any, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """A contiguous data set that has its place in the file at once and is not filled."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    if dtype.kind == "S":
        kept = h5py.h5t.C_S1.copy()
        kept.set_size(dtype.itemsize)
        kept.set_cset(h5py.h5t.CSET_UTF8)
        kept.set_strpad(h5py.h5t.STR_NULLPAD)
    else:
        kept = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kept, space, properties))
