"""Our figures beside the published ones: as a table for people, and as CSV, Markdown and LaTeX files."""

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from ...errors import InputError
from ...files import written_aside
from ...wording import RANDOM_WEIGHTS
from ..results.collect import FinishedRun, Row
from ..results.files import config_of, metrics_of
from ..results.grid import Column, Grid
from ..results.spreads import Spread, rounded, spread
from .plan import Plan, PlannedRow

Cells = tuple[str, ...]


def rows_with_runs(plan: Plan, failed: Iterable[Path] = ()) -> list[tuple[PlannedRow, Row | None]]:
    """Each row of a plan with its finished runs but those that `failed`; None where it has none."""
    bad = set(failed)
    found = []
    for row in plan.rows:
        folders = [run.folder for run in row.runs if run.finished and run.folder not in bad]
        runs = tuple(FinishedRun(folder, config_of(folder), metrics_of(folder)) for folder in folders)
        found.append((row, Row(row.name, runs) if runs else None))
    return found


def figures_of(row: Row | None, name: str) -> Spread | None:
    """A figure over a row's runs."""
    return None if row is None else row.figure(name)


def comparison(rows: Sequence[tuple[PlannedRow, Row | None]]) -> Grid:
    """The table. Columns of published figures are there where any is published."""
    names = Column("Row", tuple(planned.name for planned, _ in rows), names=True)
    columns = [names, *_figure(rows, "Mean Accuracy", "mean_accuracy", lambda planned: planned.accuracy)]
    columns += _figure(rows, "Average Forgetting", "average_forgetting", lambda planned: planned.forgetting)
    columns.append(Column("Runs", tuple(str(len(row.runs) if row else 0) for _, row in rows), spare=True))
    return Grid(tuple(columns))


def _figure(
    rows: Sequence[tuple[PlannedRow, Row | None]],
    heading: str,
    name: str,
    published: Callable[[PlannedRow], float | None],
) -> list[Column]:
    ours = [figures_of(row, name) for _, row in rows]
    paper = [published(planned) for planned, _ in rows]
    columns = [Column(heading, tuple(map(_with_interval, ours)))]
    if any(value is not None for value in paper):
        differences = [_difference(one, value) for one, value in zip(ours, paper, strict=True)]
        columns.append(Column("In paper", tuple(map(rounded, paper))))
        columns.append(
            Column(
                "Ours - paper", tuple("-" if value is None else f"{value:+.2f}" for value in differences), spare=True
            )
        )
    return columns


def _with_interval(value: Spread | None) -> str:
    if value is None:
        return "-"
    return rounded(value.mean) + ("" if value.interval is None else f" ± {rounded(value.interval)}")


def _difference(ours: Spread | None, paper: float | None) -> float | None:
    return None if ours is None or paper is None else ours.mean - paper


def remarks(plan: Plan, rows: Sequence[tuple[PlannedRow, Row | None]]) -> list[str]:
    """What a reader has to know beside the table."""
    lines = ["All figures in percent; forgetting: lower is better."]
    if any(row is not None and len(row.runs) > 1 for _, row in rows):
        lines.append("± half the 95% interval of the mean over seeds (Student's t).")
    if any(row is not None and row.random_weights for _, row in rows):
        lines.append(f"Note: {RANDOM_WEIGHTS}.")
    missing = max((_missing_clips(row) for _, row in rows if row is not None), default=0)
    if missing:
        lines.append(f"Not in the cache and left out: {missing} clips of the list: the figures are of fewer clips.")
    departing = [row for row in plan.rows if row.departs is not None]
    if departing:
        lines.append(
            f"Not the published settings in {len(departing)} of {len(plan.rows)} rows: "
            f"{departing[0].name}: {departing[0].departs}."
        )
    lines += [f"In paper, {row.name}, {row.accuracy:.2f}: {row.contested}." for row in plan.rows if row.contested]
    if plan.target.without_paper:
        lines.append(f"The paper has {plan.target.name} for other data sets than {plan.label}: nothing stands beside.")
    return [*lines, *plan.left_out]


def _missing_clips(row: Row) -> int:
    return max(int(run.content["provenance"].get("clips_missing_from_cache", 0)) for run in row.runs)


