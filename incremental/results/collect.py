"""Finished runs gathered into rows: runs that differ in nothing but their seed, and what tells rows apart."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, say
from .cause import FACTS, SEED, facts_of, settings_of
from .files import CONFIG, METRICS, config_of, metrics_of
from .metrics import FIGURES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder, read."""

    path: Path
    content: Mapping[str, Any]
    """config.json."""
    metrics: Mapping[str, Any]
    """metrics.json."""

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.content["run"][SEED])

    @property
    def cause(self) -> dict[str, Any]:
        """What made the result, but for the seed: settings and facts."""
        settings = settings_of(self.content)
        settings.pop(SEED, None)
        return {"settings": settings, "facts": facts_of(self.content)}


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
    from scipy.special import stdtrit  # scipy.stats has the same and takes half a second to import

    deviation = float(np.std(known, ddof=1))
    half = float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
    return Spread(float(np.mean(known)), deviation, half)


@dataclass(frozen=True)
class Row:
    """One line of a table: runs of one cause, which differ in nothing but their seed."""

    name: str
    runs: tuple[FinishedRun, ...]
    repeated: tuple[Path, ...] = ()
    """Runs that repeat one of these, seed and all; they are left out."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the first run."""
        config: Mapping[str, Any] = self.runs[0].content["run"]
        return config

    def figure(self, name: str) -> Spread | None:
        """A figure of metrics.json over the runs."""
        return spread([run.metrics.get(name) for run in self.runs])


def load_runs(paths: Path | str | Sequence[Path | str]) -> list[FinishedRun]:
    """The finished runs at or below a path, or each of several.

    One that cannot be read is named on standard error and left out. InputError where no run is left, and where a path
    has none.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, Path | str) else paths):
        here = [path] if (path / METRICS).is_file() else sorted(file.parent for file in path.rglob(METRICS))
        if not here:
            unfinished = (path / CONFIG).is_file()
            raise InputError(
                f"{path}: the run is not finished; the same avcil-incr run resumes it"
                if unfinished
                else f"{path}: no finished run there"
            )
        found += [run for run in here if run not in found]
    runs, errors = [], []
    for path in found:
        try:
            runs.append(FinishedRun(path, config_of(path), metrics_of(path)))
        except InputError as error:
            errors.append(error)
    if not runs:
        raise errors[0]
    for problem in errors:
        say(f"left out: {problem}", err=True)
    return runs


def rows_of(runs: Sequence[FinishedRun]) -> list[Row]:
    """Runs grouped by cause, in the order in which causes are first met.

    A run that repeats another one, seed and all, must not count twice.
    """
    groups: dict[str, dict[int, FinishedRun]] = {}
    repeated: dict[str, list[Path]] = {}
    for run in runs:
        key = json.dumps(run.cause, sort_keys=True)
        if groups.setdefault(key, {}).setdefault(run.seed, run) is not run:
            repeated.setdefault(key, []).append(run.path)
    names = row_names([next(iter(group.values())).cause for group in groups.values()])
    return [
        Row(name, tuple(group.values()), tuple(repeated.get(key, ())))
        for name, (key, group) in zip(names, groups.items(), strict=True)
    ]


def row_names(causes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The method's name, and what tells a row from other rows of the same method.

    Settings by name and value; facts by what FACTS calls them and the first letters of their hash.
    """
    names = []
    for cause in causes:
        method = cause["settings"]["method"]
        peers = [other for other in causes if other["settings"]["method"] == method]
        words = [method]
        for key, value in cause["settings"].items():
            if any(peer["settings"].get(key) != value for peer in peers):
                words.append(f"{key}={value}")
        for key, (title, _) in FACTS.items():
            value = cause["facts"].get(key)
            if any(peer["facts"].get(key) != value for peer in peers):
                words.append(f"{title}={_in_short(value)}")
        names.append(" ".join(words))
    return names


def _in_short(fact: Any) -> str:
    """A fact in a table: a word as it is, a hash or a list by eight letters of a hash."""
    if fact is None:
        return "unrecorded"
    if isinstance(fact, str):
        return fact if len(fact) < 16 else fact[:8]
    return hashlib.sha256(json.dumps(fact).encode()).hexdigest()[:8]


def frame(runs: Sequence[FinishedRun]) -> "pd.DataFrame":
    """A line a run: path, row, every setting that decides the result, facts of its cause, every figure, time, memory.

    A run that repeats another one of its row, seed and all, has "(repeated)" behind the row's name.

    Figures are in percent, `seconds` in seconds, `peak_memory_bytes` in bytes.
    """
    import pandas as pd

    rows = rows_of(runs)
    names = {run.path: row.name for row in rows for run in row.runs}
    names |= {path: f"{row.name} (repeated)" for row in rows for path in row.repeated}
    lines = []
    for run in runs:
        facts = {name: value for name, value in facts_of(run.content).items() if isinstance(value, str)}
        figures = {name: run.metrics.get(name) for name in (*FIGURES, "seconds", "peak_memory_bytes")}
        line = {"path": str(run.path), "row": names[run.path], **settings_of(run.content)}
        lines.append(line | facts | figures)
    return pd.DataFrame(lines)
