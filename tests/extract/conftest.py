"""Video files for the tests: small, real, and written with PyAV; every picture shows its own number."""

import struct
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

BITS = 8
SIDE = 64


def picture(number: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """(H, W, 3): the top quarter shows the number in bars, lowest bit left; the rest is a colour gradient."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 200, height)[:, None]
    image[..., 1] = np.linspace(40, 200, width)[None, :]
    bar = width // BITS
    for bit in range(BITS):
        image[: height // 4, bit * bar : (bit + 1) * bar] = 255 if number >> bit & 1 else 0
    return image


def number_of(pixels: np.ndarray) -> int:
    """The number that a (H, W, 3) or (3, H, W) picture shows."""
    image = pixels if pixels.shape[-1] == 3 else pixels.transpose(1, 2, 0)
    height, width = image.shape[:2]
    bar = width // BITS
    middle = image[height // 16 : 3 * height // 16]
    bars = [middle[:, bit * bar + bar // 4 : (bit + 1) * bar - bar // 4] for bit in range(BITS)]
    return sum((bars[bit].mean() > 128) << bit for bit in range(BITS))


def tone(seconds: float, rate: int, channels: int) -> np.ndarray:
    """(C, N) float32: 440 Hz in the first channel, twice that in the second, and so on, ever quieter."""
    time = np.arange(int(seconds * rate)) / rate
    return np.stack([np.sin(2 * np.pi * 440 * (c + 1) * time) * 0.5 / (c + 1) for c in range(channels)]).astype(
        np.float32
    )


# Largest value, that of silence, and numpy's name.
SAMPLE_TYPES = {
    "u8": (127.0, 128.0, "u1"),
    "s16": (2.0**15 - 1, 0.0, "i2"),
    "s32": (2.0**31 - 1, 0.0, "i4"),
    "flt": (1.0, 0.0, "f4"),
    "dbl": (1.0, 0.0, "f8"),
}


def in_format(sound: np.ndarray, name: str) -> np.ndarray:
    """(C, N) within -1..1 as PyAV takes it: (C, N) for planar formats ("fltp"), (1, N * C) for packed ones."""
    scale, offset, kind = SAMPLE_TYPES[name.removesuffix("p")]
    sound = sound * scale + offset
    sound = (np.round(sound) if scale > 1 else sound).astype(kind)
    return np.ascontiguousarray(sound) if name.endswith("p") else np.ascontiguousarray(sound.T.reshape(1, -1))


def write_clip(
    path: Path,
    *,
    frames: int = 30,
    rate: int = 15,
    times_ms: Sequence[int] | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
    video: str | None = "libx264",
    sound: np.ndarray | None = None,
    audio: str | None = "aac",
    audio_rate: int = 16_000,
    layout: str = "mono",
    sample_format: str = "fltp",
    group: int = 250,
    options: Mapping[str, str] | None = None,
    pixels: str = "yuv420p",
    b_frames: int | None = None,
    muxer: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip. `times_ms` makes the rate variable; `video` or `audio` None leaves that stream out.

    `group` is the most pictures from one key frame to the next; `options` are the video encoder's, beside or instead of
    those that make x264 nearly lossless; `muxer` the container's.
    """
    height, width = size
    container = av.open(str(path), "w", container_options=dict(muxer or {}))
    encoder: Any = None
    if video is not None:
        encoder = container.add_stream(video, rate=1000 if times_ms else rate)
        encoder.width, encoder.height, encoder.pix_fmt = width, height, pixels
        usual = {"libx264": {"crf": "8", "g": str(group)}, "libx265": {"crf": "8"}}.get(video, {"qscale": "2"})
        encoder.options = {**usual, **(options or {})}
        if b_frames is not None:
            encoder.codec_context.gop_size, encoder.codec_context.max_b_frames = group, b_frames
        if times_ms:
            encoder.codec_context.time_base = Fraction(1, 1000)
    speaker: Any = None
    if audio is not None:
        speaker = container.add_stream(audio, rate=audio_rate)
        speaker.layout, speaker.format = layout, sample_format
    if encoder is not None:
        for number in range(len(times_ms) if times_ms else frames):
            frame = av.VideoFrame.from_ndarray(picture(number, height, width), format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(encoder.encode(frame))
        container.mux(encoder.encode())
    if speaker is not None:
        channels = speaker.layout.nb_channels
        if sound is None:
            sound = tone(frames / rate, audio_rate, channels)
        for start in range(0, sound.shape[1], 1024):
            piece = in_format(sound[:, start : start + 1024], sample_format)
            block = av.AudioFrame.from_ndarray(piece, format=sample_format, layout=layout)
            block.sample_rate, block.pts, block.time_base = audio_rate, start, Fraction(1, audio_rate)
            container.mux(speaker.encode(block))
        container.mux(speaker.encode())
    container.close()
    return path


# x264's own settings for open groups of pictures: B-frames before a key frame refer to the group before.
OPEN_GROUPS = "open-gop=1:keyint=20:min-keyint=20:bframes=3:scenecut=0"


def remux(
    source: Path,
    target: Path,
    change: Callable[[list[Any]], list[Any]] = list,
    muxer: Mapping[str, str] | None = None,
) -> Path:
    """Stream copy. `change` gets all packets and returns those to write; `muxer` are the container's options."""
    with av.open(str(source)) as old, av.open(str(target), "w", container_options=dict(muxer or {})) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        packets = [(packet.stream_index, packet) for packet in old.demux() if packet.size]
        index = {id(packet): i for i, packet in packets}
        for packet in change([packet for _, packet in packets]):
            packet.stream = streams[index.get(id(packet), 0)]
            new.mux(packet)
    return target


def scrambled(packet: Any, share: float = 0.5) -> Any:
    """The packet with noise in this share of it, at its end; of the video stream, the first in the file."""
    data = bytearray(bytes(packet))
    kept = round(len(data) * (1 - share))
    data[kept:] = np.random.default_rng(0).bytes(len(data) - kept)
    other = av.Packet(bytes(data))
    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
    other.time_base, other.is_keyframe = packet.time_base, packet.is_keyframe
    return other


def turn(path: Path, quarters_clockwise: int) -> Path:
    """Write into an MP4's first track that it is to be shown turned."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters_clockwise % 4]
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """`clip("name.mp4", frames=30, ...)` writes a file as `write_clip` does and returns its path."""

    def make(name: str = "clip.mp4", **settings: Any) -> Path:
        return write_clip(tmp_path / name, **settings)

    return make
