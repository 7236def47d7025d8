"""From a configuration to a finished run: load the clips and features once, learn for every seed, write results."""

import hashlib
import platform
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..cache import FeatureCache
from ..devices import choose_device, describe_device, multiplies_bfloat16_fast
from ..errors import InputError
from ..files import sha256_of
from ..manifests import (
    Clip,
    Manifest,
    published,
    read_manifest,
    read_tasks,
    shuffled_class_order,
    split_into_tasks,
)
from .clips import ClipTable
from .config import RunConfig, as_plain
from .heads import Modality, Widths
from .method import Method
from .metrics import Predictions, percent, summarise, without
from .randomness import seeded_initialisation
from .reader import ClipReader
from .residence import Residence, Visual
from .rundir import CONFIG, Keeper, RunDirectory
from .teacher import SMALLEST_BATCH
from .trainer import Progress, Trainer, predictions_of

VISUAL_OF: dict[Modality, Visual] = {"audio-visual": "tokens", "visual": "mean", "audio": "none"}


@dataclass(frozen=True)
class Problem:
    """What is to be learnt, and the published settings for it if there are any."""

    manifest: Manifest
    protocol: Mapping[str, Any]
    leaked: frozenset[str]
    """Ids of test clips whose source video also gave training clips, as far as it is known."""


def load_problem(dataset: str | None, manifest: str | None, classes: str | None) -> Problem:
    """A published benchmark by name, or a user's own manifest, which has no presets."""
    if (dataset is None) == (manifest is None):
        raise InputError("say what to learn: either --dataset NAME or --manifest FILE, and not both")
    if dataset is not None:
        if classes is not None:
            raise InputError("--classes goes with --manifest: a published benchmark has its own class order")
        benchmark = published(dataset)
        leaked = frozenset(clip.id for clip in benchmark.seen_in_training("test"))
        return Problem(benchmark.manifest, benchmark.protocol, leaked)
    assert manifest is not None
    return Problem(read_manifest(Path(manifest), Path(classes) if classes else None), {}, frozenset())


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


