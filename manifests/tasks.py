"""Cut the classes into tasks: which classes are learnt together, and in what order."""

import random
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, unknown
from ..wording import number_of
from .tables import read_table, refuse_hidden

Tasks = tuple[tuple[str, ...], ...]
"""The labels of each task, in the order of learning. Tasks are disjoint and none is empty."""

TASK_COLUMNS = ("task", "label")


def split_into_tasks(class_order: Sequence[str], classes_per_task: int) -> Tasks:
    """Cut the class order into runs of `classes_per_task` labels.

    What is left over makes a last, smaller task. The reference implementation drops it.

    Raises:
        InputError: `classes_per_task` is below 1 or above the number of classes.
    """
    if not 1 <= classes_per_task <= len(class_order):
        raise InputError(f"classes per task must be between 1 and {len(class_order)}, not {classes_per_task}")
    starts = range(0, len(class_order), classes_per_task)
    return tuple(tuple(class_order[start : start + classes_per_task]) for start in starts)


def shuffled_class_order(class_order: Sequence[str], seed: int) -> tuple[str, ...]:
    """The same labels in an order drawn from `seed`.

    Labels are sorted by the numbers of Python's `random.Random(seed).random()`, whose sequence is guaranteed
    from one version of Python to the next; `shuffle`'s is not.
    """
    return tuple(class_order[place] for place in _drawn(len(class_order), seed))


def given_class_order(drawn: Sequence[str], seed: int) -> tuple[str, ...]:
    """The order that `shuffled_class_order` drew `drawn` from."""
    places = _drawn(len(drawn), seed)
    return tuple(label for _, label in sorted(zip(places, drawn, strict=True)))


def _drawn(count: int, seed: int) -> list[int]:
    """The numbers below `count` in an order drawn from `seed`."""
    draw = random.Random(seed)
    keys = [draw.random() for _ in range(count)]
    return [place for _, place in sorted(zip(keys, range(count), strict=True))]


def read_tasks(path: Path, class_order: Sequence[str] | None = None) -> Tasks:
    """Read tasks from a CSV file with the columns task,label.

    Neighbouring rows with the same entry under `task` form one task; tasks are learnt in the order of the
    rows.

    Args:
        path: the file.
        class_order: if given, every one of these labels must be in a task, and no other may be.

    Raises:
        InputError: naming file and row: wrong columns, an empty cell, hidden characters, a task whose rows
            are apart, a label listed twice, unknown, or left out.
    """
    path = Path(path)
    tasks: dict[str, list[str]] = {}
    where: dict[str, int] = {}
    previous = None
    for row, cells in read_table(path, TASK_COLUMNS):
        task, label = (cells[column] for column in TASK_COLUMNS)
        refuse_hidden(f"{path} row {row}", "task", task)
        refuse_hidden(f"{path} row {row}", "label", label)
        if not task or not label:
            raise InputError(f"{path} row {row}: both task and label have to be given")
        if label in where:
            raise InputError(f"{path} row {row}: label '{label}' is listed twice, first in row {where[label]}")
        if class_order is not None and label not in class_order:
            raise InputError(f"{path} row {row}: {unknown('label', label, class_order)}")
        if task in tasks and task != previous:
            raise InputError(f"{path} row {row}: the rows of task '{task}' have to stand together")
        where[label] = row
        tasks.setdefault(task, []).append(label)
        previous = task
    left_out = [label for label in class_order or () if label not in where]
    if left_out:
        raise InputError(
            f"{path}: {number_of(len(left_out), 'class', 'classes')} in no task, the first '{left_out[0]}'"
        )
    return tuple(tuple(labels) for labels in tasks.values())
