"""`python -m avcil.tests.torture`: try to break avcil, and print what was tried, how often, and what was lost."""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

from . import parts
from .outcome import Row, markdown_of, table_of

NAMES = [part.name for part in parts.whole()]


@click.command()
@click.option("--seed", type=click.IntRange(min=0), help="Of every random choice; one is drawn and shown by default.")
@click.option("--minutes", type=float, default=28.0, show_default=True, help="After which nothing new is begun.")
@click.option("--part", "only", type=click.Choice(NAMES), multiple=True, help="Only this part; repeatable.")
@click.option("--short", is_flag=True, help="With the small numbers of `make test`.")
@click.option(
    "--rows", type=click.IntRange(100, 10**7), default=parts.ROWS, show_default=True, help="Of the large list."
)
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
def main(seed: int | None, minutes: float, only: tuple[str, ...], short: bool, rows: int, markdown: bool) -> None:
    """Try to break avcil. Status 1 where something is lost, or is not as docs/reliability.md promises."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    chosen = [part for part in (parts.short() if short else parts.whole(rows)) if not only or part.name in only]
    click.echo(f"seed {seed}", err=True)
    os.environ.setdefault("SVT_LOG", "1")  # one of the encoders of videos would tell of its settings among the lines
    since = time.monotonic()
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="avcil-torture-", ignore_cleanup_errors=True) as root:
        workspace = parts.prepare(Path(root), seed)
        for row in parts.run_all(workspace, chosen, 60 * minutes):
            found.append(row)
            click.echo(f"{(time.monotonic() - since) / 60:5.1f} min  {' | '.join(row.cells()[:4])}", err=True)
    lost = sum(row.outcome.lost for row in found)
    tries = sum(row.outcome.tries for row in found)
    caption = f"seed {seed}: {tries} tries, {lost} lost or not met, {(time.monotonic() - since) / 60:.0f} minutes"
    if markdown:
        click.echo(f"{markdown_of(found)}\n{caption}")
    else:
        console = Console()
        console.width = console.width if console.is_terminal else 200
        console.print(table_of(found, caption))
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main(prog_name="python -m avcil.tests.torture")
