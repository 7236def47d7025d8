"""What a report says of runs in words and tables: figures, costs, and what repeats each run. Imports no matplotlib."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....wording import size
from ..collect import FinishedRun, Row
from ..figures.series import Line
from ..files import repeat_folder
from ..measures import MEASURES
from ..metrics import FIGURES
from ..spreads import Spread
from ..tables import MAIN, published_words

WEIGHTS = "weights"
KEPT = ("operations", "exemplar_bytes", "statistics_bytes", "weight_bytes")


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    caption: str
    headings: tuple[str, ...]
    """Of the columns; the first is what each line is."""
    lines: tuple[tuple[str, ...], ...]
    links: tuple[str, ...] = ()
    """Where on the page more is said about each line; () for nowhere."""

    def __post_init__(self) -> None:
        if any(len(line) != len(self.headings) for line in self.lines):
            raise ValueError(f"the table '{self.caption}' has lines of other lengths than its headings")


@dataclass(frozen=True)
class Repeat:
    """How a run is repeated."""

    name: str
    """Its seed, and its class order where that was drawn."""
    folder: str
    command: str


@dataclass(frozen=True)
class Cause:
    """What made a row, for the page's section of runs."""

    identifier: str
    name: str
    repeats: tuple[Repeat, ...]
    settings: Table
    provenance: tuple[str, ...]
    """Lines of JSON, of the first run."""
    others: Table | None
    """What of the provenance differs in other runs."""
    left_out: tuple[str, ...]


def identifier(number: int) -> str:
    """Of the row `number` on the page."""
    return f"row-{number + 1}"


def main_table(rows: Sequence[Row]) -> Table:
    """The figures of the main table with what was published for the same settings, a line a row."""
    published = [published_words(row) for row in rows]
    headings = ["Method", "Runs", *(f"{title} (%)" for title in MAIN.values())]
    lines = []
    for row, words in zip(rows, published, strict=True):
        cells = [row.name, row.counted, *(spread_words(row.figure(name)) for name in MAIN)]
        lines.append((*cells, words or "-") if any(published) else tuple(cells))
    if any(published):
        headings.append("Published MA / AF (%)")
    caption = "Mean ± standard deviation over seeds, and in brackets half the 95% interval of the mean"
    if any(len(row.orders) > 1 for row in rows):
        caption += "; of several class orders: over the orders' means, then ± over the seeds within an order"
    return Table(caption, tuple(headings), tuple(lines), links_of(rows))


def all_figures(rows: Sequence[Row]) -> Table:
    """Every figure there is."""
    lines = [(row.name, *(spread_words(row.figure(name)) for name in FIGURES)) for row in rows]
    headings = ("Method", *(f"{figure.title} (%)" for figure in FIGURES.values()))
    return Table("All figures of the runs", headings, tuple(lines), links_of(rows))


def trust_table(rows: Sequence[Row]) -> Table:
    """How far the figures can be trusted: by the number of test clips, and by calibration."""
    names = ("mean_accuracy_noise", "last_accuracy_noise", "expected_calibration_error", "negative_log_likelihood")
    lines = []
    for row in rows:
        means = {name: None if (found := row.figure(name)) is None else found.mean for name in names}
        lines.append((row.name, *(MEASURES[name].words(mean, 2) for name, mean in means.items())))
    headings = (
        *("Method", "Mean Accuracy, by the choice of test clips ± (%)", "Last Accuracy, likewise ± (%)"),
        *("Expected calibration error (%)", "Negative log-likelihood (nats)"),
    )
    return Table("Means over runs; calibration after the last task", headings, tuple(lines), links_of(rows))


