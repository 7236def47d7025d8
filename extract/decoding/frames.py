"""The frames that a recipe takes from a file, prepared for the encoder.

PyAV decodes them in order, which is right for every file; decord is the second choice (see `decord_frames`). Frames
come upright. Shapes: T frames of the clip, H height, W width, n frames of the file.
"""

import importlib.util
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from ..preparation.encoder_input import VisualPreparation, prepare_frame
from ..preparation.recipes import Recipe, even_choice, jpeg_choice, retimed
from .decord_frames import decord_frames
from .frame_index import FrameIndex, index_frames
from .jpeg import JpegFrames, read_jpeg
from .pictures import OtherCountError, decoded, index_by_decoding

Pixels = npt.NDArray[np.uint8]

READING = 2
"""Version of how files are read, which caches record. In version 1 decord sought: where groups of pictures are open it
gave other frames than asked for, where pixels are not plain other ones than PyAV; and concealed pictures passed."""


def decoders_for(recipe: Recipe) -> tuple[str, ...]:
    """Names of the decoders to try, the first choice first.

    PyAV, then decord where it is installed. JPEG frames need the decoder's own YUV pictures, which decord does not
    give.
    """
    if recipe.jpeg_rate is None and importlib.util.find_spec("decord") is not None:
        return "pyav", "decord"
    return ("pyav",)


def read_frames(path: Path, recipe: Recipe, preparation: VisualPreparation, decoder: str) -> Pixels:
    """Decode, resize and crop the frames of one clip.

    Returns:
        (T, 3, crop, crop) uint8 in the order of time; T = `preparation.frames` whatever the clip's length.

    Raises:
        ClipError: no video, damaged pictures, or a frame that cannot be had.
        Exception: whatever else the decoder's library says.
    """
    index = index_frames(path)
    if decoder == "decord":
        chosen = even_choice(index.times, preparation.frames)
        unique = sorted(set(chosen))
        frames = dict(zip(unique, decord_frames(path, index, unique), strict=True))
        prepared = {i: prepare_frame(frame, preparation) for i, frame in frames.items()}
        return np.stack([prepared[i] for i in chosen])
    read = _read_evenly if recipe.jpeg_rate is None else _read_jpeg
    try:
        return read(path, index, recipe, preparation)
    except OtherCountError:  # not every packet gives a frame: read once more, to know the true frames
        return read(path, index_by_decoding(path, index), recipe, preparation)


def _read_evenly(path: Path, index: FrameIndex, recipe: Recipe, preparation: VisualPreparation) -> Pixels:
    """Frames evenly over the clip."""
    chosen = even_choice(index.times, preparation.frames)
    wanted = set(chosen)
    prepared = {
        i: prepare_frame(upright(frame), preparation) for i, frame in decoded(path, index, wanted) if i in wanted
    }
    return np.stack([prepared[i] for i in chosen])


def _read_jpeg(path: Path, index: FrameIndex, recipe: Recipe, preparation: VisualPreparation) -> Pixels:
    """Frames as ffmpeg would have written them to JPEG files of the recipe's rate."""
    assert recipe.jpeg_rate is not None
    written = retimed(index.times, index.durations, recipe.jpeg_rate)
    chosen = jpeg_choice(len(written), preparation.frames)
    jpeg = JpegFrames(recipe.jpeg_rate, set(chosen))
    position = 0
    for i, frame in decoded(path, index, written):
        while position < len(written) and written[position] == i:
            jpeg.write(frame if frame.rotation % 360 == 0 else _rgb_frame(upright(frame)))
            position += 1
    prepared = {number: prepare_frame(read_jpeg(data), preparation) for number, data in jpeg.finish().items()}
    return np.stack([prepared[number] for number in chosen])


def upright(frame: Any) -> Pixels:
    """A PyAV frame as (H, W, 3) RGB, turned as its display matrix says, to the nearest quarter."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _rgb_frame(pixels: Pixels) -> Any:
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")
