"""`avcil-incr compare`: whether one method is better than another, over the same seeds and class orders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, say
from ...files import write_json
from ...options import FILE, FOLDER
from ...wording import RANDOM_WEIGHTS, number_of
from ..results.metrics import FIGURES
from .console import check_folder_of, console

if TYPE_CHECKING:
    from ..results.collect import Row
    from ..results.compare import Comparison


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--figure", default="mean_accuracy", show_default=True, metavar="NAME", help=", ".join(FIGURES) + ".")
@click.option(
    "--against", metavar="ROW", help="Compare every row with this one alone: a method, or a row's whole name."
)
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
@click.option("--latex", is_flag=True, help="As a LaTeX table, for the package booktabs.")
@click.option("--digits", type=click.IntRange(0, 6), default=2, show_default=True, help="Digits behind the point.")
@click.option("--csv", "csv_file", type=FILE, help="Also write every comparison to this CSV file.")
@click.option("--json", "json_file", type=FILE, help="Also write every comparison, with its differences, to this file.")
def compare(
    runs: tuple[Path, ...],
    figure: str,
    against: str | None,
    markdown: bool,
    latex: bool,
    digits: int,
    csv_file: Path | None,
    json_file: Path | None,
) -> None:
    """Compare methods pair by pair, over runs of the same seeds and class orders.

    For each two rows: the mean difference with half its 95% interval, Wilcoxon's signed-rank test with Holm's
    correction over all comparisons, wins, ties and losses, and whether these are enough to claim anything.
    """
    from ..results.collect import load_runs, rows_of
    from ..results.compare import compare as compared
    from ..results.records import write_csv

    if markdown and latex:
        raise InputError("--markdown and --latex: one table is of one kind, leave out one of them")
    check_folder_of("--csv", csv_file)
    check_folder_of("--json", json_file)
    name = figure.strip().replace("-", "_").replace(" ", "_").lower()
    rows = rows_of(load_runs(runs))
    found = compared(rows, name if name in FIGURES else figure, against)
    screen = console(wide=markdown or latex)
    width = None if markdown or latex or not screen.is_terminal else screen.width
    grid = _grid(found, digits, width)
    said = _notes(rows, found, name)
    if not latex:
        screen.print(grid.table(markdown=markdown, width=width))
    for line in grid.latex(said) if latex else said:
        say(line)
    if csv_file is not None:
        write_csv(csv_file, [_record(one, name) for one in found])
    if json_file is not None:
        whole = [_record(one, name) | {"differences": one.differences, "unpaired": one.unpaired} for one in found]
        write_json(json_file, {"comparisons": whole})


def _grid(found: "Sequence[Comparison]", digits: int, width: int | None) -> Any:
    from ..results.grid import Column, Grid
    from ..results.spreads import rounded

    differences = []
    for one in found:
        spread = one.spread
        words = rounded(None if spread is None else spread.mean, digits)
        if spread is not None and spread.interval is not None:
            words += f" ± {rounded(spread.interval, digits)}"
        differences.append(words)
    columns = (
        Column("First", tuple(one.first for one in found), names=True),
        Column("Second", tuple(one.second for one in found), names=True),
        Column("Pairs", tuple(str(len(one.differences)) for one in found)),
        Column("First - second", tuple(differences)),
        Column("p", tuple(rounded(one.p, 4) for one in found), spare=True),
        Column("p, Holm", tuple(rounded(one.adjusted, 4) for one in found)),
        Column("W/T/L", tuple(f"{one.wins}/{one.ties}/{one.losses}" for one in found)),
        Column("First is", tuple(one.verdict for one in found)),
    )
    grid = Grid(columns)
    return grid if width is None else grid.fitted(width)


def _notes(rows: "Sequence[Row]", found: "Sequence[Comparison]", name: str) -> list[str]:
    from ..results.comparable import not_comparable
    from ..results.compare import LEVEL, needed

    figure = FIGURES[name]
    several = found[0].units == "class orders"
    of = "class orders, means over the seeds that both have" if several else "runs of the same seed"
    lines = [
        f"{figure.title} in percent ({figure.better} is better); pairs: {of}; ±: half the 95% interval of the mean "
        "difference (Student's t).",
        f"p: Wilcoxon's signed-rank test, two-sided; with Holm's correction for {number_of(len(found), 'comparison')}, "
        f"at the level {LEVEL:g}.",
    ]
    few = [one for one in found if one.verdict == "too few pairs"]
    if few:
        what = "class orders (--class-orders)" if several else "seeds (--seeds)"
        count = "this comparison" if len(found) == 1 else f"{len(found)} comparisons"
        lines.append(
            f"too few pairs: no fewer than {needed(len(found))} {what} can show anything in {count}, whatever the "
            "differences."
        )
    if any(run.metrics["random_encoder_weights"] for row in rows for run in row.runs):
        lines.append(f"Note: {RANDOM_WEIGHTS}.")
    unpaired = dict.fromkeys(run for one in found for run in one.unpaired)
    if unpaired:
        shown = "; ".join(list(unpaired)[:4]) + ("; ..." if len(unpaired) > 4 else "")
        lines.append(f"without a counterpart, and left out there: {shown}")
    lines += [f"left out, since it repeats a run: {path}" for row in rows for path in row.repeated]
    return lines + not_comparable(rows)


def _record(one: "Comparison", name: str) -> dict[str, Any]:
    spread = one.spread
    return {
        "figure": name,
        "first": one.first,
        "second": one.second,
        "units": one.units,
        "pairs": len(one.differences),
        "difference": None if spread is None else spread.mean,
        "deviation": None if spread is None else spread.deviation,
        "interval95": None if spread is None else spread.interval,
        "p": one.p,
        "p_holm": one.adjusted,
        "wins": one.wins,
        "ties": one.ties,
        "losses": one.losses,
        "verdict": one.verdict,
    }
