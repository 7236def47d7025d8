"""Whether a shard's HDF5 file is what its record says: told by its small tables and HDF5's own bytes, without HDF5.

Hashing a shard takes seconds and HDF5 may hang on a damaged file; a few kilobytes are enough to see that a record was
edited or that a file took another one's place. Outside the data sets lie the bytes in which HDF5 says where each data
set begins, how long it is and what shape it has, and the marks that the writer left: format, storage type and
fingerprint. /id says which clip each row holds, /crc32 what its features add up to.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .layout import AUDIO, FEATURES, FORMAT_VERSION, SHARD_FORMAT, Place, ShardRecord, record_of
from .raw import opened, read_at

MOST_OUTSIDE = 2**20
"""Bytes that may lie outside the data sets: HDF5 needs some 10,000, most of them to begin large ones on a page."""
SIGNATURE, END_OF_FILE = b"\x89HDF\r\n\x1a\n", 40  # of HDF5 (superblock of version 0), and where it keeps its size


def checksums_of(path: Path, record: ShardRecord) -> NDArray[np.uint32]:
    """What /crc32 of the shard in `path` holds (N,), once the file is found to be the one of `record`.

    Raises:
        InputError: it is not; the line says in what they differ.
    """
    name = f"shard {record.name}"
    with opened(path) as descriptor:
        if (size := os.fstat(descriptor).st_size) != record.bytes:
            raise InputError(f"{name} has {size} bytes where its record says {record.bytes}")
        outside = _outside(descriptor, path, record)
        for mark in (SIGNATURE, SHARD_FORMAT.encode(), record.storage.encode(), record.fingerprint.encode()):
            if mark not in outside:
                said = "HDF5" if mark == SIGNATURE else f"'{mark.decode()}'"
                raise InputError(f"{name} is not marked as {said}, as its record is")
        for data_set, place in record.datasets.items():
            if struct.pack("<QQ", place.offset, place.end - place.offset) not in outside:
                raise InputError(f"{name}: {data_set} does not lie where its record says")
            if struct.pack(f"<{len(place.shape)}Q", *place.shape) not in outside:
                raise InputError(f"{name}: {data_set} is not of the shape that its record says")
        _compare_ids(table(descriptor, path, record.datasets["id"]), record)
        crc32: NDArray[np.uint32] = np.frombuffer(table(descriptor, path, record.datasets["crc32"]), "<u4")
    if record.crc32 and (differ := np.flatnonzero(crc32 != np.array(record.crc32, np.uint32))).size:
        clip = record.ids[int(differ[0])]
        raise InputError(f"{name} is not what was written: it has another checksum for clip '{clip}'")
    return crc32


def table(descriptor: int, path: Path, place: Place) -> bytearray:
    """All bytes of a small data set."""
    return read_at(descriptor, path, place.end - place.offset, place.offset)


def _outside(descriptor: int, path: Path, record: ShardRecord) -> bytes:
    """The bytes before, between and behind the data sets."""
    gaps, end = [], 0
    for place in sorted(record.datasets.values(), key=lambda place: place.offset):
        gaps.append((end, place.offset))
        end = place.end
    gaps.append((end, record.bytes))
    if (unexplained := sum(end - begin for begin, end in gaps)) > MOST_OUTSIDE:
        raise InputError(f"the record of shard {record.name} leaves {unexplained} of its bytes unexplained")
    return b"\n".join(read_at(descriptor, path, end - begin, begin) for begin, end in gaps)


def _compare_ids(stored: bytearray, record: ShardRecord) -> None:
    names = np.array([name.encode("utf-8") for name in record.ids], record.datasets["id"].dtype)
    if names.tobytes() == stored:
        return
    row = int(np.flatnonzero(np.frombuffer(stored, names.dtype) != names)[0])
    name = np.frombuffer(stored, names.dtype)[row].decode("utf-8", "backslashreplace")
    raise InputError(
        f"shard {record.name} calls the clip in row {row} {name!r} where its record says '{record.ids[row]}'"
    )


def record_in(path: Path, sha256: str, versions: Any) -> ShardRecord | None:
    """The record of a shard whose own record is lost or was edited, from the HDF5 file; None where it is no shard.

    HDF5 opens the file, which has to be sound in its first bytes at least: it may hang on a damaged one.

    Args:
        path: the HDF5 file.
        sha256: of the whole file.
        versions: what is known of the libraries that made it; anything but a table of strings is left out.
    """
    try:
        with opened(path) as descriptor:
            size = os.fstat(descriptor).st_size
            head = bytes(read_at(descriptor, path, min(size, MOST_OUTSIDE), 0))
        if not head.startswith(SIGNATURE) or struct.pack("<Q", size) != head[END_OF_FILE : END_OF_FILE + 8]:
            return None
        with h5py.File(path, "r", locking=False) as file:
            marks = {name: _text(file.attrs.get(name)) for name in ("format", "storage", "fingerprint")}
            if marks["format"] != SHARD_FORMAT or file.attrs.get("format_version") != FORMAT_VERSION:
                return None
            places = {}
            for name in (name for name in sorted({*FEATURES, "id", "crc32"}) if name in file):
                data_set = file[name]
                places[name] = Place(data_set.id.get_offset(), data_set.dtype.str, data_set.shape)
            ids = tuple(name.decode("utf-8") for name in file["id"][:].tolist())
        known = versions if isinstance(versions, dict) and all(isinstance(v, str) for v in versions.values()) else {}
        content = {"name": path.stem, "bytes": size, "sha256": sha256, "fingerprint": marks["fingerprint"]}
        content |= {"storage": marks["storage"], "datasets": places, "ids": ids, "versions": known}
        return record_of(content, str(path))
    except (InputError, OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        return None  # whatever HDF5 and h5py make of a file that is not of this layout


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def audio_crc32_of(path: Path, record: ShardRecord) -> tuple[int, ...]:
    """The checksums of each clip's sound alone, as its bytes are now."""
    with opened(path) as descriptor:
        sums = []
        for row in range(len(record.ids)):
            crc32 = 0
            for place in (record.datasets[name] for name in AUDIO if name in record.datasets):
                crc32 = zlib.crc32(read_at(descriptor, path, place.row_bytes, place.row_offset(row)), crc32)
            sums.append(crc32)
    return tuple(sums)
