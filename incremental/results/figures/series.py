"""The numbers that figures show, worked out from rows of runs. Imports no matplotlib.

T tasks. Everything is in percent unless it says otherwise.
"""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from ....plugins import in_one_line
from ...config import OFF
from ..cause import given_tasks
from ..collect import FinishedRun, Row
from ..metrics import confusion_matrix, forgetting_by_task
from ..naming import row_names
from ..own import saved_predictions
from ..spreads import Spread

Numbers = NDArray[np.float64]

HISTORY = "history.csv"
MEMORY_SIZE = "memory_size"


@dataclass(frozen=True)
class Line:
    """A line of a figure: a value over the runs of a row at each place."""

    name: str
    places: tuple[float, ...]
    """Where the values stand, rising: numbers of tasks, sizes of the exemplar memory."""
    values: tuple[Spread, ...]

    def __post_init__(self) -> None:
        if len(self.places) != len(self.values):
            raise ValueError(f"{len(self.places)} places and {len(self.values)} values")

    @property
    def has_interval(self) -> bool:
        """Whether there are several runs at some place."""
        return any(value.interval is not None for value in self.values)


def accuracy_lines(rows: Sequence[Row]) -> list[Line]:
    """Accuracy on all classes seen, after each task 1 .. T."""
    return [_by_task(row, 1, lambda run: run.metrics["accuracy_by_task"]) for row in rows]


def forgetting_lines(rows: Sequence[Row]) -> list[Line]:
    """Forgetting after each task 2 .. T, as in eq. 16 before the mean over tasks. InputError where T = 1 everywhere."""
    lines = [_by_task(row, 2, lambda run: forgetting_by_task(run.metrics["accuracy_matrix"])) for row in rows]
    lines = [line for line in lines if line.places]
    if not lines:
        raise InputError("runs of one task forget nothing: for forgetting by task give runs of several tasks")
    return lines


def _by_task(row: Row, first: int, values: Callable[[FinishedRun], Sequence[float]]) -> Line:
    spreads = [row.spread(of_task) for of_task in zip(*(values(run) for run in row.runs), strict=True)]
    known = [value for value in spreads if value is not None]
    return Line(row.name, tuple(range(first, first + len(known))), tuple(known))


def mean_matrix(row: Row) -> Numbers:
    """(T, T) a[t, i], mean over runs; NaN above the diagonal."""
    tasks = len(row.runs[0].metrics["accuracy_by_task"])
    matrix = np.full((tasks, tasks), np.nan)
    for number in range(tasks):
        matrix[number, : number + 1] = np.mean([run.metrics["accuracy_matrix"][number] for run in row.runs], axis=0)
    return matrix


def memory_lines(rows: Sequence[Row], figure: str = "mean_accuracy") -> list[Line]:
    """A figure of metrics.json against the size |M| of the exemplar memory, a line for rows that differ in it alone.

    Methods without a memory are lines with one place, NaN.

    Raises:
        InputError: no two sizes of any method.
    """
    lines = []
    for name, group in _by_memory(rows):
        found = sorted((float(row.config.get(MEMORY_SIZE, math.nan)), row) for row in group) if len(group) > 1 else []
        if not found:
            remembers = MEMORY_SIZE in group[0].runs[0].cause["settings"]
            found = [(float(group[0].config[MEMORY_SIZE]) if remembers else math.nan, group[0])]
        values = [(size, value) for size, row in found if (value := row.figure(figure)) is not None]
        if values:
            lines.append(Line(name, tuple(size for size, _ in values), tuple(value for _, value in values)))
    if not any(len(line.places) > 1 for line in lines):
        sizes = sorted({f"{size:g}" for line in lines for size in line.places if not math.isnan(size)})
        there = f"these have {', '.join(sizes)}" if sizes else "these have none"
        raise InputError(f"a memory sweep needs runs of one method with several values of memory_size; {there}")
    return lines


