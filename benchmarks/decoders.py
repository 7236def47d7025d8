"""Which decoder gives the right pictures, of what kind of file, and how fast: `python benchmarks/decoders.py`.

Makes clips of ten seconds whose pictures show their own numbers, asks each decoder for sixteen frames evenly over each
clip, and prints a Markdown table: whether the pictures are those asked for, whether their pixels are the first
column's, and the processor time of all threads, as a share of the first column's; median of some rounds in one run, the
decoders in turn.

    avcil               what the package does: PyAV in order, leaving out closed groups where most can be left out
    PyAV, 2 threads     the same with two threads
    decord, seeking     `get_batch`, as decord is mostly used, and as this package did at first
    decord, in order    `skip_frames` and `next`, so that it never seeks
    second choice       decord where this package asks it
    torchcodec          `seek_mode="exact"`; only where it is installed and finds FFmpeg's libraries

Each decoder runs in a process of its own, which is killed when it hangs.
"""

import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import numpy.typing as npt
from avcil.extract.decoding.decord_frames import decord_frames
from avcil.extract.decoding.frame_index import index_frames
from avcil.extract.decoding.frames import upright
from avcil.extract.decoding.pictures import OtherCountError, decoded, index_by_decoding
from avcil.extract.preparation.recipes import even_choice

Pixels = npt.NDArray[np.uint8]
TAKEN, BITS, PATIENCE = 16, 8, 20.0
HEIGHT, WIDTH, RATE, FRAMES = 240, 320, 25, 250
OPEN = "open-gop=1:keyint=50:min-keyint=50:scenecut=0"


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is encoded, and what is done to its packets."""

    name: str
    suffix: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    width: int = WIDTH
    pixels: str = "yuv420p"
    rate: Fraction = Fraction(RATE)
    b_frames: int | None = None
    group: int | None = None
    colours: tuple[int, int] | None = None
    """AVColorSpace and AVColorRange."""
    slower: bool = False
    """Every third picture is shown ten times as long."""
    starts: float = 0.0
    """Seconds by which all times are moved; before 0 there is an edit list."""
    parts: tuple[tuple[int, float], ...] = ((FRAMES, 0.0),)
    """Frames that are encoded apart, and by how many seconds their times jump: parts of a joined file."""
    wider: int = 0
    """Pixels by which each further part is wider."""


def x264(name: str, suffix: str, parameters: str = "", **more: Any) -> Kind:
    """An H.264 kind with x264's own parameters."""
    return Kind(name, suffix, options={"crf": "18", "x264-params": parameters} if parameters else {"crf": "18"}, **more)


def x265(name: str, suffix: str, parameters: str) -> Kind:
    """An HEVC kind with x265's own parameters."""
    options = {"crf": "18", "preset": "ultrafast", "x265-params": f"log-level=none:bframes=3:{parameters}"}
    return Kind(name, suffix, "libx265", options)


