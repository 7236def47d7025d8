"""Check each clip the first time that its features are read in this process, and never again.

A clip's checksum runs over its pictures and then its sound. Pictures are checked together with the sound, a few
kilobytes that are read for it. Sound alone has a checksum of its own in the record; records of version 0.1 have none,
and there the pictures are read as well.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .layout import AUDIO, ShardRecord
from .raw import read_at
from .storage import all_finite

SOUND, WHOLE = 1, 2  # what of a clip has been checked

NO_CHECKSUM = "its features do not have the checksum they were written with"
NOT_FINITE = "its features are not all finite"


def flaw(record: ShardRecord, parts: Mapping[str, Any], crc32: int) -> str | None:
    """What is wrong with a clip's bytes, if anything is.

    Args:
        record: of its shard.
        parts: bytes of some of the record's `features`, in their order.
        crc32: what they should add up to.
    """
    found, finite = 0, True
    for name, data in parts.items():
        found = zlib.crc32(data, found)
        finite = finite and all_finite(np.frombuffer(data, record.datasets[name].dtype))
    if found != crc32:
        return NO_CHECKSUM
    return None if finite else NOT_FINITE


class FirstReading:
    """Knows which clips of a shard have been checked; several threads may ask at once."""

    def __init__(self, path: Path, record: ShardRecord, crc32: NDArray[np.uint32]) -> None:
        """`crc32` (N,) of the clips, as /crc32 holds them."""
        self._path, self._record, self._crc32 = path, record, crc32
        self._seen = bytearray(len(record.ids))

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads for the first time again."""
        return FirstReading, (self._path, self._record, self._crc32)

    def crc32_of(self, row: int) -> int:
        """The checksum that the clip in `row` was written with, over its pictures and its sound."""
        return int(self._crc32[row])

    def check(self, descriptor: int, row: int, parts: Mapping[str, memoryview]) -> None:
        """Check the clip in `row` unless that has been done; `parts` are the bytes read of it, by data set.

        Raises:
            InputError: they are not what was written, or not finite.
        """
        record, seen = self._record, self._seen[row]
        if not parts or seen & WHOLE:
            return
        sound_alone = "visual" not in parts
        if sound_alone and seen & SOUND:
            return
        names, crc32, mark = record.features, int(self._crc32[row]), WHOLE
        if sound_alone and record.audio_crc32:
            names = tuple(name for name in record.features if name in AUDIO)
            crc32, mark = record.audio_crc32[row], SOUND
        whole = {name: parts[name] if name in parts else self._read(descriptor, name, row) for name in names}
        words = flaw(record, whole, crc32)
        if words is not None:
            raise InputError(f"clip '{record.ids[row]}' in {self._path} is damaged: {words}")
        self._seen[row] |= mark

    def _read(self, descriptor: int, name: str, row: int) -> bytearray:
        place = self._record.datasets[name]
        return read_at(descriptor, self._path, place.row_bytes, place.row_offset(row))
