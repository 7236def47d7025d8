"""What every part of the torture works on: small data, runs of both stages that nobody disturbed, random choices, time.

Shapes are tiny: a whole extraction or a whole run takes about a second.
"""

import functools
import hashlib
import io
import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from avcil.incremental.runs.state_file import MAGIC
from avcil.tests.extract.conftest import write_clip
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made

from .interposed import below
from .programs import PLAIN, Circumstances, Ended, Program, run

LANES = 2
"""Commands at work side by side."""
VIDEO_CONFIG = {
    "model_type": "videomae",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 16,
    "num_frames": 4,
    "tubelet_size": 2,
    "use_mean_pooling": False,
}
AUDIO_CONFIG = {
    "architecture": "vit_base_patch16_224",
    "model_args": {"embed_dim": 32, "depth": 1, "num_heads": 2},
    "pretrained_cfg": {"input_size": [1, 64, 32]},
}
METHOD = "av-cil"
"""Of the runs that are damaged."""
LABELS = ("one", "two")
SPLITS = ("train", "train", "train", "train", "val", "test")
SHARD_SIZE = 4
TRAINING = {**synthetic.SETTINGS, "epochs": 6}
"""Settings of the runs that are disturbed: a state is saved after every epoch."""

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Videos:
    """A small data set of real video files."""

    folder: Path
    """Of the files."""
    manifest: Path
    video_encoder: Path
    audio_encoder: Path
    clips: tuple[str, ...]
    """Ids of the clips that can be encoded."""

    def words(self, cache: Path, *more: str) -> list[str]:
        """An `avcil-extract run` over the set."""
        words = ["avcil-extract", "run", "--manifest", str(self.manifest), "--videos", str(self.folder)]
        words += ["--video-encoder", str(self.video_encoder), "--audio-encoder", str(self.audio_encoder)]
        words += ["--random-weights", "--device", "cpu", "--precision", "float32", "--workers", "2"]
        return [*words, "--shard-size", str(SHARD_SIZE), "--batch-size", "2", "--cache", str(cache), *more]

    def training(self, cache: Path, out: Path, *more: str) -> list[str]:
        """A short run on a cache of the set."""
        words = ["avcil-incr", "run", "--method", "fine-tuning", "--manifest", str(self.manifest)]
        words += ["--cache", str(cache), "--out", str(out), "--classes-per-task", "1", "--epochs", "2"]
        return [*words, "--batch-size", "4", "--memory-size", "4", "--memory-batch-size", "2", "--device", "cpu", *more]


