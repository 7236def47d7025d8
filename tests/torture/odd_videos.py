"""Files that are no clips, and clips of unusual kinds, made by PyAV."""

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from avcil.tests.extract.conftest import in_format, picture, tone, turn, write_clip

SIDE = 240
Expected = list[int] | None
"""Numbers of all pictures, in order; None where the file has to be refused."""
EITHER: Expected = []
"""It may be read or refused, within the memory that a worker process has."""
Make = Callable[[Path, Path], tuple[Path, Expected]]
"""Makes a file in a folder; a whole clip lies at the second path."""


def _clip(name: str = "clip.mp4", frames: int = 30, **settings: Any) -> Make:
    def make(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        path = write_clip(folder / name, frames=frames, size=(SIDE, SIDE), **settings)
        return path, list(range(frames))

    return make


def _bytes(content: bytes, name: str = "clip.mp4") -> Make:
    def make(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        (folder / name).write_bytes(content)
        return folder / name, None

    return make


def _naming(text: str, name: str = "clip.mp4") -> Make:
    """A script or playlist that names another file."""

    def make(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        (folder / name).write_text(text.format(neighbour=neighbour, relative=os.path.relpath(neighbour, folder)))
        return folder / name, None

    return make


@dataclass(frozen=True)
class Track:
    """A track of sound."""

    layout: str = "mono"
    codec: str = "aac"
    rate: int = 48_000
    seconds: float = 2.0


def _written(path: Path, numbers: range, *tracks: Track) -> Path:
    """Pictures of these numbers at 15 a second, and tracks of sound, which the encoders convert to what they take."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=15)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "8"}
        speakers: list[Any] = [container.add_stream(one.codec, rate=one.rate, layout=one.layout) for one in tracks]
        for number in numbers:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, SIDE, SIDE), format="rgb24")))
        container.mux(stream.encode())
        for speaker, track in zip(speakers, tracks, strict=True):
            sound = tone(track.seconds, track.rate, speaker.layout.nb_channels)
            for start in range(0, sound.shape[1], 1024):
                piece = in_format(sound[:, start : start + 1024], "flt")
                block = av.AudioFrame.from_ndarray(piece, format="flt", layout=track.layout)
                block.sample_rate, block.pts, block.time_base = track.rate, start, Fraction(1, track.rate)
                container.mux(speaker.encode(block))
            container.mux(speaker.encode())
    return path


def _sound(*tracks: Track, suffix: str = "mp4") -> Make:
    return lambda folder, neighbour: (_written(folder / f"clip.{suffix}", range(30), *tracks), list(range(30)))


def _joined(*tracks: Track) -> Make:
    """Segments with these tracks, one behind the other, as players put them together."""

    def make(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        data = b""
        for place, track in enumerate(tracks):
            part = _written(folder / f"part{place}.ts", range(30 * place, 30 * place + 30), track)
            data += part.read_bytes()
        (folder / "clip.ts").write_bytes(data)
        return folder / "clip.ts", list(range(30 * len(tracks)))

    return make


def _turned(quarters: int) -> Make:
    """Upright pictures in a file that says to turn them, so that they are not any more: its numbers cannot be read."""

    def make(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        path = folder / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=15)
            stream.width = stream.height = SIDE
            stream.pix_fmt, stream.options = "yuv420p", {"crf": "8"}
            for number in range(30):
                turned = np.ascontiguousarray(np.rot90(picture(number, SIDE, SIDE), quarters))  # against the clock
                container.mux(stream.encode(av.VideoFrame.from_ndarray(turned, format="rgb24")))
            container.mux(stream.encode())
        return turn(path, quarters), list(range(30))

    return make


def _huge(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
    """Pictures of 15,360 by 8,640 points: 400 MB each when decoded."""
    path = folder / "clip.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 15_360, 8_640, "yuvj420p"
        frame = av.VideoFrame(15_360, 8_640, "yuvj420p")
        for number in range(3):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path, EITHER


def _png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(3 * side) for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _inside(make: Make, change: Callable[[bytes], bytes], expected: Expected) -> Make:
    """A clip with something done to its bytes."""

    def made(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        path, _ = make(folder, neighbour)
        path.write_bytes(change(path.read_bytes()))
        return path, expected

    return made


def _special(kind: str) -> Make:
    def make(folder: Path, neighbour: Path) -> tuple[Path, Expected]:
        path = folder / "clip.mp4"
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("nowhere.mp4")
        return path, None

    return make


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{neighbour}\n#EXT-X-ENDLIST\n"
ODD: Mapping[str, Make] = {
    "one picture": _clip(frames=1),
    "two pictures": _clip(frames=2),
    "one key frame for all": _clip(frames=200, group=1000),
    "a key frame each": _clip(frames=30, group=1),
    "no sound": _clip(audio=None),
    "sound in mono": _sound(Track()),
    "sound in stereo": _sound(Track("stereo")),
    "sound in 5.1": _sound(Track("5.1")),
    "sound in 7.1": _sound(Track("7.1")),
    "sound of 8 kHz": _sound(Track(codec="pcm_s16le", rate=8_000), suffix="mkv"),
    "sound of 96 kHz": _sound(Track("stereo", "flac", 96_000), suffix="mkv"),
    "Opus": _sound(Track("stereo", "libopus"), suffix="mkv"),
    "MP3": _sound(Track("stereo", "libmp3lame", 44_100), suffix="mkv"),
    "AC-3": _sound(Track("5.1", "ac3"), suffix="mkv"),
    "sound that ends early": _sound(Track(seconds=0.5)),
    "sound that is longer": _sound(Track(seconds=20.0)),
    "a second track that is longer": _sound(Track(), Track(seconds=20.0)),
    "segments joined": _joined(Track("stereo"), Track("stereo")),
    "segments joined, from stereo to 5.1": _joined(Track("stereo"), Track("5.1")),
    "segments joined, of other rates": _joined(Track("stereo"), Track("stereo", rate=44_100)),
    "turned to the right": _turned(1),
    "turned upside down": _turned(2),
    "turned to the left": _turned(3),
    "times that are uneven": _clip("clip.mkv", times_ms=[40 * number for number in range(30)]),
    "rubbish behind the end": _inside(_clip(), lambda data: data + b"rubbish" * 100, list(range(30))),
    "nothing": _bytes(b""),
    "zeros": _bytes(bytes(100_000)),
    "text": _bytes(b"this is no video\n"),
    "a page of the web": _bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
    "a picture": _bytes(_png(64)),
    "a picture of its suffix": _bytes(_png(64), "clip.png"),
    "JSON": _bytes(b'{"error": "unavailable"}'),
    "the header of a clip alone": _inside(_clip(), lambda data: data[:32], None),
    "a clip without its beginning": _inside(_clip(), lambda data: data[len(data) // 3 :], None),
    "half a clip": _inside(_clip(), lambda data: data[: len(data) // 2], None),
    "half a clip of Matroska": _inside(_clip("clip.mkv", frames=200), lambda data: data[: len(data) // 2], None),
    "sound alone": _inside(_clip(video=None), lambda data: data, None),
    "a script that names a neighbour": _naming("ffconcat version 1.0\nfile {neighbour}\n"),
    "a script with a relative name": _naming("ffconcat version 1.0\nfile {relative}\n"),
    "a playlist that names a neighbour": _naming(PLAYLIST),
    "a playlist by its suffix": _naming(PLAYLIST, "clip.m3u8"),
    "a playlist of the system's": _naming(PLAYLIST.replace("{neighbour}", "/etc/passwd")),
    "a description of a session": _naming("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 0 RTP/AVP 96\n", "clip.sdp"),
    "a manifest of DASH": _naming('<?xml version="1.0"?><MPD><Period><BaseURL>{neighbour}</BaseURL></Period></MPD>'),
    "pictures of 133 million points": _huge,
    "a folder": _special("folder"),
    "a link that leads nowhere": _special("link"),
}
