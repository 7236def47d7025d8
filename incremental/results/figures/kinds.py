"""Which figures there are, and how one is drawn and written."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from ....errors import InputError, unknown
from ....files import written_aside
from ..collect import Row
from .budget import budget
from .heat import class_confusion, matrices, task_confusion
from .lines import curves, forgetting
from .memory import memory
from .style import COLUMN, styled
from .training import training_curves


@dataclass(frozen=True)
class Kind:
    """A kind of figure."""

    draw: Callable[[Sequence[Row], float], Figure]
    title: str
    reading: str
    """How it is to be read, as a caption says it."""


BAND_WORDS = "mean over runs; bands: 95% interval of the mean over seeds or class orders (Student's t), if several"
KINDS = {
    "curves": Kind(curves, "Accuracy by task", f"Accuracy on all classes seen so far, after each task: {BAND_WORDS}."),
    "matrix": Kind(
        matrices, "Accuracy matrices", "Accuracy on the test clips of each task (across) after each task (down): mean."
    ),
    "forgetting": Kind(
        forgetting,
        "Forgetting by task",
        f"How far the accuracy on earlier tasks is below the best it has been (eq. 16), after each task: {BAND_WORDS}.",
    ),
    "memory": Kind(
        memory,
        "Memory sweep",
        f"Mean Accuracy over the size of the exemplar memory: {BAND_WORDS}. Level lines: methods without a memory.",
    ),
    "bytes": Kind(
        budget,
        "Accuracy and bytes",
        "Mean Accuracy over the bytes that a method keeps from task to task (exemplars as far as it reads them, "
        "statistics, weights): mean over runs; bars: 95% interval of the mean. Lines join sizes of the memory.",
    ),
    "confusion": Kind(
        task_confusion,
        "Confusion between tasks",
        "After the last task: the task that clips are of (down) and the task of the class answered (across), "
        "all runs together; a row adds to 100%.",
    ),
    "class-confusion": Kind(
        class_confusion,
        "Confusion between classes",
        "After the last task: class (down) and answer (across) in class order, all runs together; lines part tasks.",
    ),
    "training": Kind(
        training_curves,
        "Training curves",
        "Loss of each epoch, task after task (vertical lines): mean over runs. Dashed, on the right axis and where it "
        "was worked out: accuracy on validation clips (%). Where patience ends tasks, "
        "an epoch's values are of the runs that had it.",
    ),
}
"""By the word of `--kind`."""

SUFFIXES = (".pdf", ".svg", ".png")
DOTS = 300
"""Pixels an inch of a PNG."""
NARROWEST, WIDEST = 2.4, 30.0


def draw(kind: str, rows: Sequence[Row], width: float = COLUMN) -> Figure:
    """The figure of these rows, `width` inches wide.

    Raises:
        InputError: an unknown kind or a width that none can have, or rows that such a figure cannot be drawn of.
    """
    if kind not in KINDS:
        raise unknown("kind of figure", kind, KINDS)
    if not NARROWEST <= width <= WIDEST:
        raise InputError(f"a figure is {NARROWEST} to {WIDEST:g} inches wide, not {width:g}")
    if not rows:
        raise InputError("there is no run to draw")
    with styled():
        return KINDS[kind].draw(rows, width)


def check_suffix(path: Path) -> str:
    """ "pdf", "svg" or "png". InputError for any other file."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a figure is written as .pdf, .svg or .png")
    return path.suffix.lower().removeprefix(".")


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the form of the path's suffix; the same figure gives the same bytes. InputError as
    `check_suffix` and `written_aside`."""
    kind = check_suffix(path)
    content = rendered(figure, kind)
    with written_aside(path, "wb") as stream:
        stream.write(content)


def rendered(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    """The bytes of a "pdf", "svg" or "png": fonts embedded in the first, letters as text in the second, no dates."""
    dates = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    stream = BytesIO()
    with (
        styled(),
        matplotlib.rc_context({"svg.hashsalt": "avcil", "svg.fonttype": "none", "pdf.fonttype": 42}),
        warnings.catch_warnings(),
    ):
        # Letters of a name that the font lacks are drawn as boxes; a warning would name none that a user knows.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format=kind, dpi=DOTS, metadata=dates, transparent=transparent)
    return stream.getvalue()
