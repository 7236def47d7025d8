"""Whether all of a file is there, told by its container's own sizes and times."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .faults import UNREADABLE, ClipError

# A file that holds less than this share of what its header promises, and lacks more than these seconds, was
# cut off. Headers are often wrong by less.
LEAST_SHARE, MOST_LACKING = 0.75, 2.0
# Bytes by which writers of AVI get their file's size wrong.
RIFF_SLACK = 1024
# Containers without a header that says when things happen: their parts can be joined, and then times jump.
JOINABLE = frozenset({"mpegts", "mpeg"})
# Matroska's elements: its header, the one that holds all else, and one that only fills.
EBML, SEGMENT, VOID = 0x1A45DFA3, 0x18538067, 0xEC


def refuse_damaged(packet: Any) -> None:
    """`ClipError` for a packet that the demuxer knows to be cut short."""
    if packet.is_corrupt:
        raise ClipError(UNREADABLE, f"a packet of the {packet.stream.type} stream is cut short: the file is truncated")


def refuse_cut_off(container: Any, path: Path, end: float, origin: float) -> None:
    """`ClipError` for a file that ends too early. Called when all packets have been read.

    First the container's sizes in bytes decide, where it has them, then the duration in its header. Streams may end at
    different times, and begin at any.

    Args:
        container: an open PyAV container.
        path: its file.
        end: when the last packet of any stream ends, in seconds.
        origin: when the first one begins.
    """
    name, size = container.format.name, container.size
    if name in JOINABLE:  # their duration is guessed from what is there
        return
    with path.open("rb") as file:
        promised = PROMISES[name](file) if name in PROMISES else 0
    if name.startswith("mov"):
        promised = max([promised, *(e.pos + e.size for stream in container.streams for e in stream.index_entries)])
    if promised > size:
        raise ClipError(UNREADABLE, f"the file is truncated: it has {size} of the {promised} bytes that it speaks of")
    if name.startswith("mov") and any(stream.frames for stream in container.streams):
        return  # the header's table lists every sample, and all were read
    seconds = (container.duration or 0) / 1e6
    held = end - min(origin, 0.0)  # a header may count from the start or from 0: the kinder one counts
    if held < LEAST_SHARE * seconds and held < seconds - MOST_LACKING:
        words = f"the file ends after {held:.1f} s of the {seconds:.1f} s that its header promises"
        raise ClipError(UNREADABLE, words)


def index_end(file: IO[bytes]) -> int:
    """Where the last table of samples of an MP4 file ends, in bytes (ISO/IEC 14496-12, 4.2); 0 where there is none."""
    return max((end for kind, end in _boxes(file) if kind in (b"moov", b"moof")), default=0)


def _boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Type and end of the boxes that the file is made of, up to one that runs past its end."""
    at, whole = 0, file.seek(0, os.SEEK_END)
    while at + 8 <= whole:
        file.seek(at)
        head = file.read(16)
        size, body = int.from_bytes(head[:4], "big"), 8
        if size == 1:  # a longer size follows
            size, body = int.from_bytes(head[8:], "big"), 16
        if size < body:  # 0: up to the end of the file
            return
        at += size
        yield head[4:8], at


def segment_end(file: IO[bytes]) -> int:
    """Where the segment of a Matroska file ends, in bytes (RFC 8794); 0 where it does not say (live streams)."""
    while True:
        element, _ = _number(file, marked=True)
        size, unknown = _number(file, marked=False)
        if element == SEGMENT:
            return 0 if unknown else file.tell() + size
        if element not in (EBML, VOID):
            return 0
        file.seek(size, os.SEEK_CUR)


def _number(file: IO[bytes], *, marked: bool) -> tuple[int, bool]:
    """A number of variable length, with or without the bit that marks its length; and whether all its bits are set."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first and first[0] else 1
    value = int.from_bytes(first + file.read(length - 1), "big")
    rest = (1 << 7 * length) - 1
    return value if marked else value & rest, value & rest == rest


def riff_end(file: IO[bytes]) -> int:
    """Where the first part of an AVI file ends, in bytes, with some slack; 0 where a writer left it open."""
    head = file.read(8)
    return max(0, int.from_bytes(head[4:], "little") - RIFF_SLACK) if head[:4] == b"RIFF" else 0


PROMISES = {"mov,mp4,m4a,3gp,3g2,mj2": index_end, "matroska,webm": segment_end, "avi": riff_end}
"""By libavformat's name of the container: how many bytes there should be."""
