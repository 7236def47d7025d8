"""Lists with very many rows: read by every command that takes one, in bounded memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .outcome import Outcome
from .programs import LONGEST
from .workspace import Workspace

CLASSES = 1000
BASE, A_ROW = 700e6, 800
"""Bytes of memory that a command may take: with its libraries, and for every row of a list."""
PROGRAM = """
import re, sys
from pathlib import Path
from {module} import main
try:
    main(sys.argv[1:])
finally:
    # Not getrusage's, which counts what the process held before it became this program.
    peak = 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
    sys.stderr.write(f"\\npeak {{peak}}\\n")
"""


def large(workspace: Workspace, rows: int, commands: int = 4) -> Iterator[Outcome]:
    """The part: a list of so many rows, given to the first of these commands."""
    folder = workspace.fresh("large")
    write(folder / "clips.csv", rows, workspace.videos.clips)
    given = ("--manifest", str(folder / "clips.csv"))  # after the small list, which it replaces
    training = workspace.videos.training(workspace.cache, folder / "out")
    every = (
        ("checked", "avcil.manifests.__main__", ("check", str(folder / "clips.csv"))),
        ("compared with a cache", "avcil.extract.cli", ("status", "--cache", str(workspace.cache), *given)),
        ("trained on", "avcil.incremental.cli", (*training[1:], *given)),
        ("extracted", "avcil.extract.cli", (*workspace.videos.words(folder / "cache")[1:], *given)),
    )
    yield from workspace.side_by_side(
        lambda command: measured(folder, f"a list of {rows:,} rows {command[0]}", *command[1:], rows), every[:commands]
    )


def write(path: Path, rows: int, held: tuple[str, ...]) -> None:
    """A list whose first rows are clips of the small data set, of two of its classes."""
    splits = ("train", "train", "val", "test")
    with path.open("w") as stream:
        stream.write("video_id,label,split\n")
        for number, clip in enumerate(held):
            stream.write(f"{clip},{('one', 'two')[number % 2]},{splits[number // 2 % 4]}\n")
        for number in range(rows - len(held)):
            label = ("one", "two")[number % 2] if number >= CLASSES else "one"
            stream.write(f"video{number:09d}_{number % 1000:06d},{label},{splits[number % 4]}\n")


def measured(folder: Path, what: str, module: str, words: tuple[str, ...], rows: int) -> Outcome:
    """Run a command in a process of its own and say what it took."""
    since = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(module=module), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=10 * LONGEST,
        )
    except subprocess.TimeoutExpired:
        return Outcome(what, 1, 1, f"not ended after {10 * LONGEST:.0f} s")
    seconds = time.monotonic() - since
    *said, last = [line for line in done.stderr.splitlines() if line.strip()]
    peak = int(last.removeprefix("peak "))
    allowed = BASE + A_ROW * rows
    note = f"{seconds:.1f} s, {peak / 1e6:,.0f} MB"
    if done.returncode:
        return Outcome(what, 1, 1, f"status {done.returncode}: {said[-1] if said else ''} ({note})")
    return Outcome(what, 1, int(peak > allowed), note + ("" if peak <= allowed else f", over {allowed / 1e6:,.0f} MB"))
