"""Mean Accuracy against the size of the exemplar memory."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..collect import Row
from .lines import BAND, HEIGHT, LOWEST
from .series import memory_lines
from .style import add_legend, lines_figure, look

WIDE = 8.0
"""Sizes that lie further apart than this, the largest over the smallest, are drawn on a logarithmic axis."""


def memory(rows: Sequence[Row], width: float) -> Figure:
    """A line a method, with bands as elsewhere; methods without a memory are level lines, without markers."""
    lines = memory_lines(rows)
    figure, axes, labels, columns = lines_figure(
        width, [line.name for line in lines], plot_height=max(HEIGHT * width, LOWEST)
    )
    sizes = sorted({size for line in lines for size in line.places if not math.isnan(size)})
    handles = []
    for number, line in enumerate(lines):
        how = look(number)
        level = math.isnan(line.places[0])
        places = (sizes[0], sizes[-1]) if level else line.places
        values = line.values * 2 if level else line.values
        means = np.array([value.mean for value in values])
        (handle,) = axes.plot(places, means, **(how | {"marker": ""} if level else how))
        handles.append(handle)
        if line.has_interval:
            half = np.array([value.interval or 0.0 for value in values])
            axes.fill_between(places, means - half, means + half, color=handle.get_color(), alpha=BAND, linewidth=0)
    drawn = [value.mean for line in lines for value in line.values]
    room = max(max(drawn) - min(drawn), 1.0)
    axes.set_ylim(min(drawn) - 0.2 * room, max(drawn) + 0.2 * room)
    if sizes[0] > 0 and sizes[-1] / sizes[0] > WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xlabel("Clips in the exemplar memory")
    axes.set_ylabel("Mean Accuracy (%)")
    add_legend(figure, handles, labels, columns)
    return figure
