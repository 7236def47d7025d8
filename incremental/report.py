"""Results as a person reads them: tables of runs, with intervals where a method was run with several seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from scipy import stats

from ..errors import InputError
from ..files import read_json
from ..manifests import published, published_names
from .config import as_plain, configure
from .methods import find_method
from .rundir import CONFIG, METRICS

COLUMNS = {
    "mean_accuracy": "Mean Accuracy",
    "average_forgetting": "Average Forgetting",
    "last_accuracy": "Last Accuracy",
}
"""The figures of the main table, by their names in metrics.json."""
ALL_FIGURES = (
    *COLUMNS,
    "class_balanced_mean_accuracy",
    "backward_transfer",
    "nonnegative_forgetting",
    "first_minus_last_forgetting",
)


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


UNPUBLISHED = ("cache", "seed", "device", "precision", "plugins", *INDIFFERENT)
"""Fields in which a run may differ from the published setting and still be a rerun of it."""


def published_figures(config: Mapping[str, Any]) -> str | None:
    """The published figures for a run with exactly the published settings, else None."""
    if config["dataset"] not in published_names():
        return None
    benchmark = published(config["dataset"])
    figures = benchmark.published.get(config["method"], {}).get(config["modality"])
    if figures is None:
        return None
    chosen = {name: config[name] for name in ("dataset", "cache", "modality")}
    preset = as_plain(*configure(find_method(config["method"]), benchmark.protocol, chosen))
    if any(config[name] != value for name, value in preset.items() if name not in UNPUBLISHED):
        return None
    return " / ".join(f"{figure:.2f}" for figure in figures)


def results_table(rows: Sequence[Row], *, markdown: bool = False) -> Table:
    """Mean Accuracy, Average Forgetting and last accuracy, a line a row."""
    table = Table(box=box.MARKDOWN if markdown else box.SIMPLE_HEAD)
    in_paper = [published_figures(row.config) for row in rows]
    headings = ["Method", "Runs", *COLUMNS.values(), "Model", "Seconds a run"]
    if any(in_paper):
        headings.append("Published MA / AF")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("Method", "Model") else "right")
    for row, paper in zip(rows, in_paper, strict=True):
        figures = [str(row.figure(name) or "-") for name in COLUMNS]
        seconds = row.figure("seconds")
        table.add_row(
            row.name,
            str(len(row.runs)),
            *figures,
            f"{row.config['model_choice']} epoch",
            f"{seconds.mean:.1f}" if seconds else "-",
            *([paper or "-"] if any(in_paper) else []),
        )
    return table


def notes(rows: Sequence[Row]) -> list[str]:
    """What a reader has to know of the runs in a table."""
    lines = ["All figures in percent; forgetting: lower is better."]
    if any(metrics["random_encoder_weights"] for row in rows for metrics in row.metrics):
        lines.append("Features come from encoders with RANDOM weights: figures say nothing of the published ones.")
    if any(metrics["model_choice"] == "best" for row in rows for metrics in row.metrics):
        lines.append("best epoch: chosen on validation clips of all seen classes, old ones included, as published.")
    lines += [f"left out, since it repeats a run in the table: {run}" for row in rows for run in row.repeated]
    return lines


def run_tables(run: Path) -> list[Table]:
    """One run: its figures, and its accuracy matrix."""
    metrics = read_json(run / METRICS)
    figures = Table(title=f"{metrics['method']} ({metrics['modality']}), seed {metrics['seed']}", box=box.SIMPLE_HEAD)
    figures.add_column("Figure")
    figures.add_column("%", justify="right")
    for name in ALL_FIGURES:
        value = metrics.get(name)
        figures.add_row(name.replace("_", " "), "-" if value is None else f"{value:.2f}")
    if "leak_free" in metrics:
        for name, value in metrics["leak_free"].items():
            if isinstance(value, float):
                figures.add_row(f"leak-free {name.replace('_', ' ')}", f"{value:.2f}")
    figures.caption = (
        f"{metrics['seconds']:.1f} s, {metrics['peak_memory_bytes'] / 2**20:.0f} MiB; "
        f"chosen epochs {', '.join(map(str, metrics['chosen_epochs']))}"
    )
    # Narrow columns: a published matrix of ten tasks has to fit a screen of 80 characters with all its digits.
    matrix = Table(title="Accuracy in % (row: after task; column: on task)", box=box.SIMPLE_HEAD, padding=0)
    tasks = len(metrics["accuracy_by_task"])
    for heading in ("after", *(str(number) for number in range(1, tasks + 1)), "all"):
        matrix.add_column(heading, justify="right", min_width=5)
    for number, (row, seen) in enumerate(
        zip(metrics["accuracy_matrix"], metrics["accuracy_by_task"], strict=True), start=1
    ):
        cells = [f"{value:.1f}" for value in row] + [""] * (tasks - number)
        matrix.add_row(str(number), *cells, f"{seen:.1f}")
    return [figures, matrix]


def as_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Every figure of every row, for a CSV file: mean, standard deviation and half the 95% interval."""
    lines = []
    for row in rows:
        line: dict[str, Any] = {"row": row.name, "runs": len(row.runs)}
        for name in (*ALL_FIGURES, "seconds", "peak_memory_bytes"):
            figure = row.figure(name)
            line[name] = figure.mean if figure else None
            line[f"{name}_deviation"] = figure.deviation if figure else None
            line[f"{name}_interval95"] = figure.interval if figure else None
        lines.append(line)
    return pd.DataFrame(lines)
