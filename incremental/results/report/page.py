"""The report: sections with figures and tables, put into a page that holds everything it shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ....errors import InputError, shown
from ..collect import Row
from ..figures.heat import class_confusion, matrices, task_confusion
from ..figures.kinds import KINDS, draw, rendered
from ..figures.series import Line, accuracy_lines, forgetting_lines, mean_matrix, memory_lines, task_sizes, training
from ..figures.style import COLOURS, HEAT, INK, RULE, styled
from ..figures.training import training_curves
from ..tables import notes
from .content import Table, all_figures, causes, cost_table, lines_table, main_table, plot_command, trust_table
from .inline import inlined, picture

WIDE, NARROW, CLASSES = 3.2, 2.6, 3.6
"""Inches that figures are drawn at: of lines, of one matrix, and of one with names of classes beside it."""
FEW_CLASSES = 40
"""Confusion between more classes than these is left out."""

VARIABLES = {colour: f"var(--line-{number + 1})" for number, colour in enumerate(COLOURS) if colour != INK} | {
    INK: "var(--ink)",
    RULE: "var(--rule)",
    "stroke: #ffffff": "stroke: var(--paper)",
}
"""What of the page takes the place of the figures' colours."""


@dataclass(frozen=True)
class Drawn:
    """A figure on the page."""

    svg: Markup
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    identifier: str
    title: str
    reading: str
    figures: tuple[Drawn, ...] = ()
    layout: str = "wide"
    """How its figures stand: "wide", one below the other, "side-by-side" or "side-by-side large"."""
    scale: str = ""
    """What the colours are, where there is a scale of colours."""
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    """Tables that a reader opens."""
    pictures: tuple[tuple[str, str], ...] = ()
    """Address and alternative text of pictures."""
    command: str = ""
    """What draws the figures as files."""
    missing: str = ""
    """Why there is no figure."""


def page(rows: Sequence[Row], paths: Sequence[Path], *, attention: Sequence[Path] = (), title: str = "Results") -> str:
    """The HTML of a report.

    Args:
        rows: as `rows_of` has them.
        paths: where the runs are, for commands.
        attention: pictures that `avcil attention` drew, PNG or JPEG.
        title: of the page.

    Raises:
        InputError: a picture cannot be used, or a run's predictions.csv or history.csv is damaged.
    """
    if not rows:
        raise InputError("there is no run to report")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        title=title,
        css=Markup(css),
        notes=notes(rows),
        count=sum(len(row.runs) for row in rows),
        rows=len(rows),
        sections=sections(rows, paths, attention),
        causes=causes(rows),
        gradient=", ".join(to_hex(matplotlib.colormaps[HEAT](step / 10)) for step in range(11)),
    )


def _visible(value: Any) -> Any:
    """Text as a reader may see it: of a run's names no character is passed on that turns or hides others."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def sections(rows: Sequence[Row], paths: Sequence[Path], attention: Sequence[Path]) -> list[Section]:
    """All parts of the page but that of the runs' causes."""
    pictures = [picture(path) for path in attention]
    found = [
        Section(
            "figures",
            "Main figures",
            "Accuracy: higher is better. Forgetting: lower is better.",
            tables=(main_table(rows),),
            folded=(all_figures(rows),),
        ),
        _of_lines("curves", rows, paths, accuracy_lines, "Task"),
        _of_rows("matrix", rows, paths, matrices, _matrix_words, scale="Accuracy (%)"),
        _of_lines("forgetting", rows, paths, forgetting_lines, "Task"),
        *_memory(rows, paths),
        _of_rows("confusion", rows, paths, task_confusion, _plain_words, scale="Share of a task's clips (%)"),
        _classes(rows, paths),
        _of_rows("training", rows, paths, training_curves, _training_words),
        Section("costs", "Time, memory and bytes", "As measured while the runs went.", tables=(cost_table(rows),)),
        Section(
            "trust",
            "How well it is known",
            "What the number of test clips alone leaves open, the runs being as they are, "
            "and whether probabilities can be believed.",
            tables=(trust_table(rows),),
        ),
    ]
    if pictures:
        named = tuple((address, f"Attention, {path.name}") for address, path in zip(pictures, attention, strict=True))
        words = "Where runs look in a clip, as avcil attention drew it."
        found.append(Section("attention", "Attention", words, pictures=named))
    return found


