"""When each frame of a file is shown, told from its packets, before anything is decoded.

n frames.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .closed_groups import ClosedGroups
from .faults import NO_VIDEO, ClipError
from .opening import open_media
from .wholeness import JOINABLE, refuse_cut_off, refuse_damaged

# A longer pause between two frames of a file that can be joined is a join (ffmpeg's own threshold).
LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file's best video stream, in the order in which they are shown."""

    times: npt.NDArray[np.float64]
    """(n,) seconds after the file's start, ascending."""
    durations: npt.NDArray[np.float64]
    """(n,) seconds, as the container says; where it says nothing, until the next frame."""
    before_key: int = 0
    """Packets before the first key frame, where the stream was cut: they cannot be decoded and do not count."""
    first_key: int | None = None
    """Time stamp of the first key frame. What is shown before it may need frames that were cut away."""
    groups: "Groups | None" = None
    """Where the packets prove that each group of pictures can be decoded alone."""

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Groups:
    """The group of pictures that each frame is in."""

    stamps: list[int]
    """Time stamps of the frames, by which they are known when they come out of the decoder."""
    numbers: list[int]
    """The number of each frame's group, in the order of decoding."""

    def stamps_in(self, numbers: Collection[int]) -> dict[int, int]:
        """Time stamp -> place in the order of time, of the frames in these groups."""
        both = zip(self.stamps, self.numbers, strict=True)
        return {stamp: place for place, (stamp, number) in enumerate(both) if number in numbers}


def index_frames(path: Path) -> FrameIndex:
    """Read the time stamps of all packets.

    Packets that an edit list takes out of the clip do not count. The number of frames is that of the packets:
    what the header says of it is often wrong.

    Raises:
        ClipError: no video stream, or a file that was cut off.
        Exception: whatever PyAV says of a file that it cannot read.
    """
    with open_media(path) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise ClipError(NO_VIDEO, "the file has no video stream")
        origin = (container.start_time or 0) / 1e6
        joins = Joins() if container.format.name in JOINABLE else None
        shown: list[tuple[float, float, int, int]] = []  # time, duration, time stamp, group
        # Whole numbers: dividing them is exact, and far quicker than fractions.
        units = [(s.time_base.numerator, s.time_base.denominator) for s in container.streams]
        proof = ClosedGroups(stream)
        end, packets, before_key, first_key = origin, 0, 0, None
        for packet in container.demux():
            if packet.size == 0:  # PyAV's mark for the end of a stream
                continue
            if joins is None:  # where parts are joined, whole packets are marked too: the decoder decides
                refuse_damaged(packet)
            stamp = packet.dts if packet.pts is None else packet.pts
            over, under = units[packet.stream_index]
            length = (packet.duration or 0) * over / under
            start = end if stamp is None else stamp * over / under
            end = max(end, start + length)
            if packet.stream_index != stream.index:
                continue
            if joins is not None and packet.dts is not None:
                start += joins.shift(packet.dts * over / under, length)
            if first_key is None and packet.is_keyframe:
                first_key, before_key = stamp, packets
                shown.clear()
            packets += 1
            group = proof.of(packet)
            if not packet.is_discard:
                shown.append((start - origin, length, stamp or 0, group))
        refuse_cut_off(container, path, end, origin)
    if not shown:
        raise ClipError(NO_VIDEO, "the video stream has no frames")
    shown.sort()
    index = frame_index([frame[:2] for frame in shown])
    groups = Groups([frame[2] for frame in shown], [frame[3] for frame in shown]) if proof.holds else None
    return dataclasses.replace(index, before_key=before_key, first_key=first_key, groups=groups)


def frame_index(shown: list[tuple[float, float]]) -> FrameIndex:
    """From (time, duration) of each frame, in any order; a duration of 0 is one that nobody knows."""
    times, durations = np.array(sorted(shown), np.float64).T
    gaps = np.diff(times)
    until_next = np.append(gaps, gaps.mean() if len(gaps) else 0.0)
    return FrameIndex(times, np.where(durations > 0, durations, until_next))


class Joins:
    """Where the parts of a joined stream meet, time jumps; put right, each part begins where the one before ended."""

    def __init__(self) -> None:
        self._shift = 0.0
        self._last: float | None = None
        self._step = 0.0

    def shift(self, time: float, length: float) -> float:
        """What to add to this frame's times.

        Args:
            time: in seconds; of all frames, in the order of decoding.
            length: the frame's duration in seconds, 0 where it is not known.
        """
        if self._last is not None:
            pause = time - self._last
            if not 0 <= pause <= LONGEST_PAUSE:
                self._shift += self._step - pause
            else:
                self._step = length or pause
        self._last = time
        return self._shift
