"""When each frame of a file is shown, told from its packets, before anything is decoded.

n frames.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .faults import NO_VIDEO, UNREADABLE, ClipError
from .opening import open_media

# A file that holds less than this share of what its header promises, and lacks more than these seconds, was
# cut off. Headers are often wrong by less.
LEAST_SHARE, MOST_LACKING = 0.75, 2.0


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file's best video stream, in the order in which they are shown."""

    times: npt.NDArray[np.float64]
    """(n,) seconds after the file's start, ascending."""
    durations: npt.NDArray[np.float64]
    """(n,) seconds, as the container says; where it says nothing, until the next frame."""

    def __len__(self) -> int:
        return len(self.times)


def index_frames(path: Path) -> FrameIndex:
    """Read the time stamps of all packets of the best video and audio streams.

    Packets that an edit list takes out of the clip do not count. The number of frames is that of the packets:
    what the header says of it is often wrong.

    Raises:
        ClipError: no video stream, a damaged packet, or a file that ends far too early.
        Exception: whatever PyAV says of a file that it cannot read.
    """
    with open_media(path) as container:
        streams = [container.streams.best(kind) for kind in ("video", "audio")]
        if streams[0] is None:
            raise ClipError(NO_VIDEO, "the file has no video stream")
        origin = (container.start_time or 0) / 1e6
        shown: list[tuple[float, float]] = []
        end = origin
        for packet in container.demux([stream for stream in streams if stream is not None]):
            if packet.size == 0:  # PyAV's mark for the end of a stream
                continue
            refuse_damaged(packet)
            stamp = packet.dts if packet.pts is None else packet.pts
            length = float((packet.duration or 0) * packet.time_base)
            start = end if stamp is None else float(stamp * packet.time_base)
            end = max(end, start + length)
            if packet.stream_index == streams[0].index and not packet.is_discard:
                shown.append((start - origin, length))
        promised = (container.duration or 0) / 1e6
    if not shown:
        raise ClipError(NO_VIDEO, "the video stream has no frames")
    held = end - origin
    if held < LEAST_SHARE * promised and held < promised - MOST_LACKING:
        words = f"the file ends after {held:.1f} s of the {promised:.1f} s that its header promises"
        raise ClipError(UNREADABLE, words)
    return frame_index(shown)


def frame_index(shown: list[tuple[float, float]]) -> FrameIndex:
    """From (time, duration) of each frame, in any order; a duration of 0 is one that nobody knows."""
    times, durations = np.array(sorted(shown), np.float64).T
    gaps = np.diff(times)
    until_next = np.append(gaps, gaps.mean() if len(gaps) else 0.0)
    return FrameIndex(times, np.where(durations > 0, durations, until_next))


def refuse_damaged(packet: Any) -> None:
    """`ClipError` for a packet that the demuxer knows to be cut short."""
    if packet.is_corrupt:
        raise ClipError(UNREADABLE, f"a packet of the {packet.stream.type} stream is cut short: the file is truncated")