def records(rows: Sequence[tuple[PlannedRow, Row | None]]) -> list[dict[str, Any]]:
    """A line a row for a CSV file: figures in percent, half the 95% interval, published figure and difference."""
    found = []
    for planned, row in rows:
        line: dict[str, Any] = {"row": planned.name, "runs": len(row.runs) if row else 0}
        for name, paper in (("mean_accuracy", planned.accuracy), ("average_forgetting", planned.forgetting)):
            ours = figures_of(row, name)
            line[name] = ours.mean if ours else None
            line[f"{name}_interval95"] = ours.interval if ours else None
            line[f"{name}_published"] = paper
            line[f"{name}_difference"] = _difference(ours, paper)
        found.append(line | {"departs_from_published": planned.departs, "published_contested": planned.contested})
    return found


def curve_records(rows: Sequence[tuple[PlannedRow, Row | None]], drawn: str) -> list[dict[str, Any]]:
    """What a figure shows, for a CSV file: "curves": a line a row and task; "memory": a line a row."""
    found: list[dict[str, Any]] = []
    for planned, row in rows:
        if row is None:
            continue
        config = row.config
        line = {"row": planned.name, "method": config["method"], "modality": config["modality"], "runs": len(row.runs)}
        if drawn == "memory":
            value = row.figure("mean_accuracy")
            assert value is not None
            found.append(
                line
                | {"memory_size": config["memory_size"], "mean_accuracy": value.mean}
                | {"mean_accuracy_interval95": value.interval}
            )
            continue
        by_task = zip(*(run.metrics["accuracy_by_task"] for run in row.runs), strict=True)
        for task, values in enumerate(by_task, start=1):
            one = spread(values)
            assert one is not None
            found.append(line | {"task": task, "accuracy": one.mean, "accuracy_interval95": one.interval})
    return found


def write_records(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """As CSV, beside and then in place."""
    with written_aside(path) as stream:
        table = csv.DictWriter(stream, list(lines[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(lines)


def write_table(out: Path, plan: Plan, rows: Sequence[tuple[PlannedRow, Row | None]]) -> list[Path]:
    """NAME-DATASET.csv, .md and .tex in `out`; the files written."""
    grid, said = comparison(rows), remarks(plan, rows)
    text = StringIO()
    Console(file=text, width=500).print(grid.table(markdown=True))
    table = "\n".join(line.strip() for line in text.getvalue().splitlines() if line.strip())
    contents = {
        ".md": f"{plan.target.title}, {plan.label}\n\n{table}\n\n" + "\n".join(f"- {line}" for line in said) + "\n",
        ".tex": "\n".join(grid.latex(said)) + "\n",
    }
    stem = out / f"{plan.target.name}-{plan.label}"
    write_records(Path(f"{stem}.csv"), records(rows))
    for suffix, content in contents.items():
        with written_aside(Path(f"{stem}{suffix}")) as stream:
            stream.write(content)
    return [Path(f"{stem}{suffix}") for suffix in (".csv", *contents)]


def write_figure(out: Path, plan: Plan, rows: Sequence[tuple[PlannedRow, Row | None]]) -> list[Path]:
    """NAME-DATASET.csv in `out`, and a .pdf and .png a modality where matplotlib is installed; the files written.

    InputError where no run is finished.
    """
    drawn = plan.target.drawn
    assert drawn is not None
    lines = curve_records(rows, drawn)
    if not lines:
        raise InputError(f"no run of {plan.target.name} is finished")
    stem = f"{plan.target.name}-{plan.label}"
    files = [out / f"{stem}.csv"]
    write_records(files[0], lines)
    try:
        from ..results.figures.kinds import draw, save
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return files
    panels: dict[str, list[Row]] = {}
    for _, row in rows:
        if row is not None:
            apart = plan.target.name in ("figure8", "figure9", "figure10")
            panels.setdefault(f"-{row.config['modality']}" if apart else "", []).append(row)
    for panel, of_panel in panels.items():
        figure = draw(drawn, of_panel)
        for suffix in (".pdf", ".png"):
            files.append(out / f"{stem}{panel}{suffix}")
            save(figure, files[-1])
    return files