def cost_table(rows: Sequence[Row]) -> Table:
    """Time, memory and bytes of a run, means over runs."""
    lines = []
    for row in rows:
        seconds, memory = row.figure("seconds"), row.figure("peak_memory_bytes")
        weights = [bytes_below(run.path / WEIGHTS) for run in row.runs]
        kept = {name: None if (found := row.figure(name)) is None else found.mean for name in KEPT}
        folders = [bytes_below(run.path) for run in row.runs]
        lines.append(
            (
                row.name,
                "-" if seconds is None else spread_words(seconds, interval=False),
                "-" if memory is None else size(memory.mean),
                *(MEASURES[name].words(mean, 1) for name, mean in kept.items()),
                size(sum(weights) / len(weights)),
                size(sum(folders) / len(folders)),
                str(row.runs[0].content["provenance"].get("device", "-")),
            )
        )
    headings = (
        "Method",
        "Seconds a run",
        "Most memory held",
        *(MEASURES[name].title for name in KEPT),
        "Weights of all tasks",
        "Folder of a run",
        "Device",
    )
    return Table("Means over runs", headings, tuple(lines), links_of(rows))


def lines_table(lines: Sequence[Line], caption: str, head: str) -> Table:
    """The numbers of a figure of lines, a line of the table a line of the figure."""
    places = sorted({place for line in lines for place in line.places if place == place})
    cells = []
    for line in lines:
        known = dict(zip(line.places, line.values, strict=True))
        level = line.values[0] if line.places[0] != line.places[0] else None  # the same at every place
        found = [known.get(place, level) for place in places]
        cells.append((line.name, *(spread_words(value) for value in found)))
    return Table(caption, ("Method", *(f"{head} {place:g}" for place in places)), tuple(cells))


def spread_words(value: Spread | None, *, interval: bool = True) -> str:
    """ "82.2 ± 1.7 [4.2]"; "-" where there is none."""
    if value is None:
        return "-"
    if value.deviation is None or value.interval is None:
        return f"{value.mean:.1f}"
    within = "" if value.within is None else f" ± {value.within:.1f}"
    return f"{value.mean:.1f} ± {value.deviation:.1f}{within}" + (f" [{value.interval:.1f}]" if interval else "")


def links_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Where on the page each row's configuration is."""
    return tuple(f"#{identifier(number)}" for number in range(len(rows)))


def bytes_below(folder: Path) -> int:
    """Of all files in a folder; links are not followed. 0 where it is gone."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def causes(rows: Sequence[Row]) -> list[Cause]:
    """What made each row and the commands that repeat its runs."""
    return [_cause(row, number) for number, row in enumerate(rows)]


def _cause(row: Row, number: int) -> Cause:
    first = row.runs[0].content
    run = {name: value for name, value in first["run"].items() if name != "settings"}
    given = [*run.items(), *dict(first["run"].get("settings", {})).items()]
    settings = Table("Settings of the first run", ("Setting", "Value"), tuple((k, in_words(v)) for k, v in given))
    provenance = json.dumps(first["provenance"], ensure_ascii=False, indent=1)
    differing = []
    for other in row.runs[1:]:
        for name, value in other.content["provenance"].items():
            if value != first["provenance"].get(name):
                differing.append((other.repetition, name, in_words(value)))
    others = Table("What differs in other runs", ("Run", "Entry", "Value"), tuple(differing))
    repeats = tuple(
        Repeat(
            run.repetition,
            str(run.path),
            shlex.join(["avcil-incr", "run", "--config", str(run.path / "config.json"), "--out", _again(number, run)]),
        )
        for run in row.runs
    )
    left_out = tuple(map(str, row.repeated))
    lines = tuple(provenance.split("\n"))
    return Cause(identifier(number), row.name, repeats, settings, lines, others if differing else None, left_out)


def _again(number: int, run: FinishedRun) -> str:
    return str(repeat_folder(Path("repeated", identifier(number)), run.order, run.seed))


def in_words(value: Any) -> str:
    """A setting or fact in a cell: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plot_command(runs: Sequence[Path], kind: str) -> str:
    """What draws a figure of the page as a file of its own."""
    return shlex.join(["avcil-incr", "plot", *map(str, runs), "--kind", kind, "--out", f"{kind}.pdf"])
