"""JPEG files as ffmpeg's command line writes them."""

import io
from typing import Any

import av
import numpy as np
from avcil.extract.decoding.jpeg import JpegFrames, read_jpeg
from PIL import Image

from ..conftest import picture

SIDE = 240
# Sums of the luminance tables of the first fourteen files that `ffmpeg -f rawvideo -pix_fmt yuv420p
# -s 240x240 -r 10 -i - -threads 1 -r 10 %06d.jpg` (ffmpeg 9.0.2) wrote from the pictures below.
TABLES = [1825, 1299, 509, 773, 1299, 1825, 2615, 3154, 3931, 4721, 5511, 6326, 6561, 6561]


def pictures(count: int) -> list[av.VideoFrame]:
    """YUV pictures of random squares, the same on every machine."""
    random = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        squares = random.integers(0, 256, (SIDE // 4, SIDE // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        frame = av.VideoFrame(SIDE, SIDE, "yuv420p")
        for plane, values in zip(
            frame.planes, (squares[..., 0], squares[::2, ::2, 1], squares[::2, ::2, 2]), strict=True
        ):
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : plane.width] = values
            plane.update(padded.tobytes())
        frames.append(frame)
    return frames


def test_files_are_those_of_ffmpeg_and_get_coarser_until_its_default_rate_is_met():
    jpeg = JpegFrames(10, range(1, 15))
    for frame in pictures(14):
        jpeg.write(frame)
    files = jpeg.finish()
    assert list(files) == list(range(1, 15))
    opened: list[Any] = [Image.open(io.BytesIO(data)) for data in files.values()]
    assert [sum(image.quantization[0]) for image in opened] == TABLES


def test_a_kept_file_does_not_depend_on_what_else_is_kept():
    everything, one = JpegFrames(10, range(1, 9)), JpegFrames(10, {6})
    for frame in pictures(8):
        everything.write(frame)
        one.write(frame)
    assert one.finish() == {6: everything.finish()[6]}


def test_a_file_reads_back_as_nearly_the_picture():
    original = picture(5, SIDE, SIDE)
    jpeg = JpegFrames(10, {1})
    jpeg.write(av.VideoFrame.from_ndarray(original, format="rgb24"))
    read = read_jpeg(jpeg.finish()[1])
    assert read.shape == original.shape
    assert np.abs(read.astype(int) - original).mean() < 4
