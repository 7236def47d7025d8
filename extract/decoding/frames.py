"""Decode the frames that a recipe takes from a file: by decord, or by PyAV.

Both give the same frames, upright. Shapes: T frames of the clip, H height, W width, n frames of the file.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from ..preparation.encoder_input import VisualPreparation, prepare_frame
from ..preparation.recipes import Recipe, even_choice, jpeg_choice, retimed
from .faults import UNREADABLE, ClipError
from .frame_index import FrameIndex, frame_index, index_frames
from .jpeg import JpegFrames, read_jpeg
from .opening import open_media, url_of

Pixels = npt.NDArray[np.uint8]


def decoders_for(recipe: Recipe) -> tuple[str, ...]:
    """Names of the decoders to try, the first choice first.

    decord where it is installed, then PyAV. JPEG frames need the decoder's own YUV pictures, which decord
    does not give.
    """
    if recipe.jpeg_rate is None and importlib.util.find_spec("decord") is not None:
        return "decord", "pyav"
    return ("pyav",)


def read_frames(path: Path, recipe: Recipe, preparation: VisualPreparation, decoder: str) -> Pixels:
    """Decode, resize and crop the frames of one clip.

    Returns:
        (T, 3, crop, crop) uint8 in the order of time; T = `preparation.frames` whatever the clip's length.

    Raises:
        ClipError: no video, or a frame that cannot be had.
        Exception: whatever else the decoder's library says.
    """
    index = index_frames(path)
    if recipe.jpeg_rate is not None:
        return _read_jpeg(path, index, recipe.jpeg_rate, preparation)
    return READERS[decoder](path, index, preparation)


def _read_with_decord(path: Path, index: FrameIndex, preparation: VisualPreparation) -> Pixels:
    """Frames by decord, as long as it agrees with the packets on how many there are and when.

    Where it does not (edit lists, packets without time stamps), it gives other frames than asked for, or
    waits for ever for one that does not exist.
    """
    import decord

    chosen = even_choice(index.times, preparation.frames)
    # fault_tol: no frame may silently be replaced by another one.
    reader = decord.VideoReader(url_of(path), ctx=decord.cpu(0), num_threads=1, fault_tol=0)
    if len(reader) != len(index):
        raise ClipError(UNREADABLE, f"counts {len(reader)} frames where the packets hold {len(index)}")
    unique = sorted(set(chosen))
    times = reader.get_frame_timestamp(unique)[:, 0]
    expected = index.times[unique]
    if not np.allclose(times - times[0], expected - expected[0], rtol=0, atol=0.005):
        raise ClipError(UNREADABLE, "reads other times of the frames than the packets hold")
    frames = reader.get_batch(unique).asnumpy()  # (<= T, H, W, 3)
    prepared = {i: prepare_frame(frame, preparation) for i, frame in zip(unique, frames, strict=True)}
    return np.stack([prepared[i] for i in chosen])


def _read_with_pyav(path: Path, index: FrameIndex, preparation: VisualPreparation) -> Pixels:
    """Frames by PyAV. A file whose packets do not all give a frame is read twice, to know its true frames."""

    def attempt(index: FrameIndex) -> Pixels:
        chosen = even_choice(index.times, preparation.frames)
        wanted = set(chosen)
        prepared = {
            i: prepare_frame(upright(frame), preparation) for i, frame in _decode_all(path, len(index)) if i in wanted
        }
        return np.stack([prepared[i] for i in chosen])

    try:
        return attempt(index)
    except _OtherCountError:
        return attempt(_index_by_decoding(path))


def _read_jpeg(path: Path, index: FrameIndex, rate: int, preparation: VisualPreparation) -> Pixels:
    """Frames as ffmpeg would have written them to JPEG files of `rate` frames a second."""

    def attempt(index: FrameIndex) -> Pixels:
        written = retimed(index.times, index.durations, rate)
        chosen = jpeg_choice(len(written), preparation.frames)
        jpeg = JpegFrames(rate, set(chosen))
        position = 0
        for i, frame in _decode_all(path, len(index)):
            while position < len(written) and written[position] == i:
                jpeg.write(frame if frame.rotation % 360 == 0 else _rgb_frame(upright(frame)))
                position += 1
        prepared = {number: prepare_frame(read_jpeg(data), preparation) for number, data in jpeg.finish().items()}
        return np.stack([prepared[number] for number in chosen])

    try:
        return attempt(index)
    except _OtherCountError:
        return attempt(_index_by_decoding(path))


READERS: dict[str, Callable[[Path, FrameIndex, VisualPreparation], Pixels]] = {
    "decord": _read_with_decord,
    "pyav": _read_with_pyav,
}


class _OtherCountError(Exception):
    """A file gave more or fewer frames than it has packets."""


def _decode_all(path: Path, expected: int) -> Iterator[tuple[int, Any]]:
    """Every frame with its place in the order of time; `_OtherCountError` unless there are `expected`."""
    count = 0
    for frame in _decode(path):
        if count < expected:
            yield count, frame
        count += 1
    if count != expected:
        raise _OtherCountError


def _decode(path: Path) -> Iterator[Any]:
    with open_media(path) as container:
        stream: Any = container.streams.best("video")
        # One thread: several worker processes decode at once, and results must not depend on how many.
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def _index_by_decoding(path: Path) -> FrameIndex:
    """The index of the frames that really come out; ClipError where there are none."""
    with open_media(path) as container:
        origin = (container.start_time or 0) / 1e6
        stream: Any = container.streams.best("video")
        rate = stream.average_rate
    step = float(1 / rate) if rate else 1.0
    shown = [
        (number * step if frame.time is None else frame.time - origin, 0.0)
        for number, frame in enumerate(_decode(path))
    ]
    if not shown:
        raise ClipError(UNREADABLE, "no frame can be decoded")
    return frame_index(shown)


def upright(frame: Any) -> Pixels:
    """A PyAV frame as (H, W, 3) RGB, turned as its display matrix says, to the nearest quarter."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _rgb_frame(pixels: Pixels) -> Any:
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")
