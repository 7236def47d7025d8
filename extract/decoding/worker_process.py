"""What runs in a decoding worker process, which `workers.Worker` starts with the descriptor of a connection.

The parent sends an `Orders`, then one (path, decoder) after the other; the worker answers
each with a `Refusal` or with a `Shapes` followed by the bytes of both arrays. It keeps nothing between clips,
so that the parent may kill it at any moment.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..preparation.encoder_input import PreparedClip
from ..preparation.recipes import ClipPreparation
from .faults import OUT_OF_MEMORY, ClipError
from .limits import bound_output

READY = "ready"
Reader = Callable[[Path, ClipPreparation, str], PreparedClip]


@dataclass(frozen=True)
class Orders:
    """What a worker process has to know before its first clip."""

    preparation: ClipPreparation
    reader: str
    """The function that decodes, as "module:function"; tests put faulty ones here."""


@dataclass(frozen=True)
class Refusal:
    """A `ClipError` on its way to the parent."""

    reason: str
    words: str


@dataclass(frozen=True)
class Shapes:
    """A clip is ready; the bytes of its pixels (uint8) and of its fbank (float32) follow."""

    pixels: tuple[int, ...]
    fbank: tuple[int, ...]


def main() -> None:
    """Decode what the parent asks for, until it closes the connection."""
    connection = Connection(int(sys.argv[1]))
    with contextlib.suppress(EOFError, BrokenPipeError):
        serve(connection)


def serve(connection: Connection) -> None:
    """Answer requests; ends by EOFError when the parent is gone."""
    orders: Orders = connection.recv()
    module, function = orders.reader.split(":")
    read: Reader = getattr(importlib.import_module(module), function)
    bound_output()
    connection.send(READY)
    while True:
        path, decoder = connection.recv()
        try:
            clip = read(path, orders.preparation, decoder)
        except ClipError as error:
            connection.send(Refusal(error.reason, error.words))
            continue
        except MemoryError:
            connection.send(Refusal(OUT_OF_MEMORY, "decoding it takes more"))
            continue
        connection.send(Shapes(clip.pixels.shape, clip.fbank.shape))
        for array in (clip.pixels, clip.fbank):
            write_array(connection.fileno(), np.ascontiguousarray(array))


def write_array(descriptor: int, array: npt.NDArray[np.generic]) -> None:
    """Send the bytes of a contiguous array."""
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_array(descriptor: int, array: npt.NDArray[np.generic]) -> None:
    """Receive the bytes of a contiguous array into it; EOFError when the other side is gone."""
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        count = os.readv(descriptor, [rest])
        if count == 0:
            raise EOFError
        rest = rest[count:]
