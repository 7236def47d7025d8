"""How figures look: sizes for a column of a paper, colours that the colour-blind and a grey printer tell apart.

Everything is placed by matplotlib's constrained layout; text is never taken for a formula.
"""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ....errors import shown

COLUMN = 3.3
"""Inches, the width of a column in a paper of two columns."""
INK, RULE = "#000000", "#c9c9c9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""Of Okabe and Ito, without the yellow, which white paper swallows."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
DASHES = ("-", "--", "-.", ":")
"""Eleven markers, seven colours and four kinds of dashes repeat together after 308 lines only."""
HEAT = "cividis"
"""Grows lighter steadily, and looks the same to the colour-blind."""
SIZE = 7.0
"""Points of letters."""
LETTERS = 16.5
"""Of this size, in an inch."""

SETTINGS: dict[str, Any] = {
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "xtick.labelsize": SIZE - 0.5,
    "ytick.labelsize": SIZE - 0.5,
    "legend.fontsize": SIZE,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.borderpad": 0.1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it figures are made in this style, whatever the user's own is."""
    with matplotlib.style.context(["default", SETTINGS]):
        yield


def look(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line `number`; the same in every figure of the same rows."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
    }


def wrapped(name: str, inches: float) -> str:
    """A name in as many lines as it needs to be no wider than `inches`."""
    room = max(int(inches * LETTERS), 8)
    # A word that is too long for a line may end one behind its "=".
    words = [word if len(word) <= room else word.replace("=", "= ") for word in shown(name).split()]
    return "\n".join(textwrap.wrap(" ".join(words), room, break_on_hyphens=False)) or " "


def lines_figure(width: float, names: Sequence[str], *, plot_height: float) -> tuple[Figure, Axes, list[str], int]:
    """An empty figure with room for a legend of `names` below it.

    Returns:
        the figure, its axes, the names as the legend is to show them, and the columns of the legend.
    """
    longest = max(len(shown(name)) for name in names)
    columns = max(1, min(len(names), 4, int(width / (longest / LETTERS + 0.55))))
    labels = [wrapped(name, width / columns - 0.55) for name in names]
    rows = [labels[start : start + columns] for start in range(0, len(labels), columns)]
    legend = sum(max(label.count("\n") + 1 for label in row) for row in rows) * 0.145 + 0.05
    figure = Figure(figsize=(width, plot_height + legend), layout="constrained")
    return figure, figure.add_subplot(), labels, columns


def add_legend(figure: Figure, handles: Sequence[Line2D], labels: Sequence[str], columns: int) -> None:
    """Below the axes, the names from left to right as matplotlib has them from top to bottom."""
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    for text in legend.get_texts():
        text.set_parse_math(False)
