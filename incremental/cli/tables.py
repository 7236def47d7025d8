"""`avcil-incr show` and `table`: the figures of finished runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, say
from ...files import write_json
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
@click.option("--latex", is_flag=True, help="As a LaTeX table, for the package booktabs.")
@click.option("--per-run", is_flag=True, help="A line a run in place of one for all runs that differ in their seed.")
@click.option(
    "--columns", metavar="A,B,C", help="Figures, settings, facts (fingerprint) or, with --per-run, seed, path."
)
@click.option("--digits", type=click.IntRange(0, 6), help="Digits behind the point.  [default: 2, or 1 where narrow]")
@click.option("--csv", "csv_file", type=FILE, help="Also write every figure, or --columns, to this CSV file.")
@click.option("--json", "json_file", type=FILE, help="Also write settings, runs and every figure to this JSON file.")
def table(runs: tuple[Path, ...], **how: Any) -> None:
    """Show runs: one line for runs that differ only in their seed and class order."""
    show_table(runs, **how)


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


def show_table(
    paths: Sequence[Path],
    *,
    markdown: bool = False,
    latex: bool = False,
    per_run: bool = False,
    columns: str | None = None,
    digits: int | None = None,
    csv_file: Path | None = None,
    json_file: Path | None = None,
) -> None:
    """Print the table of these runs and what has to be said of it, and write it to files."""
    from ..results.collect import load_runs, rows_of
    from ..results.records import chosen, document, row_records, runs_only, write_csv
    from ..results.tables import notes, results_grid, runs_grid

    if markdown and latex:
        raise InputError("--markdown and --latex: one table is of one kind, leave out one of them")
    check_folder_of("--csv", csv_file)
    check_folder_of("--json", json_file)
    found = with_published_figures(load_runs(paths))
    names = [] if columns is None else chosen(columns, found, per_run=per_run)
    rows = rows_of(found)
    screen = console(wide=markdown or latex)
    width = None if markdown or latex or not screen.is_terminal else screen.width
    how: dict[str, Any] = {"width": width, "digits": digits, "columns": names}
    content = runs_grid(found, **how) if per_run else results_grid(rows, **how, interval=not latex)
    interval = any("95%" in cell for column in content.columns for cell in column.cells)
    headings = [column.heading for column in content.columns]
    said = notes(rows, deviation=not per_run, interval=interval, columns=headings)
    if not latex:
        grid = content.table(markdown=markdown, width=width)
        screen.print(grid)
    for line in content.latex(said) if latex else said:
        say(line)
    if csv_file is not None:
        write_csv(csv_file, runs_only(found, names) if per_run else row_records(rows, names))
    if json_file is not None:
        write_json(json_file, {"runs": runs_only(found, names)} if per_run else document(rows))
