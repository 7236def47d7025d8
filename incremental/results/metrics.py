"""What is reported of a run, worked out from the predictions on the test clips after every task.

a[t, i] is the accuracy, after task t, on the test clips of task i. All figures are in percent.

A figure is one function here, under `@figure`: metrics.json, tables, CSV files and documents take it from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Matrix = list[list[float]]
"""Row = after task, column = task; row t has t entries."""


@dataclass(frozen=True)
class Predictions:
    """The answers on all test clips seen so far, after one task."""

    clips: NDArray[np.int64]
    """(n,) clip numbers."""
    labels: NDArray[np.int64]
    """(n,) class indices."""
    predicted: NDArray[np.int64]
    """(n,) class indices."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether each answer is right."""
        return np.asarray(self.labels == self.predicted)


def percent(right: NDArray[np.bool_]) -> float:
    """Share of right answers in percent."""
    return 100.0 * float(np.mean(right))


def accuracy_matrix(after: Sequence[Predictions], boundaries: Sequence[int]) -> Matrix:
    """a[t, i]; `boundaries` are the class indices at which tasks begin, and the number of classes."""
    rows = []
    for number, answers in enumerate(after, start=1):
        tasks = np.searchsorted(boundaries[1:], answers.labels, side="right")
        rows.append([percent(answers.right[tasks == task]) for task in range(number)])
    return rows


@dataclass(frozen=True)
class Figure:
    """A figure of a run, of which tables and documents speak."""

    name: str
    """In metrics.json and in CSV files."""
    title: str
    """In tables."""
    better: Literal["higher", "lower"]
    meaning: str
    """In documents."""
    main: bool
    """Whether the table of runs shows it."""
    work: Callable[[Any], float | None]
    of: Literal["predictions", "matrix"]
    """What `work` takes: the predictions after every task, or the accuracy matrix."""


FIGURES: dict[str, Figure] = {}
"""Every figure by name, in the order in which they are shown."""


def figure(
    title: str, *, better: Literal["higher", "lower"], of: Literal["predictions", "matrix"], main: bool = False
) -> Callable[[Callable[[Any], float | None]], Callable[[Any], float | None]]:
    """Make a function a figure of every run; its name is the figure's, its docstring the meaning."""

    def enter(work: Callable[[Any], float | None]) -> Callable[[Any], float | None]:
        meaning = " ".join((work.__doc__ or "").split())
        FIGURES[work.__name__] = Figure(work.__name__, title, better, meaning, main, work, of)
        return work

    return enter


@figure("Mean Accuracy", better="higher", of="predictions", main=True)
def mean_accuracy(after: Sequence[Predictions]) -> float:
    """Eq. 15: mean over tasks t of the accuracy over all test clips seen so far (each clip weighs the same)."""
    return float(np.mean([percent(answers.right) for answers in after]))


@figure("Average Forgetting", better="lower", of="matrix", main=True)
def average_forgetting(a: Matrix) -> float | None:
    """Eq. 16: mean over t >= 2 of the mean over i < t of (max over tau < t of a[tau, i] - a[t, i]).

    Negative where a task got better than it ever was. None with one task only.
    """
    per_task = forgetting_by_task(a)
    return float(np.mean(per_task)) if per_task else None


def forgetting_by_task(a: Matrix) -> list[float]:
    """The terms of eq. 16 for t = 2, 3, ...: mean over i < t of (max over tau < t of a[tau, i] - a[t, i])."""
    return [
        float(np.mean([max(a[tau][i] for tau in range(i, t)) - a[t][i] for i in range(t)])) for t in range(1, len(a))
    ]


@figure("Last Accuracy", better="higher", of="predictions", main=True)
def last_accuracy(after: Sequence[Predictions]) -> float:
    """Accuracy over all test clips after the last task."""
    return percent(after[-1].right)


@figure("Class-balanced Mean Accuracy", better="higher", of="predictions")
def class_balanced_mean_accuracy(after: Sequence[Predictions]) -> float:
    """As Mean Accuracy, but each class weighs the same."""
    return float(np.mean([class_balanced_accuracy(answers) for answers in after]))


@figure("Class-balanced Last Accuracy", better="higher", of="predictions")
def class_balanced_last_accuracy(after: Sequence[Predictions]) -> float:
    """As Last Accuracy, but each class weighs the same."""
    return class_balanced_accuracy(after[-1])


@figure("Backward Transfer", better="higher", of="matrix")
def backward_transfer(a: Matrix) -> float | None:
    """Lopez-Paz and Ranzato, 2017: mean over all but the last task i of a[T, i] - a[i, i]."""
    forgetting = first_minus_last_forgetting(a)
    return None if forgetting is None else -forgetting


@figure("Non-negative Forgetting", better="lower", of="matrix")
def nonnegative_forgetting(a: Matrix) -> float | None:
    """At the end, mean over all but the last task i of max over all tau of a[tau, i] - a[T, i].

    The maximum takes in the last row, so that getting better counts as forgetting nothing.
    """
    drops = [max(row[i] for row in a[i:]) - a[-1][i] for i in range(len(a) - 1)]
    return float(np.mean(drops)) if drops else None


@figure("First-minus-last Forgetting", better="lower", of="matrix")
def first_minus_last_forgetting(a: Matrix) -> float | None:
    """Mean over all but the last task i of a[i, i] - a[T, i]: when learnt, minus at the end."""
    drops = [a[i][i] - a[-1][i] for i in range(len(a) - 1)]
    return float(np.mean(drops)) if drops else None


def class_accuracies(answers: Predictions, classes: int) -> list[float | None]:
    """Accuracy of each of the first `classes` classes; None for a class without test clips."""
    return [
        percent(answers.right[answers.labels == label]) if (answers.labels == label).any() else None
        for label in range(classes)
    ]


def class_balanced_accuracy(answers: Predictions) -> float:
    """Mean of the accuracies of the classes that have test clips: each class weighs the same."""
    return float(np.mean([percent(answers.right[answers.labels == label]) for label in np.unique(answers.labels)]))


def confusion_matrix(answers: Predictions, classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (answers.labels, answers.predicted), 1)
    return counts


def summarise(after: Sequence[Predictions], boundaries: Sequence[int]) -> dict[str, Any]:
    """All figures of a run, and what curves and matrices are drawn from. `boundaries` as in `accuracy_matrix`."""
    a = accuracy_matrix(after, boundaries)
    figures = {name: one.work(a if one.of == "matrix" else after) for name, one in FIGURES.items()}
    return figures | {
        "accuracy_by_task": [percent(answers.right) for answers in after],
        "forgetting_by_task": forgetting_by_task(a),
        "accuracy_matrix": a,
    }


def without(answers: Predictions, left_out: NDArray[np.int64]) -> Predictions:
    """The same answers without the clips numbered `left_out`."""
    keep = ~np.isin(answers.clips, left_out)
    return Predictions(answers.clips[keep], answers.labels[keep], answers.predicted[keep])
