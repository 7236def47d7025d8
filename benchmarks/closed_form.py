"""Closed-form heads: whole runs from cache to metrics against the same arithmetic as bare library calls.

Features are random and of 1,536 channels; clips, classes and tasks are a data set's. Every measurement has a process
of its own, whose peak memory is told.
"""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from avcil.benchmarks import bare_heads
from avcil.cache import CacheWriter, Fingerprint

CHANNELS = 768
"""Of either modality."""
PROBLEMS = {"ave": (4, 7, 118, 14), "vggsound100": (10, 10, 512, 50), "small": (3, 4, 30, 5)}
"""Tasks, classes a task, training and test clips a class."""
HEADS = ("ncm", "slda", "ridge", "ranpac", "acil", "air", "ds-al", "gkeal", "randumb", "klda", "fecam")
WIDE = {"ranpac": 10000, "acil": 8192, "air": 8192, "ds-al": 8192, "gkeal": 512, "randumb": 10000, "klda": 5000}


def clips_of(label: int, count: int, split: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Features (n, 1, 1, D) and (n, D) of clips of one class, float32."""
    pattern = np.random.default_rng([label, 1]).standard_normal(2 * CHANNELS, dtype=np.float32)
    noise = np.random.default_rng([label, 2, len(split)]).standard_normal((count, 2 * CHANNELS), dtype=np.float32)
    rows = 0.2 * pattern + noise
    return rows[:, None, None, :CHANNELS], rows[:, CHANNELS:]


def write_problem(folder: Path, tasks: int, classes: int, train: int, test: int) -> None:
    """A manifest and a cache of the clips."""
    lines = ["video_id,label,split"]
    with CacheWriter(
        folder / "cache", Fingerprint({"visual_encoder": {"random_weights": 0}, "storage": "float32"})
    ) as to:
        for label in range(tasks * classes):
            for split, count in (("train", train), ("test", test)):
                ids = [f"c{label:03d}-{split}-{number:04d}" for number in range(count)]
                visual, audio = (torch.from_numpy(part) for part in clips_of(label, count, split))
                to.write_shard(f"shard-{label:03d}-{split}", ids, visual, audio)
                lines += [f"{clip},class {label:03d},{split}" for clip in ids]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")


def arrays(tasks: int, classes: int, count: int, split: str) -> bare_heads.Tasks:
    """The same clips as tensors in memory: rows and labels of each task."""
    made = []
    for task in range(tasks):
        labels = range(task * classes, (task + 1) * classes)
        parts = [clips_of(label, count, split) for label in labels]
        rows = np.concatenate([np.concatenate([visual[:, 0, 0], audio], axis=1) for visual, audio in parts])
        made.append((torch.from_numpy(rows), torch.tensor(labels).repeat_interleave(count)))
    return made


@contextmanager
def timed(found: list[float]) -> Iterator[None]:
    """Puts into `found` the seconds spent within it: by the clock, and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    found += [time.perf_counter() - wall, time.process_time() - processor]


def ours(folder: Path, head: str, width: int | None, classes: int) -> list[float]:
    """A whole run, modules imported. Seconds, as `timed`."""
    from avcil.incremental import configure, run
    from avcil.incremental.methods import all_methods

    all_methods()
    found: list[float] = []
    given: dict[str, Any] = {} if width is None else {"width": width}
    where = {"manifest": str(folder / "clips.csv"), "cache": str(folder / "cache")}
    with timed(found):
        configured = configure(head, **where, classes_per_task=classes, device="cpu", **given)
        run(configured, folder / "runs" / head)
    return found


def bare(problem: tuple[int, int, int, int], head: str, width: int | None) -> list[float]:
    """The arithmetic alone. Seconds, as `timed`."""
    found: list[float] = []
    tasks, classes, train, test = problem
    data = arrays(tasks, classes, train, "train"), arrays(tasks, classes, test, "test")
    with timed(found):
        bare_heads.run(head, *data, width or 0)
    return found


def direct(problem: tuple[int, int, int, int], width: int) -> list[float]:
    """The choice of RanPAC's penalty as released, for one task. Seconds, as `timed`."""
    found: list[float] = []
    ((rows, labels),) = arrays(1, problem[1], problem[2], "train")
    with timed(found):
        bare_heads.direct(rows, labels, width)
    return found


def apart(function: Callable[..., list[float]], *given: Any) -> tuple[float, float, float]:
    """Seconds that `function` measured and the peak memory (GB) of a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        wall, processor = pool.apply(function, given)
        peak = pool.apply(_peak)
    return wall, processor, peak / 1e6


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@click.command()
@click.option("--protocol", type=click.Choice(list(PROBLEMS)), default="ave", show_default=True, help="Whose counts.")
@click.option("--head", "heads", type=click.Choice(HEADS), multiple=True, help="Which heads; all unless named.")
@click.option("--width", type=int, help="Random features, in place of each head's own default.")
@click.option("--tasks", type=int, help="Tasks, in place of the data set's; the classes a task stay.")
@click.option("--clips", type=int, help="Training clips a class, in place of the data set's.")
@click.option("--direct", "as_released", is_flag=True, help="Time RanPAC's penalty as released too, for one task.")
def main(
    protocol: str,
    heads: tuple[str, ...],
    width: int | None,
    tasks: int | None,
    clips: int | None,
    as_released: bool,
) -> None:
    """Time and peak memory of whole runs, and of their arithmetic alone."""
    counts = PROBLEMS[protocol]
    problem = tasks or counts[0], counts[1], clips or counts[2], counts[3]
    click.echo(f"{problem[0]} tasks of {problem[1]} classes, {problem[2]} training clips a class")
    click.echo(
        f"{'head':10}{'M':>6}{'run s':>9}{'CPU s':>9}{'GB':>6}{'bare s':>9}{'CPU s':>9}{'GB':>6}{'CPU ratio':>11}"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_problem(Path(folder), *problem)
        for head in heads or HEADS:
            size = None if head not in WIDE else width or WIDE[head]
            wall, run, peak = apart(ours, Path(folder), head, size, problem[1])
            bare_wall, plain, bare_peak = apart(bare, problem, head, size)
            times = f"{wall:9.2f}{run:9.2f}{peak:6.2f}{bare_wall:9.2f}{plain:9.2f}{bare_peak:6.2f}{run / plain:11.2f}"
            click.echo(f"{head:10}{size or 2 * CHANNELS:6}{times}")
    if as_released:
        size = width or WIDE["ranpac"]
        wall, processor, peak = apart(direct, problem, size)
        said = f"{wall:.1f} s, {processor:.1f} s of processor time, {peak:.2f} GB"
        click.echo(f"RanPAC's penalty as released, one task, M = {size}: {said}")


if __name__ == "__main__":
    main()