def tasks_of(config: RunConfig, manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    """The class names of each task."""
    if config.tasks is not None:
        return read_tasks(Path(config.tasks), manifest.class_order)
    order = manifest.class_order
    if config.class_order_seed is not None:
        order = shuffled_class_order(order, config.class_order_seed)
    return split_into_tasks(order, config.classes_per_task)


def clip_table(config: RunConfig, problem: Problem, cached: Sequence[Clip]) -> ClipTable:
    """Number the clips; InputError where a split is empty that the run cannot do without."""
    tasks = tasks_of(config, problem.manifest)
    index = {name: label for label, name in enumerate(name for task in tasks for name in task)}
    clips = [clip for clip in cached if clip.label in index]
    table = ClipTable(
        ids=tuple(clip.id for clip in clips),
        labels=torch.tensor([index[clip.label] for clip in clips], dtype=torch.int64),
        splits=tuple(clip.split for clip in clips),
        tasks=tasks,
        leaked=problem.leaked,
    )
    for split in ("train", "test"):
        have = set(table.labels[table.of(split, range(len(index)))].tolist())
        if split == "train":
            empty = [name for name, label in index.items() if label not in have]
            if empty:
                raise InputError(
                    f"no {split} clip in {config.cache} for class '{empty[0]}' ({len(empty)} such classes): "
                    "extract them, or leave the classes out of the manifest"
                )
    for number in range(1, len(tasks) + 1):
        if not len(table.of("test", table.task(number).new_classes)):
            raise InputError(f"no test clip in {config.cache} for any class of task {number}")
        if config.model_choice == "best" and not len(table.of("val", range(table.task(number).seen_classes))):
            raise InputError(f"no validation clip for the classes of task {number}: choose --set model_choice=last")
    return table


def load_data(config: RunConfig, problem: Problem) -> Data:
    """Open the cache, number the clips, plan what stays on the device."""
    cache = FeatureCache(Path(config.cache))
    held = set(cache.ids)
    manifest = problem.manifest
    cached = [clip for clip in manifest.clips if clip.id in held]
    if not cached:
        raise InputError(f"{config.cache} holds none of the {len(manifest.clips)} clips of {manifest.name}")
    device = choose_device(config.device)
    fast = multiplies_bfloat16_fast(device)
    precision = config.precision if config.precision != "auto" else "bfloat16" if fast else "float32"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    table = clip_table(config, problem, cached)
    if config.cuda_graphs and device.type != "cuda":
        raise InputError(f"cuda_graphs is for NVIDIA cards and this run is on {device}: leave it out")
    train = table.splits.count("train")
    replayed = min(config.memory_batch_size, config.memory_size, train)
    residence = Residence(
        cache,
        table.ids,
        device=device,
        dtype=dtype,
        visual=VISUAL_OF[config.modality],
        largest_batch=max(min(config.batch_size, train) + replayed, SMALLEST_BATCH),
        gigabytes=config.residence_gigabytes,
    )
    lost = tuple(clip for clip in manifest.clips if clip.id not in held)
    return Data(problem, table, cache, device, dtype, residence, lost)


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    found = {"avcil": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "h5py", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def provenance(config: RunConfig, data: Data) -> dict[str, Any]:
    """Where a run's inputs came from, for config.json."""
    files = {"manifest": config.manifest, "classes": config.classes, "tasks": config.tasks}
    return {
        "cache_fingerprint": data.cache.fingerprint.digest,
        "cache_made_by": data.cache.fingerprint.facts,
        "random_encoder_weights": data.cache.random_weights,
        "clips": len(data.table.ids),
        "clips_sha256": hashlib.sha256("\n".join(data.table.ids).encode()).hexdigest(),
        "clips_missing_from_cache": len(data.lost),
        "sha256": {name: sha256_of(Path(path)) for name, path in files.items() if path},
        "plugins": {path: sha256_of(Path(path)) for path in config.plugins} or None,
        "tasks": [list(task) for task in data.table.tasks],
        "device": describe_device(data.device),
        "computed_in": str(data.dtype).removeprefix("torch."),
        "residence": str(data.residence.plan) if data.residence.plan else "no visual tokens needed",
        "versions": versions(),
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory this process has held: on the card for CUDA, else resident in the computer's memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def metrics_of(config: RunConfig, data: Data, progress: Progress) -> dict[str, Any]:
    """metrics.json."""
    table = data.table
    after = [predictions_of(table, clips, scores) for clips, scores in progress.predictions]
    boundaries = table.task(len(table.tasks)).boundaries
    metrics: dict[str, Any] = {
        "method": config.method,
        "modality": config.modality,
        "seed": config.seed,
        "model_choice": config.model_choice,
        "random_encoder_weights": data.cache.random_weights,
        **summarise(after, boundaries),
        "chosen_epochs": progress.chosen_epochs,
        "seconds": progress.seconds,
        "peak_memory_bytes": peak_memory_bytes(data.device),
        "test_clips": len(after[-1].labels),
    }
    if table.leaked:
        metrics["leak_free"] = leak_free(table, after, boundaries)
    return metrics


def leak_free(table: ClipTable, after: Sequence[Predictions], boundaries: Sequence[int]) -> dict[str, Any]:
    """The same figures on the test clips whose source video gave no training clip."""
    leaked = np.array([number for number, clip in enumerate(table.ids) if clip in table.leaked])
    kept = [without(answers, leaked) for answers in after]
    starts = np.array(boundaries)
    for number, answers in enumerate(kept):
        tasks = set(np.searchsorted(starts[1:], answers.labels, side="right").tolist())
        if tasks != set(range(number + 1)):
            return {"test_clips": len(answers.labels), "note": "a task has no leak-free test clip"}
    summary = summarise(kept, boundaries)
    return {"test_clips": len(kept[-1].labels), "last_accuracy": percent(kept[-1].right)} | {
        name: summary[name] for name in ("mean_accuracy", "average_forgetting", "accuracy_by_task")
    }


def build_method(kind: type[Method], config: RunConfig, settings: Any, widths: Widths) -> Method:
    """The method with its first weights drawn from the run's seed."""
    with seeded_initialisation(config.seed, "heads"):
        return kind(settings, widths, config.modality)


def place_for(config: RunConfig, settings: Any, out: Path) -> RunDirectory:
    """The folder of one run; InputError where it is taken by another, or by this one, finished."""
    directory = RunDirectory(out, as_plain(config, settings))
    if directory.finished:
        raise InputError(f"{out} holds this very run, finished; choose another --out, or see avcil-incr show {out}")
    return directory


def places_for_seeds(config: RunConfig, settings: Any, out: Path, seeds: int) -> dict[int, RunDirectory]:
    """The folder of each of several runs, by seed; finished ones are allowed. InputError where `out` is one run's."""
    if (out / CONFIG).is_file():
        raise InputError(f"{out} holds a single run; choose another --out for several seeds")
    return {
        seed: RunDirectory(out / f"seed-{seed}", as_plain(replace(config, seed=seed), settings))
        for seed in range(config.seed, config.seed + seeds)
    }


def run_once(
    kind: type[Method],
    config: RunConfig,
    settings: Any,
    data: Data,
    out: Path,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Mapping[str, Any]:
    """One run in folder `out`; goes on where an earlier sitting stopped. Returns metrics.json's content."""
    directory = place_for(config, settings, out)
    directory.begin(provenance(config, data))
    with directory.alone():
        progress = directory.progress()
        widths = Widths(audio=data.cache.audio_shape[-1], visual=data.cache.visual_shape[-1])
        trainer = Trainer(
            config,
            data.table,
            build_method(kind, config, settings, widths),
            ClipReader(data.residence, data.table.labels),
            keep=Keeper(directory, config.checkpoint_seconds),
            report=report,
        )
        progress = trainer.run(progress)
        metrics = metrics_of(config, data, progress)
        directory.finish(progress, data.table, metrics)
    return metrics


def run_seeds(
    kind: type[Method],
    config: RunConfig,
    settings: Any,
    data: Data,
    out: Path,
    seeds: int,
    report: Callable[[int, Progress], None] = lambda seed, progress: None,
) -> list[Mapping[str, Any]]:
    """`seeds` runs in out/seed-N, N from the configuration's seed on, sharing the loaded features.

    Finished ones are left as they are.
    """
    every: list[Mapping[str, Any]] = []
    for seed, directory in places_for_seeds(config, settings, out, seeds).items():
        if directory.finished:
            every.append(directory.metrics())
            continue
        one = replace(config, seed=seed)
        every.append(run_once(kind, one, settings, data, directory.path, partial(report, seed)))
    return every
