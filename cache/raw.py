"""A shard's bytes at known offsets, read without HDF5.

pread rather than a memory map: as fast on a warm cache, and a file that is cut off or a disk that fails
underneath gives an error with a name in it, where a map kills the process.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of the shard's file; every error of the system within the `with` block is one line.

    Raises:
        InputError: there is no file, it cannot be read, or something else of that name lies there.
    """
    try:
        # Not blocking: a named pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{path} is no file")
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        nowhere = isinstance(error, FileNotFoundError) and path.is_symlink()
        words = "it is a link that leads nowhere" if nowhere else error.strerror
        raise InputError(f"shard {path} cannot be read: {words}") from None


def read_into(descriptor: int, path: Path, into: memoryview, offset: int) -> None:
    """Fill `into` from the file; `InputError` where the file ends before."""
    while into:
        count = os.preadv(descriptor, [into], offset)
        if count == 0:
            raise InputError(f"shard {path} ends early, at byte {offset}")
        into, offset = into[count:], offset + count


def read_at(descriptor: int, path: Path, size: int, offset: int) -> bytearray:
    """`size` bytes from `offset` on; likewise."""
    data = bytearray(size)
    read_into(descriptor, path, memoryview(data), offset)
    return data
