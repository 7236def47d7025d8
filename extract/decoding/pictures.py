"""Decode a file's pictures in order, from the first to the last, and find the damaged ones.

Nothing is sought: a decoder that jumps to a key frame gives other pictures where groups of pictures are open. Groups
that are proved closed may be left out. n frames of the file.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import av

from .faults import UNREADABLE, ClipError
from .frame_index import FrameIndex, Joins, frame_index
from .opening import open_media
from .wholeness import JOINABLE

# These decoders pass over errors that they notice, unless told not to; the others mark the pictures.
STRICT = {"hevc": {"err_detect": "crccheck+explode"}, "mjpeg": {"err_detect": "explode"}}
# Leaving out closed groups has to save this share of the frames. Else all are decoded, and all damage is found.
WORTH_SKIPPING = 0.5


class OtherCountError(Exception):
    """A file gave more or fewer frames than it has packets."""


def decoded(path: Path, index: FrameIndex, wanted: Collection[int]) -> Iterator[tuple[int, Any]]:
    """Frames with their places in the order of time: all that are wanted, and most often all others.

    Args:
        path: the file.
        index: of its frames.
        wanted: places of the frames that are asked for.

    Raises:
        ClipError: pictures are damaged; raised at the end, with how many.
        OtherCountError: raised at the end: there are not as many frames as in the index.
    """
    groups = worth_decoding(index, wanted)
    pictures = Pictures(path, index, groups)
    places: Iterator[tuple[int, Any]] = enumerate(pictures)
    expected = len(index)
    if groups is not None and index.groups is not None:
        known = index.groups.stamps_in(groups)
        places, expected = ((known[frame.pts], frame) for frame in pictures if frame.pts in known), len(known)
    count = 0
    for place, frame in places:
        count += 1
        if place < len(index):
            yield place, frame
    if pictures.damaged:
        words = f"{pictures.damaged} of the {count + pictures.damaged} pictures decoded are damaged"
        raise ClipError(UNREADABLE, words)
    if count != expected:
        raise OtherCountError


def worth_decoding(index: FrameIndex, wanted: Collection[int]) -> frozenset[int] | None:
    """The closed groups that hold what is wanted; None for all there is."""
    if index.groups is None:
        return None
    groups = frozenset(index.groups.numbers[place] for place in wanted)
    return groups if len(index.groups.stamps_in(groups)) <= (1 - WORTH_SKIPPING) * len(index) else None


def index_by_decoding(path: Path, cut: FrameIndex) -> FrameIndex:
    """The index of the frames that really come out.

    Args:
        path: the file.
        cut: the index by packets, for where the stream begins.

    Raises:
        ClipError: no frame comes out.
    """
    with open_media(path) as container:
        origin = (container.start_time or 0) / 1e6
        rate = container.streams.best("video").average_rate
        joins = Joins() if container.format.name in JOINABLE else None
    step = float(1 / rate) if rate else 1.0
    pictures = Pictures(path, cut)
    shown = []
    for number, frame in enumerate(pictures):
        time = number * step if frame.time is None else frame.time - origin
        shown.append((time + joins.shift(time, step) if joins is not None else time, 0.0))
    if not shown:
        raise ClipError(UNREADABLE, "no frame can be decoded")
    found = frame_index(shown)
    return FrameIndex(found.times, found.durations, cut.before_key, cut.first_key)


class Pictures:
    """The whole pictures of a file's best video stream, in the order in which they are shown.

    Args:
        path: the file.
        index: where the stream begins, and which packet is in which group.
        groups: of these only; None for all.
    """

    def __init__(self, path: Path, index: FrameIndex, groups: frozenset[int] | None = None) -> None:
        self._path, self._index, self._groups = path, index, groups
        self.damaged = 0
        """Pictures so far that the decoder refused, or marks as damaged."""

    def __iter__(self) -> Iterator[Any]:
        begun = False
        with open_media(self._path) as container:
            stream: Any = container.streams.best("video")
            context = stream.codec_context
            # One thread: several processes decode at once, and more threads conceal some damage without a mark.
            context.thread_count = 1
            context.options = STRICT.get(context.name, {})
            for packet in self._packets(container.demux(stream)):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self.damaged += begun or not self._leads(packet)
                    continue
                for frame in frames:
                    leads = not begun and self._leads(frame)
                    begun |= not leads
                    if not frame.is_corrupt:
                        yield frame
                    elif not leads:
                        self.damaged += 1

    def _packets(self, demuxed: Iterator[Any]) -> Iterator[Any]:
        """The packets to decode; last of all the empty one that brings out what the decoder still holds."""
        number, group, end = 0, -1, None
        for packet in demuxed:
            if packet.size == 0:
                end = packet
                continue
            number += 1
            group += packet.is_keyframe
            if number > self._index.before_key and (self._groups is None or group in self._groups):
                yield packet
        if end is not None:
            yield end

    def _leads(self, packet_or_frame: Any) -> bool:
        """Whether it is shown before the first key frame: it may need pictures that were cut away."""
        first = self._index.first_key
        return first is not None and packet_or_frame.pts is not None and packet_or_frame.pts < first
