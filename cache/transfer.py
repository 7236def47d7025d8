"""Move clips' bytes from shards into tensors: one copy, several readers at once, converting on the way.

pread rather than a memory map: as fast on a warm cache, and a file that is cut off or a disk that fails
underneath gives an error with a name in it, where a map kills the process.
"""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import InputError
from .layout import ShardRecord
from .storage import StorageType, from_stored

PIECE = 8  # clips that one reader takes from a shard at a time
CONVERTING_READERS = 2  # torch spreads each conversion over the cores by itself; two keep reading beside it


@dataclass(frozen=True)
class Wanted:
    """One clip to be read: `row` of its shard goes to `target` of the result."""

    row: int
    target: int


@dataclass(frozen=True)
class Piece:
    """Clips of one shard, in the order in which they lie there."""

    path: Path
    record: ShardRecord
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


def pieces_of(wanted: dict[str, list[Wanted]], shards: dict[str, tuple[Path, ShardRecord]]) -> list[Piece]:
    """Cut what is wanted of each shard, by name, into pieces for the readers, each in the file's order."""
    pieces: list[Piece] = []
    for name, clips in wanted.items():
        path, record = shards[name]
        clips = sorted(clips, key=lambda clip: clip.row)
        pieces.extend(Piece(path, record, clips[at : at + PIECE]) for at in range(0, len(clips), PIECE))
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

    def read(self, descriptor: int, piece: Piece, clip: Wanted, scratch: Scratch) -> None:
        """Read one clip's row."""
        place = piece.record.datasets[self._name]
        if self._bytes is not None:
            size = place.row_bytes
            into = self._bytes[clip.target * size : (clip.target + 1) * size]
            _read_bytes(descriptor, piece.path, into, place.row_offset(clip.row))
            return
        bits = scratch.buffer(f"{self._name} bits", self._kind.bits_dtype, place.row_shape)
        _read_bytes(descriptor, piece.path, bytes_of(bits), place.row_offset(clip.row))
        scale = None
        if self._kind.scaled:
            scale_place = piece.record.datasets[f"{self._name}_scale"]
            scale = scratch.buffer(f"{self._name} scale", torch.float32, scale_place.row_shape)
            _read_bytes(descriptor, piece.path, bytes_of(scale), scale_place.row_offset(clip.row))
        wide = scratch.buffer(f"{self._name} wide", torch.float32, bits.shape)
        from_stored(bits, scale, self._tensor[clip.target], wide)


def transfer(
    pieces: Sequence[Piece],
    kind: StorageType,
    visual: torch.Tensor | None,
    audio: torch.Tensor | None,
    threads: int,
) -> None:
    """Read every clip of `pieces` into its row of the given CPU tensors.

    Raises:
        InputError: a shard ends early or cannot be read.
    """
    scratch = Scratch()
    goals = [Goal(name, tensor, kind) for name, tensor in (("visual", visual), ("audio", audio)) if tensor is not None]

    def read(piece: Piece) -> None:
        try:
            descriptor = os.open(piece.path, os.O_RDONLY)
            try:
                for clip in piece.wanted:
                    for goal in goals:
                        goal.read(descriptor, piece, clip, scratch)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise InputError(f"shard {piece.path} cannot be read: {error.strerror}") from None

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


def _read_bytes(descriptor: int, path: Path, into: memoryview, offset: int) -> None:
    """Fill `into` from the file."""
    while into:
        count = os.preadv(descriptor, [into], offset)
        if count == 0:
            raise InputError(f"shard {path} ends early, at byte {offset}: verify the cache")
        into, offset = into[count:], offset + count
