"""Writes the demo's data set: MP4 files (H.264 and AAC), manifest.csv and classes.csv."""

import csv
import hashlib
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..manifests import Split
from .scenes import FRAME_RATE, SAMPLE_RATE, Motion, Sound, draw_frames, draw_scene, draw_sound

# Each motion comes with three sounds and each sound with three motions, so whoever only looks or only listens is
# right at most once in three times. Within the first two tasks, two motions by two sounds, at most every other time.
CLASSES: tuple[tuple[Motion, Sound], ...] = (
    ("right", "rising"),
    ("right", "falling"),
    ("left", "rising"),
    ("left", "falling"),
    ("up", "wavering"),
    ("up", "skipping"),
    ("down", "wavering"),
    ("down", "skipping"),
    ("right", "wavering"),
    ("left", "skipping"),
    ("up", "rising"),
    ("down", "falling"),
)
CLASSES_PER_TASK = 4
CLIPS_PER_CLASS: dict[Split, int] = {"train": 15, "val": 5, "test": 5}

# Raised when the same plan gives other files, so that a data set of an older version is written again.
GENERATOR = 1
SIGN = "complete.json"


@dataclass(frozen=True)
class PlannedClip:
    """One clip to be written."""

    id: str
    """The file's name without its suffix."""
    split: Split
    """What it is for."""
    motion: Motion
    """How its thing moves."""
    sound: Sound
    """How its thing sounds."""
    seed: tuple[int, int]
    """What the rest of it is drawn from."""

    @property
    def label(self) -> str:
        """The name of its class."""
        return label(self.motion, self.sound)


@dataclass(frozen=True)
class DataSet:
    """Where a written data set lies."""

    videos: Path
    """The directory of the MP4 files."""
    manifest: Path
    """Clips, labels and splits."""
    classes: Path
    """The class order."""
    clips: int
    """How many there are."""


def label(motion: Motion, sound: Sound) -> str:
    """The name of a class."""
    return f"{motion}-{sound}"


def plan(seed: int = 0, clips_per_class: dict[Split, int] = CLIPS_PER_CLASS) -> tuple[PlannedClip, ...]:
    """All clips of the data set; the same for the same seed."""
    numbers = itertools.count()
    return tuple(
        PlannedClip(f"{label(motion, sound)}-{split}-{index:02d}", split, motion, sound, (seed, next(numbers)))
        for split, count in clips_per_class.items()
        for motion, sound in CLASSES
        for index in range(count)
    )


def write_data_set(
    directory: Path,
    clips: tuple[PlannedClip, ...],
    *,
    processes: int = 2,
    on_clip: Callable[[], object] = lambda: None,
) -> DataSet:
    """Write all `clips` into `directory`, unless they are there; `on_clip` is called after each.

    A file that says what is there is written last, so a data set that was cut short is written again.
    Raises InputError where PyAV was built without an H.264 or AAC encoder.
    """
    done = DataSet(directory / "videos", directory / "manifest.csv", directory / "classes.csv", len(clips))
    if is_complete(directory, clips):
        return done
    for codec in ("h264", "aac"):
        if not _can_encode(codec):
            raise InputError(f"PyAV {av.__version__} cannot encode {codec}: install a wheel of PyAV (pip install av)")
    sign = directory / SIGN
    sign.unlink(missing_ok=True)
    done.videos.mkdir(parents=True, exist_ok=True)
    for left_over in done.videos.glob("*.mp4"):
        left_over.unlink()
    sizes = {}
    for clip, size in zip(clips, _write_all(done.videos, clips, processes), strict=True):
        sizes[clip.id] = size
        on_clip()
    _write_csv(done.manifest, ("video_id", "label", "split"), [(clip.id, clip.label, clip.split) for clip in clips])
    names = dict.fromkeys(label(motion, sound) for motion, sound in CLASSES)
    _write_csv(done.classes, ("class_index", "label"), list(enumerate(names)))
    part = sign.with_suffix(".part")
    part.write_text(json.dumps({"plan": _digest(clips), "bytes": sizes}, indent=1), encoding="utf-8")
    part.replace(sign)
    return done


def is_complete(directory: Path, clips: tuple[PlannedClip, ...]) -> bool:
    """Whether exactly these clips have been written here, in full."""
    sign = directory / SIGN
    if not sign.is_file():
        return False
    said = json.loads(sign.read_text(encoding="utf-8"))
    files = {file.stem: file.stat().st_size for file in (directory / "videos").glob("*.mp4")}
    return bool(said["plan"] == _digest(clips) and said["bytes"] == files)


def _digest(clips: tuple[PlannedClip, ...]) -> str:
    facts = json.dumps([GENERATOR, *map(asdict, clips)])
    return hashlib.sha256(facts.encode()).hexdigest()


def _write_all(videos: Path, clips: tuple[PlannedClip, ...], processes: int) -> Iterator[int]:
    paths = [videos / f"{clip.id}.mp4" for clip in clips]
    if processes == 1:
        yield from map(write_clip, clips, paths)
        return
    # spawn: a fork would copy whatever threads the caller's libraries hold.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        yield from pool.map(write_clip, clips, paths, chunksize=8)


def write_clip(clip: PlannedClip, path: Path) -> int:
    """Draw and write one clip; gives the file's size in bytes."""
    scene = draw_scene(clip.seed)
    write_mp4(path, draw_frames(scene, clip.motion), draw_sound(scene, clip.sound))
    return path.stat().st_size


def write_mp4(path: Path, frames: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32]) -> None:
    """Write frames uint8 (T, H, W, 3) as H.264 and sound float32 (2, N) as stereo AAC."""
    part = path.with_suffix(".part")
    with av.open(os.fspath(part), "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        # The same bytes each time: x264's output depends on the number of threads, and with its macroblock tree on
        # what memory held before, in pictures this narrow (asm=0 has no such fault; seen in PyAV 18.1).
        picture = container.add_stream("h264", rate=FRAME_RATE, options={"preset": "veryfast", "mbtree": "0"})
        picture.codec_context.thread_count = 1
        picture.height, picture.width = frames.shape[1:3]
        picture.pix_fmt = "yuv420p"
        # The default coder takes four times as long and gives the same size.
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", options={"aac_coder": "fast"})
        audio.bit_rate = 96_000
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(picture.encode(frame))
        samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout="stereo")
        samples.sample_rate = SAMPLE_RATE
        samples.pts, samples.time_base = 0, Fraction(1, SAMPLE_RATE)
        container.mux(audio.encode(samples))
        for stream in (picture, audio):
            container.mux(stream.encode(None))
    part.replace(path)


def _can_encode(codec: str) -> bool:
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str | int, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
