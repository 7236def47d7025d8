"""`avcil-incr methods`: which methods there are, and what their settings mean."""

from pathlib import Path

import click

from ...errors import say
from ...options import FILE
from ..config import GradientSettings, RunConfig, names_of
from .console import console, plain


@click.command()
@click.argument("name", required=False)
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with methods of your own.")
def methods(name: str | None, plugins: tuple[Path, ...]) -> None:
    """List the methods; with a NAME, explain its settings and those of every run."""
    from rich import box
    from rich.table import Table

    from ..config import described
    from ..methods import all_methods, find_method

    if name is None:
        table = Table("Method", "Old clips", "Modalities", "Paper", box=box.SIMPLE_HEAD)
        for known, kind in all_methods(plugins).items():
            table.add_row(*map(plain, (known, kind.replay, ", ".join(kind.modalities), kind.paper)))
    else:
        kind = find_method(name, plugins)
        say(f"{kind.name}: {' '.join((kind.__doc__ or '').split())}")
        say(kind.paper)
        table = Table("Setting", "Default", "Meaning", box=box.SIMPLE_HEAD)
        for setting, (default, meaning) in described(kind.Settings).items():
            table.add_row(*map(plain, (setting, default, meaning)))
    console().print(table)
    if name is not None:
        solved = names_of(GradientSettings) if kind.way == "statistics" else ()
        shared = Table("Setting of every run", "Default", "Meaning", box=box.SIMPLE_HEAD)
        for setting, (default, meaning) in described(RunConfig).items():
            if setting not in ("method", "plugins", *solved):
                shared.add_row(*map(plain, (setting, default, meaning)))
        console().print(shared)