KINDS = (
    x264("H.264, closed groups of 250", "mp4", "keyint=250"),
    x264("H.264, closed groups of 25", "mp4", "keyint=25"),
    x264("H.264, closed groups of 25", "mkv", "keyint=25"),
    x264("H.264, closed groups of 12", "mp4", "keyint=12"),
    x264("H.264, closed groups of 5", "mp4", "keyint=5:min-keyint=5"),
    x264("H.264, key frames only", "mp4", "keyint=1"),
    x264("H.264, open groups", "mp4", OPEN),
    x264("H.264, open groups", "mkv", OPEN),
    x264("H.264, open groups", "ts", OPEN),
    x264("H.264, intra refresh", "mkv", "intra-refresh=1:keyint=50"),
    x264("H.264, 29.97 a second", "mp4", "keyint=60", rate=Fraction(30_000, 1001)),
    x264("H.264, variable rate", "mkv", "keyint=50", slower=True),
    x264("H.264, edit list", "mp4", "keyint=60", starts=-1.0),
    x264("H.264, starts at 5 s", "mkv", "keyint=25", starts=5.0),
    x264("H.264, segments", "ts", "keyint=25", parts=((125, 0.0), (125, 0.0))),
    x264("H.264, segments, times start anew", "ts", "keyint=25", parts=((125, 0.0), (125, -5.0))),
    x264("H.264, 10 bits", "mp4", "keyint=50", pixels="yuv420p10le"),
    x264("H.264, 4:4:4", "mp4", "keyint=50", pixels="yuv444p"),
    x264("H.264, interlaced", "mp4", "keyint=50:interlaced=1"),
    x264("H.264, interlaced, open groups", "ts", f"interlaced=1:{OPEN}"),
    x264("H.264, tagged BT.709", "mp4", "keyint=50", colours=(1, 1)),
    x264("H.264, full range", "mp4", "keyint=50", colours=(1, 2)),
    x264("H.264, the size changes", "ts", "keyint=25", parts=((125, 0.0), (125, 0.0)), wider=64),
    x265("HEVC, closed groups", "mp4", "open-gop=0:keyint=25"),
    x265("HEVC, open groups", "mkv", OPEN),
    x265("HEVC, open groups", "ts", OPEN),
    Kind("MPEG-4, B-frames", "mp4", "mpeg4", {"qscale": "3"}, b_frames=2, group=50),
    Kind("MPEG-4, B-frames", "avi", "mpeg4", {"qscale": "3"}, b_frames=2, group=50),
    Kind("MPEG-4, odd width", "mp4", "mpeg4", {"qscale": "3"}, width=319, group=50),
    Kind("MPEG-2, B-frames", "ts", "mpeg2video", {"qscale": "3"}, b_frames=2, group=15),
    Kind("MPEG-2, B-frames", "mpg", "mpeg2video", {"qscale": "3"}, b_frames=2, group=15),
    Kind("MJPEG", "avi", "mjpeg", {"qscale": "4"}, pixels="yuvj420p"),
    Kind("VP8", "webm", "libvpx", {"b:v": "2M", "deadline": "realtime", "cpu-used": "8"}, group=25),
    Kind("VP9", "webm", "libvpx-vp9", {"b:v": "0", "crf": "25", "deadline": "realtime", "cpu-used": "8"}, group=25),
    Kind("AV1", "mp4", "libsvtav1", {"crf": "30", "preset": "12", "svtav1-params": "keyint=50"}),
    Kind("ProRes", "mov", "prores", pixels="yuv422p10le"),
)


