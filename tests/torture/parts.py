"""The parts of the torture with their numbers: the whole of it, and the short form that `make test` runs."""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import interposed, programs
from .damage import damage
from .damaged_runs import Runs, damaged_runs
from .disks import Disks, disks
from .folders import folders
from .fuzz import fuzz
from .kills import Kills, kills
from .large import large
from .lists import lists
from .options import options
from .outcome import Outcome, Row
from .strange_files import strange_files
from .videos import Amount, videos
from .workers import workers
from .workspace import Workspace

ROWS = 10_000_000
"""Of the large list. Two commands read it at once, each with some 7 GB of memory."""


@dataclass(frozen=True)
class Part:
    """Some lines of the table."""

    name: str
    run: Callable[[Workspace], Iterator[Outcome]]
    share: float = 1
    """Of the time that there is, beside the others; what a part leaves of it goes to those that follow."""


def whole(rows: int = ROWS) -> tuple[Part, ...]:
    """All of it; `rows` are those of the large list."""
    return (
        Part("kills", lambda workspace: kills(workspace, Kills(extraction=50, training=30, signals=10)), 5),
        Part("disks", lambda workspace: disks(workspace, Disks(full=100, limits=20, failing=40, together=10)), 8),
        Part("workers", lambda workspace: workers(workspace, 3), 3),
        Part("damaged caches", lambda workspace: damage(workspace, 3), 5),
        Part("damaged runs", lambda workspace: damaged_runs(workspace, Runs(flips=60, other=99)), 3),
        Part("videos", lambda workspace: videos(workspace, Amount(kinds=1, damaged=25)), 5),
        Part("lists", lambda workspace: lists(workspace, 1), 2),
        Part("options", lambda workspace: options(workspace, 1), 1),
        Part("folders", lambda workspace: folders(workspace, 1), 2),
        Part("strange files", lambda workspace: strange_files(workspace, 1), 2),
        Part("large", lambda workspace: large(workspace, rows), 4),
        Part("fuzz", lambda workspace: fuzz(workspace, 3000), 4),
    )


def short() -> tuple[Part, ...]:
    """The same with small numbers, in some seconds a part."""
    return (
        Part("kills", lambda workspace: kills(workspace, Kills(extraction=2, training=2, signals=1))),
        Part("disks", lambda workspace: disks(workspace, Disks(full=1, limits=1, failing=1, together=1))),
        Part("workers", lambda workspace: workers(workspace, 1, ("exit", "flood"))),
        Part("damaged caches", lambda workspace: damage(workspace, 1, kinds=2)),
        Part("damaged runs", lambda workspace: damaged_runs(workspace, Runs(flips=1, other=1))),
        Part("videos", lambda workspace: videos(workspace, Amount(0.05, 1, ("mkv",)))),
        Part("lists", lambda workspace: lists(workspace, 0.04)),
        Part("options", lambda workspace: options(workspace, 0.04)),
        Part("folders", lambda workspace: folders(workspace, 0.04)),
        Part("strange files", lambda workspace: strange_files(workspace, 0.04)),
        Part("large", lambda workspace: large(workspace, 5_000, commands=1)),
        Part("fuzz", lambda workspace: fuzz(workspace, 20, share=0.25)),
    )


def prepare(root: Path, seed: int) -> Workspace:
    """A workspace; and the server that starts commands, with the library of `interposed` where it can be had."""
    library = interposed.compiled(root)
    programs.start_server({"OMP_NUM_THREADS": "1", **({"LD_PRELOAD": str(library)} if library else {})})
    return Workspace(root, seed)


def run_all(workspace: Workspace, chosen: Sequence[Part], seconds: float) -> Iterator[Row]:
    """The rows of all parts; after so many seconds nothing new is begun."""
    until = time.monotonic() + seconds
    for place, part in enumerate(chosen):
        left = until - time.monotonic()
        workspace.deadline = time.monotonic() + left * part.share / sum(one.share for one in chosen[place:])
        yield from run_part(workspace, part)


def run_part(workspace: Workspace, part: Part) -> Iterator[Row]:
    """The rows of a part; where it fails itself, that is one, and the next part is tried all the same."""
    workspace.left_out = 0
    try:
        for outcome in part.run(workspace):
            yield Row(part.name, outcome)
    except Exception as error:  # noqa: BLE001 - the other parts are still to come
        traceback.print_exc()
        yield Row(part.name, Outcome("the part itself", 1, 1, f"{type(error).__name__}: {error}"))
    if workspace.left_out:
        yield Row(part.name, Outcome("what time did not reach", 0, note=f"{workspace.left_out} tries"))
