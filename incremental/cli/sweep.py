"""`avcil-incr sweep`: every combination of methods and settings, with one display and one table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, say
from ...options import FILE, FOLDER, options_of
from ...plugins import read_plugin
from ...wording import number_of
from ..config import RunConfig
from ..runs.repeats import Repeats
from .reproduce import OPTIONS, list_runs
from .tables import show_table

if TYPE_CHECKING:
    from ..sweeps import Sweep


@click.command()
@click.option("--method", "methods", required=True, metavar="A,B,...", help="Methods, parted by commas.")
@click.option(
    "--grid", multiple=True, metavar="FIELD=V,V,...", help="Values of a setting; repeatable, all combinations are run."
)
@options_of(RunConfig, OPTIONS, required=False)
@click.option("--out", type=FOLDER, required=True, help="Folder of the sweep: runs in OUT/runs, a table in runs.csv.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds, from --seed on.")
@click.option("--class-orders", type=click.IntRange(min=1), default=1, show_default=True, help="Class orders.")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Any other setting; repeatable.")
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with methods of your own.")
@click.option("--dry-run", is_flag=True, help="List the runs and what is known of their time, and run nothing.")
def sweep(
    methods: str,
    grid: tuple[str, ...],
    out: Path,
    seeds: int,
    class_orders: int,
    assignments: tuple[str, ...],
    plugins: tuple[Path, ...],
    dry_run: bool,
    **options: Any,
) -> None:
    """Run every combination of methods and settings, each different run once, and write one table of all.

    Runs that are there already are not run again, killed ones are resumed, and one that fails is told at the end while
    the others go on. Ctrl-C stops; the same command goes on from there.
    """
    for plugin in plugins:
        read_plugin(plugin)
    repeats = Repeats(seeds, class_orders)
    repeats.check(options.get("class_order_seed"), options.get("tasks"))
    varied = _grid(grid)
    from ..runs.configure import parse_assignments
    from ..sweeps import make_sweep

    given = {name: value for name, value in options.items() if value is not None}
    assigned = parse_assignments(assignments)
    for name in ("method", *given):
        if name in assigned:
            raise InputError(f"{name} is given twice: as --{name.replace('_', '-')} and by --set")
    values = {name: [parse_assignments((f"{name}={word}",))[name] for word in words] for name, words in varied.items()}
    plan = make_sweep(_methods(methods), values, given | assigned, out, repeats, plugins)
    words = f"{number_of(plan.combinations, 'combination')}, {plan.different} different"
    say(f"{words}; {number_of(seeds, 'seed')} of {number_of(class_orders, 'class order')} each")
    if dry_run:
        list_runs(plan.runs, (), out)
    else:
        _run(plan, out)


def _methods(text: str) -> list[str]:
    names = [word.strip() for word in text.split(",") if word.strip()]
    if not names or len(set(names)) < len(names):
        raise InputError(f"--method takes different methods, parted by commas, not '{text}'")
    return names


def _grid(given: tuple[str, ...]) -> dict[str, list[str]]:
    """Words of each setting's values. InputError for what is no grid."""
    found: dict[str, list[str]] = {}
    for text in given:
        name, _, values = text.partition("=")
        name, words = name.strip().replace("-", "_"), [word.strip() for word in values.split(",")]
        if not name or not all(words):
            raise InputError(f"--grid takes FIELD=VALUE,VALUE,..., not '{text}'")
        if name in found:
            raise InputError(f"--grid gives {name} twice: all its values go behind one {name}=")
        if name in ("method", "seed", "plugins"):
            option = {"seed": "seeds", "plugins": "plugin"}.get(name, name)
            raise InputError(f"--grid {name}: there is --{option} for that")
        if len(set(words)) < len(words):
            raise InputError(f"--grid {text}: a value is there twice")
        found[name] = words
    return found


def _run(plan: "Sweep", out: Path) -> None:
    """Run what is missing, then show and write the table; exit status 1 where a run failed."""
    from ..learning.state import Stopped
    from ..reproduce.estimates import Estimates
    from ..reproduce.execution import execute
    from ..runs.stopping import StopRequest
    from ..sweeps import TABLE, write_runs

    stop = StopRequest()
    try:
        with stop:
            outcome = execute(plan.runs, Estimates.below(out / "runs"), stop)
    except Stopped:
        say(f"stopped, and saved in {out}: the same command goes on from there", err=True)
        sys.exit(128 + (stop.signal or 0))
    say(f"{number_of(outcome.there, 'run')} there already, {outcome.done} run now, {len(outcome.failed)} failed")
    finished = write_runs(plan, out)
    if finished:
        show_table(finished)
        say(f"written: {out / TABLE}")
    for folder, words in outcome.failed.items():
        say(f"failed: {folder}: {words}", err=True)
    if outcome.failed:
        sys.exit(1)
