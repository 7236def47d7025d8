"""Results as a person reads them: tables of runs, with intervals where a method was run with several seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from ...errors import shown
from ...wording import RANDOM_WEIGHTS, number_of
from .cause import ORDER
from .collect import FinishedRun, Row
from .comparable import not_comparable
from .grid import Column, Grid
from .measures import MEASURES
from .metrics import FIGURES
from .naming import shortened
from .records import MEASURED, row_records, runs_only
from .spreads import rounded

MAIN = {name: figure.title for name, figure in FIGURES.items() if figure.main}
"""Titles of the figures of the main table, by name."""

MARK = "†"
"""Behind the name of a row or run whose features come from encoders with random weights."""

TITLES = {name: figure.title for name, figure in FIGURES.items()} | {
    **{name: measure.title for name, measure in MEASURES.items()},
    "published": "Published MA / AF",
    "seed": "Seed",
    "path": "Path",
    ORDER: "Class order",
}
"""Headings of columns, by name; settings have their own names."""

SHORTENED = {
    "patience": "a task ended once its best accuracy on validation clips was {} ago",
    "validate_every": "validation came after every {} of a task and after its last, and only these can be chosen",
}
"""What settings mean that shorten the work (`config.OFF`), for notes."""


def results_grid(
    rows: Sequence[Row],
    *,
    width: int | None = None,
    digits: int | None = None,
    columns: Sequence[str] = (),
    interval: bool = True,
) -> Grid:
    """The main figures or `columns`, a line a row: in `width` characters without intervals where these do not fit.

    `interval` False: without them wherever there is room.
    """
    wide = _results_grid(rows, columns, 2 if digits is None else digits, interval=interval)
    if width is None or wide.fits(width):
        return wide
    return _results_grid(rows, columns, 1 if digits is None else digits, interval=False).fitted(width)


def _results_grid(rows: Sequence[Row], columns: Sequence[str], digits: int, *, interval: bool) -> Grid:
    found = [
        Column("Method", tuple(_marked(row.name, row.random_weights) for row in rows), names=True),
        Column("Runs", tuple(str(len(row.runs)) for row in rows)),
    ]
    if any(len(row.orders) > 1 for row in rows):
        found.append(Column("Class orders", tuple(str(len(row.orders)) for row in rows), spare=True))
    for name in columns or MAIN:
        found.append(Column(TITLES.get(name, name), tuple(_cell(row, name, digits, interval) for row in rows)))
    if not columns:
        found.append(Column("Model", tuple(_model(row.runs[0].metrics["model_choice"]) for row in rows), spare=True))
        seconds = [row.figure("seconds") for row in rows]
        cells = tuple("-" if one is None else rounded(one.mean, 1) for one in seconds)
        found.append(Column(TITLES["seconds"], cells, spare=True))
        for name in ("kept_bytes", "mean_accuracy_noise"):
            if any(row.figure(name) for row in rows):  # runs of older versions have neither
                cells = tuple(_cell(row, name, digits, interval=False).split(" ±")[0] for row in rows)
                found.append(Column(TITLES[name], cells, spare=True))
        if any(map(published_words, rows)):
            found.append(Column(TITLES["published"], tuple(published_words(row) or "-" for row in rows)))
    return Grid(tuple(found))


def results_table(
    rows: Sequence[Row],
    *,
    markdown: bool = False,
    width: int | None = None,
    digits: int | None = None,
    columns: Sequence[str] = (),
) -> Table:
    """`results_grid` for a console."""
    return results_grid(rows, width=width, digits=digits, columns=columns).table(markdown=markdown, width=width)


def runs_grid(
    runs: Sequence[FinishedRun], *, width: int | None = None, digits: int | None = None, columns: Sequence[str] = ()
) -> Grid:
    """The main figures or `columns`, a line a run."""
    of_orders = (ORDER,) if len({run.order for run in runs}) > 1 else ()
    names = columns or (*of_orders, "seed", *MAIN, "seconds", "path")
    records = runs_only(runs, names)
    rows = tuple(
        _marked(str(record["row"]), run.metrics["random_encoder_weights"])
        for record, run in zip(records, runs, strict=True)
    )
    found = [Column("Method", rows, names=True)]
    for name in names:
        cells = tuple(_value(name, record[name], 2 if digits is None else digits) for record in records)
        found.append(Column(TITLES.get(name, name), cells, name == "path"))
    grid = Grid(tuple(found))
    return grid if width is None else grid.fitted(width)


def _marked(name: str, random_weights: bool) -> str:
    return f"{name} {MARK}" if random_weights else name


def _model(choice: str) -> str:
    return f"{choice} epoch" if choice in ("best", "last") else choice


def _cell(row: Row, name: str, digits: int, interval: bool) -> str:
    """What a column of a table of rows says of one."""
    if name == "published":
        return published_words(row) or "-"
    if name not in MEASURED:
        (record,) = row_records([row], [name])
        return _value(name, record[name], digits)
    figure = row.figure(name)
    if name in MEASURES:
        return MEASURES[name].spread_words(figure, digits, interval=interval)
    return "-" if figure is None else figure.words(digits=digits, interval=interval)


def _value(name: str, value: object, digits: int) -> str:
    """What a column says where there is a single value."""
    if value is None:
        return "-"
    if name == "published" and isinstance(value, list):
        return " / ".join(map(rounded, value))
    if name in MEASURED and isinstance(value, int | float):
        return MEASURES[name].words(value, digits) if name in MEASURES else rounded(value, digits)
    return str(value) if name == "path" else shortened(value)


def published_words(row: Row) -> str:
    """The figures published for exactly a row's settings, as decided when its runs finished; "" if there are none."""
    return " / ".join(map(rounded, row.published))


