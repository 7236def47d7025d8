"""Write one shard, clip by clip, so that it is either complete or not there at all.

N clips of the shard, L time slices, S tokens, D channels.
"""

import os
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch

from ..errors import InputError
from ..files import PART_SUFFIX, rename_durably, sha256_of, write_json
from .layout import FEATURES, Place, ShardRecord, create_empty_shard
from .storage import Array, StorageType, bytes_per_clip, to_stored


class ShardWriter:
    """A shard in the making; `CacheWriter.shard` makes one. Memory in use: one clip, whatever N.

    Leaving the `with` block normally finishes the shard with the clips that were put, in the order of `ids`;
    clips never put are left out, and with none at all there is no shard. Leaving it by an exception leaves
    nothing.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        ids: Sequence[str],
        visual_shape: Sequence[int],
        audio_shape: Sequence[int],
        kind: StorageType,
        fingerprint: str,
        versions: Mapping[str, str],
        on_finished: Callable[[ShardRecord], None],
    ) -> None:
        self.name = name
        self.ids = tuple(ids)
        self.record: ShardRecord | None = None
        """What was written; None until the shard is finished, and for a shard without clips."""
        self._directory = directory
        self._visual_shape, self._audio_shape = tuple(visual_shape), tuple(audio_shape)
        self._kind, self._fingerprint, self._versions = kind, fingerprint, dict(versions)
        self._on_finished = on_finished
        self._crc32: dict[int, int] = {}
        self._part = directory / f"{name}.h5{PART_SUFFIX}"
        needed = len(self.ids) * bytes_per_clip(kind.name, self._visual_shape, self._audio_shape)
        free = shutil.disk_usage(directory).free
        if needed > free:
            raise InputError(
                f"no room for shard {name} in {directory}: it needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free"
            )
        self._places = self._lay_out(self._part, self.ids)
        self._file = os.open(self._part, os.O_RDWR)

    def put(self, index: int, visual: np.ndarray | torch.Tensor, audio: np.ndarray | torch.Tensor) -> None:
        """Write one clip; clips may come in any order, and a clip put twice is written anew.

        Args:
            index: position of the clip in `ids`.
            visual: (L, S, D), any float dtype, any device.
            audio: (D,), likewise.

        Raises:
            NotStorable: the features are not finite or do not fit the storage type; nothing was written, and
                the clip may be quarantined and left out.
            ValueError: the features have another shape than the shard.
        """
        clip = self.ids[index]
        rows: dict[str, Array] = {}
        for name, features, shape in (
            ("visual", visual, self._visual_shape),
            ("audio", audio, self._audio_shape),
        ):
            if tuple(features.shape) != shape:
                raise ValueError(f"clip '{clip}': {name} has shape {tuple(features.shape)}, the shard's is {shape}")
            values, scale = to_stored(features, self._kind, f"the {name} features of clip '{clip}'")
            rows[name] = values
            if scale is not None:
                rows[f"{name}_scale"] = scale
        crc32 = 0
        for name in (name for name in FEATURES if name in rows):
            data = np.ascontiguousarray(rows[name]).reshape(-1).view(np.uint8).data
            crc32 = zlib.crc32(data, crc32)
            write_fully(self._file, data, self._places[name].row_offset(index))
        self._crc32[index] = crc32

    def finish(self) -> None:
        """Sync, hash and name the shard, then write its record; a normal end of the `with` block does it."""
        kept = sorted(self._crc32)
        if not kept:
            return self.abandon()
        if len(kept) < len(self.ids):
            self._leave_out_all_but(kept)
        checksums = np.array([self._crc32[index] for index in kept], "<u4")
        names = np.array([name.encode("utf-8") for name in self.ids], self._places["id"].dtype)
        write_fully(self._file, checksums.tobytes(), self._places["crc32"].offset)
        write_fully(self._file, names.tobytes(), self._places["id"].offset)
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1
        record = ShardRecord(
            name=self.name,
            bytes=self._part.stat().st_size,
            sha256=sha256_of(self._part),
            fingerprint=self._fingerprint,
            storage=self._kind.name,
            datasets=self._places,
            ids=self.ids,
            versions=self._versions,
        )
        rename_durably(self._part, self._directory / record.file_name)
        write_json(self._directory / f"{self.name}.json", record.to_json())
        self.record = record
        self._on_finished(record)

    def abandon(self) -> None:
        """Leave nothing behind. Called when the `with` block ends by an exception."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abandon()
            return
        try:
            self.finish()
        except BaseException:
            self.abandon()
            raise

    def _lay_out(self, path: Path, ids: tuple[str, ...]) -> dict[str, Place]:
        return create_empty_shard(path, ids, self._visual_shape, self._audio_shape, self._kind, self._fingerprint)

    def _leave_out_all_but(self, kept: list[int]) -> None:
        """Move the clips that were put to a shard of their own size: a data set of HDF5 cannot shrink.

        Costs a second writing of the shard, but only where clips failed; the bytes are the same as if the
        others had never been meant to be there.
        """
        smaller = self._part.with_name(f"{self.name}.smaller.h5{PART_SUFFIX}")
        ids = tuple(self.ids[index] for index in kept)
        places = self._lay_out(smaller, ids)
        target = os.open(smaller, os.O_RDWR)
        try:
            for row, index in enumerate(kept):
                for name in (name for name in FEATURES if name in places):
                    source = self._places[name]
                    data = os.pread(self._file, source.row_bytes, source.row_offset(index))
                    write_fully(target, data, places[name].row_offset(row))
        except BaseException:
            os.close(target)
            smaller.unlink()
            raise
        os.close(self._file)
        smaller.replace(self._part)
        self._file, self._places, self.ids = target, places, ids


def write_fully(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """`os.pwrite` until every byte is written (the system may take fewer at once)."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
