"""From a configuration to a finished run: load the clips and features once, learn for every seed, write results."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..config import RunConfig
from ..data.reader import ClipReader
from ..learning.method import Method
from ..learning.randomness import seeded_initialisation
from ..learning.state import Progress
from ..learning.trainer import Trainer
from ..model.heads import Widths
from ..results.files import CONFIG
from .configure import as_plain
from .directory import Keeper, RunDirectory
from .outcome import metrics_of
from .problem import Data
from .provenance import provenance


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
