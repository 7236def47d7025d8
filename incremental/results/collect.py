"""Finished runs gathered into rows: runs that differ in nothing but their seed, and what tells rows apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ...errors import InputError
from ...files import read_json
from .files import CONFIG, METRICS


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation; None with one seed."""
    interval: float | None
    """Half the 95% interval of the mean, by Student's t; None with one seed."""

    def __str__(self) -> str:
        if self.deviation is None:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} ± {self.deviation:.2f} (95%: ± {self.interval:.2f})"


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean, standard deviation and interval; None where a figure is not defined (one task: no forgetting)."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    count = len(known)
    if count == 1:
        return Spread(known[0], None, None)
    deviation = float(np.std(known, ddof=1))
    half = float(stats.t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
    return Spread(float(np.mean(known)), deviation, half)


@dataclass(frozen=True)
class Row:
    """One line of a table: runs that differ in nothing but their seed."""

    name: str
    runs: tuple[Path, ...]
    metrics: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any]
    repeated: tuple[Path, ...] = ()
    """Runs that repeat one of these, seed and all; they are left out."""

    def figure(self, name: str) -> Spread | None:
        """A figure of metrics.json over the runs."""
        return spread([metrics.get(name) for metrics in self.metrics])


def finished_runs(paths: Sequence[Path]) -> list[Path]:
    """The finished runs at or below each path."""
    found: list[Path] = []
    for path in paths:
        here = [path] if (path / METRICS).is_file() else sorted(file.parent for file in path.rglob(METRICS))
        if not here:
            unfinished = (path / CONFIG).is_file()
            raise InputError(
                f"{path}: the run is not finished; the same avcil-incr run goes on with it"
                if unfinished
                else f"{path}: no finished run there"
            )
        found += [run for run in here if run not in found]
    return found


INDIFFERENT = ("teacher", "residence_gigabytes", "cuda_graphs", "checkpoint_seconds")
"""Fields that change how a run is worked out and not what comes out."""


def rows_of(paths: Sequence[Path]) -> list[Row]:
    """Runs grouped by what they are but for the seed, in the order in which they are first met.

    A run that repeats another one, seed and all, must not count twice.
    """
    groups: dict[str, dict[int, Path]] = {}
    repeated: dict[str, list[Path]] = {}
    configs: dict[str, dict[str, Any]] = {}
    for run in finished_runs(paths):
        content = read_json(run / CONFIG)
        config = {name: value for name, value in content["run"].items() if name not in INDIFFERENT}
        seed = config.pop("seed")
        key = repr((config, content["provenance"].get("plugins")))
        configs.setdefault(key, content["run"])
        if groups.setdefault(key, {}).setdefault(seed, run) != run:
            repeated.setdefault(key, []).append(run)
    names = row_names([{k: v for k, v in config.items() if k not in INDIFFERENT} for config in configs.values()])
    return [
        Row(
            name,
            tuple(groups[key].values()),
            tuple(read_json(run / METRICS) for run in groups[key].values()),
            config,
            tuple(repeated.get(key, ())),
        )
        for name, (key, config) in zip(names, configs.items(), strict=True)
    ]


def row_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The method's name, and what tells a row from other rows of the same method."""
    flat = [
        {**{k: v for k, v in config.items() if k not in ("settings", "seed")}, **config["settings"]}
        for config in configs
    ]
    names = []
    for one in flat:
        peers = [other for other in flat if other["method"] == one["method"]]
        differing = [key for key in one if any(peer.get(key) != one[key] for peer in peers)]
        names.append(" ".join([one["method"], *(f"{key}={one[key]}" for key in differing)]))
    return names
