"""Frames through ffmpeg's JPEG encoder at its default settings, as `ffmpeg -r RATE %06d.jpg` writes them."""

import io
from collections.abc import Collection
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType
from PIL import Image


class JpegFrames:
    """Write frames one after the other and keep some of the files.

    ffmpeg's default is no constant quality but 200 kbit/s: the quality starts high and falls from frame to
    frame until that rate is met, so every frame has to be encoded for the kept ones to come out right. The
    files show, pixel for pixel, what those of ffmpeg's command line do (seen with 9.0.2, one thread).

    Args:
        rate: frames a second.
        keep: numbers of the frames to keep, counted from 1.
    """

    def __init__(self, rate: int, keep: Collection[int]) -> None:
        self._rate, self._keep = rate, frozenset(keep)
        self._encoder: Any = None
        self._written = self._finished = 0
        self._kept: dict[int, bytes] = {}

    def write(self, frame: Any) -> None:
        """Encode the next `av.VideoFrame`, of any pixel format; all take the first one's size."""
        if self._encoder is None:
            self._encoder = self._open(frame.width, frame.height)
        picture = frame.reformat(self._encoder.width, self._encoder.height, format="yuvj420p")
        picture.pts, picture.time_base = self._written, Fraction(1, self._rate)
        picture.pict_type = PictureType.NONE
        self._written += 1
        self._take(self._encoder.encode(picture))

    def finish(self) -> dict[int, bytes]:
        """The kept files, by number."""
        if self._encoder is not None:
            self._take(self._encoder.encode(None))
        return dict(self._kept)

    def _open(self, width: int, height: int) -> Any:
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
        encoder.time_base, encoder.framerate = Fraction(1, self._rate), Fraction(self._rate)
        encoder.bit_rate = 200_000
        encoder.thread_count = 1
        return encoder

    def _take(self, packets: list[Any]) -> None:
        for packet in packets:
            self._finished += 1
            if self._finished in self._keep:
                self._kept[self._finished] = bytes(packet)


def read_jpeg(data: bytes) -> npt.NDArray[np.uint8]:
    """A JPEG file's picture as (H, W, 3) RGB."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
