"""Decode a file's sound to one channel at the sample rate that a recipe asks for.

N samples, C channels.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soxr
from av.audio.plane import AudioPlane

from ..preparation.encoder_input import SoundPreparation
from ..preparation.recipes import Recipe
from .faults import NO_AUDIO, UNREADABLE, ClipError
from .opening import open_media
from .wholeness import JOINABLE, refuse_damaged

Waveform = npt.NDArray[np.float32]

# MoviePy has ffmpeg convert to this rate first.
MOVIEPY_RATE = 44_100
# Decoded beyond what the fbank spans, so that the resampling filter sees no edge there.
MARGIN_SECONDS = 1.0
# libav's sample formats, those whose channels lie apart without the "p" behind them.
SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


def read_sound(path: Path, recipe: Recipe, preparation: SoundPreparation) -> Waveform:
    """Decode the beginning of the best audio stream, as much as the encoder sees.

    Returns:
        (N,) float32 within -1..1 at `preparation.sample_rate`.

    Raises:
        ClipError: no audio stream, or one without samples; damaged sound.
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
    resampled: list[Waveform] = []
    for rate, frames in itertools.groupby(_decode(container, stream, seconds), key=lambda frame: frame.sample_rate):
        mean = np.concatenate([channels_of(frame).mean(axis=0, dtype=np.float32) for frame in frames])
        resampled.append(soxr.resample(mean, rate, sample_rate, quality="HQ"))
    return np.concatenate(resampled) if resampled else np.zeros(0, np.float32)


def channels_of(frame: Any) -> Waveform:
    """A PyAV audio frame of any sample format as (C, N) float32 within -1..1."""
    channels, kind = frame.layout.nb_channels, SAMPLE_TYPES[frame.format.name.removesuffix("p")]
    # Plane by plane: with eight and more PyAV's own list of them, which `to_ndarray` takes, runs past their end.
    planes = [AudioPlane(frame, i) for i in range(channels if frame.format.is_planar else 1)]
    each = frame.samples * channels // len(planes)
    samples: npt.NDArray[Any] = np.stack([np.frombuffer(memoryview(plane), kind, each) for plane in planes])
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
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
    pieces: list[npt.NDArray[np.int16]] = []
    for _, frames in itertools.groupby(_decode(container, stream, seconds), key=_form):
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=MOVIEPY_RATE)
        pieces += [_first_channel(piece) for frame in (*frames, None) for piece in resampler.resample(frame)]
    if not pieces:
        return np.zeros(0, np.float32)
    source = np.concatenate(pieces)
    count = int(min(length, seconds) * sample_rate) if length else len(source) * sample_rate // MOVIEPY_RATE
    nearest = np.round(np.arange(count) / sample_rate * MOVIEPY_RATE).astype(int)
    sound = np.zeros(count, np.float32)
    held = nearest < len(source)
    sound[held] = source[nearest[held]]
    return np.trunc(np.clip(sound, -0.99 * 2**15, 0.99 * 2**15)).astype(np.float32) / np.float32(2**15)


def _form(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _first_channel(frame: Any) -> npt.NDArray[np.int16]:
    """Of packed 16-bit stereo, (N,)."""
    samples: npt.NDArray[np.int16] = frame.to_ndarray().reshape(-1, 2)[:, 0]
    return samples


def _decode(container: Any, stream: Any, seconds: float) -> Iterator[Any]:
    """The frames of the first so many seconds of sound; `ClipError` behind them if any was damaged."""
    samples, rate, before = 0, 0, 0.0  # at the present rate; seconds at earlier ones
    count = damaged = 0
    for frame in _frames(container, stream):
        if frame.sample_rate != rate:
            before += samples / rate if rate else 0.0
            samples, rate = 0, frame.sample_rate
        samples += frame.samples
        count += 1
        damaged += frame.is_corrupt
        yield frame
        if samples >= (seconds - before) * rate:
            break
    if damaged:
        raise ClipError(UNREADABLE, f"{damaged} of the {count} frames of sound decoded are damaged")


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        if container.format.name not in JOINABLE:
            refuse_damaged(packet)
        yield from packet.decode()
