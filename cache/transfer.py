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


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pieces_of(wanted: dict[str, list[Wanted]], shards: dict[str, tuple[Path, ShardRecord]]) -> list[Piece]:
    """Cut what is wanted of each shard, by name, into pieces for the readers, each in the file's order."""
    pieces: list[Piece] = []
    for name, clips in wanted.items():
        path, record = shards[name]
        clips = sorted(clips, key=lambda clip: clip.row)
        pieces.extend(Piece(path, record, clips[at : at + PIECE]) for at in range(0, len(clips), PIECE))
    return pieces


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
    results = [(name, tensor) for name, tensor in (("visual", visual), ("audio", audio)) if tensor is not None]

    def read(piece: Piece) -> None:
        try:
            descriptor = os.open(piece.path, os.O_RDONLY)
            try:
                for clip in piece.wanted:
                    for name, tensor in results:
                        _read_row(descriptor, piece, name, clip.row, kind, tensor[clip.target], scratch)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise InputError(f"shard {piece.path} cannot be read: {error.strerror}") from None

    if any(tensor.dtype != kind.bits_dtype for _, tensor in results):
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


def _read_row(
    descriptor: int, piece: Piece, name: str, row: int, kind: StorageType, out: torch.Tensor, scratch: Scratch
) -> None:
    """One clip's part of one data set, into `out`."""
    place = piece.record.datasets[name]
    if out.dtype == kind.bits_dtype and out.is_contiguous():
        _read_bytes(descriptor, piece.path, out, place.row_offset(row))
        return
    bits = scratch.buffer(f"{name} bits", kind.bits_dtype, place.row_shape)
    _read_bytes(descriptor, piece.path, bits, place.row_offset(row))
    scale = None
    if kind.scaled:
        place = piece.record.datasets[f"{name}_scale"]
        scale = scratch.buffer(f"{name} scale", torch.float32, place.row_shape)
        _read_bytes(descriptor, piece.path, scale, place.row_offset(row))
    from_stored(bits, scale, out, scratch.buffer(f"{name} wide", torch.float32, bits.shape))


def _read_bytes(descriptor: int, path: Path, into: torch.Tensor, offset: int) -> None:
    """Fill a contiguous tensor from the file."""
    view = into.reshape(-1).view(torch.uint8).numpy().data
    while view:
        count = os.preadv(descriptor, [view], offset)
        if count == 0:
            raise InputError(f"shard {path} ends early, at byte {offset}: verify the cache")
        view, offset = view[count:], offset + count