class Workspace:
    """A folder, a seed, a deadline; and what is made once for all parts.

    Args:
        root: a folder that exists.
        seed: of every random choice.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed
        self.deadline = float("inf")
        """Of time.monotonic: nothing new is begun after it."""
        self.left_out = 0
        """Tries that were not begun since it had passed."""
        self._counter = 0
        self._runs: dict[str, Path] = {}
        self.seconds: dict[str, float] = {}
        """That the undisturbed runs took: "extraction", and methods by name."""
        self._lock = threading.RLock()

    @functools.cached_property
    def interposed(self) -> bool:
        """Whether commands have the library of `interposed` between themselves and the C library."""
        return self.run(["avcil-extract", "--help"], below(self.root)).status == 0

    def draw(self, *what: object) -> random.Random:
        """Random choices for `what`, the same for the same seed."""
        return random.Random(" ".join(map(str, (self.seed, *what))))

    def fresh(self, name: str) -> Path:
        """A new folder."""
        with self._lock:
            self._counter += 1
            folder = self.root / f"{self._counter:05d}-{name}"
        folder.mkdir()
        return folder

    @property
    def late(self) -> bool:
        """Whether the time of the part at work is over."""
        return time.monotonic() > self.deadline

    def side_by_side(self, function: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """`function` of every item, `LANES` at once; those are left out that time does not reach."""

        def unless_late(item: Item) -> list[T]:
            if self.late:
                self.left_out += 1
                return []
            return [function(item)]

        with ThreadPoolExecutor(LANES) as lanes:
            return [result for results in lanes.map(unless_late, items) for result in results]

    def run(self, words: Sequence[str], circumstances: Circumstances = PLAIN) -> Ended:
        """Run a command in the workspace's folder."""
        return run(words, self.root, circumstances)

    def start(self, words: Sequence[str], circumstances: Circumstances = PLAIN) -> Program:
        """Start one."""
        return Program(words, self.root, circumstances)

    @functools.cached_property
    def videos(self) -> Videos:
        """Twelve clips of two classes, one without sound and one that is no video."""
        folder = self.fresh("data")
        (folder / "videos").mkdir()
        rows, good = [], []
        for number, (label, split) in enumerate((label, split) for split in SPLITS for label in LABELS):
            clip = f"clip{number:02d}"
            write_clip(folder / "videos" / f"{clip}.mp4", frames=8 + number)
            rows.append((clip, label, split))
            good.append(clip)
        write_clip(folder / "videos" / "silent.mp4", frames=8, audio=None)
        (folder / "videos" / "text.mp4").write_text("this is no video\n")
        for row in (("silent", LABELS[0], "train"), ("text", LABELS[1], "train"), ("gone", LABELS[0], "train")):
            rows.insert(3, row)
        synthetic.write_csv(folder / "clips.csv", ("video_id", "label", "split"), rows)
        for name, config in (("video", VIDEO_CONFIG), ("audio", AUDIO_CONFIG)):
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(json.dumps(config))
        return Videos(folder / "videos", folder / "clips.csv", folder / "video", folder / "audio", tuple(good))

    @functools.cached_property
    def cache(self) -> Path:
        """A cache of `videos`, made without disturbance."""
        cache = self.fresh("reference") / "cache"
        self.seconds["extraction"] = expect(self.run(self.videos.words(cache))).seconds
        return cache

    @functools.cached_property
    def trained(self) -> Path:
        """A run on `cache`, likewise."""
        out = self.fresh("reference") / "run"
        expect(self.run(self.videos.training(self.cache, out)))
        return out

    @functools.cached_property
    def features(self) -> Made:
        """A manifest and a cache of features without videos, for training."""
        return synthetic.make(self.fresh("features") / "data")

    def training(self, method: str, out: Path, **changed: Any) -> list[str]:
        """An `avcil-incr run` on `features` with `TRAINING`, or `changed`."""
        made = self.features
        words = ["avcil-incr", "run", "--method", method, "--manifest", str(made.manifest), "--cache", str(made.cache)]
        words += [word for name, value in {**TRAINING, **changed}.items() for word in ("--set", f"{name}={value}")]
        return [*words, "--out", str(out)]

    def undisturbed(self, method: str) -> Path:
        """The folder of that run, made once without disturbance."""
        with self._lock:
            if method not in self._runs:
                self._runs[method] = self.fresh("reference") / "run"
                self.seconds[method] = expect(self.run(self.training(method, self._runs[method]))).seconds
            return self._runs[method]

    @functools.cached_property
    def unfinished(self) -> Path:
        """A run of `METHOD` that was stopped in its second task."""
        for _ in range(20):
            out = self.fresh("half") / "out"
            program = self.start(self.training(METHOD, out))
            while not (out / "weights/task-01.safetensors").exists() and program.alive:
                time.sleep(0.001)
            program.send(signal.SIGINT)
            program.wait()
            if (out / "state.pt").exists() and saved_in(out)["task"] == 2:
                return out
        raise RuntimeError("no run could be stopped in its second task")

    def copy_of_cache(self) -> Path:
        """A copy of `cache`, to be damaged."""
        target = self.fresh("copy") / "cache"
        shutil.copytree(self.cache, target)
        return target

    def drop(self, path: Path) -> None:
        """Remove a folder that `fresh` made, with all that lies in it."""
        shutil.rmtree(self.root / path.relative_to(self.root).parts[0])


def expect(ended: Ended, status: int = 0) -> Ended:
    """`ended`; RuntimeError where a command that nobody disturbs did not end so: then nothing can be tried."""
    if ended.status != status or ended.left:
        raise RuntimeError(f"status {ended.status}, left {ended.left}: {ended.err or ended.out}")
    return ended


def saved_in(out: Path) -> dict[str, Any]:
    """The progress in a run's state, by the names of its fields."""
    content = (out / "state.pt").read_bytes()[: -len(MAGIC) - 32]
    progress: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)["progress"]
    return progress


def tree_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path; links and folders by what they are."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def other_files(one: Path, other: Path) -> list[str]:
    """Names of the files in which two caches differ."""
    here, there = tree_of(one), tree_of(other)
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


def other_results(one: Path, other: Path) -> list[str]:
    """Names of the results in which two runs differ; a run that is not finished has none."""
    if not (other / "metrics.json").is_file():
        return ["metrics.json"]
    return synthetic.differing(one, other)


def shards_of(cache: Path) -> dict[str, str]:
    """SHA-256 of the files of the shards of a cache."""
    return {name: found for name, found in tree_of(cache).items() if name.startswith("shards/")}


def flip(path: Path, draw: random.Random, begin: int = 0, end: int | None = None) -> int:
    """Flip one bit of a file between two of its bytes; returns which byte."""
    at = draw.randrange(begin, path.stat().st_size if end is None else end)
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0] ^ (1 << draw.randrange(8))
        stream.seek(at)
        stream.write(bytes([byte]))
        os.fsync(stream.fileno())
    return at
