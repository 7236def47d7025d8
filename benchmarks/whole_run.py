"""A whole run from cache to accuracies, the plain way and ours: time, peak memory, and where the time goes.

Shapes: clips of (L, S, D) = (8, 196, 768).
"""

import gc
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import click
import psutil
import torch
from avcil.benchmarks import plain, plain_run
from avcil.benchmarks.plain_run import PlainChoices, PlainClip, PlainSettings, PlainTask
from avcil.benchmarks.problem import PRECISIONS, table_of, write_cache
from avcil.cache import FeatureCache
from avcil.incremental.config import RunConfig
from avcil.incremental.data.reader import ClipReader
from avcil.incremental.data.residence import Residence
from avcil.incremental.data.tasks import ClipTable
from avcil.incremental.learning.trainer import Trainer
from avcil.incremental.methods.av_cil import AvCil, AvCilSettings
from avcil.incremental.model.heads import Heads, Widths
from avcil.incremental.runs.experiment import build_method
from rich.table import Table

TASKS, CLASSES, TRAIN, VAL, TEST = 2, 7, 192, 28, 28
NEW, MEMORY, REMEMBERED = 48, 24, 70


class WholeRun:
    """AV-CIL on two tasks and some 500 clips, in either way."""

    def __init__(self, cache: FeatureCache, device: torch.device, epochs: int) -> None:
        self.cache, self.device, self.epochs = cache, device, epochs
        self.table = clips_of_the_run()
        # PyTorch loads its compiler with the first optimiser of a process, whichever side makes it.
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])

    def ours(self, dtype: torch.dtype) -> None:
        """The product's trainer, as `avcil-incr run` has it."""
        config = RunConfig(
            method="av-cil",
            cache="",
            classes_per_task=CLASSES,
            epochs=self.epochs,
            batch_size=NEW,
            memory_batch_size=MEMORY,
            memory_size=REMEMBERED,
            checkpoint_seconds=1e9,
        )
        residence = Residence(
            self.cache, self.table.ids, device=self.device, dtype=dtype, visual="tokens", largest_batch=NEW + MEMORY
        )
        method = build_method(AvCil, config, AvCilSettings(), Widths(768, 768))
        Trainer(config, self.table, method, ClipReader(residence, self.table.labels)).run()

    def plain(self) -> None:
        """The plain way, float32."""
        settings = PlainSettings(
            epochs=self.epochs,
            batch_size=NEW,
            memory_batch_size=MEMORY,
            memory_size=REMEMBERED,
            device=str(self.device),
        )
        tasks = [
            PlainTask(CLASSES, *(self._clips(task, split) for split in ("train", "val", "test"))) for task in (0, 1)
        ]
        plain_run.plain_av_cil_run(tasks, self._read, settings, PlainChoices(0))

    def _clips(self, task: int, split: str) -> tuple[PlainClip, ...]:
        numbers = self.table.of(split, range(task * CLASSES, (task + 1) * CLASSES)).tolist()
        return tuple(PlainClip(self.table.ids[number], int(self.table.labels[number])) for number in numbers)

    def _read(self, clip: str) -> tuple[Any, Any]:
        features = self.cache.read([clip], dtype=torch.float32)
        return features.visual[0], features.audio[0]


def clips_of_the_run() -> ClipTable:
    """The clip table."""
    return table_of(TASKS, CLASSES, TRAIN, VAL, TEST)


@contextmanager
def whole_run(device: torch.device, epochs: int) -> Iterator[WholeRun]:
    """The run, with a float16 cache of its own for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        yield WholeRun(write_cache(Path(folder) / "cache", clips_of_the_run()), device, epochs)


class PeakMemory:
    """Samples this process's resident memory, or a GPU's, while it is entered; `bytes` is the most above the start.

    What an earlier side has left allocated is there at the start: the later side's figure is too small, not too large.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def _taken(self) -> int:
        if self.device.type == "cuda":
            return int(torch.cuda.memory_allocated(self.device))
        return int(psutil.Process().memory_info().rss)

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        self.start = self.most = self._taken()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.02):
            self.most = max(self.most, self._taken())

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    @property
    def bytes(self) -> int:
        """Most memory above the start."""
        return self.most - self.start


def bench_run(device: torch.device, epochs: int) -> Table:
    """Seconds and peak memory of both ways."""
    figures: dict[str, tuple[float, int]] = {}
    with whole_run(device, epochs) as run:
        # The small one first: memory that PyTorch keeps after the large one would hide what the small one takes.
        for name, side in (
            ("ours bfloat16", lambda: run.ours(torch.bfloat16)),
            ("ours float32", lambda: run.ours(torch.float32)),
            ("plain float32", run.plain),
        ):
            with PeakMemory(device) as memory:
                since = time.perf_counter()
                side()
                seconds = time.perf_counter() - since
            figures[name] = (seconds, memory.bytes)
    shown = Table(title=title(epochs))
    for heading in ("what", "seconds", "plain over ours", "aim", "peak MiB", "ours over plain", "aim"):
        shown.add_column(heading, justify="left" if heading == "what" else "right")
    plain_seconds, plain_bytes = figures["plain float32"]
    for name, (seconds, most) in figures.items():
        is_ours = name != "plain float32"
        is_aimed = name == "ours bfloat16"
        shown.add_row(
            name,
            f"{seconds:.1f}",
            f"{plain_seconds / seconds:.1f}" if is_ours else "",
            "10" if is_aimed else "",
            f"{most / 2**20:.0f}",
            f"{most / plain_bytes:.2f}" if is_ours else "",
            "0.25" if is_aimed else "",
        )
    return shown