def _by_memory(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows that differ in the size of the exemplar memory alone, together, and what they are called."""
    groups: dict[str, list[Row]] = {}
    causes: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        cause = row.runs[0].cause
        size = cause["settings"].pop(MEMORY_SIZE, None)
        key = json.dumps([cause, size is None], sort_keys=True)
        causes[key] = cause
        groups.setdefault(key, []).append(row)
    return list(zip(row_names(list(causes.values())), groups.values(), strict=True))


def byte_lines(rows: Sequence[Row], figure: str = "mean_accuracy") -> list[Line]:
    """A figure of metrics.json against the bytes that a run keeps (exemplars, statistics, weights), a line for rows
    that differ in the size of the exemplar memory alone.

    Raises:
        InputError: no run has recorded what it keeps, as older versions did not.
    """
    lines = []
    for name, group in _by_memory(rows):
        found = sorted(
            (kept.mean, value) for row in group if (kept := row.figure("kept_bytes")) and (value := row.figure(figure))
        )
        if found:
            lines.append(Line(name, tuple(kept for kept, _ in found), tuple(value for _, value in found)))
    if not lines:
        raise InputError("no run here has recorded the bytes that it keeps: run it again with this version")
    return lines


def task_sizes(row: Row) -> list[int]:
    """Classes of each task. InputError where an old run did not record its tasks."""
    tasks = row.runs[0].content["provenance"].get("tasks", [])
    if not tasks:
        raise InputError(f"{row.runs[0].path}: its config.json does not tell the classes of its tasks")
    return [len(task) for task in tasks]


def class_names(row: Row) -> list[str]:
    """In class order; in the given one where runs have several."""
    tasks = row.runs[0].content["provenance"]["tasks"] if len(row.orders) == 1 else given_tasks(row.runs[0].content)
    return [name for task in tasks for name in task]


def confusion(row: Row, *, by_task: bool) -> Numbers:
    """Shares of the answers after the last task, all runs together: row = true, column = answered, a row adds to 100.

    (T, T) between tasks or (C, C) between classes as `class_names` has them; NaN in a row without test clips.
    InputError where predictions.csv of a run is gone or damaged.
    """
    sizes = task_sizes(row)
    counts = np.zeros((sum(sizes), sum(sizes)), dtype=np.int64)
    for run in row.runs:
        of_run = confusion_matrix(saved_predictions(run)[-1], sum(sizes))
        if not by_task and len(row.orders) > 1:
            learnt = [name for task in run.content["provenance"]["tasks"] for name in task]
            places = [learnt.index(name) for name in class_names(row)]
            of_run = of_run[np.ix_(places, places)]
        counts += of_run
    if by_task:
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        counts = np.add.reduceat(np.add.reduceat(counts, starts, axis=0), starts, axis=1)
    clips = counts.sum(axis=1, keepdims=True)
    shares: Numbers = np.divide(100.0 * counts, clips, out=np.full(counts.shape, np.nan), where=clips > 0)
    return shares


@dataclass(frozen=True)
class Training:
    """How a row's runs learnt: means over runs, epoch by epoch, all tasks strung together.

    Where patience ends tasks, an epoch's values are of the runs that had it, and a task is as long as its longest.
    """

    name: str
    loss: Numbers
    """(E,) sum of the loss's terms."""
    validation: Numbers | None
    """(E,) accuracy on validation clips, NaN in epochs without; None where it was not worked out."""
    begins: tuple[int, ...]
    """The epoch, from 0, with which each task begins."""


NO_TERMS = ("task", "epoch", "validation_accuracy")
"""Columns of history.csv that are no terms of the loss."""


def training(row: Row) -> Training | None:
    """From history.csv; None for a method without epochs. InputError where a file is gone or damaged."""
    histories = [_history(run) for run in row.runs]
    settings = row.cause["settings"]
    if "patience" in settings:
        histories = _aligned(histories)
    tasks = histories[0][0]
    if not len(tasks):
        return None
    if any(not np.array_equal(other, tasks) for other, _, _ in histories):
        raise InputError(
            f"{row.runs[0].path.parent}: the {HISTORY} of runs that differ only in seed or class order do not match"
        )
    validation = _mean([one for _, _, one in histories])
    whole = not any(np.isnan(one).any() for _, _, one in histories)
    partly = bool(settings.keys() & OFF.keys()) and not np.isnan(validation).all()
    return Training(
        row.name,
        _mean([loss for _, loss, _ in histories]),
        validation if whole or partly else None,
        (0, *(np.flatnonzero(np.diff(tasks)) + 1).tolist()),
    )


def _aligned(histories: Sequence["History"]) -> list["History"]:
    """Each with as many epochs of a task as the longest has; NaN where a run had ended the task."""
    numbers = np.unique(np.concatenate([tasks for tasks, _, _ in histories]))
    longest = [max(int((tasks == number).sum()) for tasks, _, _ in histories) for number in numbers]
    found = []
    for tasks, *curves in histories:
        loss, validation = (np.full(sum(longest), np.nan) for _ in curves)
        for number, begin in zip(numbers, np.cumsum([0, *longest]), strict=False):
            of_task = tasks == number
            loss[begin : begin + of_task.sum()], validation[begin : begin + of_task.sum()] = (
                curve[of_task] for curve in curves
            )
        found.append((np.repeat(numbers, longest), loss, validation))
    return found


def _mean(curves: Sequence[Numbers]) -> Numbers:
    """Over the runs that have a value; NaN where none has."""
    values = np.array(curves)
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    mean: Numbers = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return mean


History = tuple[NDArray[np.int64], Numbers, Numbers]
"""Task (E,), loss (E,), validation accuracy (E,), NaN in epochs without."""


def _history(run: FinishedRun) -> History:
    """From history.csv."""
    path = run.path / HISTORY
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.DictReader(stream))
        tasks = np.array([int(line["task"]) for line in lines], dtype=np.int64)
        loss = np.array(
            [sum(float(text) for name, text in line.items() if name not in NO_TERMS and text) for line in lines]
        )
        accuracies = [float(line.get("validation_accuracy") or "nan") for line in lines]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {in_one_line(error)}") from error
    return tasks, loss, np.array(accuracies)
