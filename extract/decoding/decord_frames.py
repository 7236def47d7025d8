"""Frames by decord, where it can be shown to give those of decoding in order.

decord seeks to key frames and counts on from there, which is right where groups of pictures are closed and wrong where
they are open. It converts pixels on its own, as PyAV does for progressive pictures of 8 bits whose sides are even and
whose colours carry no tags, and differently for others. And it passes on pictures that its decoder had to conceal,
with no more than a line on standard error. So it is the second choice, for files that kill PyAV or hold it up.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from .faults import UNREADABLE, ClipError
from .frame_index import FrameIndex
from .opening import open_media, url_of

CONTAINERS = ("mov", "matroska")
PROGRESSIVE, UNTAGGED = 1, (2, 0)  # libav's AVFieldOrder; AVColorSpace and AVColorRange


def decord_frames(path: Path, index: FrameIndex, wanted: list[int]) -> npt.NDArray[np.uint8]:
    """The frames at these places of the order of time, (len(wanted), H, W, 3) RGB.

    Raises:
        ClipError: nothing shows that decord would give the right ones, or it complains, counts other frames than the
            packets hold, or reads other times.
        Exception: whatever else decord says.
    """
    import decord

    refuse_unlike(path, index)
    decord.logging.set_level(decord.logging.INFO)  # on which its decoder tells of concealment
    with _standard_error() as said:
        # fault_tol: no frame may silently be replaced by another one.
        reader = decord.VideoReader(url_of(path), ctx=decord.cpu(0), num_threads=1, fault_tol=0)
        if len(reader) != len(index):
            raise ClipError(UNREADABLE, f"counts {len(reader)} frames where the packets hold {len(index)}")
        times = reader.get_frame_timestamp(wanted)[:, 0]
        expected = index.times[wanted]
        if not np.allclose(times - times[0], expected - expected[0], rtol=0, atol=0.005):
            raise ClipError(UNREADABLE, "reads other times of the frames than the packets hold")
        frames: npt.NDArray[np.uint8] = reader.get_batch(wanted).asnumpy()
        said.seek(0)
        complaint = said.readline(300).decode(errors="replace").strip()
    if complaint:
        raise ClipError(UNREADABLE, f"complains: {complaint}")
    return frames


def refuse_unlike(path: Path, index: FrameIndex) -> None:
    """`ClipError` unless this is a file of which decord gives the same frames and pixels as PyAV."""
    with open_media(path) as container:
        stream: Any = container.streams.best("video")
        context = stream.codec_context
        reasons = {
            "it is not H.264": context.name != "h264",
            "it is not in MP4 or Matroska": not container.format.name.startswith(CONTAINERS),
            "its groups of pictures are not known to be closed": index.groups is None,
            "its pixels are not 4:2:0 of 8 bits": context.pix_fmt != "yuv420p",
            "its sides are odd": context.width % 2 or context.height % 2,
            "it is interlaced": context.field_order != PROGRESSIVE,
            "its colours are tagged": (context.colorspace, context.color_range) != UNTAGGED,
        }
    for reason, holds in reasons.items():
        if holds:
            raise ClipError(UNREADABLE, f"is not asked for this file: {reason}")


@contextlib.contextmanager
def _standard_error() -> Iterator[IO[bytes]]:
    """A file that takes what native code writes to standard error meanwhile."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(before, 2)
            os.close(before)