def picture(number: int, height: int, width: int) -> Pixels:
    """(H, W, 3): the top quarter shows the number in bars, lowest bit left; below, a texture that drifts."""
    random = np.random.default_rng(0)
    texture = np.kron(random.integers(0, 256, (20, 40, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    image = np.ascontiguousarray(texture[number % 60 :][:height, (2 * number) % 200 :][:, :width])
    bar = width // BITS
    for bit in range(BITS):
        image[: height // 4, bit * bar : (bit + 1) * bar] = 255 if number >> bit & 1 else 0
    return image


def number_of(image: Pixels) -> int:
    """The number that a picture shows."""
    height, width = image.shape[:2]
    bar, middle = width // BITS, image[height // 16 : 3 * height // 16]
    bars = [middle[:, bit * bar + bar // 4 : (bit + 1) * bar - bar // 4] for bit in range(BITS)]
    return sum((bars[bit].mean() > 128) << bit for bit in range(BITS))


def times_of(kind: Kind) -> list[float]:
    """When each picture is shown, in seconds, before anything is moved or cut."""
    lengths = [10.0 if kind.slower and i % 3 == 0 else 1.0 for i in range(FRAMES)]
    return [float(x) for x in np.cumsum([0.0, *lengths[:-1]]) / float(kind.rate)]


def write(kind: Kind, path: Path) -> None:
    """Make a file of this kind; the parts of a joined one are written apart, as a recorder would, and put together."""
    first, pieces = 0, []
    for frames, jump in kind.parts:
        numbers = range(first, first + frames)
        piece = path.with_name(f"part-{first}-{path.name}")
        write_part(replace(kind, width=kind.width + (kind.wider if first else 0)), piece, numbers, jump)
        pieces.append(piece.read_bytes())
        piece.unlink()
        first += frames
    path.write_bytes(b"".join(pieces))


def write_part(kind: Kind, path: Path, numbers: range, jump: float) -> None:
    """Pictures of these numbers, with their times moved by `jump` seconds."""
    unit, times = Fraction(1, 1000) if kind.slower else 1 / kind.rate, times_of(kind)
    options = {"avoid_negative_ts": "disabled"} if kind.starts < 0 else {}
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(kind.codec, rate=kind.rate if not kind.slower else 1000)
        stream.width, stream.height, stream.pix_fmt, stream.options = kind.width, HEIGHT, kind.pixels, kind.options
        context = stream.codec_context
        context.time_base = unit
        context.thread_count = 2
        if kind.group is not None:
            context.gop_size = kind.group
        if kind.b_frames is not None:
            context.max_b_frames = kind.b_frames
        if kind.colours is not None:
            context.colorspace, context.color_range = kind.colours
        packets: list[Any] = []
        for number in numbers:
            frame: Any = av.VideoFrame.from_ndarray(picture(number, HEIGHT, kind.width), format="rgb24")
            frame = frame.reformat(format=kind.pixels)
            frame.pts, frame.time_base = round((times[number] + jump) / unit), unit
            packets += stream.encode(frame)
        for packet in (*packets, *stream.encode()):
            ticks = round(kind.starts / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            container.mux(packet)


def expected(kind: Kind) -> list[int]:
    """Numbers of the pictures that are evenly over the clip."""
    shown = [(time + kind.starts, number) for number, time in enumerate(times_of(kind))]
    shown = [entry for entry in shown if entry[0] >= 0] if kind.starts < 0 else shown
    return [shown[i][1] for i in even_choice([time for time, _ in shown], TAKEN)]


def by_avcil(path: Path, places: Sequence[int]) -> list[Pixels]:
    """What `avcil.extract.decoding.frames` does, which finds the places itself."""
    index = index_frames(path)
    for attempt in (index, None):
        known = attempt or index_by_decoding(path, index)
        places = even_choice(known.times, TAKEN)
        try:
            frames = {i: upright(frame) for i, frame in decoded(path, known, places) if i in places}
        except OtherCountError:
            continue
        return [frames[i] for i in places]
    raise OtherCountError


def by_pyav(path: Path, places: Sequence[int]) -> list[Pixels]:
    """From the first frame to the last, with two threads."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count, stream.codec_context.thread_type = 2, "FRAME"
        return [upright(frame) for i, frame in enumerate(container.decode(stream)) if i in places]


def by_decord(path: Path, places: Sequence[int]) -> list[Pixels]:
    """The frames that are wanted, and no others."""
    import decord

    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=0)
    return list(reader.get_batch(list(places)).asnumpy())


def by_decord_in_order(path: Path, places: Sequence[int]) -> list[Pixels]:
    """One frame after the other; it seeks when a key frame is skipped, so the frame before each is read."""
    import decord

    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=0)
    stops = {*places, len(reader) - 1, *(key - 1 for key in reader.get_key_indices() if key > 0)}
    at, frames = 0, []
    for stop in sorted(stops):
        if stop > at:
            reader.skip_frames(stop - at)
        frame = reader.next()
        at = stop + 1
        if stop in places:
            frames.append(frame.asnumpy())
    return frames


def by_second_choice(path: Path, places: Sequence[int]) -> list[Pixels]:
    """decord under this package's conditions."""
    index = index_frames(path)
    return list(decord_frames(path, index, even_choice(index.times, TAKEN)))


def by_torchcodec(path: Path, places: Sequence[int]) -> list[Pixels]:
    """After a scan of all packets."""
    from torchcodec.decoders import VideoDecoder

    reader = VideoDecoder(str(path), seek_mode="exact", num_ffmpeg_threads=1, dimension_order="NHWC")
    return list(reader.get_frames_at(list(places)).data.numpy())


Reader = Callable[[Path, Sequence[int]], list[Pixels]]
READERS: dict[str, Reader] = {
    "avcil": by_avcil,
    "PyAV, 2 threads": by_pyav,
    "decord, seeking": by_decord,
    "decord, in order": by_decord_in_order,
    "second choice": by_second_choice,
    "torchcodec": by_torchcodec,
}


def serve(connection: Connection, name: str) -> None:
    """Answer (path, places) with processor seconds and frames, or with what went wrong."""
    while True:
        path, places = connection.recv()
        since = time.process_time()
        try:
            frames = READERS[name](path, places)
        except Exception as error:  # noqa: BLE001 - each decoder has its own
            connection.send(f"refuses ({type(error).__name__})")
        else:
            connection.send((time.process_time() - since, frames))


class Contestant:
    """A decoder in a process of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: Any = None
        self._connection: Any = None

    def read(self, path: Path, places: Sequence[int]) -> tuple[float, list[Pixels]] | str:
        """Processor seconds and frames, or what happened instead."""
        if self._process is None:
            self._connection, theirs = multiprocessing.Pipe()
            self._process = multiprocessing.get_context("spawn").Process(
                target=serve, args=(theirs, self._name), daemon=True
            )
            self._process.start()
            theirs.close()
        self._connection.send((path, places))
        try:
            if self._connection.poll(PATIENCE):
                answer: tuple[float, list[Pixels]] | str = self._connection.recv()
                return answer
            words = "hangs"
        except EOFError:
            words = "crashes"
        self.stop()
        return words

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def verdict(frames: list[Pixels], reference: list[Pixels], numbers: list[int]) -> str:
    """In words: right, or how many are wrong by how much; and how far pixels are from the reference's."""
    off = [abs(number_of(frame) - number) for frame, number in zip(frames, numbers, strict=True)]
    if any(off):
        return f"{sum(map(bool, off))} wrong, by up to {max(off)}"
    if any(a.shape != b.shape for a, b in zip(frames, reference, strict=True)):
        return "right, other size"
    far = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(frames, reference, strict=True))
    return f"right, pixels off by up to {far}" if far else "right"


def rows(kinds: Iterable[Kind], folder: Path, rounds: int, names: list[str]) -> Iterator[list[str]]:
    """One row of the table for each kind: its name, the container, and a cell for each decoder."""
    contestants = {name: Contestant(name) for name in names}
    for kind in kinds:
        path = folder / f"clip.{kind.suffix}"
        write(kind, path)
        numbers = expected(kind)
        places = [number - min(numbers) for number in numbers]
        seconds: dict[str, list[float]] = {name: [] for name in names}
        frames: dict[str, list[Pixels]] = {}
        words: dict[str, str] = {}
        for _ in range(rounds + 1):  # the first one warms up
            for name, contestant in contestants.items():
                if name not in words:
                    answer = contestant.read(path, places)
                    if isinstance(answer, str):
                        words[name] = answer
                    else:
                        seconds[name].append(answer[0])
                        frames[name] = answer[1]
        base = statistics.median(seconds["avcil"][1:]) if "avcil" in frames else 0.0
        for name in set(frames) - set(words):
            share = f", {statistics.median(seconds[name][1:]) / base:.2f}" if base else ""
            words[name] = verdict(frames[name], frames.get("avcil", []), numbers) + share
        yield [kind.name, kind.suffix, *(words[name] for name in names)]
    for contestant in contestants.values():
        contestant.stop()


@click.command()
@click.option("--only", default="", help="Kinds whose name holds this.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(only: str, rounds: int) -> None:
    """Print the table."""
    needs = {"decord, seeking": "decord", "decord, in order": "decord", "second choice": "decord"}
    needs["torchcodec"] = "torchcodec"
    names = [name for name in READERS if importlib.util.find_spec(needs.get(name, "av")) is not None]
    kinds = [kind for kind in KINDS if only in kind.name and kind.codec in av.codecs_available]
    print(f"| codec and groups | container | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}")
    with tempfile.TemporaryDirectory() as folder:
        for cells in rows(kinds, Path(folder), rounds, names):
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
