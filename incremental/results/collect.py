"""Finished runs gathered into rows: runs that differ in nothing but their seed, and what tells rows apart."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, say
from .cause import SEED, facts_of, settings_of
from .files import METRICS, config_of, metrics_of
from .metrics import FIGURES
from .naming import row_words
from .unfinished import unfinished_below

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
        return self.words()

    def words(self, *, digits: int = 2, interval: bool = True) -> str:
        """Mean ± standard deviation, and half the 95% interval if `interval`; 0 is never "-0"."""
        words = rounded(self.mean, digits)
        if self.deviation is not None:
            words += f" ± {rounded(self.deviation, digits)}"
        if self.interval is not None and interval:
            words += f" (95%: ± {rounded(self.interval, digits)})"
        return words


def rounded(value: float | None, digits: int = 2) -> str:
    """A figure as it is shown everywhere: no "-0.00", and "-" where it is not defined."""
    return "-" if value is None else f"{value:z.{digits}f}"


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
    words: Mapping[str, str] = field(default_factory=dict)
    """The words of the name, by the setting or fact they tell."""

    @property
    def cause(self) -> dict[str, Any]:
        """What made the results of all its runs."""
        return self.runs[0].cause

    @property
    def random_weights(self) -> bool:
        """Whether the features of one of its runs come from encoders with random weights."""
        return any(run.metrics["random_encoder_weights"] for run in self.runs)

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

    One that cannot be read, or is not finished, is named on standard error and left out. InputError where no run is
    left, and where there is none at or below a path.
    """
    found: list[Path] = []
    problems: list[InputError] = []
    for path in map(Path, [paths] if isinstance(paths, Path | str) else paths):
        here = [path] if (path / METRICS).is_file() else sorted(file.parent for file in path.rglob(METRICS))
        unfinished = [] if here == [path] else unfinished_below(path)
        if not here and not unfinished:
            raise InputError(f"{path}: no finished run there")
        found += [run for run in here if run not in found]
        problems += [InputError(f"{folder}: {words}") for folder, words in unfinished]
    runs = list(_readable(found, problems))
    if not runs:
        more = "" if len(problems) == 1 else f" (and {len(problems) - 1} more that cannot be shown)"
        raise InputError(f"{problems[0]}{more}")
    for said in dict.fromkeys(map(str, problems)):
        say(f"left out: {said}", err=True)
    return runs


def _readable(folders: Sequence[Path], problems: list[InputError]) -> Iterator[FinishedRun]:
    for path in folders:
        try:
            yield FinishedRun(path, config_of(path), metrics_of(path))
        except InputError as error:
            problems.append(error)


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
    found = row_words([next(iter(group.values())).cause for group in groups.values()])
    return [
        Row(" ".join(words.values()), tuple(group.values()), tuple(repeated.get(key, ())), words)
        for words, (key, group) in zip(found, groups.items(), strict=True)
    ]


def run_records(runs: Sequence[FinishedRun]) -> list[dict[str, Any]]:
    """A record a run: path, row, every setting that decides the result, facts of its cause, every figure, time, memory.

    A run that repeats another one of its row, seed and all, has "(repeated)" behind the row's name.

    Figures are in percent, `seconds` in seconds, `peak_memory_bytes` in bytes.
    """
    rows = rows_of(runs)
    names = {run.path: row.name for row in rows for run in row.runs}
    names |= {path: f"{row.name} (repeated)" for row in rows for path in row.repeated}
    lines = []
    for run in runs:
        facts = {name: value for name, value in facts_of(run.content).items() if isinstance(value, str)}
        figures = {name: run.metrics.get(name) for name in (*FIGURES, "seconds", "peak_memory_bytes")}
        line = {"path": str(run.path), "row": names[run.path], **settings_of(run.content)}
        lines.append(line | facts | figures)
    return lines


def frame(runs: Sequence[FinishedRun]) -> "pd.DataFrame":
    """`run_records` as a data frame, a line a run."""
    import pandas as pd

    return pd.DataFrame(run_records(runs))