def notes(
    rows: Sequence[Row], *, deviation: bool = True, interval: bool = True, columns: Sequence[str] = ()
) -> list[str]:
    """What a reader has to know of the runs in a table, which shows standard deviations and intervals, or does not.

    `columns` are the headings of the table; () for one that has all.
    """
    runs = [run for row in rows for run in row.runs]
    lines = ["All figures in percent; forgetting: lower is better."]
    if deviation and any(len(row.runs) > 1 for row in rows):
        more = "; 95%: half the 95% interval of the mean (Student's t)" if interval else ""
        lines.append(f"{_deviations(rows)}{more}.")
    if any(len(row.orders) > 1 and row.published for row in rows):
        lines.append("Published figures are of the given class order alone.")
    noise = TITLES["mean_accuracy_noise"]
    if any(row.figure("mean_accuracy_noise") for row in rows) and (not columns or noise in columns):
        lines.append(f"{TITLES['mean_accuracy_noise']}: {MEASURES['mean_accuracy_noise'].meaning}")
    if any(row.random_weights for row in rows):
        lines.append(f"{MARK} {RANDOM_WEIGHTS}.")
    if any(run.metrics["model_choice"] == "best" for run in runs):
        lines.append("best epoch: chosen on validation clips of all seen classes, old ones included, as published.")
    lines += _shortened(rows)
    lines += [f"left out, since it repeats a run in the table: {run}" for row in rows for run in row.repeated]
    return lines + not_comparable(rows)


def _deviations(rows: Sequence[Row]) -> str:
    """What stands behind ±."""
    over_seeds = "sample standard deviation over the runs"
    several = [row for row in rows if len(row.orders) > 1]
    if not several:
        return f"±: {over_seeds}"
    words = "± of several class orders: sample standard deviation over the orders' means"
    if any(len(row.runs) > len(row.orders) for row in several):
        words += "; the second ±, over the seeds within an order"
    return words if len(several) == len(rows) else f"{words}; other ±: {over_seeds}"


def _shortened(rows: Sequence[Row]) -> list[str]:
    """Lines on what shortened the work of rows; where it is not that of all, their names say so."""
    lines = []
    for name, words in SHORTENED.items():
        for value in sorted({row.cause["settings"].get(name, 0) for row in rows} - {0}):
            lines.append(f"{name} {value}: {words.format(number_of(value, 'epoch'))}.")
    return lines


def run_tables(run: FinishedRun) -> list[Table]:
    """One run: its figures, and its accuracy matrix."""
    metrics = run.metrics
    title = _marked(f"{metrics['method']} ({metrics['modality']}), {run.repetition}", metrics["random_encoder_weights"])
    figures = figures_table(title, {figure.title: metrics.get(name) for name, figure in FIGURES.items()}, unit="%")
    if "leak_free" in metrics:
        for name, value in metrics["leak_free"].items():
            if isinstance(value, float):
                figures.add_row(Text(shown(f"Leak-free {TITLES.get(name, name)}")), rounded(value))
    for name in ("mean_accuracy", "last_accuracy"):
        if name in metrics.get("test_noise", {}):
            low, high = metrics["test_noise"][name]
            figures.add_row(Text(f"{TITLES[name]}, by the choice of clips"), f"{rounded(low)} to {rounded(high)}")
    for name, measure in MEASURES.items():
        if measure.of_one_run and metrics.get(name) is not None:
            unit = " nats" if measure.unit == "nats" else ""
            figures.add_row(Text(measure.title), f"{measure.words(metrics[name], 2)}{unit}")
    figures.caption = f"{metrics['seconds']:.1f} s, {metrics['peak_memory_bytes'] / 2**20:.0f} MiB; " + (
        _chosen_words(metrics, run.cause["settings"]) if any(metrics["chosen_epochs"]) else "solved"
    )
    # Narrow columns: a published matrix of ten tasks has to fit a screen of 80 characters with all its digits.
    matrix = Table(title="Accuracy in % (row: after task; column: on task)", box=box.SIMPLE_HEAD, padding=0)
    tasks = len(metrics["accuracy_by_task"])
    for heading in ("after", *(str(number) for number in range(1, tasks + 1)), "all"):
        matrix.add_column(heading, justify="right", min_width=5)
    for number, (row, seen) in enumerate(
        zip(metrics["accuracy_matrix"], metrics["accuracy_by_task"], strict=True), start=1
    ):
        cells = [rounded(value, 1) for value in row] + [""] * (tasks - number)
        matrix.add_row(str(number), *cells, rounded(seen, 1))
    return [figures, matrix]


def _chosen_words(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The chosen epochs, of how many where patience may have ended a task, and what shortened the work."""
    words = f"chosen epochs {', '.join(map(str, metrics['chosen_epochs']))}"
    if metrics.get("epochs_by_task"):
        words += f" of {', '.join(map(str, metrics['epochs_by_task']))}"
    shortened_by = ", ".join(f"{name} {settings[name]}" for name in SHORTENED if name in settings)
    return f"{words} ({shortened_by})" if shortened_by else words


def figures_table(title: str, rows: Mapping[str, float | None], *, unit: str = "") -> Table:
    """Figures by name, a line each, as given."""
    table = Table(title=Text(shown(title), "table.title"), box=box.SIMPLE_HEAD)
    table.add_column("Figure")
    table.add_column(unit, justify="right")
    for name, value in rows.items():
        table.add_row(Text(shown(name)), rounded(value))
    return table