def _of_lines(
    kind: str, rows: Sequence[Row], paths: Sequence[Path], lines: Callable[[Sequence[Row]], list[Line]], head: str
) -> Section:
    """One figure of lines and its numbers."""
    what = KINDS[kind]
    section = Section(kind, what.title, what.reading, command=plot_command(paths, kind))
    try:
        numbers = lines_table(lines(rows), f"{what.title}: the numbers (%)", head)
        figure = draw(kind, rows, WIDE)
    except InputError as error:
        return replace(section, missing=str(error), command="")
    words = "; ".join(f"{line[0]}: {', '.join(line[1:])}" for line in numbers.lines)
    return replace(section, figures=(Drawn(_svg(figure, kind, what.title, words)),), folded=(numbers,))


def _memory(rows: Sequence[Row], paths: Sequence[Path]) -> list[Section]:
    """None where the runs are no sweep over sizes of the memory."""
    try:
        memory_lines(rows)
    except InputError:
        return []
    return [_of_lines("memory", rows, paths, memory_lines, "|M| =")]


def _of_rows(
    kind: str,
    rows: Sequence[Row],
    paths: Sequence[Path],
    drawn: Callable[..., Figure],
    words: Callable[[Row], str],
    *,
    scale: str = "",
    width: float = NARROW,
) -> Section:
    """A figure a row, side by side."""
    what = KINDS[kind]
    section = Section(
        kind, what.title, what.reading, layout="side-by-side", scale=scale, command=plot_command(paths, kind)
    )
    figures = []
    for number, row in enumerate(rows):
        try:
            with styled():
                figure = drawn([row], width, bare=True)
        except InputError as error:
            if kind == "training":  # a method without epochs, or a run whose file is gone, beside others
                section = replace(section, missing=f"{section.missing} {row.name}: {error}.".strip())
                continue
            return replace(section, missing=str(error), command="")
        svg = _svg(figure, f"{kind}-{number + 1}", f"{what.title}: {row.name}", words(row))
        figures.append(Drawn(svg, row.name))
    return replace(section, figures=tuple(figures))


def _classes(rows: Sequence[Row], paths: Sequence[Path]) -> Section:
    kind = "class-confusion"
    section = Section(kind, KINDS[kind].title, KINDS[kind].reading)
    try:
        most = max(sum(task_sizes(row)) for row in rows)
    except InputError as error:
        return replace(section, missing=str(error))
    if most > FEW_CLASSES:
        return replace(
            section,
            missing=f"Left out for more than {FEW_CLASSES} classes; as a file:",
            command=plot_command(paths, kind),
        )
    scale = "Share of a class's clips (%)"
    found = _of_rows(kind, rows, paths, class_confusion, _plain_words, scale=scale, width=CLASSES)
    return replace(found, layout="side-by-side large")


def _svg(figure: Figure, name: str, title: str, words: str) -> Markup:
    return Markup(inlined(rendered(figure, "svg", transparent=True), f"figure-{name}", title, words, VARIABLES))


def _matrix_words(row: Row) -> str:
    lines = [[f"{value:.0f}" for value in line if value == value] for line in mean_matrix(row)]
    return "; ".join(f"after task {number}: {', '.join(line)}" for number, line in enumerate(lines, start=1))


def _plain_words(row: Row) -> str:
    return f"Answers of {len(row.runs)} runs after the last task"


def _training_words(row: Row) -> str:
    curve = training(row)
    if curve is None:
        return ""
    ends = [*(begin - 1 for begin in curve.begins[1:]), len(curve.loss) - 1]
    return "; ".join(f"loss at the end of task {n}: {curve.loss[end]:.3g}" for n, end in enumerate(ends, start=1))
