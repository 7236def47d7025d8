"""Sweeps: every combination of methods and settings, with every seed and class order; each different run once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import InputError
from .config import RunConfig, names_of
from .methods import all_methods
from .reproduce.plan import PlannedRun, folder_name, understood
from .results.collect import load_runs, run_records
from .results.records import write_csv
from .runs.call import configure
from .runs.experiment import place_for
from .runs.repeats import Repeats

TABLE = "runs.csv"
"""Of a sweep's folder: a line a finished run, a column for every setting and figure."""


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep, in OUT/runs/METHOD-HASH/seed-N and .../order-K/seed-N."""

    runs: tuple[PlannedRun, ...]
    """Each once, whatever number of combinations ask for it."""
    combinations: int
    """Of methods and settings."""
    different: int
    """Combinations that make different runs: one that a method has no use for makes none."""


def make_sweep(
    methods: Sequence[str],
    grid: Mapping[str, Sequence[Any]],
    given: Mapping[str, Any],
    out: Path,
    repeats: Repeats,
    plugins: Iterable[Path] = (),
) -> Sweep:
    """Plan a sweep; nothing is run or written.

    Args:
        methods: names of methods; each is run with every combination.
        grid: the values of each setting that is varied. A setting that only some of the methods have is varied for
            these; what a method's result does not depend on, such as the exemplar memory of one that keeps none, makes
            no further run.
        given: settings that all runs have.
        out: folder of the sweep.
        repeats: seeds and class orders.
        plugins: Python files with methods of one's own.

    Raises:
        InputError: an unknown method or setting, a value out of range, a setting that none of the methods has, or a
            folder that holds something else.
    """
    for name in grid:
        if name in given:
            raise InputError(f"{name} is given twice: by --grid and as an option")
    plugins = list(plugins)
    known = all_methods(plugins)
    _check_grid(methods, grid, known)
    runs: dict[Path, PlannedRun] = {}
    folders: set[Path] = set()
    combinations = 0
    for method in methods:
        for values in product(*grid.values()):
            combinations += 1
            varied = dict(zip(grid, values, strict=True))
            wanted = understood(method, {**given, **varied}, known)
            configured = configure(method, plugins=plugins, **wanted)
            folder = out / "runs" / folder_name(configured)
            if folder in folders:
                continue
            folders.add(folder)
            row = " ".join([method, *(f"{name}={value}" for name, value in varied.items() if name in wanted)])
            for place, config in repeats.configs(configured.config, folder).items():
                place_for(config, configured.settings, place)  # which refuses a folder that holds something else
                runs[place] = PlannedRun(replace(configured, config=config), place, row)
    return Sweep(tuple(runs.values()), combinations, len(folders))


def _check_grid(methods: Sequence[str], grid: Mapping[str, Sequence[Any]], known: Mapping[str, Any]) -> None:
    """InputError for a setting that other methods have, and none of the sweep's."""
    of_sweep = {name for method in methods if method in known for name in names_of(known[method].Settings)}
    of_any = {name for kind in known.values() for name in names_of(kind.Settings)} - {*names_of(RunConfig)}
    for name in grid:
        if name in of_any and name not in of_sweep:
            raise InputError(f"--grid {name}: none of {', '.join(methods)} has this setting")


def write_runs(sweep: Sweep, out: Path) -> list[Path]:
    """Write OUT/runs.csv of the finished runs; their folders."""
    finished = [run.folder for run in sweep.runs if run.finished]
    if finished:
        write_csv(out / TABLE, run_records(load_runs(finished)))
    return finished
