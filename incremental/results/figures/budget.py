"""Mean Accuracy against the bytes that a method keeps from task to task."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ....wording import size
from ..collect import Row
from .lines import HEIGHT, LOWEST
from .memory import WIDE
from .series import byte_lines
from .style import add_legend, lines_figure, look


def budget(rows: Sequence[Row], width: float) -> Figure:
    """A point a row, with the 95% interval of its mean as a bar; rows that differ in their memory's size are joined."""
    lines = byte_lines(rows)
    figure, axes, labels, columns = lines_figure(
        width, [line.name for line in lines], plot_height=max(HEIGHT * width, LOWEST)
    )
    handles = []
    for number, line in enumerate(lines):
        means = np.array([value.mean for value in line.values])
        (handle,) = axes.plot(line.places, means, **look(number))
        handles.append(handle)
        if line.has_interval:
            half = np.array([value.interval or 0.0 for value in line.values])
            axes.errorbar(line.places, means, half, fmt="none", ecolor=handle.get_color(), elinewidth=0.7, capsize=1.5)
    places = [place for line in lines for place in line.places]
    if min(places) > 0 and max(places) / min(places) > WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: size(place) if place >= 0 else ""))
    values = [value for line in lines for value in line.values]
    least = max(min(value.mean - (value.interval or 0.0) for value in values), 0.0)
    most = min(max(value.mean + (value.interval or 0.0) for value in values), 100.0)
    room = max(most - least, 1.0)
    axes.set_ylim(least - 0.1 * room, most + 0.1 * room)
    axes.set_xlabel("Bytes kept: exemplars, statistics, weights")
    axes.set_ylabel("Mean Accuracy (%)")
    add_legend(figure, handles, labels, columns)
    return figure