def title(epochs: int) -> str:
    """What is run."""
    return f"A run of {TASKS} tasks, {epochs} epochs, {TASKS * (TRAIN + VAL + TEST)} clips of (8, 196, 768)"


# ------------------------------------------------------------------------------------------- where the time goes

READING, FORWARD, BACKWARD, REST_OF_STEPS = "waiting for features", "forward", "backward", "rest of the steps"
TEACHER, EVALUATION, OTHER = "teacher", "evaluation", "everything else"
PARTS = (READING, FORWARD, BACKWARD, REST_OF_STEPS, TEACHER, EVALUATION, OTHER)


class Clock:
    """Seconds by part. Time belongs to the innermost part, but teacher and evaluation keep theirs, reading aside."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.stack = [OTHER]
        self.since = time.perf_counter()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.seconds[self.stack[-1]] += now - self.since
        self.since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """While a part is at work."""
        self._turn()
        self.stack.append(name if self.stack[-1] not in (TEACHER, EVALUATION) or name == READING else self.stack[-1])
        try:
            yield
        finally:
            self._turn()
            self.stack.pop()

    def timed(self, name: str | Callable[[], str], owner: Any, attribute: str) -> Any:
        """`owner.attribute` with its time taken."""
        function = getattr(owner, attribute)

        def call(*given: Any, **named: Any) -> Any:
            with self.part(name if isinstance(name, str) else name()):
                return function(*given, **named)

        return mock.patch.object(owner, attribute, call)

    def timed_iteration(self, name: str, owner: Any, attribute: str) -> Any:
        """`owner.attribute`, an iteration, with the time taken that is spent between its entries."""
        function = getattr(owner, attribute)

        def iterate(*given: Any, **named: Any) -> Iterator[Any]:
            entries = iter(function(*given, **named))
            while True:
                with self.part(name):
                    entry = next(entries, None)
                if entry is None:
                    return
                yield entry

        return mock.patch.object(owner, attribute, iterate)


def seconds_by_part(side: Callable[[], None], patches: Callable[[Clock], Sequence[Any]]) -> dict[str, float]:
    """Run one side, with its parts' time taken."""
    clock = Clock()
    with ExitStack() as patched:
        for patch in patches(clock):
            patched.enter_context(patch)
        clock.since = time.perf_counter()
        side()
        clock._turn()
    return clock.seconds


def parts_of_ours(clock: Clock) -> Sequence[Any]:
    """Where our parts begin and end."""
    return (
        clock.timed(READING, Residence, "hold"),
        clock.timed_iteration(READING, Residence, "stream"),
        clock.timed(FORWARD, Heads, "forward"),
        clock.timed(BACKWARD, torch.Tensor, "backward"),
        clock.timed(REST_OF_STEPS, Trainer, "_step"),
        clock.timed(TEACHER, Trainer, "_teacher"),
        clock.timed(EVALUATION, ClipReader, "over"),
    )


def parts_of_plain(clock: Clock) -> Sequence[Any]:
    """Where the plain way's parts begin and end."""
    return (
        clock.timed(READING, plain_run, "collate"),
        clock.timed(lambda: FORWARD if torch.is_grad_enabled() else TEACHER, plain.PlainHeads, "forward"),
        clock.timed(BACKWARD, torch.Tensor, "backward"),
        clock.timed(REST_OF_STEPS, plain_run, "plain_step"),
        clock.timed(EVALUATION, plain_run, "predictions"),
    )


def bench_parts(device: torch.device, epochs: int) -> Table:
    """Seconds by part of the plain way and of ours; on a CPU, where an operation is done when it returns."""
    if device.type != "cpu":
        raise click.UsageError("--part profile is for a CPU: on a GPU the parts overlap")
    with whole_run(device, epochs) as run:
        ours = seconds_by_part(lambda: run.ours(PRECISIONS["bfloat16"]), parts_of_ours)
        theirs = seconds_by_part(run.plain, parts_of_plain)
    ours["in all"], theirs["in all"] = sum(ours.values()), sum(theirs.values())
    shown = Table(title=f"{title(epochs)}: seconds by part")
    for heading in ("part", "plain float32", "of all", "ours bfloat16", "of all", "plain over ours"):
        shown.add_column(heading, justify="left" if heading == "part" else "right")
    for part, after in ours.items():
        before = theirs[part]
        shown.add_row(
            part,
            f"{before:.1f}",
            f"{before / theirs['in all']:.0%}",
            f"{after:.1f}",
            f"{after / ours['in all']:.0%}",
            f"{before / after:.1f}",
        )
    return shown
