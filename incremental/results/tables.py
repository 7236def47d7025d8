"""Results as a person reads them: tables of runs, with intervals where a method was run with several seeds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from ...errors import shown
from ...wording import RANDOM_WEIGHTS
from .collect import FinishedRun, Row
from .metrics import FIGURES

if TYPE_CHECKING:
    import pandas as pd


MAIN = {name: figure.title for name, figure in FIGURES.items() if figure.main}
"""Titles of the figures of the main table, by name."""


def results_table(rows: Sequence[Row], *, markdown: bool = False) -> Table:
    """The main figures, a line a row."""
    table = Table(box=box.MARKDOWN if markdown else box.SIMPLE_HEAD)
    in_paper = [published_words(row) for row in rows]
    headings = ["Method", "Runs", *MAIN.values(), "Model", "Seconds a run"]
    if any(in_paper):
        headings.append("Published MA / AF")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("Method", "Model") else "right")
    for row, paper in zip(rows, in_paper, strict=True):
        figures = [str(row.figure(name) or "-") for name in MAIN]
        seconds = row.figure("seconds")
        choice = row.runs[0].metrics["model_choice"]
        table.add_row(
            Text(shown(row.name)),
            str(len(row.runs)),
            *figures,
            Text(f"{choice} epoch" if choice in ("best", "last") else shown(choice)),
            f"{seconds.mean:.1f}" if seconds else "-",
            *([paper or "-"] if any(in_paper) else []),
        )
    return table


def published_words(row: Row) -> str:
    """The figures published for exactly a row's settings, as decided when its runs finished; "" if there are none."""
    return " / ".join(f"{figure:.2f}" for figure in row.runs[0].metrics.get("published") or ())


def notes(rows: Sequence[Row]) -> list[str]:
    """What a reader has to know of the runs in a table."""
    runs = [run for row in rows for run in row.runs]
    lines = ["All figures in percent; forgetting: lower is better."]
    if any(run.metrics["random_encoder_weights"] for run in runs):
        lines.append(f"Note: {RANDOM_WEIGHTS}.")
    if any(run.metrics["model_choice"] == "best" for run in runs):
        lines.append("best epoch: chosen on validation clips of all seen classes, old ones included, as published.")
    lines += [f"left out, since it repeats a run in the table: {run}" for row in rows for run in row.repeated]
    return lines


def run_tables(run: FinishedRun) -> list[Table]:
    """One run: its figures, and its accuracy matrix."""
    metrics = run.metrics
    title = shown(f"{metrics['method']} ({metrics['modality']}), seed {metrics['seed']}")
    figures = Table(title=Text(title, "table.title"), box=box.SIMPLE_HEAD)
    figures.add_column("Figure")
    figures.add_column("%", justify="right")
    for name in FIGURES:
        value = metrics.get(name)
        figures.add_row(name.replace("_", " "), "-" if value is None else f"{value:.2f}")
    if "leak_free" in metrics:
        for name, value in metrics["leak_free"].items():
            if isinstance(value, float):
                figures.add_row(Text(shown(f"leak-free {name.replace('_', ' ')}")), f"{value:.2f}")
    figures.caption = f"{metrics['seconds']:.1f} s, {metrics['peak_memory_bytes'] / 2**20:.0f} MiB; " + (
        f"chosen epochs {', '.join(map(str, metrics['chosen_epochs']))}" if any(metrics["chosen_epochs"]) else "solved"
    )
    # Narrow columns: a published matrix of ten tasks has to fit a screen of 80 characters with all its digits.
    matrix = Table(title="Accuracy in % (row: after task; column: on task)", box=box.SIMPLE_HEAD, padding=0)
    tasks = len(metrics["accuracy_by_task"])
    for heading in ("after", *(str(number) for number in range(1, tasks + 1)), "all"):
        matrix.add_column(heading, justify="right", min_width=5)
    for number, (row, seen) in enumerate(
        zip(metrics["accuracy_matrix"], metrics["accuracy_by_task"], strict=True), start=1
    ):
        cells = [f"{value:.1f}" for value in row] + [""] * (tasks - number)
        matrix.add_row(str(number), *cells, f"{seen:.1f}")
    return [figures, matrix]


def figures_table(title: str, rows: Mapping[str, float | None]) -> Table:
    """Figures by name, a line each, as given."""
    table = Table(title=Text(shown(title), "table.title"), box=box.SIMPLE_HEAD)
    table.add_column("Figure")
    table.add_column("", justify="right")
    for name, value in rows.items():
        table.add_row(Text(shown(name)), "-" if value is None else f"{value:.2f}")
    return table


def as_frame(rows: Sequence[Row]) -> "pd.DataFrame":
    """Every figure of every row, for a CSV file: mean, standard deviation and half the 95% interval."""
    import pandas as pd

    lines = []
    for row in rows:
        line: dict[str, Any] = {"row": row.name, "runs": len(row.runs)}
        for name in (*FIGURES, "seconds", "peak_memory_bytes"):
            figure = row.figure(name)
            line[name] = figure.mean if figure else None
            line[f"{name}_deviation"] = figure.deviation if figure else None
            line[f"{name}_interval95"] = figure.interval if figure else None
        lines.append(line)
    return pd.DataFrame(lines)
