"""`avcil-incr show` and `table`: the figures of finished runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import InputError, say
from ...files import written_aside
from ...options import FILE, FOLDER
from .console import check_folder_of, console

if TYPE_CHECKING:
    from ..results.collect import FinishedRun


@click.command()
@click.argument("run_directory", metavar="RUN", type=FOLDER)
def show(run_directory: Path) -> None:
    """Show every figure of one run and its accuracy matrix."""
    from ..results.collect import load_runs, rows_of
    from ..results.tables import notes, run_tables

    screen = console()
    runs = load_runs([run_directory])
    for run in runs:
        for table in run_tables(run):
            screen.print(table)
        say(f"files: {run.path}")
    for line in notes(rows_of(runs)):
        say(line)


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
@click.option("--csv", "csv_file", type=FILE, help="Also write every figure to this CSV file.")
def table(runs: tuple[Path, ...], markdown: bool, csv_file: Path | None) -> None:
    """Compare runs: one line for runs that differ only in their seed."""
    show_table(runs, markdown=markdown, csv_file=csv_file)


def with_published_figures(runs: "Sequence[FinishedRun]") -> "list[FinishedRun]":
    """Runs of version 0.1, which did not record whether their settings are the published ones, with that worked out."""
    from dataclasses import replace

    found = list(runs)
    for place, run in enumerate(runs):
        config = run.content["run"]
        if "published" not in run.metrics and config.get("dataset"):
            from ..methods import all_methods
            from ..runs.published import published_figures

            kind = all_methods().get(config["method"])
            tasks = run.content["provenance"].get("tasks", [])
            try:
                figures = None if kind is None else published_figures(kind, config, tasks)
            except InputError as error:  # its data set may be gone, or the settings be none of today's
                say(f"{run.path}: not compared with published figures: {error}", err=True)
                figures = None
            found[place] = replace(run, metrics={**run.metrics, "published": figures})
    return found


def show_table(paths: Sequence[Path], *, markdown: bool = False, csv_file: Path | None = None) -> None:
    """Print the table of these runs, what has to be said of it, and write every figure to `csv_file`."""
    from ..results.collect import load_runs, rows_of
    from ..results.tables import as_frame, notes, results_table

    check_folder_of("--csv", csv_file)
    rows = rows_of(with_published_figures(load_runs(paths)))
    console(wide=markdown).print(results_table(rows, markdown=markdown))
    for line in notes(rows):
        say(line)
    if csv_file is not None:
        with written_aside(csv_file) as stream:
            as_frame(rows).to_csv(stream, index=False)
