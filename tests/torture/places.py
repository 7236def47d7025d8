"""Bytes of files, changed at random."""

import os
from pathlib import Path
from random import Random


def flip(path: Path, draw: Random, begin: int = 0, end: int | None = None) -> int:
    """Flip one bit of a file between two of its bytes; returns which byte."""
    at = draw.randrange(begin, path.stat().st_size if end is None else end)
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0] ^ (1 << draw.randrange(8))
        stream.seek(at)
        stream.write(bytes([byte]))
        os.fsync(stream.fileno())
    return at
