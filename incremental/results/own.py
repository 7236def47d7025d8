"""Figures of one's own: functions in a Python file, worked out from the predictions that runs have saved.

    metrics = {"worst class": worst_class}

Each function takes the test clips' answers after every task (a sequence of `metrics.Predictions`, numbered as the
package's own figures have them) and gives a number, or None where it is not defined.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...plugins import in_one_line, line_of, read_plugin
from ...wording import number_of
from .collect import FinishedRun
from .metrics import Predictions

PREDICTIONS = "predictions.csv"
COLUMNS = ("after_task", "video_id", "label", "predicted")

OwnFigures = Mapping[str, Callable[[Sequence[Predictions]], float | None]]


def own_figures(plugin: Path) -> OwnFigures:
    """The dictionary `metrics` of a Python file, which is run. InputError where it cannot be, or has none."""
    module = read_plugin(plugin).run()
    figures = getattr(module, "metrics", None)
    named = isinstance(figures, dict) and all(isinstance(key, str) and key.strip() for key in figures)
    if not isinstance(figures, dict) or not figures or not named or not all(map(callable, figures.values())):
        raise InputError(f'--plugin {plugin}: has to have a dictionary metrics = {{"name": function, ...}}')
    return figures


def rescored(run: FinishedRun, figures: OwnFigures, plugin: Path) -> dict[str, float | None]:
    """The figures of a run. InputError where its predictions cannot be read, or a function fails or gives no number."""
    after = saved_predictions(run)
    values: dict[str, float | None] = {}
    for name, work in figures.items():
        where = f"--plugin {plugin}: figure '{name}' of {run.path}"
        try:
            value: Any = work(after)
        except Exception as error:
            raise InputError(f"{where}{line_of(plugin, error)}: {in_one_line(error)}") from error
        if value is not None:
            try:
                value = float(value)
            except (TypeError, ValueError):
                raise InputError(f"{where} has to be a number or None, not {type(value).__name__}") from None
            if not math.isfinite(value):
                raise InputError(f"{where} has become {value}: give None where it is not defined")
        values[name] = value
    return values


def saved_predictions(run: FinishedRun) -> list[Predictions]:
    """The answers after each task, from predictions.csv; clips are numbered as they first come. InputError where the
    file is gone or damaged."""
    path = run.path / PREDICTIONS
    classes = [name for task in run.content["provenance"].get("tasks", []) for name in task]
    numbers = {name: number for number, name in enumerate(classes)}
    clips: dict[str, int] = {}
    rows: dict[int, list[tuple[int, int, int]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                task, clip, label, predicted = (row[column] for column in COLUMNS)
                entry = clips.setdefault(clip, len(clips)), numbers[label], numbers[predicted]
                rows.setdefault(int(task), []).append(entry)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except (KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {in_one_line(error)}") from error
    count = len(run.metrics["accuracy_by_task"])
    if sorted(rows) != list(range(1, count + 1)):
        raise InputError(
            f"{path} is damaged: it has the answers after {number_of(len(rows), 'task')}, and the run had {count}"
        )
    columns = (np.array(rows[task], dtype=np.int64).T for task in sorted(rows))
    return [Predictions(clips=clip, labels=label, predicted=predicted) for clip, label, predicted in columns]
