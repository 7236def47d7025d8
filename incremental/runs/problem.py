"""What a run is to learn: clips, tasks and features, loaded once for any number of runs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ...cache import FeatureCache
from ...devices import choose_device, dtype_of, fastest_precision
from ...errors import InputError
from ...manifests import (
    SPLITS,
    Benchmark,
    Clip,
    Manifest,
    by_class,
    published,
    read_manifest,
    read_tasks,
    shuffled_class_order,
    source_in_name,
    source_of,
    split_into_tasks,
)
from ..config import Modality, ProblemSettings, RunConfig, names_of
from ..data.residence import Residence, Visual
from ..data.tasks import ClipTable
from ..learning.method import BaseMethod
from ..learning.teacher import SMALLEST_BATCH

FILES = ("dataset", "manifest", "classes", "tasks", "cache")
"""Settings that name files (a data set may), which are made absolute so that a run can be repeated from anywhere."""


@dataclass(frozen=True)
class Problem:
    """What is to be learnt, and the published settings for it if there are any."""

    manifest: Manifest
    protocol: Mapping[str, Any]
    leaked: frozenset[str]
    """Ids of test clips whose source video also gave training clips, as far as it is known."""
    source_video: str | None = None
    """Which part of a clip's id names its source video, as a data set says it; None: as ids are commonly made."""

    def source_of(self, clip_id: str) -> str:
        """The video that a clip was cut from; the clip itself where its id does not tell."""
        if self.source_video is not None:
            return source_of(clip_id, self.source_video)
        return source_in_name(clip_id) or clip_id


def load_problem(dataset: str | None, manifest: str | None, classes: str | None) -> Problem:
    """A published benchmark by name, or a user's own manifest, which has no presets."""
    if (dataset is None) == (manifest is None):
        raise InputError("say what to learn: either --dataset NAME or --manifest FILE, and not both")
    if dataset is not None:
        if classes is not None:
            raise InputError("--classes goes with --manifest: a published benchmark has its own class order")
        benchmark = published(dataset)
        leaked = frozenset(clip.id for clip in benchmark.seen_in_training("test"))
        return Problem(benchmark.manifest, protocol_of(benchmark, dataset), leaked, benchmark.source_video)
    assert manifest is not None
    return Problem(read_manifest(Path(manifest), Path(classes) if classes else None), {}, frozenset())


def protocol_of(benchmark: Benchmark, dataset: str) -> Mapping[str, Any]:
    """A data set's protocol; files that it names are beside the TOML file `dataset` which says so."""
    return absolute(benchmark.protocol, Path(dataset).resolve().parent)


