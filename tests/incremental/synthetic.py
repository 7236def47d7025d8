"""Small caches with class structure, and runs on them, for the tests of stage 2.

Shapes: L time slices, S tokens, D channels.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from avcil.cache import CacheWriter, Fingerprint
from avcil.incremental.config import RunConfig, names_of
from avcil.incremental.data.batch import Batch
from avcil.incremental.learning.gradient import Method
from avcil.incremental.learning.method import BaseMethod
from avcil.incremental.learning.randomness import generator
from avcil.incremental.learning.state import Progress
from avcil.incremental.learning.statistics import StatisticsMethod
from avcil.incremental.methods import all_methods, find_method
from avcil.incremental.runs.configure import configure
from avcil.incremental.runs.experiment import run_once
from avcil.incremental.runs.listeners import Listener, StartedRun
from avcil.incremental.runs.problem import Data, load_data, load_problem
from torch import Tensor

KINDS = all_methods()
METHODS = tuple(name for name, kind in KINDS.items() if issubclass(kind, Method))
"""All that are learnt by gradient."""
SOME = ("av-cil", "afc-nme", "oracle")
"""Those of them that differ most in what they carry from epoch to epoch and from task to task."""
QUICK_FIRST = [pytest.param(method, marks=() if method in SOME else pytest.mark.slow) for method in METHODS]
"""All of them as a test's parameter, the others in the slow part."""
WITH_TEACHER = tuple(name for name, kind in KINDS.items() if issubclass(kind, Method) and kind.has_teacher)
SOLVED = tuple(name for name, kind in KINDS.items() if issubclass(kind, StatisticsMethod))
SHAPE = (2, 3, 8)
"""(L, S, D) of the visual features."""
AUDIO = 16

Counts = Mapping[str, int]
FACTS = {"visual_encoder": {"name": "synthetic", "random_weights": 0}, "storage": "float32"}


@dataclass(frozen=True)
class Made:
    """Where a synthetic data set lies."""

    manifest: Path
    cache: Path


def clip_id(label: int, split: str, number: int) -> str:
    return f"c{label:02d}_{split}_{number:02d}"


def features(clip: str, label: int, shape: Sequence[int] = SHAPE, audio: int = AUDIO) -> tuple[Tensor, Tensor]:
    """The features of one clip, (L, S, D) and (D,): the class's own pattern and noise drawn from the id."""
    pattern, noise = generator(label, "pattern"), generator(0, "noise", clip)
    visual = 0.7 * torch.randn(*shape, generator=pattern) + torch.randn(*shape, generator=noise)
    return visual, 0.7 * torch.randn(audio, generator=pattern) + torch.randn(audio, generator=noise)


def make(
    directory: Path,
    classes: int = 6,
    *,
    counts: Counts | Callable[[int], Counts] = {"train": 5, "val": 2, "test": 3},  # noqa: B006 - only read
    shape: Sequence[int] = SHAPE,
    audio: int = AUDIO,
    not_cached: Iterable[str] = (),
    facts: Mapping[str, Any] = FACTS,
) -> Made:
    """Write a manifest of `classes` classes and a cache of its clips but `not_cached`.

    `counts` are clips by split, the same for all classes or worked out from the class's number.
    """
    clips = [
        (clip_id(label, split, number), label, split)
        for label in range(classes)
        for split, count in (counts(label) if callable(counts) else counts).items()
        for number in range(count)
    ]
    directory.mkdir(parents=True, exist_ok=True)
    write_csv(
        directory / "clips.csv",
        ("video_id", "label", "split"),
        [(clip, f"class {label:02d}", split) for clip, label, split in clips],
    )
    kept = [(clip, label) for clip, label, _ in clips if clip not in set(not_cached)]
    write_cache(directory / "cache", kept, shape=shape, audio=audio, facts=facts)
    return Made(directory / "clips.csv", directory / "cache")


def write_cache(
    directory: Path,
    clips: Sequence[tuple[str, int]],
    *,
    shape: Sequence[int] = SHAPE,
    audio: int = AUDIO,
    facts: Mapping[str, Any] = FACTS,
) -> None:
    """A cache of `clips`, (id, class number) each, in shards of 20."""
    with CacheWriter(directory, Fingerprint(facts)) as writer:
        for begin in range(0, len(clips), 20):
            part = clips[begin : begin + 20]
            visual, sound = zip(*(features(clip, label, shape, audio) for clip, label in part), strict=True)
            ids = [clip for clip, _ in part]
            writer.write_shard(f"shard-{begin // 20:05d}", ids, torch.stack(visual), torch.stack(sound))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


