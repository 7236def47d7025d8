"""Matrices as colours, one beside the other on one scale: accuracy by task, confusion of tasks and of classes."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ....errors import shown
from ..collect import Row
from .series import Numbers, class_names, confusion, mean_matrix, task_sizes
from .style import HEAT, INK, SIZE, wrapped

DARK, LIGHT = "#0a0a0a", "#ffffff"
"""Of numbers on light and on dark cells."""
SCALE = Normalize(0, 100)
SMALLEST_CELL = 0.16
"""Inches; numbers are not written into smaller ones, nor names beside them."""
VECTOR = 400
"""Cells of a matrix that are drawn one by one; larger ones are a picture in the file."""
FEW = 6
"""In larger matrices zeros are not written out."""
TAG = 14
"""Letters of a class's name that are shown."""


def matrices(rows: Sequence[Row], width: float, *, bare: bool = False) -> Figure:
    """Accuracy on the test clips of each task after each task, mean over runs; a matrix a row."""
    found = [mean_matrix(row) for row in rows]
    titles = [row.name for row in rows]
    return grid(found, titles, width, "Tested on task", "After task", "Accuracy (%)", bare=bare)


def task_confusion(rows: Sequence[Row], width: float, *, bare: bool = False) -> Figure:
    """Where the answers after the last task fall: tasks of the clips against tasks of the answered classes."""
    found = [confusion(row, by_task=True) for row in rows]
    titles = [row.name for row in rows]
    return grid(
        found, titles, width, "Task of the answer", "Task of the clip", "Share of the task's clips (%)", bare=bare
    )


def class_confusion(rows: Sequence[Row], width: float, *, bare: bool = False) -> Figure:
    """The same between classes, in class order; lines part tasks where there is one order."""
    found = [confusion(row, by_task=False) for row in rows]
    return grid(
        found,
        [row.name for row in rows],
        width,
        "Answer",
        "Class",
        "Share of the class's clips (%)",
        names=[class_names(row) for row in rows],
        # Tasks of several class orders have other classes each.
        parts=[np.cumsum(task_sizes(row))[:-1].tolist() if len(row.orders) == 1 else [] for row in rows],
        bare=bare,
    )


def grid(
    found: Sequence[Numbers],
    titles: Sequence[str],
    width: float,
    across: str,
    down: str,
    scale: str,
    *,
    names: Sequence[Sequence[str]] | None = None,
    parts: Sequence[Sequence[int]] | None = None,
    bare: bool = False,
) -> Figure:
    """Matrices of percent (NaN: no cell) side by side, below each other where the width asks for it.

    Args:
        found: square, of any size each.
        titles: one each.
        width: inches.
        across: the label of the columns.
        down: the label of the rows.
        scale: what the colours are.
        names: of columns and rows; None: numbers from 1.
        parts: cells before which a line is drawn, as between tasks.
        bare: without titles and scale, for a page that has its own.
    """
    largest = max(len(matrix) for matrix in found)
    least = 1.45 if largest <= 6 else 0.24 * min(largest, 14) + 0.2
    columns = max(1, min(len(found), int(width / least)))
    rows = math.ceil(len(found) / columns)
    side = min(width / columns, 3.2)
    heads = [wrapped(title, side - 0.35) for title in titles]
    head = 0.13 * max(text.count("\n") + 1 for text in heads)
    named = names is not None and (side - 0.9) / largest >= 0.095
    head = 0.0 if bare else head
    height = rows * (side + head + (0.15 if named else 0.0)) + (0.0 if bare else 0.55)
    # Square cells and the scale move after the layout has been worked out, by less than this room around them.
    pad, top = (0.03, 0.0) if bare else (0.1, 0.08)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=pad, rect=(0.0, 0.0, 1.0, 1.0 - top / (height + top)))
    figure = Figure(figsize=(width, height + top), layout=layout)
    for number, (matrix, title) in enumerate(zip(found, heads, strict=True)):
        axes = figure.add_subplot(rows, columns, number + 1)
        _cells(axes, matrix, (side - (0.95 if named else 0.4)) / len(matrix))
        if not bare:
            axes.set_title(title, parse_math=False, pad=3)
        if parts is not None:
            for place in parts[number]:
                axes.axhline(place, color=LIGHT, linewidth=0.7)
                axes.axvline(place, color=LIGHT, linewidth=0.7)
        _ticks(axes, len(matrix), names[number] if named and names is not None else None, names is not None)
        if number % columns == 0:
            axes.set_ylabel(down)
        if number >= len(found) - columns:
            axes.set_xlabel(across)
    if bare:
        return figure
    bar = figure.colorbar(
        ScalarMappable(SCALE, HEAT), ax=figure.axes, location="bottom", aspect=40, shrink=0.7, pad=0.02, label=scale
    )
    bar.outline.set_linewidth(0.4)
    bar.ax.grid(visible=False)
    return figure


def _cells(axes: Axes, matrix: Numbers, cell: float) -> None:
    """The colours, and a number in each cell where its side, `cell` inches, gives room."""
    count = len(matrix)
    masked = np.ma.masked_invalid(matrix)
    if count * count <= VECTOR:
        edges = np.arange(count + 1)
        axes.pcolormesh(edges, edges, masked, cmap=HEAT, norm=SCALE, edgecolors=LIGHT, linewidth=0.3)
    else:
        axes.imshow(masked, cmap=HEAT, norm=SCALE, extent=(0, count, count, 0), interpolation="none")
    axes.set(xlim=(0, count), ylim=(count, 0), aspect="equal")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, pad=1.5)
    if cell < SMALLEST_CELL:
        return
    colours = matplotlib.colormaps[HEAT]
    size = min(SIZE - 0.5, 72 * cell / 2.2)
    for (row, column), value in np.ndenumerate(matrix):
        if not np.isnan(value) and (value >= 0.5 or count <= FEW):
            red, green, blue, _ = colours(SCALE(value))
            light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            how: dict[str, Any] = {"ha": "center", "va": "center", "size": size, "color": DARK if light else LIGHT}
            axes.text(column + 0.5, row + 0.5, f"{value:.0f}", **how)


def _ticks(axes: Axes, count: int, names: Sequence[str] | None, classes: bool) -> None:
    """Names or numbers of columns and rows, each or every so many."""
    if names is not None:
        short = [name if len(name) <= TAG else f"{name[: TAG - 1]}…" for name in map(shown, names)]
        middles = np.arange(count) + 0.5
        how: dict[str, Any] = {"parse_math": False, "size": SIZE - 1.5, "color": INK}
        axes.set_xticks(middles, short, rotation=90, **how)
        axes.set_yticks(middles, short, **how)
        return
    step = 1 if count <= 10 and not classes else max(1, math.ceil(count / 10))
    numbers = np.arange(0, count, step)
    axes.set_xticks(numbers + 0.5, [str(number + 1) for number in numbers])
    axes.set_yticks(numbers + 0.5, [str(number + 1) for number in numbers])
