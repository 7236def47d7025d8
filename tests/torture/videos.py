"""Videos of every kind: the right pictures, told by the numbers that they show, or a reason for the quarantine.

Decoded by the package's own worker processes, and held against a plain decoding of the whole file in order.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from avcil.benchmarks import decoders
from avcil.extract.decoding.workers import DecodingPool, Job
from avcil.extract.decoding.workers import Outcome as Decoded
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from avcil.extract.preparation.recipes import ClipPreparation, even_choice, jpeg_choice, recipe, retimed
from avcil.tests.extract import conftest as clips

from .lists import some
from .odd_videos import EITHER, ODD, Expected
from .outcome import Outcome, tally
from .workspace import Workspace

SIDE = 120
TAKEN = decoders.TAKEN
TIMEOUT, MEMORY = 20.0, 2.0
"""Seconds a decoder may take for a clip, and gigabytes."""
PLANS = {
    name: ClipPreparation.of(
        recipe(name),
        VisualPreparation(frames=TAKEN, shortest_edge=SIDE, crop=SIDE),
        AudioPreparation(frames=100, bins=16),
        "silence",
    )
    for name in ("audiomae", "released")
}
FAMILIES = ("H.264", "HEVC", "MPEG", "others")


@dataclass(frozen=True)
class Amount:
    """How often."""

    kinds: float
    """Share of the kinds of files."""
    damaged: int
    """Files with flipped bits, and as many that are cut short, of each container."""
    containers: tuple[str, ...] = ("mp4", "mkv", "ts", "avi")


def videos(workspace: Workspace, amount: Amount) -> Iterator[Outcome]:
    """The part."""
    folder = workspace.fresh("videos")
    yield from matrix(workspace, folder, amount.kinds)
    yield from damaged(workspace, folder, amount)
    yield from odd(workspace, folder, amount.kinds)


def decode(paths: Sequence[Path], name: str) -> list[Decoded]:
    """What the worker processes make of files, by the recipe called `name`."""
    with DecodingPool(PLANS[name], workers=2, timeout=TIMEOUT, memory=MEMORY) as pool:
        return list(pool.read_all([Job(path.name, path) for path in paths], ahead=4))


def shown_in(outcome: Decoded) -> list[int] | None:
    """The numbers of the pictures that were taken; None where the clip was refused."""
    if outcome.clip is None:
        return None
    return [int(decoders.number_of(frame.transpose(1, 2, 0))) for frame in outcome.clip.pixels]


# ------------------------------------------------------------------------------------------------ codecs


def matrix(workspace: Workspace, folder: Path, share: float) -> Iterator[Outcome]:
    """Codecs, containers, groups of pictures and rates, in both recipes."""
    kinds = {
        f"{kind.name}, {kind.suffix}": kind
        for kind in decoders.KINDS
        if kind.codec in av.codecs_available and not kind.wider  # whose numbers preparation cuts off
    }
    chosen = some(workspace, "kinds", kinds, share)
    paths = {name: folder / f"kind {number}.{kinds[name].suffix}" for number, name in enumerate(chosen)}
    with _square():
        for name in chosen:
            decoders.write(_narrow(kinds[name]), paths[name])
    for plan in PLANS:
        outcomes = dict(zip(chosen, decode(list(paths.values()), plan), strict=True))
        for family in FAMILIES:
            results = []
            for name in chosen:
                if _family(name) == family:
                    wanted = _expected(kinds[name], paths[name], plan)
                    results.append((1, _wrong(name, shown_in(outcomes[name]), wanted, outcomes[name])))
            if results:
                yield tally(f"{family}: right pictures, recipe {plan}", results, f"{len(results)} kinds of file")


def _family(name: str) -> str:
    return next((family for family in FAMILIES if name.startswith(family)), FAMILIES[-1])


class _square:  # noqa: N801 - a `with` block
    """Pictures as wide as high, of which preparation cuts nothing off."""

    def __enter__(self) -> None:
        self._before, decoders.HEIGHT = decoders.HEIGHT, 2 * SIDE

    def __exit__(self, *_: object) -> None:
        decoders.HEIGHT = self._before


def _narrow(kind: decoders.Kind) -> decoders.Kind:
    return replace(kind, width=2 * SIDE - (1 if kind.width % 2 else 0))


def _expected(kind: decoders.Kind, path: Path, plan: str) -> list[int]:
    if plan == "audiomae":
        return decoders.expected(kind)
    times, durations = np.array(decoders.times_of(kind)), np.full(decoders.FRAMES, 1 / float(kind.rate))
    if len(kind.parts) == 1:
        times, durations = packets_of(path)
    written = retimed(times, durations, PLANS[plan].recipe.jpeg_rate or 0)
    numbers = whole(path).numbers
    return [numbers[written[place - 1]] for place in jpeg_choice(len(written), TAKEN)]


def _wrong(name: str, shown: list[int] | None, wanted: list[int], outcome: Decoded) -> list[str]:
    if shown is None:
        return [f"{name}: refused ({outcome.words[:120]})"]
    off = [abs(one - other) for one, other in zip(shown, wanted, strict=True)]
    return [f"{name}: {sum(map(bool, off))} of {len(off)} pictures off by up to {max(off)}"] if any(off) else []


# ------------------------------------------------------------------------------------------------ plain decoding


@dataclass(frozen=True)
class Whole:
    """What a file gives when it is decoded from its beginning to its end."""

    times: list[float]
    numbers: list[int]
    marked: list[bool]
    """Whether the decoder says of a picture that it is damaged."""
    complaint: str = ""
    """Why decoding ended before."""


def whole(path: Path) -> Whole:
    """Decode all of a file, by PyAV with one thread."""
    times: list[float] = []
    numbers: list[int] = []
    marked: list[bool] = []
    try:
        with av.open(f"file:{path}") as container:
            stream: Any = container.streams.best("video")
            if stream is None:
                return Whole([], [], [], "no video")
            stream.codec_context.thread_count = 1
            for frame in container.decode(stream):
                times.append(len(times) / decoders.RATE if frame.time is None else frame.time)
                numbers.append(decoders.number_of(frame.to_ndarray(format="rgb24")))
                marked.append(bool(frame.is_corrupt))
    except (av.FFmpegError, ValueError, MemoryError) as error:
        return Whole(times, numbers, marked, str(error))
    return Whole(times, numbers, marked)


def packets_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """When the pictures of a file are shown and for how long, in seconds after its start, as its packets say."""
    with av.open(f"file:{path}") as container:
        stream: Any = container.streams.best("video")
        origin = (container.start_time or 0) / 1e6
        packets = sorted(
            (float(packet.pts * packet.time_base) - origin, float((packet.duration or 0) * packet.time_base))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and not packet.is_discard
        )
    times, lengths = np.array(packets).T
    gaps = np.diff(times)
    return times, np.where(lengths > 0, lengths, np.append(gaps, gaps.mean()))


# ------------------------------------------------------------------------------------------------ damage


def damaged(workspace: Workspace, folder: Path, amount: Amount) -> Iterator[Outcome]:
    """Bits flipped and files cut short: what is accepted shows the right pictures, and none that a decoder marked."""
    whole_files = {}
    for suffix in amount.containers:
        path = whole_files[suffix] = folder / f"whole.{suffix}"
        kind = next(kind for kind in decoders.KINDS if kind.suffix == suffix and kind.codec in ("libx264", "mpeg4"))
        with _square():
            decoders.write(_narrow(kind), path)
    hurts = {"bits flipped": _flip, "their end cut off": _cut}
    paths = {what: list[Path]() for what in hurts}
    for what, hurt in hurts.items():
        for suffix, source in whole_files.items():
            for turn in range(amount.damaged):
                path = folder / f"{what} {turn}.{suffix}"
                path.write_bytes(hurt(source.read_bytes(), workspace.draw(what, suffix, turn)))
                paths[what].append(path)
    outcomes = iter(decode([path for several in paths.values() for path in several], "audiomae"))
    for what, several in paths.items():
        results, refused = [], 0
        for path in several:
            shown = shown_in(next(outcomes))
            refused += shown is None
            results.append((1, [] if shown is None else _unlike(path, shown, whole_files[path.suffix[1:]])))
        yield tally(f"files with {what}", results, f"{refused} refused, the others as a plain decoder gives them")


def _flip(data: bytes, draw: Any) -> bytes:
    hurt = bytearray(data)
    for _ in range(draw.choice((1, 1, 3, 20, 200))):
        hurt[draw.randrange(len(hurt))] ^= 1 << draw.randrange(8)
    return bytes(hurt)


def _cut(data: bytes, draw: Any) -> bytes:
    return data[: draw.randrange(len(data))]


def _unlike(path: Path, shown: list[int], source: Path) -> list[str]:
    """What is wrong with pictures that were accepted."""
    plain, first = whole(path), whole(source)
    if shown == [first.numbers[place] for place in even_choice(first.times, TAKEN)]:
        wanted = even_choice(first.times, TAKEN)
    elif plain.times and shown == [plain.numbers[place] for place in even_choice(plain.times, TAKEN)]:
        wanted = even_choice(plain.times, TAKEN)
    else:
        return [f"{path.name}: shows {shown}"]
    used = [place for place in wanted if place < len(plain.marked) and plain.marked[place]]
    if used and len(plain.times) == len(first.times):
        return [f"{path.name}: {len(used)} of the pictures taken are marked as damaged"]
    return []


# ------------------------------------------------------------------------------------------------ odd files


def odd(workspace: Workspace, folder: Path, share: float) -> Iterator[Outcome]:
    """Files that are no clips, or clips of an unusual kind."""
    place = folder / "odd"
    place.mkdir()
    clips.write_clip(place / "neighbour.mp4", frames=40, size=(2 * SIDE, 2 * SIDE))
    chosen = some(workspace, "odd", ODD, share)
    made: dict[str, tuple[Path, Expected]] = {}
    for number, name in enumerate(chosen):
        inside = place / f"{number:03d}"
        inside.mkdir()
        made[name] = ODD[name](inside, place / "neighbour.mp4")
    outcomes = dict(zip(made, decode([path for path, _ in made.values()], "audiomae"), strict=True))
    for what in ("clips that are unusual", "files that are no clips"):
        results = []
        for name, (_, expected) in made.items():
            if (expected is None) == (what == "files that are no clips"):
                results.append((1, _not_as_expected(name, outcomes[name], expected)))
        if results:
            note = f"{len(results)} kinds; {'refused' if what.startswith('files') else 'right pictures'}"
            yield tally(what, results, note)
    yield names(workspace, folder, share)


def _not_as_expected(name: str, outcome: Decoded, expected: Expected) -> list[str]:
    shown = shown_in(outcome)
    if expected == EITHER:
        return []
    if expected is None:
        return [] if shown is None else [f"{name}: accepted, shows {shown}"]
    if shown is None:
        return [f"{name}: refused ({outcome.words[:120]})"]
    wanted = [expected[place] for place in even_choice(list(range(len(expected))), TAKEN)]
    return [] if shown == wanted else [f"{name}: shows {shown}, not {wanted}"]


NAMES = (
    *("concat:ok.mp4", "12:30.mp4", "file:x.mp4", "-i.mp4", "%d.mp4", "a?b=c.mp4", "a#b.mp4", "pipe:0.mp4", "a|b.mp4"),
    *("new\nline.mp4", "\u72ac.mp4", "a b.mp4", "'quote.mp4", "$(touch x).mp4", "a\\b.mp4", ";.mp4", "cache:x.mp4"),
)


def names(workspace: Workspace, folder: Path, share: float) -> Outcome:
    """Names that some program would take for something else."""
    place = folder / "names"
    place.mkdir()
    clips.write_clip(place / "ok.mp4", frames=40, size=(2 * SIDE, 2 * SIDE))
    chosen = some(workspace, "names", dict.fromkeys(NAMES), share)
    for number, name in enumerate(chosen):
        source = place / f"source {number}.mp4"
        clips.write_clip(source, frames=20 + number, size=(2 * SIDE, 2 * SIDE))
        source.rename(place / name)
    before = Path.cwd()
    os.chdir(place)  # where a name would be taken for a neighbour's
    try:
        outcomes = decode(list(map(Path, chosen)), "audiomae")
    finally:
        os.chdir(before)
    results = [
        (1, _not_as_expected(ascii(name), outcome, list(range(20 + number))))
        for number, (name, outcome) in enumerate(zip(chosen, outcomes, strict=True))
    ]
    return tally(
        "names that look like something else", results, f"{len(chosen)} names; each file is read, and no other"
    )
