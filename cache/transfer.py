"""Move clips' bytes from shards into tensors: one copy, several readers at once, converting and checking on the way."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import InputError
from .checks import FirstReading
from .layout import ShardRecord
from .raw import opened, read_into
from .storage import StorageType, from_stored

PIECE = 8  # clips that one reader takes from a shard at a time
CONVERTING_READERS = 2  # torch spreads each conversion over the cores by itself; two keep reading beside it


@dataclass(frozen=True)
class Shard:
    """A shard to be read from."""

    path: Path
    record: ShardRecord
    first_reading: FirstReading
    mend: str
    """The command that makes damaged clips again, for the error's line."""


@dataclass(frozen=True)
class Wanted:
    """One clip to be read: `row` of its shard goes to `target` of the result."""

    row: int
    target: int


@dataclass(frozen=True)
class Piece:
    """Clips of one shard, in the order in which they lie there."""

    shard: Shard
    wanted: Sequence[Wanted]


class Scratch(threading.local):
    """A reader's own buffers, kept from clip to clip so that they stay in the processor's cache."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, tuple[int, ...]], torch.Tensor] = {}

    def buffer(self, use: str, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
        """A tensor with no particular content."""
        key = use, dtype, shape
        if key not in self._buffers:
            self._buffers[key] = torch.empty(shape, dtype=dtype)
        return self._buffers[key]


def pieces_of(wanted: Mapping[str, list[Wanted]], shards: Mapping[str, Shard]) -> list[Piece]:
    """Cut what is wanted of each shard, by name, into pieces for the readers, each in the file's order."""
    pieces: list[Piece] = []
    for name, clips in wanted.items():
        clips = sorted(clips, key=lambda clip: clip.row)
        pieces.extend(Piece(shards[name], clips[at : at + PIECE]) for at in range(0, len(clips), PIECE))
    return pieces


class Goal:
    """Where one data set's rows go: straight into a tensor of the stored type, or converted on the way."""

    def __init__(self, name: str, tensor: torch.Tensor, kind: StorageType) -> None:
        self._name, self._tensor, self._kind = name, tensor, kind
        straight = tensor.dtype == kind.bits_dtype and tensor.is_contiguous()
        # One view of all bytes: a tensor of each clip would cost a good part of the time that the copying takes.
        self._bytes = bytes_of(tensor) if straight else None

    @property
    def converting(self) -> bool:
        """Whether there is arithmetic to be done."""
        return self._tensor.dtype != self._kind.bits_dtype

    def read(self, descriptor: int, shard: Shard, clip: Wanted, scratch: Scratch) -> dict[str, memoryview]:
        """Read one clip's row; returns the bytes read, by data set."""
        place = shard.record.datasets[self._name]
        if self._bytes is not None:
            size = place.row_bytes
            into = self._bytes[clip.target * size : (clip.target + 1) * size]
            read_into(descriptor, shard.path, into, place.row_offset(clip.row))
            return {self._name: into}
        bits = scratch.buffer(f"{self._name} bits", self._kind.bits_dtype, place.row_shape)
        parts = {self._name: bytes_of(bits)}
        scale = None
        if self._kind.scaled:
            scale_place = shard.record.datasets[f"{self._name}_scale"]
            scale = scratch.buffer(f"{self._name} scale", torch.float32, scale_place.row_shape)
            parts[f"{self._name}_scale"] = bytes_of(scale)
        for name, into in parts.items():
            read_into(descriptor, shard.path, into, shard.record.datasets[name].row_offset(clip.row))
        wide = scratch.buffer(f"{self._name} wide", torch.float32, bits.shape)
        from_stored(bits, scale, self._tensor[clip.target], wide)
        return parts


def transfer(
    pieces: Sequence[Piece],
    kind: StorageType,
    visual: torch.Tensor | None,
    audio: torch.Tensor | None,
    threads: int,
) -> None:
    """Read every clip of `pieces` into its row of the given CPU tensors.

    Raises:
        InputError: a shard ends early or cannot be read, or a clip read for the first time is damaged.
    """
    scratch = Scratch()
    goals = [Goal(name, tensor, kind) for name, tensor in (("visual", visual), ("audio", audio)) if tensor is not None]

    def read(piece: Piece) -> None:
        shard = piece.shard
        try:
            with opened(shard.path) as descriptor:
                for clip in piece.wanted:
                    parts: dict[str, memoryview] = {}
                    for goal in goals:
                        parts |= goal.read(descriptor, shard, clip, scratch)
                    shard.first_reading.check(descriptor, clip.row, parts)
        except InputError as error:
            raise InputError(f"{error}: {shard.mend}") from None

    if any(goal.converting for goal in goals):
        threads = min(threads, CONVERTING_READERS)
    if threads <= 1 or len(pieces) <= 1:
        for piece in pieces:
            read(piece)
        return
    # A pool a call: it costs a fraction of a clip's time, and a cache object stays free of threads, so
    # that it can be pickled or used after a fork.
    with ThreadPoolExecutor(min(threads, len(pieces)), thread_name_prefix="cache-reader") as pool:
        for _ in pool.map(read, pieces):
            pass


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor, to be written to."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data
