"""Training curves: the loss of every epoch, task after task, and the accuracy on validation clips beside it."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ....errors import InputError
from ..collect import Row
from .series import Numbers, training
from .style import COLOURS, RULE, add_legend, wrapped

SIDE_BY_SIDE = 3.2
"""Inches that the words of the legend take in one line."""
POINTS = 400
"""Of a curve that are drawn, at most; of more epochs, means over neighbours."""
LOSS, VALIDATION = COLOURS[0], COLOURS[1]


def training_curves(rows: Sequence[Row], width: float, *, bare: bool = False) -> Figure:
    """Small axes for each row, since losses of different methods are no amounts of the same thing.

    `bare` figures have no titles, for a page that has its own. InputError where no method learns in epochs.
    """
    found = [curve for row in rows if (curve := training(row)) is not None]
    if not found:
        raise InputError("these methods learn without epochs: there are no training curves")
    columns = max(1, min(len(found), int(width / 1.6)))
    down = math.ceil(len(found) / columns)
    heads = [wrapped(curve.name, width / columns - 0.5) for curve in found]
    head = 0.0 if bare else 0.13 * max(text.count("\n") + 1 for text in heads)
    figure = Figure(figsize=(width, down * (0.62 * width / columns + head + 0.12) + 0.4), layout="constrained")
    checked = any(curve.validation is not None for curve in found)
    for number, (curve, title) in enumerate(zip(found, heads, strict=True)):
        axes = figure.add_subplot(down, columns, number + 1)
        for begin in curve.begins[1:]:
            axes.axvline(begin + 0.5, color=RULE, linewidth=0.8)
        axes.plot(*thinned(curve.loss), color=LOSS, linewidth=0.9)
        axes.set_ylim(bottom=min(0.0, float(curve.loss.min())))
        axes.grid(visible=False, axis="x")
        if not bare:
            axes.set_title(title, parse_math=False, pad=3)
        if curve.validation is not None:
            beside = axes.twinx()
            beside.plot(*thinned(curve.validation), color=VALIDATION, linewidth=0.9, linestyle="--")
            beside.set_ylim(0, 102)
            beside.grid(visible=False)
        if number >= len(found) - columns:
            axes.set_xlabel("Epoch, all tasks")
        if number % columns == 0:
            axes.set_ylabel("Loss")
    if checked:
        loss = Line2D([], [], color=LOSS, linewidth=0.9)
        beside_it = Line2D([], [], color=VALIDATION, linewidth=0.9, linestyle="--")
        labels = ["loss", "validation accuracy (%), right"]
        add_legend(figure, [loss, beside_it], labels, columns=2 if width >= SIDE_BY_SIDE else 1)
    return figure


def thinned(values: Numbers) -> tuple[Numbers, Numbers]:
    """Epochs from 1 and values, at most `POINTS` of them: means over as many neighbours as that takes. Epochs whose
    value is NaN are left out."""
    known = np.flatnonzero(~np.isnan(values))
    epochs: Numbers = (known + 1).astype(np.float64)
    values = values[known]
    step = math.ceil(len(values) / POINTS)
    if step == 1:
        return epochs, values
    starts = np.arange(0, len(values), step)
    counts = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(epochs, starts) / counts, np.add.reduceat(values, starts) / counts