def absolute(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings whose files, where they are relative, are in `folder`."""
    found = dict(values)
    for name in FILES:
        value = found.get(name)
        if isinstance(value, str) and value and (name != "dataset" or value.endswith(".toml")):
            found[name] = str((folder / value).resolve())
    return found


@dataclass(frozen=True)
class Data:
    """The clips and features that any number of runs share."""

    problem: Problem
    table: ClipTable
    cache: FeatureCache
    device: torch.device
    dtype: torch.dtype
    residence: Residence
    lost: tuple[Clip, ...]
    """Clips of the manifest that the cache does not hold."""
    config: RunConfig
    """What they were loaded for."""
    visual: Visual
    """What of the visual features is at hand."""

    def check(self, config: RunConfig, problem: Problem, kind: type[BaseMethod]) -> None:
        """InputError where they were loaded for a run that learns something else, or in another way.

        Whatever decides batches beside a method's own settings has to be the same, or bits would depend on `data`.
        """
        anew = "load them with this run's own load()"
        for name in (*names_of(ProblemSettings), "device", "precision", "residence_gigabytes"):
            if getattr(config, name) != getattr(self.config, name):
                raise InputError(
                    f"the data were loaded with {name} = {getattr(self.config, name)!r}, and this run has "
                    f"{getattr(config, name)!r}: {anew}"
                )
        if problem.manifest != self.problem.manifest:
            raise InputError(f"the list of clips has changed since the data were loaded: {anew}")
        wanted = visual_of(config.modality, kind)
        if wanted != self.visual:
            raise InputError(f"the data were loaded with visual features as '{self.visual}', not '{wanted}': {anew}")
        if largest_batch(config, self.table) != self.residence.largest_batch:
            raise InputError(f"the data were loaded for batches of another size: {anew}")
        check_table(self.table, config, kind)

    def in_order(self, class_order_seed: int | None, kind: type[BaseMethod]) -> "Data":
        """The same clips and features with classes and tasks in another order. InputError where that makes a task that
        `kind` cannot learn or be tested on."""
        config = replace(self.config, class_order_seed=class_order_seed)
        lost = set(self.lost)
        cached = [clip for clip in self.problem.manifest.clips if clip not in lost]
        table = clip_table(config, self.problem, cached)
        assert table.ids == self.table.ids  # features are held by the numbers of the clips
        check_table(table, config, kind)
        return replace(self, table=table, config=config)

    def losses(self) -> list[str]:
        """Lines on what the cache lacks: how many clips by split and class, and classes that no figure tests."""
        if not self.lost:
            return []
        clips = self.problem.manifest.clips
        splits = Counter(clip.split for clip in self.lost)
        of_splits = ", ".join(f"{splits[split]} {split}" for split in SPLITS if splits[split])
        count = f"{len(self.lost)} of {len(clips)} clips ({of_splits})"
        lines = [f"not in the cache and left out: {count}: {by_class(self.lost)}"]
        lost = set(self.lost)
        tested = {clip.label for clip in clips if clip.split == "test" and clip not in lost}
        untested = [clip for clip in self.lost if clip.split == "test" and clip.label not in tested]
        if untested:
            lines.append(f"no test clip is left of these classes, which no figure counts: {by_class(untested)}")
        return lines


def tasks_of(config: RunConfig, manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    """The class names of each task."""
    if config.tasks is not None:
        return read_tasks(Path(config.tasks), manifest.class_order)
    order = manifest.class_order
    if config.class_order_seed is not None:
        order = shuffled_class_order(order, config.class_order_seed)
    return split_into_tasks(order, config.classes_per_task)


def clip_table(config: RunConfig, problem: Problem, cached: Sequence[Clip]) -> ClipTable:
    """Number the clips."""
    tasks = tasks_of(config, problem.manifest)
    index = {name: label for label, name in enumerate(name for task in tasks for name in task)}
    clips = [clip for clip in cached if clip.label in index]
    return ClipTable(
        ids=tuple(clip.id for clip in clips),
        labels=torch.tensor([index[clip.label] for clip in clips], dtype=torch.int64),
        splits=tuple(clip.split for clip in clips),
        tasks=tasks,
        leaked=problem.leaked,
    )


def check_table(table: ClipTable, config: RunConfig, kind: type[BaseMethod]) -> None:
    """InputError where a split is empty that the run cannot do without."""
    validated = kind.way == "gradient" and config.model_choice == "best"
    names = table.class_order
    have = set(table.labels[table.of("train", range(len(names)))].tolist())
    empty = [name for label, name in enumerate(names) if label not in have]
    if empty:
        raise InputError(
            f"no train clip in {config.cache} for class '{empty[0]}' ({len(empty)} such classes): "
            "extract them, or leave the classes out of the manifest"
        )
    for number in range(1, len(table.tasks) + 1):
        if not len(table.of("test", table.task(number).new_classes)):
            raise InputError(f"no test clip in {config.cache} for any class of task {number}")
        if validated and not len(table.of("val", range(table.task(number).seen_classes))):
            raise InputError(f"no validation clip for the classes of task {number}: choose --model-choice last")


def largest_batch(config: RunConfig, table: ClipTable) -> int:
    """The most clips that a run has in one batch."""
    train = table.splits.count("train")
    return max(min(config.batch_size, train) + min(config.memory_batch_size, config.memory_size, train), SMALLEST_BATCH)


def visual_of(modality: Modality, kind: type[BaseMethod]) -> Visual:
    """What of the visual features a run brings to the device."""
    if modality == "audio":
        return "none"
    return "tokens" if modality == "audio-visual" and kind.needs_tokens else "mean"


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """InputError where PyTorch finds no memory on `device` within it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{device} has no memory left: free some, or lower residence_gigabytes, which changes no result and lets "
            "an unfinished run be resumed, or --batch-size"
        ) from error


def load_data(config: RunConfig, problem: Problem, kind: type[BaseMethod]) -> Data:
    """Open the cache, number the clips, plan what stays on the device."""
    cache = FeatureCache(Path(config.cache))
    for absent in cache.fingerprint.absent:
        if config.modality != (other := "audio" if absent == "visual" else "visual"):
            raise InputError(f"{config.cache} holds no {absent} features: choose --modality {other}")
    held = set(cache.ids)
    manifest = problem.manifest
    cached = [clip for clip in manifest.clips if clip.id in held]
    if not cached:
        raise InputError(f"{config.cache} holds none of the {len(manifest.clips)} clips of {manifest.name}")
    device = choose_device(config.device)
    dtype = dtype_of(fastest_precision(device) if config.precision == "auto" else config.precision)
    table = clip_table(config, problem, cached)
    check_table(table, config, kind)
    if config.cuda_graphs and device.type != "cuda":
        raise InputError(f"cuda_graphs is for NVIDIA GPUs and this run is on {device}: leave it out")
    visual = visual_of(config.modality, kind)
    with enough_memory(device):
        residence = Residence(
            cache,
            table.ids,
            device=device,
            dtype=dtype,
            visual=visual,
            largest_batch=largest_batch(config, table),
            gigabytes=config.residence_gigabytes,
        )
    lost = tuple(clip for clip in manifest.clips if clip.id not in held)
    return Data(problem, table, cache, device, dtype, residence, lost, config, visual)
