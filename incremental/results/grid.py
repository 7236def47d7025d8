"""A table as columns of words, which becomes one for a terminal of whatever width, for Markdown, or for LaTeX."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ...errors import shown

LEAST = 22
"""Characters that a column of names has to have before it is wrapped any further."""

LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "†": r"$^\dagger$", "<": "$<$", ">": "$>$"}
)

IN_FORMULA = str.maketrans({"±": r"\pm", "%": r"\%"})

FIGURES = re.compile(r"-?\d[-\d.±%:()/ ]*")
"""A cell that is a figure, or several."""


@dataclass(frozen=True)
class Column:
    """One column."""

    heading: str
    cells: tuple[str, ...]
    names: bool = False
    """Whether its cells are names, which are wrapped where there is no room, and not figures."""
    spare: bool = False
    """Whether it is left out where there is no room."""

    @property
    def width(self) -> int:
        """Characters of the widest cell, or of the heading's widest word."""
        return max(map(cell_len, (*self.cells, *self.heading.split(maxsplit=1))))


@dataclass(frozen=True)
class Grid:
    """Columns of as many cells each."""

    columns: tuple[Column, ...]

    def fits(self, width: int) -> bool:
        """Whether all figures have room in `width` characters, beside names of a width that can be read."""
        return sum(min(one.width, LEAST) if one.names else one.width for one in self.columns) <= self._room(width)

    def fitted(self, width: int) -> "Grid":
        """Without the spare columns, the last first, that there is no room for."""
        grid = self
        while not grid.fits(width) and any(one.spare for one in grid.columns):
            last = max(place for place, one in enumerate(grid.columns) if one.spare)
            grid = replace(grid, columns=grid.columns[:last] + grid.columns[last + 1 :])
        return grid

    def _room(self, width: int) -> int:
        return width - 3 * len(self.columns)

    def table(self, *, markdown: bool = False, width: int | None = None) -> Table:
        """For a console: headings are broken where `width` is given and one line does not hold them."""
        table = Table(box=box.MARKDOWN if markdown else box.SIMPLE_HEAD)
        one_line = width is None or sum(max(one.width, cell_len(one.heading)) for one in self.columns) <= self._room(
            width
        )
        for one in self.columns:
            words = shown(one.heading)
            table.add_column(
                Text(words if one_line or one.names else words.replace(" ", "\n", 1)),
                justify="left" if one.names else "right",
                no_wrap=markdown or not one.names,
                overflow="fold",
                vertical="top",
            )
        names = [one for one in self.columns if one.names]
        left = self._room(width) - sum(one.width for one in self.columns if not one.names) if width is not None else 0
        for cells in zip(*(one.cells for one in self.columns), strict=True):
            texts = [shown(cell.replace("|", "\\|") if markdown else cell) for cell in cells]
            if len(names) == 1 and left >= LEAST:  # a console by itself breaks at blanks alone
                texts = [
                    "\n".join(wrap(word, left)) if one.names else word
                    for one, word in zip(self.columns, texts, strict=True)
                ]
            table.add_row(*map(Text, texts))
        return table

    def latex(self, notes: Sequence[str]) -> list[str]:
        """Lines of a LaTeX table as the package booktabs has them, the notes as comments above."""
        layout = "".join("l" if one.names else "r" for one in self.columns)
        headings = " & ".join(one.heading.translate(LATEX) for one in self.columns)
        lines = [*(f"% {note}" for note in notes), rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
        lines += [rf"{headings} \\", r"\midrule"]
        for cells in zip(*(one.cells for one in self.columns), strict=True):
            found = [
                f"${cell.translate(IN_FORMULA)}$" if FIGURES.fullmatch(cell) else cell.translate(LATEX)
                for cell in cells
            ]
            lines.append(rf"{' & '.join(found)} \\")
        return [*lines, r"\bottomrule", r"\end{tabular}"]
