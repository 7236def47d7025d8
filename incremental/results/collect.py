"""Finished runs gathered into rows: runs that differ in nothing but their seed and the order of their classes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, say
from ...wording import number_of
from .cause import ORDER, SEED, facts_of, given_tasks, order_of, settings_of
from .files import METRICS, config_of, metrics_of
from .measures import MEASURES
from .metrics import FIGURES
from .naming import row_words
from .spreads import Spread, spread_over
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
    def order(self) -> int | None:
        """The seed that its class order was drawn from; None: the published or given order."""
        return order_of(self.content)

    @property
    def repetition(self) -> str:
        """What tells it from other runs of its row: "seed 0", "class order 2, seed 0"."""
        return repetition(self.order, self.seed)

    @property
    def cause(self) -> dict[str, Any]:
        """What made the result, but for the seed and the order of the classes: settings and facts."""
        settings, facts = settings_of(self.content), facts_of(self.content)
        settings.pop(SEED, None)
        if "tasks" in facts:
            facts["tasks"] = given_tasks(self.content)
        return {"settings": settings, "facts": facts}


def repetition(order: int | None, seed: int) -> str:
    """A run among those that differ in nothing else, in words."""
    return f"seed {seed}" if order is None else f"class order {order}, seed {seed}"


@dataclass(frozen=True)
class Row:
    """One line of a table: runs of one cause, which differ in nothing but their seed and the order of their classes."""

    name: str
    runs: tuple[FinishedRun, ...]
    repeated: tuple[Path, ...] = ()
    """Runs that repeat one of these, seed, class order and all; they are left out."""
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

    @property
    def orders(self) -> tuple[int | None, ...]:
        """The class orders of its runs, each once, the given one (None) first, drawn ones by their seeds."""
        return tuple(sorted({run.order for run in self.runs}, key=lambda order: -1 if order is None else order))

    @property
    def counted(self) -> str:
        """How many runs it has: "3 seeds", "15 runs in 5 class orders"."""
        if len(self.orders) == 1:
            return number_of(len(self.runs), "seed")
        return f"{number_of(len(self.runs), 'run')} in {len(self.orders)} class orders"

    def spread(self, values: Sequence[float | None]) -> Spread | None:
        """Of a value a run, in the order of `runs`."""
        return spread_over(values, [run.order for run in self.runs])

    def figure(self, name: str) -> Spread | None:
        """A figure of metrics.json over the runs."""
        return self.spread([run.metrics.get(name) for run in self.runs])

    @property
    def published(self) -> list[float]:
        """The figures published for exactly its settings and the given class order; [] if there are none."""
        return next((found for run in self.runs if (found := run.metrics.get("published"))), [])


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

    A run that repeats another one, seed, class order and all, must not count twice.
    """
    groups: dict[str, dict[tuple[int | None, int], FinishedRun]] = {}
    repeated: dict[str, list[Path]] = {}
    for run in runs:
        key = json.dumps(run.cause, sort_keys=True)
        if groups.setdefault(key, {}).setdefault((run.order, run.seed), run) is not run:
            repeated.setdefault(key, []).append(run.path)
    found = row_words([next(iter(group.values())).cause for group in groups.values()])
    return [
        Row(" ".join(words.values()), tuple(group.values()), tuple(repeated.get(key, ())), words)
        for words, (key, group) in zip(found, groups.items(), strict=True)
    ]


def run_records(runs: Sequence[FinishedRun]) -> list[dict[str, Any]]:
    """A record a run: path, row, every setting that decides the result, facts of its cause, every figure and measure.

    A run that repeats another one of its row, seed, class order and all, has "(repeated)" behind the row's name.

    Figures are in percent, measures (`measures.MEASURES`) in seconds, bytes, percent or nats.
    """
    rows = rows_of(runs)
    names = {run.path: row.name for row in rows for run in row.runs}
    names |= {path: f"{row.name} (repeated)" for row in rows for path in row.repeated}
    lines = []
    for run in runs:
        facts = {name: value for name, value in facts_of(run.content).items() if isinstance(value, str)}
        figures = {name: run.metrics.get(name) for name in (*FIGURES, *MEASURES)}
        line = {"path": str(run.path), "row": names[run.path], **settings_of(run.content), ORDER: run.order}
        lines.append(line | facts | figures)
    return lines


def frame(runs: Sequence[FinishedRun]) -> "pd.DataFrame":
    """`run_records` as a data frame, a line a run."""
    import pandas as pd

    return pd.DataFrame(run_records(runs))
