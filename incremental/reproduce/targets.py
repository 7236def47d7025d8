"""What can be reproduced: the paper's tables, and its figures as the runs that they show.

Figure 1 (part d) is fine-tuning by modality, Figure 4 every method by task, Figure 6 Mean Accuracy by memory size,
Figure 7 the rows of Table 8 by task, Figures 8 to 10 every method by modality and task. None of their values is
published as a number, so a figure has no figures of the paper beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...errors import unknown
from .paper import METHODS, TABLES, PaperRow

MODALITIES = ("audio", "visual", "audio-visual")

MEMORY_SIZES = {"ave": (50, 150, 250, 340, 450, 550), "kinetics-sounds": (50, 150, 300, 500, 700)}
"""Sizes for Figure 6. The paper's range is 50 to 550 and 50 to 700; those in between hold the size of Table 1, whose
runs serve for both."""

WITH_MEMORY = tuple(name for name, method in METHODS.items() if method not in ("fine-tuning", "lwf", "oracle"))
"""Methods whose result depends on the exemplar memory."""


@dataclass(frozen=True)
class Target:
    """A table or figure, for one data set."""

    name: str
    """As on the command line: "table1"."""
    title: str
    rows: tuple[PaperRow, ...]
    drawn: Literal["curves", "memory"] | None = None
    """How a figure is drawn; None: it is a table."""
    without_paper: bool = False
    """Whether the paper has this table, but not for the data set asked for."""


FIGURES = {
    1: "Fine-tuning by modality",
    4: "Methods by task",
    6: "Mean Accuracy by memory size",
    7: "What is distilled of the teacher's gaze, by task",
    **dict.fromkeys((8, 9, 10), "Methods by modality and task"),
}
"""Titles by number."""

PARITY = "parity"
NAMES = (*(f"table{number}" for number in TABLES), *(f"figure{number}" for number in FIGURES), PARITY)
"""Everything that `reproduce` takes."""


def target_of(name: str, dataset: str | None, memory_sizes: Sequence[int] = ()) -> Target:
    """A table or figure for a published data set, or for a list of one's own (None).

    `memory_sizes` are those of Figure 6, if others than the paper's range has. InputError for an unknown name.
    """
    if name not in NAMES or name == PARITY:
        raise unknown("table or figure", name, NAMES)
    if name.startswith("table"):
        table = TABLES[int(name.removeprefix("table"))]
        of_dataset = tuple(row for row in table.rows if dataset in row.figures)
        return Target(name, table.title, of_dataset or table.rows, without_paper=not of_dataset and dataset is not None)
    number = int(name.removeprefix("figure"))
    sizes = tuple(memory_sizes) or MEMORY_SIZES.get(dataset or "", MEMORY_SIZES["ave"])
    return Target(name, FIGURES[number], _shown(number, sizes), "memory" if number == 6 else "curves")


def _shown(number: int, sizes: Sequence[int]) -> tuple[PaperRow, ...]:
    if number == 1:
        return tuple(
            PaperRow(f"Fine-tuning, {modality}", {"method": "fine-tuning", "modality": modality})
            for modality in MODALITIES
        )
    if number == 4:
        return TABLES[1].rows
    if number == 6:
        return tuple(
            PaperRow(f"{name}, {size} clips", {"method": METHODS[name], "memory_size": size})
            for name in WITH_MEMORY
            for size in sizes
        )
    if number == 7:
        return TABLES[8].rows
    return (*TABLES[2].rows, *TABLES[1].rows)
