"""`make torture`: every part at its full size, bounded in time, and one table at the end."""

import secrets
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from .damage import damage
from .damaged_runs import Runs, damaged_runs
from .disks import Disks, disks
from .hostile import features, hostile
from .kills import Kills, kills
from .large import large
from .lists import lists
from .options import options
from .outcome import Outcome, Row, markdown_of, table_of
from .videos import Amount, videos
from .workers import workers
from .workspace import Workspace

Run = Callable[[Workspace], Iterator[Outcome]]


@dataclass(frozen=True)
class Part:
    """One subject of the torture, at two sizes."""

    name: str
    share: float
    """Of the time that there is; what a part leaves goes to the next ones."""
    full: Run
    short: Run
    """For `make test`."""


PARTS = (
    Part("kills", 6, lambda w: kills(w, Kills(50, 30, 5)), lambda w: kills(w, Kills(1, 1, 1))),
    Part("disks", 4, lambda w: disks(w, Disks(20, 20, 20, 4)), lambda w: disks(w, Disks(1, 1, 1, 1))),
    Part("workers", 2, lambda w: workers(w, 3), lambda w: workers(w, 1)),
    Part("damaged caches", 4, lambda w: damage(w, 2), lambda w: damage(w, 1, kinds=2)),
    Part("damaged runs", 3, lambda w: damaged_runs(w, Runs(40, 20)), lambda w: damaged_runs(w, Runs(2, 1))),
    Part("videos", 4, lambda w: videos(w, Amount(1.0, 6)), lambda w: videos(w, Amount(0.05, 1))),
    Part("lists", 1, lambda w: lists(w, 1.0), lambda w: lists(w, 0.1)),
    Part("options", 1, lambda w: options(w, 1.0), lambda w: options(w, 0.1)),
    Part("hostile input", 2, lambda w: hostile(w, 1.0), lambda w: hostile(w, 0.1)),
    Part("features from elsewhere", 1, lambda w: features(w, 1.0), lambda w: features(w, 0.1)),
)


def rows_of(part: Part, run: Run, workspace: Workspace) -> Iterator[Row]:
    """The outcomes of a part; where it fails itself, that is one, and the next part is tried all the same."""
    try:
        for outcome in run(workspace):
            yield Row(part.name, outcome)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in the table
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        yield Row(part.name, Outcome("the part itself", 1, 1, f"{Path(place.filename).name}:{place.lineno}: {words}"))


@click.command()
@click.option("--seed", type=int, help="Of every random choice; another one each time unless said.")
@click.option("--minutes", type=float, default=28.0, show_default=True, help="After which nothing new is tried.")
@click.option("--rows", type=int, default=1_000_000, show_default=True, help="Of the large list; 0 leaves it out.")
@click.option("--part", "names", multiple=True, type=click.Choice([part.name for part in PARTS]), help="Only these.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Also write the table to this file.")
def main(seed: int | None, minutes: float, rows: int, names: Sequence[str], markdown: Path | None) -> None:
    """Try to break avcil. Status 1 where anything was lost of which nobody knew."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    console = Console(soft_wrap=True)
    console.print(f"seed {seed}: --seed {seed} draws the same again", highlight=False)
    chosen = [part for part in PARTS if not names or part.name in names]
    if rows and not names:
        chosen.append(Part("large", 2, lambda w: large(w, rows), lambda w: large(w, rows)))
    begun, found = time.monotonic(), list[Row]()
    with tempfile.TemporaryDirectory(prefix="avcil-torture-", ignore_cleanup_errors=True) as root:
        workspace = Workspace(Path(root), seed)
        for place, part in enumerate(chosen):
            left = begun + 60 * minutes - time.monotonic()
            workspace.deadline = time.monotonic() + left * part.share / sum(one.share for one in chosen[place:])
            for row in rows_of(part, part.full, workspace):
                found.append(row)
                console.print(*row.cells(), sep=" | ", highlight=False, markup=False)
    seconds = time.monotonic() - begun
    caption = f"seed {seed}, {seconds / 60:.1f} min"
    console.print(table_of(found, caption))
    if markdown is not None:
        markdown.write_text(markdown_of(found), encoding="utf-8")
    sys.exit(any(row.unexpected for row in found))


if __name__ == "__main__":
    main()
