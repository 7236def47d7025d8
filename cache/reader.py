"""Read features: by clip id, in any order, from any number of threads, without HDF5 and without locks.

Damage is found before it is used: what a glance at each shard shows when the cache is opened, a clip's checksum when it
is read for the first time.

N clips asked for, L time slices, S tokens, D channels.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import InputError
from ..threads import usable_cores
from ..wording import number_of
from .checks import FirstReading
from .contents import Contents, scan
from .description import mending
from .export import export
from .fingerprint import Fingerprint
from .layout import ShardRecord
from .quarantine import read_quarantine
from .shard_list import LIST
from .storage import storage_type
from .transfer import Shard, Wanted, pieces_of, transfer
from .verify import VerifyReport, verify

MOST_THREADS = 8
STAGED_CLIPS = 32  # clips in the pinned buffer on their way to another device


class Features(NamedTuple):
    """Features of N clips, in the order asked for."""

    visual: torch.Tensor
    """(N, L, S, D)"""
    audio: torch.Tensor
    """(N, D)"""


class FeatureCache:
    """A cache opened for reading. Opening reads JSON files and the shards' small tables; no file stays open, no thread.

    Args:
        directory: the cache.

    Raises:
        InputError: not a cache, no complete shard, or a shard that is lost or damaged in a way that shows at once
            (reading finds the rest). What a killed writer left behind is passed over.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        contents = scan(self.directory)
        _refuse_unusable(contents)
        self.fingerprint: Fingerprint = contents.description.fingerprint
        self.notes: Mapping[str, Any] = contents.description.notes
        """What its maker wrote down beside the facts, such as where the encoders lay."""
        first = contents.shards[0]
        self.visual_shape: tuple[int, ...] = first.visual_shape
        """(L, S, D) of a clip."""
        self.audio_shape: tuple[int, ...] = first.audio_shape
        """(D,) of a clip."""
        self.storage: str = first.storage
        """Name of the storage type."""
        self._kind = storage_type(first.storage)
        self._shards = {record.name: _shard(contents, record) for record in contents.shards}
        self._row: dict[str, tuple[str, int]] = {}
        for record in contents.shards:
            for row, clip in enumerate(record.ids):
                self._row.setdefault(clip, (record.name, row))
        self.ids: tuple[str, ...] = tuple(self._row)
        """Every clip, in the order of the shards' names and of their rows."""

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __getitem__(self, clip: str) -> Features:
        """One clip's features, visual (L, S, D) and audio (D,). KeyError where the cache does not hold it."""
        if clip not in self._row:
            raise KeyError(clip)
        features = self.read([clip])
        return Features(features.visual[0], features.audio[0])

    def __repr__(self) -> str:
        random = ", RANDOM weights" if self.random_weights else ""
        return (
            f"<{self.directory}: {number_of(len(self), 'clip')}, visual {self.visual_shape}, audio {self.audio_shape}, "
            f"{self.storage}{random}>"
        )

    def __contains__(self, clip: object) -> bool:
        return clip in self._row

    @property
    def random_weights(self) -> bool:
        """Whether an encoder's weights were drawn at random: such features say nothing of a real encoder."""
        return self.fingerprint.random_weights

    @property
    def dtype(self) -> torch.dtype:
        """What `read` gives when asked for no type: the stored one, or float32 for int8."""
        return self._kind.dtype

    @property
    def quarantined(self) -> Mapping[str, Mapping[str, str]]:
        """Clips that could not be encoded: id -> {"reason", "words"}, as the file has it now."""
        return read_quarantine(self.directory)

    def missing(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Those of `ids` that the cache does not hold, in order."""
        return tuple(clip for clip in ids if clip not in self._row)

    def digest(self, ids: Iterable[str]) -> str:
        """SHA-256 over the checksums of the features of the clips `ids`, in this order.

        It tells features apart that were made in the same way from other files, or on another device, without reading
        them. Raises KeyError for a clip that the cache does not hold.
        """
        sums = hashlib.sha256()
        for shard, row in (self._row[clip] for clip in ids):
            sums.update(self._shards[shard].first_reading.crc32_of(row).to_bytes(4, "little"))
        return sums.hexdigest()

    def read(
        self,
        ids: Sequence[str],
        *,
        dtype: torch.dtype | None = None,
        device: str | torch.device = "cpu",
        threads: int | None = None,
    ) -> Features:
        """Features of the clips `ids`, in that order; an id may come more than once.

        Args:
            ids: clip ids.
            dtype: of the result, any float type; None for the stored one (float32 for int8).
            device: where the result lies.
            threads: readers at once; None for one a core, at most 8.

        Raises:
            InputError: as `read_into` does.
        """
        dtype = dtype or self.dtype
        visual = torch.empty((len(ids), *self.visual_shape), dtype=dtype, device=device)
        audio = torch.empty((len(ids), *self.audio_shape), dtype=dtype, device=device)
        self.read_into(ids, visual, audio, threads=threads)
        return Features(visual, audio)

    def read_into(
        self,
        ids: Sequence[str],
        visual: torch.Tensor | None,
        audio: torch.Tensor | None,
        *,
        threads: int | None = None,
    ) -> None:
        """Read the clips `ids` into rows 0..len(ids)-1 of tensors that exist already.

        Args:
            ids: clip ids, in any order, repeated or not.
            visual: (at least N, L, S, D), any float dtype, any device; None to leave this modality out.
            audio: (at least N, D), likewise.
            threads: readers at once; None for one a core, at most 8.

        Raises:
            InputError: an id the cache does not hold (checked before anything is read), a shard that cannot be
                read, or a clip that is not what was written (found the first time that it is read).
            ValueError: a tensor has another shape or is not of a float type.
        """
        lacking = self.missing(ids)
        if lacking:
            raise InputError(
                f"{self.directory} lacks {len(lacking)} of the {len(ids)} clips asked for, the first "
                f"'{lacking[0]}': extract them, or leave them out"
            )
        for name, tensor, shape in (
            ("visual", visual, self.visual_shape),
            ("audio", audio, self.audio_shape),
        ):
            if tensor is None:
                continue
            if tuple(tensor.shape[1:]) != shape or tensor.shape[0] < len(ids) or not tensor.is_floating_point():
                raise ValueError(
                    f"{name}: {len(ids)} clips of shape {shape} do not fit a tensor of shape "
                    f"{tuple(tensor.shape)} and type {tensor.dtype}"
                )
        threads = threads or min(MOST_THREADS, usable_cores())
        step = len(ids) if _on_cpu(visual) and _on_cpu(audio) else STAGED_CLIPS
        for start in range(0, len(ids), max(step, 1)):
            part = slice(start, min(start + step, len(ids)))
            self._read_part(
                ids[part],
                None if visual is None else visual[part],
                None if audio is None else audio[part],
                threads,
            )

    def _read_part(
        self, ids: Sequence[str], visual: torch.Tensor | None, audio: torch.Tensor | None, threads: int
    ) -> None:
        wanted: dict[str, list[Wanted]] = {}
        for target, clip in enumerate(ids):
            name, row = self._row[clip]
            wanted.setdefault(name, []).append(Wanted(row, target))
        here = [_landing(tensor, self.dtype) for tensor in (visual, audio)]
        transfer(pieces_of(wanted, self._shards), self._kind, here[0], here[1], threads)
        for tensor, landed in zip((visual, audio), here, strict=True):
            if tensor is not None and landed is not None and landed is not tensor:
                # Across first, then converted there: the other way round the conversion is one core's work.
                tensor.copy_(landed.to(tensor.device, non_blocking=True))

    def verify(self, *, on_shard: Callable[[str], None] | None = None) -> VerifyReport:
        """Check every shard's hash, then every clip's checksum and finiteness (see `verify`)."""
        return verify(self.directory, on_shard=on_shard)

    def export(self, out: Path, ids: Sequence[str] | None = None, *, dtype: torch.dtype | None = None) -> None:
        """Write the clips `ids` (all, by default) as plain numpy files (see `export`)."""
        export(self, Path(out), self.ids if ids is None else ids, dtype=dtype)


def _on_cpu(tensor: torch.Tensor | None) -> bool:
    return tensor is None or tensor.device.type == "cpu"


def _landing(tensor: torch.Tensor | None, stored: torch.dtype) -> torch.Tensor | None:
    """Where the bytes land first: the tensor itself, or memory from which another device takes them."""
    if tensor is None or tensor.device.type == "cpu":
        return tensor
    return torch.empty(tensor.shape, dtype=stored, pin_memory=tensor.device.type == "cuda")


def _shard(contents: Contents, record: ShardRecord) -> Shard:
    path = contents.shard_path(record)
    return Shard(path, record, FirstReading(path, record, contents.crc32[record.name]), mending(contents.directory))


def _refuse_unusable(contents: Contents) -> None:
    directory, listed = contents.directory, contents.listed
    if contents.damaged:
        first = contents.damaged[0]
        more = f" (and {len(contents.damaged) - 1} more)" if len(contents.damaged) > 1 else ""
        raise InputError(f"{directory}: {first.words}{more}: {mending(directory)}")
    if listed is None and contents.description.listed:
        raise InputError(f"{directory} has lost {LIST}, the list of its shards: {mending(directory)}")
    if listed is not None and listed.damaged:
        raise InputError(f"{directory / LIST} is damaged ({', '.join(listed.damaged)}): {mending(directory)}")
    if not contents.shards:
        raise InputError(f"{directory} holds no finished shard yet: run the extraction")
    first_shard = contents.shards[0]
    for record in contents.shards:
        if _kind_and_shapes(record) != _kind_and_shapes(first_shard):
            raise InputError(f"{directory}: shards {first_shard.name} and {record.name} differ in shape or type")


def _kind_and_shapes(record: ShardRecord) -> tuple[object, ...]:
    return record.storage, record.visual_shape, record.audio_shape
