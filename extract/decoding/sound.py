"""Decode a file's sound to one channel at the sample rate that a recipe asks for.

N samples, C channels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soxr

from ..preparation.encoder_input import AudioPreparation
from ..preparation.recipes import Recipe
from .faults import NO_AUDIO, UNREADABLE, ClipError
from .opening import open_media
from .wholeness import JOINABLE, refuse_damaged

Waveform = npt.NDArray[np.float32]

# MoviePy has ffmpeg convert to this rate first.
MOVIEPY_RATE = 44_100
# Decoded beyond what the fbank spans, so that the resampling filter sees no edge there.
MARGIN_SECONDS = 1.0


def read_sound(path: Path, recipe: Recipe, preparation: AudioPreparation) -> Waveform:
    """Decode the beginning of the best audio stream, as much as the fbank spans.

    Returns:
        (N,) float32 within -1..1 at `preparation.sample_rate`.

    Raises:
        ClipError: no audio stream, or one without samples; damaged packets; a rate that changes.
        Exception: whatever PyAV says of what it cannot read.
    """
    seconds = preparation.samples / preparation.sample_rate + MARGIN_SECONDS
    with open_media(path) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise ClipError(NO_AUDIO, "the file has no audio stream")
        if recipe.resampling == "pick":
            length = (container.duration or 0) / 1e6
            waveform = _moviepy(container, stream, preparation.sample_rate, seconds, length)
        else:
            waveform = _mixed_down(container, stream, preparation.sample_rate, seconds)
    if len(waveform) == 0:
        raise ClipError(NO_AUDIO, "the audio stream has no samples")
    return waveform


def _mixed_down(container: Any, stream: Any, sample_rate: int, seconds: float) -> Waveform:
    """The mean of all channels, by soxr at high quality (librosa's choice) to `sample_rate`."""
    pieces: list[Waveform] = []
    rate, samples = 0, 0
    for frame in _decode(container, stream):
        if rate not in (0, frame.sample_rate):
            raise ClipError(UNREADABLE, f"the sample rate changes from {rate} to {frame.sample_rate} Hz")
        rate = frame.sample_rate
        pieces.append(channels_of(frame).mean(axis=0, dtype=np.float32))
        samples += frame.samples
        if samples >= seconds * rate:
            break
    if not pieces:
        return np.zeros(0, np.float32)
    resampled: Waveform = soxr.resample(np.concatenate(pieces), rate, sample_rate, quality="HQ")
    return resampled


def channels_of(frame: Any) -> Waveform:
    """A PyAV audio frame of any sample format as (C, N) float32 within -1..1."""
    samples: npt.NDArray[Any] = frame.to_ndarray()  # planar (C, N), packed (1, N * C)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32, copy=False)


def _moviepy(container: Any, stream: Any, sample_rate: int, seconds: float, length: float) -> Waveform:
    """The first channel of what MoviePy 1 writes for a video, as 16-bit sound of the video's length.

    ffmpeg converts to 16-bit stereo at 44,100 Hz, of which MoviePy takes, without any filter, the sample
    nearest to each output sample's time; beyond the end of the sound it writes zeros; it clips at 0.99.
    """
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=MOVIEPY_RATE)
    pieces: list[npt.NDArray[np.int16]] = []
    samples = 0
    for frame in _decode(container, stream):
        for converted in resampler.resample(frame):
            pieces.append(_first_channel(converted))
            samples += converted.samples
        if samples >= seconds * MOVIEPY_RATE:
            break
    pieces += [_first_channel(rest) for rest in resampler.resample(None)]
    if not pieces:
        return np.zeros(0, np.float32)
    source = np.concatenate(pieces)
    count = int(min(length, seconds) * sample_rate) if length else len(source) * sample_rate // MOVIEPY_RATE
    nearest = np.round(np.arange(count) / sample_rate * MOVIEPY_RATE).astype(int)
    sound = np.zeros(count, np.float32)
    held = nearest < len(source)
    sound[held] = source[nearest[held]]
    return np.trunc(np.clip(sound, -0.99 * 2**15, 0.99 * 2**15)).astype(np.float32) / np.float32(2**15)


def _first_channel(frame: Any) -> npt.NDArray[np.int16]:
    """Of packed 16-bit stereo, (N,)."""
    samples: npt.NDArray[np.int16] = frame.to_ndarray().reshape(-1, 2)[:, 0]
    return samples


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        if container.format.name not in JOINABLE:
            refuse_damaged(packet)
        yield from packet.decode()
