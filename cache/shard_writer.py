"""Write one shard, clip by clip, so that it is either complete or not there at all.

N clips of the shard, L time slices, S tokens, D channels.
"""

import os
import resource
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from ..errors import InputError
from ..files import as_json, aside, cannot_write, rename_durably, sha256_of, sync_directory
from ..wording import size
from .fingerprint import Fingerprint
from .layout import AUDIO, FEATURES, PAGE, Place, ShardRecord, create_empty_shard
from .raw import read_at
from .storage import Array, StorageType, bytes_per_clip, to_stored


@dataclass(frozen=True)
class Sealed:
    """A shard whose bytes are all on disk beside its name. It is no data before `give_name` has been called."""

    part: Path
    """Where the bytes lie."""
    record: ShardRecord


class ShardWriter:
    """A shard in the making; `CacheWriter.shard` makes one. Memory in use: one clip, whatever N.

    Leaving the `with` block normally finishes the shard with the clips that were put, in the order of `ids`;
    clips never put are left out, and with none at all there is no shard. Leaving it by an exception leaves
    nothing.

    What `on_sealed` gets is still without its name: a process that does not hold the cache's lock hands it to the one
    that does.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        ids: Sequence[str],
        visual_shape: Sequence[int],
        audio_shape: Sequence[int],
        kind: StorageType,
        fingerprint: Fingerprint,
        versions: Mapping[str, str],
        notes: Mapping[str, Any],
        on_sealed: Callable[[Sealed], None],
    ) -> None:
        self.name = name
        self.ids = tuple(ids)
        self.record: ShardRecord | None = None
        """What was written; None until the shard is finished, and for a shard without clips."""
        self._path = directory / f"{name}.h5"
        self._visual_shape, self._audio_shape = tuple(visual_shape), tuple(audio_shape)
        self._kind, self._fingerprint, self._versions, self._notes = kind, fingerprint, dict(versions), dict(notes)
        self._on_sealed = on_sealed
        self._crc32: dict[int, tuple[int, int]] = {}  # of the whole clip, and of its sound alone
        self._file = -1
        self._made: list[Path] = []  # what is to go if the shard is abandoned
        with self._told():
            self._refuse_without_room()
            self._part, self._places, self._file = self._lay_out(self.ids)

    def put(self, index: int, visual: np.ndarray | torch.Tensor, audio: np.ndarray | torch.Tensor) -> None:
        """Write one clip; clips may come in any order, and a clip put twice is written anew.

        Args:
            index: position of the clip in `ids`.
            visual: (L, S, D), any float dtype, any device.
            audio: (D,), likewise.

        Raises:
            NotStorable: the features are not finite or do not fit the storage type; nothing was written, and
                the clip may be quarantined and left out.
            InputError: the disk is full, or does not take the bytes for another reason.
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
        crc32 = sound = 0
        with self._told():
            for name in (name for name in FEATURES if name in rows):
                data = np.ascontiguousarray(rows[name]).reshape(-1).view(np.uint8).data
                crc32 = zlib.crc32(data, crc32)
                sound = zlib.crc32(data, sound) if name in AUDIO else 0
                write_fully(self._file, data, self._places[name].row_offset(index))
        self._crc32[index] = crc32, sound

    def finish(self) -> None:
        """Sync and hash the shard and have it named; a normal end of the `with` block does it."""
        kept = sorted(self._crc32)
        if not kept:
            return self.abandon()
        with self._told():
            if len(kept) < len(self.ids):
                self._leave_out_all_but(kept)
            crc32, audio_crc32 = zip(*(self._crc32[index] for index in kept), strict=True)
            names = np.array([name.encode("utf-8") for name in self.ids], self._places["id"].dtype)
            write_fully(self._file, np.array(crc32, "<u4").tobytes(), self._places["crc32"].offset)
            write_fully(self._file, names.tobytes(), self._places["id"].offset)
            os.fsync(self._file)
            self._close()
            record = ShardRecord(
                name=self.name,
                bytes=self._part.stat().st_size,
                sha256=sha256_of(self._part),
                fingerprint=self._fingerprint.digest,
                storage=self._kind.name,
                datasets=self._places,
                ids=self.ids,
                versions=self._versions,
                crc32=crc32,
                audio_crc32=audio_crc32,
                facts=dict(self._fingerprint.facts),
                notes=self._notes,
            )
        self._on_sealed(Sealed(self._part, record))
        self._made.clear()
        self.record = record

    def abandon(self) -> None:
        """Leave nothing behind. Called when the `with` block ends by an exception."""
        self._close()
        for path in self._made:
            path.unlink(missing_ok=True)
        self._made.clear()

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

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Every error of the system is one line, whichever library met it, and nothing stays of the shard."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk by either
            self.abandon()
            raise cannot_write(self._path, error) from error

    def _new(self, path: Path) -> Path:
        """A name for what is to become `path`, to be removed if it does not."""
        part = aside(path)
        self._made.append(part)
        return part

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _refuse_without_room(self) -> None:
        each = bytes_per_clip(self._kind.name, self._visual_shape, self._audio_shape)
        longest = max(len(name.encode("utf-8")) for name in self.ids)
        needed = len(self.ids) * (each + 4 + longest) + 2 * PAGE
        free = shutil.disk_usage(self._path.parent).free
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        words = f"no room for shard {self.name} in {self._path.parent}: it needs {size(needed)}"
        if needed > free:
            raise InputError(f"{words}, {size(free)} are free")
        if limit != resource.RLIM_INFINITY and needed > limit:
            raise InputError(f"{words}, and no file may be larger than {size(limit)} (ulimit -f)")

    def _lay_out(self, ids: tuple[str, ...]) -> tuple[Path, dict[str, Place], int]:
        """A new file with room for these clips: its path, where its data sets lie, and its descriptor."""
        path = self._new(self._path)
        shapes = self._visual_shape, self._audio_shape
        places = create_empty_shard(path, ids, *shapes, self._kind, self._fingerprint.digest)
        return path, places, os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _leave_out_all_but(self, kept: list[int]) -> None:
        """Move the clips that were put to a shard of their own size: a data set of HDF5 cannot shrink.

        Costs a second writing of the shard, but only where clips failed; the bytes are the same as if the
        others had never been meant to be there.
        """
        ids = tuple(self.ids[index] for index in kept)
        path, places, target = self._lay_out(ids)
        try:
            for row, index in enumerate(kept):
                for name in (name for name in FEATURES if name in places):
                    source = self._places[name]
                    data = read_at(self._file, self._part, source.row_bytes, source.row_offset(index))
                    write_fully(target, data, places[name].row_offset(row))
        except BaseException:
            os.close(target)
            raise
        self._close()
        self._part.unlink()
        self._part, self._file, self._places, self.ids = path, target, places, ids


def give_name(sealed: Sealed) -> None:
    """Name a sealed shard, then its record: with that it is data. The cache's lock has to be held.

    Raises:
        InputError: the system refuses; the shard is then neither named nor left there.
    """
    path = sealed.part.with_name(sealed.record.file_name)
    record = path.with_suffix(".json")
    # The record lies there under a name of its own before the shard has its name: if the writer dies between the two,
    # the next one sees whose shard it is, and finishes it.
    part, named = aside(record), False
    try:
        with part.open("x", encoding="utf-8") as stream:
            stream.write(as_json(sealed.record.to_json()))
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(path.parent)
        sealed.part.replace(path)
        named = True
        sync_directory(path.parent)
        rename_durably(part, record)
    except BaseException as error:
        if not os.path.lexists(record):  # otherwise it was broken off behind the last step
            for left in (part, path if named else sealed.part):
                left.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def write_fully(descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """`os.pwrite` until every byte is written (the system may take fewer at once)."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
