"""What it costs a run that every clip is checked when it is first read: `python benchmarks/first_reading.py`.

Measured is the processor time that the checks take within a run from cache to accuracies, over the seconds of the run.
That is the most they can cost: what a reading thread does while the run computes is not waited for. A run with and one
without them would differ by more than that from turn to turn anyway. Clips of (8, 196, 768) and (768,), float16.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import click
import torch
from avcil.benchmarks.whole_run import whole_run
from avcil.cache import checks
from avcil.devices import choose_device, describe_device

AIM = 0.03


@dataclass
class Spent:
    """Checks so far, of all threads."""

    checks: int = 0
    """Of pictures and sound together, or of sound alone, which some steps read first."""
    seconds: float = 0.0
    """Of processor time."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, check: Callable[..., str | None]) -> Callable[..., str | None]:
        """`check`, its time added."""

        def run(*given: Any) -> str | None:
            since = time.thread_time()
            found = check(*given)
            taken = time.thread_time() - since
            with self.lock:
                self.checks, self.seconds = self.checks + 1, self.seconds + taken
            return found

        return run


@contextmanager
def spent_on_checks() -> Iterator[Spent]:
    """While it is entered, every check of what is read for the first time counts."""
    spent = Spent()
    with mock.patch.object(checks, "flaw", spent.timed(checks.flaw)):
        yield spent


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--epochs", default=5, show_default=True, help="Of each task. The more, the less the checks weigh.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Runs, each with a new cache.")
def main(device: str, epochs: int, repeats: int) -> None:
    """Share of a run that the checks of its clips take at most."""
    chosen = choose_device(device)
    click.echo(f"{describe_device(chosen)}, {epochs} epochs, bfloat16")
    for _ in range(repeats):
        with whole_run(chosen, epochs) as run, spent_on_checks() as spent:
            since = time.perf_counter()
            run.ours(torch.bfloat16)
            seconds = time.perf_counter() - since
        clips = len(run.table.ids)
        click.echo(
            f"{spent.checks} checks, {clips} clips, {1e3 * spent.seconds / clips:.2f} ms a clip; "
            f"a run of {seconds:.1f} s, the checks {spent.seconds:.2f} s: "
            f"at most {spent.seconds / seconds:.1%} (aim: under {AIM:.0%})"
        )


if __name__ == "__main__":
    main()
