"""`avcil-incr plot` and `report`: figures of finished runs, and a page of everything about them."""

import importlib.util
from pathlib import Path

import click

from ...errors import InputError, say, unknown
from ...files import written_aside
from ...options import FILE, FOLDER
from ...wording import RANDOM_WEIGHTS, number_of, size
from .console import check_folder_of

KINDS = ("curves", "matrix", "forgetting", "memory", "bytes", "confusion", "class-confusion", "training")
SUFFIXES = (".pdf", ".svg", ".png")


def _check_modules(*names: str) -> None:
    """ModuleNotFoundError, which is told in one line, where one that is needed is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--kind", metavar="|".join(KINDS), required=True, help="What is drawn.")
@click.option("--out", type=FILE, required=True, help="File of the figure: .pdf, .svg or .png.")
@click.option("--width", type=float, default=3.3, show_default=True, help="Inches; 3.3 is a column of a paper.")
def plot(runs: tuple[Path, ...], kind: str, out: Path, width: float) -> None:
    """Draw a figure of finished runs, for a paper: PDF, SVG or PNG.

    Runs that differ only in their seed and class order are one line, or one matrix.

    curves: accuracy on all classes seen, by task. matrix: accuracy on each task after each task. forgetting: by task.
    memory: Mean Accuracy over the size of the exemplar memory. bytes: over all that is kept between tasks.
    confusion: between tasks, after the last one.
    class-confusion: between classes. training: the loss by epoch.
    """
    if kind not in KINDS:
        raise unknown("kind of figure", kind, KINDS)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: a figure is written as .pdf, .svg or .png")
    check_folder_of("--out", out)
    _check_modules("matplotlib")
    from ..results.collect import load_runs, rows_of
    from ..results.figures.kinds import draw, save

    rows = rows_of(load_runs(runs))
    save(draw(kind, rows, width), out)
    say(f"{out}: {kind} of {', '.join(f'{row.name} ({row.counted})' for row in rows)}")
    for path in (path for row in rows for path in row.repeated):
        say(f"left out, since it repeats a run in the figure: {path}")
    if any(run.metrics["random_encoder_weights"] for row in rows for run in row.runs):
        say(f"Note: {RANDOM_WEIGHTS}.")


LARGE = 5_000_000
"""Bytes of a report beyond which a line says so."""


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--out", type=FILE, required=True, help="File of the report: .html.")
@click.option(
    "--attention", type=FILE, multiple=True, help="Picture that avcil attention drew, .png or .jpg; repeatable."
)
@click.option("--title", default="Results", show_default=True, help="Title of the page.")
def report(runs: tuple[Path, ...], out: Path, attention: tuple[Path, ...], title: str) -> None:
    """Write a page of finished runs, in one file that opens without a network.

    Tables, figures, costs, and what repeats each run.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: a report is written as .html")
    check_folder_of("--out", out)
    _check_modules("matplotlib", "jinja2")
    from ..results.collect import load_runs, rows_of
    from ..results.report.page import page
    from .tables import with_published_figures

    rows = rows_of(with_published_figures(load_runs(runs)))
    content = page(rows, runs, attention=attention, title=title).encode()
    with written_aside(out, "wb") as stream:
        stream.write(content)
    say(f"{out}: {number_of(sum(len(row.runs) for row in rows), 'finished run')}, {size(len(content))}")
    if len(content) > LARGE:
        say(f"{out} is larger than {size(LARGE)}: fewer or smaller pictures by --attention make it smaller")