SETTINGS: dict[str, Any] = {
    "classes_per_task": 2,
    "epochs": 2,
    "batch_size": 4,
    "memory_size": 9,
    "memory_batch_size": 3,
    "evaluation_batch_size": 5,
    "device": "cpu",
    "precision": "float32",
    "checkpoint_seconds": 0,
    "learning_rate": 0.02,
}
"""Of a small run."""


class Prepared(NamedTuple):
    """What `run_once` and `run_repeats` begin with."""

    kind: type[BaseMethod]
    config: RunConfig
    settings: Any
    data: Data


def prepare(made: Made, method: str, **given: Any) -> Prepared:
    """A run with `SETTINGS`, or `given`, its data loaded."""
    where = {"manifest": str(made.manifest), "cache": str(made.cache)}
    values = where | SETTINGS | given
    kind = find_method(method, map(Path, values.get("plugins", ())))
    if "width" in names_of(kind.Settings):
        values.setdefault("width", 20)  # of thousands of random features
    problem = load_problem(values.get("dataset"), values.get("manifest"), values.get("classes"))
    config, settings = configure(kind, problem.protocol, values)
    return Prepared(kind, config, settings, load_data(config, problem, kind))


def run(
    made: Made,
    method: str,
    out: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    **given: Any,
) -> Mapping[str, Any]:
    """A small run with all classes' defaults of `SETTINGS`, or `given`; metrics.json's content."""
    return run_once(*prepare(made, method, **given), out, [Reporter(lambda seed, progress: report(progress))])


class Reporter(Listener):
    """Calls a function with the seed and the progress after every epoch and task."""

    def __init__(self, report: Callable[[int, Progress], None]) -> None:
        self.report = report

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        self.report(run.config.seed, progress)

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        self.report(run.config.seed, progress)


def run_in_one_thread(made: Made, method: str, out: Path, **given: Any) -> None:
    """The same in a process of its own."""
    torch.set_num_threads(1)
    run(made, method, out, **given)


VARYING = ("seconds", "peak_memory_bytes", "operations")


def results(out: Path) -> dict[str, Any]:
    """Everything a run has to repeat to the bit: each file's bytes, and the metrics but time and memory."""
    found: dict[str, Any] = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("metrics.json", "config.json")
    }
    metrics = json.loads((out / "metrics.json").read_text())
    return found | {name: value for name, value in metrics.items() if name not in VARYING}


def differing(one: Path, other: Path) -> list[str]:
    """Names of the results in which two runs differ."""
    here, there = results(one), results(other)
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


class TableSource:
    """Features held in memory, in place of a cache, with a note of every clip that was read."""

    SHAPE = (2, 3, 4)
    CLIP_BYTES = 2 * 3 * 4 * 4
    """In float32."""

    def __init__(self, clips: int) -> None:
        self.ids = tuple(f"clip-{number}" for number in range(clips))
        self.visual = torch.randn(clips, *self.SHAPE, generator=generator(0, "visual"))
        self.audio = torch.randn(clips, AUDIO, generator=generator(0, "audio"))
        self.visual_reads: list[int] = []
        self.audio_reads: list[int] = []

    @property
    def visual_shape(self) -> tuple[int, ...]:
        return self.SHAPE

    @property
    def audio_shape(self) -> tuple[int, ...]:
        return (AUDIO,)

    def read_into(
        self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
    ) -> None:
        numbers = [self.ids.index(clip) for clip in ids]
        if visual is not None:
            self.visual_reads += numbers
            visual[: len(numbers)] = self.visual[numbers]
        if audio is not None:
            self.audio_reads += numbers
            audio[: len(numbers)] = self.audio[numbers]


def plain_batch(clips: int) -> Batch:
    """A batch of `clips` clips, audio only."""
    return Batch(torch.arange(clips), torch.arange(clips) % 3, torch.randn(clips, AUDIO, generator=generator(0, clips)))
