"""`avcil-incr reproduce`: the runs behind a table or figure of the paper, and ours beside the published figures."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, say, unknown
from ...options import FOLDER, options_of
from ...wording import number_of
from ..config import RunConfig
from .console import console
from .run import RUN_OPTIONS

if TYPE_CHECKING:
    from ..reproduce.plan import Plan, PlannedRun

OPTIONS = tuple(name for name in RUN_OPTIONS if name != "method")


@click.command()
@click.argument("target", metavar="table1..table8|figure1|figure4|figure6..figure10|parity")
@options_of(RunConfig, OPTIONS, required=False)
@click.option("--out", type=FOLDER, help="Folder for tables and figures; runs lie in OUT/runs and are shared.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Runs a row, from --seed on.")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Any other setting; repeatable.")
@click.option("--memory-sizes", metavar="N,N,...", help="Sizes of the exemplar memory for figure6.")
@click.option("--dry-run", is_flag=True, help="List the runs and what is known of their time, and run nothing.")
def reproduce(
    target: str,
    out: Path | None,
    seeds: int,
    assignments: tuple[str, ...],
    memory_sizes: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run what a table or figure of the paper needs, and show ours beside the published figures.

    Runs that are there already are not run again. Ctrl-C stops; the same command goes on from there. parity checks on
    this machine that losses, gradients and Adam's steps are those of the released code.
    """
    from ..reproduce.targets import NAMES, PARITY, target_of

    if target not in NAMES:
        raise unknown("table or figure", target, NAMES)
    given = {name: value for name, value in options.items() if value is not None}
    if target == PARITY:
        if given or out is not None or assignments or memory_sizes or dry_run or seeds != 1:
            raise InputError("reproduce parity takes no options: it needs neither clips nor features")
        _parity()
        return
    if out is None:
        raise InputError("say where the results go: --out DIR")
    if memory_sizes is not None and target != "figure6":
        raise InputError(f"--memory-sizes is for figure6, not for {target}")
    wanted = target_of(target, given.get("dataset"), _sizes(memory_sizes))
    from ..runs.configure import parse_assignments

    assigned = parse_assignments(assignments)
    for name in ("method", *given):
        if name in assigned:
            raise InputError(f"{name} cannot be given by --set here: a row has its method, and options are given once")
    from ..reproduce.plan import make_plan

    plan = make_plan(wanted, given | assigned, out, seeds)
    if dry_run:
        list_runs(plan.runs, plan.left_out, out)
    else:
        _run(plan, out)


def _sizes(text: str | None) -> tuple[int, ...]:
    try:
        sizes = tuple(int(word) for word in (text or "").split(",") if word.strip())
    except ValueError:
        sizes = (-1,)
    if any(size < 1 for size in sizes) or (text is not None and len(set(sizes)) < 2):
        raise InputError(f"--memory-sizes takes two or more numbers of clips, such as 50,100,200, not '{text}'")
    return sizes


def list_runs(runs: "Sequence[PlannedRun]", left_out: Sequence[str], out: Path) -> None:
    """Say which runs there are and which are missing, and lines on those that are left out."""
    from ...wording import duration
    from ..reproduce.estimates import Estimates
    from ..reproduce.execution import time_left
    from ..results.grid import Column, Grid

    estimates = Estimates.below(out / "runs")
    times = [
        "finished" if run.finished else "unknown" if (seconds := estimates.seconds(run)) is None else duration(seconds)
        for run in runs
    ]
    screen = console()
    grid = Grid(
        (
            Column("Row", tuple(run.row for run in runs), names=True),
            Column("Run", tuple(run.name for run in runs)),
            Column("Time", tuple(times)),
        )
    )
    screen.print(grid.table(width=screen.width if screen.is_terminal else None))
    missing = [run for run in runs if not run.finished]
    say(f"{len(missing)} of {number_of(len(runs), 'run')} to do" + _left(missing, time_left(missing, estimates)))
    for line in left_out:
        say(line)


def _left(missing: list[Any], words: str) -> str:
    return f"; {words}" if missing else ""


def _run(plan: "Plan", out: Path) -> None:
    """Run what is missing, then show and write the comparison; exit status 1 where a run failed."""
    from ..learning.state import Stopped
    from ..reproduce.comparison import comparison, remarks, rows_with_runs, write_figure, write_table
    from ..reproduce.estimates import Estimates
    from ..reproduce.execution import execute
    from ..runs.stopping import StopRequest

    for line in plan.left_out:
        say(line)
    stop = StopRequest()
    try:
        with stop:
            outcome = execute(plan.runs, Estimates.below(out / "runs"), stop)
    except Stopped:
        say(f"stopped, and saved in {out}: the same command goes on from there", err=True)
        sys.exit(128 + (stop.signal or 0))
    say(f"{number_of(outcome.there, 'run')} there already, {outcome.done} run now, {len(outcome.failed)} failed")
    rows = rows_with_runs(plan, outcome.failed)
    screen = console()
    width = screen.width if screen.is_terminal else None
    grid = comparison(rows)
    say(f"{plan.target.title}, {plan.label}")
    screen.print((grid if width is None else grid.fitted(width)).table(width=width))
    for line in remarks(plan, rows):
        if line not in plan.left_out:
            say(line)
    if any(row is not None for _, row in rows):
        files = write_table(out, plan, rows) if plan.target.drawn is None else write_figure(out, plan, rows)
        say(f"written: {', '.join(map(str, files))}")
        if plan.target.drawn is not None and len(files) == 1:
            say("not drawn, since matplotlib is not installed: pip install 'avcil[report]'")
    for folder, words in outcome.failed.items():
        say(f"failed: {folder}: {words}", err=True)
    if outcome.failed:
        sys.exit(1)


def _parity() -> None:
    """Show the checks and the verdict; exit status 1 where one differs."""
    from ..reproduce.parity import AFTER_STEPS, RELATIVE, checks
    from ..results.grid import Column, Grid

    found = checks()
    grid = Grid(
        (
            Column("Value", tuple(one.name for one in found), names=True),
            Column("Off by", tuple(f"{one.off:.1e}" for one in found)),
            Column("Verdict", tuple("agrees" if one.agrees else "DIFFERS" for one in found)),
        )
    )
    screen = console()
    screen.print(grid.table(width=screen.width if screen.is_terminal else None))
    wrong = [one for one in found if not one.agrees]
    if wrong:
        say(
            f"{len(wrong)} of {len(found)} values differ: {wrong[0].name} by a relative {wrong[0].off:.1e}",
            err=True,
        )
        sys.exit(1)
    say(
        f"all {len(found)} values agree with the released code's: to a relative {RELATIVE:g}, "
        f"after steps of Adam to {AFTER_STEPS:g}"
    )
