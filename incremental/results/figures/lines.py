"""Lines of a value over seeds with the 95% interval of its mean as a band: accuracy and forgetting by task."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..collect import Row
from .series import Line, accuracy_lines, forgetting_lines
from .style import add_legend, lines_figure, look

HEIGHT, LOWEST = 0.62, 2.0
"""Of the axes with their labels, of the figure's width; and inches that they have at least."""
BAND = 0.16
"""Strength of a band's colour."""


def curves(rows: Sequence[Row], width: float) -> Figure:
    """Accuracy on all classes seen, after each task; a line a row."""
    figure = by_task(accuracy_lines(rows), width, "Accuracy on seen classes (%)")
    figure.axes[0].set_ylim(0, 104)
    return figure


def forgetting(rows: Sequence[Row], width: float) -> Figure:
    """Forgetting after each task from the second on, as in eq. 16 before the mean over tasks; a line a row."""
    names = [row.name for row in rows]
    lines = forgetting_lines(rows)
    return by_task(lines, width, "Forgetting (%)", [names.index(line.name) for line in lines])


def by_task(lines: Sequence[Line], width: float, title: str, numbers: Sequence[int] | None = None) -> Figure:
    """`numbers` are the looks of the lines, if others than their order."""
    figure, axes, labels, columns = lines_figure(
        width, [line.name for line in lines], plot_height=max(HEIGHT * width, LOWEST)
    )
    handles = []
    for number, line in zip(numbers or range(len(lines)), lines, strict=True):
        means = np.array([value.mean for value in line.values])
        (handle,) = axes.plot(line.places, means, **look(number))
        handles.append(handle)
        if line.has_interval:
            half = np.array([value.interval or 0.0 for value in line.values])
            axes.fill_between(
                line.places, means - half, means + half, color=handle.get_color(), alpha=BAND, linewidth=0
            )
    drawn = [value.mean for line in lines for value in line.values]
    # A band over two seeds can be wider than all that is drawn: it must not flatten the lines.
    least, most = min(*drawn, 0.0), max(*drawn, 1.0)
    axes.set_ylim(least - 0.06 * (most - least), most + 0.14 * (most - least))
    axes.set_xlabel("Task")
    axes.set_ylabel(title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    add_legend(figure, handles, labels, columns)
    return figure
