"""Stage 2 against the plain way, side by side in one process, in turn; prints ratios.

    python benchmarks/training.py [--device cpu|cuda] [--part step] [--part run]
    python benchmarks/training.py --device cuda --protocol ave      the full published protocol, ours alone

The plain way (`plain.py`, `plain_run.py`) computes the same equations with ordinary operations over the whole
batch in float32, asks the teacher in every step and reads each clip once an epoch. Features are random.

Shapes: B clips, L = 8 time slices, S = 196 tokens, D = 768 channels.
"""

import gc
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import psutil
import torch
from avcil.benchmarks.plain import PlainHeads, PlainWeights, adam
from avcil.benchmarks.plain_run import (
    PlainChoices,
    PlainClip,
    PlainSettings,
    PlainTask,
    plain_av_cil_run,
    plain_step,
)
from avcil.benchmarks.timing import medians
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.devices import choose_device, describe_device
from avcil.incremental.clips import ClipTable
from avcil.incremental.config import RunConfig
from avcil.incremental.experiment import build_method
from avcil.incremental.heads import Widths
from avcil.incremental.methods.av_cil import AvCil, AvCilSettings
from avcil.incremental.reader import ClipReader
from avcil.incremental.residence import Residence
from avcil.incremental.trainer import Trainer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

VISUAL, AUDIO = (8, 196, 768), (768,)
PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
OPERATIONS_A_CLIP = 2 * 8 * 196 * 768 * 768
"""Floating-point operations of one projection of a clip's tokens: 1.85e9. Training needs two of them a visit
(forward, and the weights' gradient), evaluation one; the tokens are frozen and need no gradient."""


class RandomSource:
    """Features of true shape without a disk: a pool of random clips that all ids share."""

    visual_shape, audio_shape = VISUAL, AUDIO

    def __init__(self, pool: int = 64) -> None:
        draw = torch.Generator().manual_seed(0)
        self.visual = torch.randn(pool, *VISUAL, generator=draw).to(torch.bfloat16)
        self.audio = torch.randn(pool, *AUDIO, generator=draw)

    def read_into(
        self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
    ) -> None:
        """Rows of the pool, by the number in the id."""
        for row, clip in enumerate(ids):
            place = int(clip) % len(self.visual)
            if visual is not None:
                visual[row] = self.visual[place]
            if audio is not None:
                audio[row] = self.audio[place]


def table_of(tasks: int, classes: int, train: int, val: int, test: int) -> ClipTable:
    """A clip table of `tasks` tasks with so many classes and clips each."""
    labels, splits = [], []
    for task in range(tasks):
        for split, count in (("train", train), ("val", val), ("test", test)):
            labels += [task * classes + number % classes for number in range(count)]
            splits += [split] * count
    names = [f"class {label}" for label in range(tasks * classes)]
    return ClipTable(
        ids=tuple(str(number) for number in range(len(labels))),
        labels=torch.tensor(labels),
        splits=tuple(splits),
        tasks=tuple(tuple(names[task * classes : (task + 1) * classes]) for task in range(tasks)),
    )


@dataclass
class OurStep:
    """Our training step in the second task, and evaluation, on one precision."""

    trainer: Trainer
    step: Callable[[], object]
    evaluate: Callable[[], object]


def our_step(device: torch.device, dtype: torch.dtype, source: RandomSource, new: int, memory: int) -> OurStep:
    """Set a trainer up at the beginning of task 2."""
    table = table_of(2, 7, new, 7, 7)
    config = RunConfig("av-cil", "", 7, epochs=1, batch_size=new, memory_size=memory, memory_batch_size=memory)
    residence = Residence(source, table.ids, device=device, dtype=dtype, visual="tokens", largest_batch=new + memory)
    reader = ClipReader(residence, table.labels)
    settings = AvCilSettings()
    method = build_method(AvCil, config, settings, Widths(768, 768))
    trainer = Trainer(config, table, method, reader)
    trainer._grow(method, table.task(1))
    old = table.of("train", range(7))[:memory]
    fresh = table.of("train", range(7, 14))
    residence.hold(torch.cat([fresh, old]))
    teacher = trainer._teacher(table.task(2), torch.cat([fresh, old]), old)
    trainer._grow(method, table.task(2))
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    (batch,) = reader.batches([torch.cat([fresh, old])], [len(fresh)])

    def evaluate() -> Tensor:
        with torch.no_grad():
            return method.scores(batch)

    return OurStep(trainer, lambda: trainer._step(batch, teacher, optimiser), evaluate)


def products(device: torch.device, dtype: torch.dtype, clips: int, *, backward: bool) -> Callable[[], object]:
    """The matrix products of a step alone: tokens by weights and, for training, gradients by tokens."""
    tokens = torch.randn(clips, 8 * 196, 768, device=device).to(dtype)
    weight = torch.randn(768, 768, device=device).to(dtype)

    def multiply() -> None:
        for clip in tokens:
            projected = clip @ weight.T
            if backward:
                projected.T @ clip

    return multiply


def bench_step(device: torch.device, new: int, memory: int, repeats: int) -> Table:
    """One AV-CIL step from the second task on, and evaluation of the same batch."""
    source = RandomSource()
    ours = {name: our_step(device, dtype, source, new, memory) for name, dtype in PRECISIONS.items()}
    torch.manual_seed(0)
    student = PlainHeads(768, 768, nn.Linear(768, 14)).to(device)
    teacher = PlainHeads(768, 768, nn.Linear(768, 7)).to(device)
    visual = source.visual.float()
    count = new + memory
    tokens = visual[torch.arange(count) % len(visual)].to(device)
    audio = source.audio[torch.arange(count) % len(visual)].to(device)
    labels = torch.cat([torch.arange(new) % 7 + 7, torch.arange(memory) % 7]).to(device)
    batch = (tokens[:new], audio[:new], labels[:new])
    rehearsed = (tokens[new:], audio[new:], labels[new:])
    optimiser = adam(list(student.parameters()))

    def plain() -> Tensor:
        return plain_step(student, teacher, optimiser, batch, rehearsed, [slice(0, 7)], PlainWeights())

    def plain_evaluation() -> Tensor:
        with torch.no_grad():
            logits: Tensor = student(tokens, audio)[0]
            return logits

    step = medians(
        {"plain": plain}
        | {name: one.step for name, one in ours.items()}
        | {f"products {name}": products(device, dtype, count, backward=True) for name, dtype in PRECISIONS.items()},
        device,
        repeats,
    )
    evaluation = medians(
        {"plain": plain_evaluation} | {name: one.evaluate for name, one in ours.items()}, device, repeats
    )
    table = Table(title=f"AV-CIL step, {new} new + {memory} memory clips of (8, 196, 768), second task")
    for heading in ("what", "ms", "plain over ours", "aim", "ours over its products", "aim"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    table.add_row("step, plain float32", f"{1e3 * step['plain']:.0f}", "", "", "", "")
    for name, aim in (("bfloat16", "8"), ("float32", "2")):
        ratio, share = step["plain"] / step[name], step[name] / step[f"products {name}"]
        table.add_row(f"step, ours {name}", f"{1e3 * step[name]:.0f}", f"{ratio:.1f}", aim, f"{share:.2f}", "2")
    table.add_row("forward, plain float32", f"{1e3 * evaluation['plain']:.0f}", "", "", "", "")
    for name, aim in (("bfloat16", "6"), ("float32", "")):
        ratio = evaluation["plain"] / evaluation[name]
        table.add_row(f"forward, ours {name}", f"{1e3 * evaluation[name]:.0f}", f"{ratio:.1f}", aim, "", "")
    rate = 2 * count * OPERATIONS_A_CLIP / step["products bfloat16"]
    reached = 2 * count * OPERATIONS_A_CLIP / step["bfloat16"]
    table.caption = (
        f"bfloat16 products alone reach {rate / 1e12:.2f} TFLOP/s, our step {reached / 1e12:.2f} ({reached / rate:.0%})"
    )
    return table


class PeakMemory:
    """Samples this process's resident memory while it is entered; `bytes` is the most above the start."""

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        self.process = psutil.Process()
        self.start = self.most = self.process.memory_info().rss
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.02):
            self.most = max(self.most, self.process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    @property
    def bytes(self) -> int:
        """Most memory above the start."""
        return int(self.most - self.start)


def write_cache(directory: Path, table: ClipTable) -> FeatureCache:
    """A float16 cache of random features for the clips of `table`."""
    source = RandomSource()
    with CacheWriter(directory, Fingerprint({"visual_encoder": {"random_weights": 0}, "storage": "float16"})) as writer:
        for begin in range(0, len(table.ids), 50):
            ids = table.ids[begin : begin + 50]
            visual, audio = torch.empty(len(ids), *VISUAL), torch.empty(len(ids), *AUDIO)
            source.read_into(ids, visual, audio)
            writer.write_shard(f"shard-{begin // 50:05d}", ids, visual, audio)
    return FeatureCache(directory)


def bench_run(device: torch.device, epochs: int) -> Table:
    """A whole run of two tasks and some 500 clips, from cache to accuracy matrix."""
    tasks, classes, train, val, test = 2, 7, 192, 28, 28
    table = table_of(tasks, classes, train, val, test)
    config = RunConfig(
        "av-cil",
        "",
        classes,
        epochs=epochs,
        batch_size=48,
        memory_batch_size=24,
        memory_size=70,
        checkpoint_seconds=1e9,
    )
    with tempfile.TemporaryDirectory() as folder:
        cache = write_cache(Path(folder) / "cache", table)

        def ours(dtype: torch.dtype) -> object:
            residence = Residence(cache, table.ids, device=device, dtype=dtype, visual="tokens", largest_batch=72)
            method = build_method(AvCil, config, AvCilSettings(), Widths(768, 768))
            return Trainer(config, table, method, ClipReader(residence, table.labels)).run()

        def plain() -> object:
            def clips(task: int, split: str) -> tuple[PlainClip, ...]:
                numbers = table.of(split, range(task * classes, (task + 1) * classes)).tolist()
                return tuple(PlainClip(table.ids[number], int(table.labels[number])) for number in numbers)

            def read(clip: str) -> tuple[Any, Any]:
                features = cache.read([clip], dtype=torch.float32)
                return features.visual[0], features.audio[0]

            settings = PlainSettings(
                epochs=epochs, batch_size=48, memory_batch_size=24, memory_size=70, device=str(device)
            )
            plain_tasks = [
                PlainTask(classes, clips(task, "train"), clips(task, "val"), clips(task, "test"))
                for task in range(tasks)
            ]
            return plain_av_cil_run(plain_tasks, read, settings, PlainChoices(0))

        # PyTorch loads its compiler with the first optimiser of a process, whichever side makes it.
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])
        figures: dict[str, tuple[float, int]] = {}
        # The small one first: memory that PyTorch keeps after the large one would hide what the small one takes.
        for name, side in (
            ("ours bfloat16", lambda: ours(torch.bfloat16)),
            ("ours float32", lambda: ours(torch.float32)),
            ("plain float32", plain),
        ):
            with PeakMemory() as memory:
                since = time.perf_counter()
                side()
                seconds = time.perf_counter() - since
            figures[name] = (seconds, memory.bytes)
    shown = Table(title=f"A run of {tasks} tasks, {epochs} epochs, {len(table.ids)} clips of (8, 196, 768)")
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


def bench_protocol(device: torch.device, name: str, precision: str, *, cuda_graphs: bool) -> Table:
    """The published protocol with random features: seconds of training, ours alone."""
    from avcil.incremental.config import configure
    from avcil.manifests import published

    benchmark = published(name)
    given = {"cache": "", "dataset": name, "precision": precision, "cuda_graphs": cuda_graphs}
    config, settings = configure(AvCil, benchmark.protocol, given)
    order = benchmark.manifest.class_order
    index = {label: number for number, label in enumerate(order)}
    size = config.classes_per_task
    clips = benchmark.manifest.clips
    table = ClipTable(
        ids=tuple(str(number) for number in range(len(clips))),
        labels=torch.tensor([index[clip.label] for clip in clips]),
        splits=tuple(clip.split for clip in clips),
        tasks=tuple(tuple(order[begin : begin + size]) for begin in range(0, len(order), size)),
    )
    residence = Residence(
        RandomSource(),
        table.ids,
        device=device,
        dtype=PRECISIONS[precision],
        visual="tokens",
        largest_batch=config.batch_size + config.memory_batch_size,
    )
    method = build_method(AvCil, replace(config, dataset=name), settings, Widths(768, 768))
    since = time.perf_counter()
    progress = Trainer(config, table, method, ClipReader(residence, table.labels)).run()
    shown = Table(title=f"{name}, AV-CIL, {len(table.tasks)} tasks x {config.epochs} epochs, {len(clips)} clips")
    shown.add_column("residence")
    shown.add_column("seconds in all", justify="right")
    shown.add_column("seconds in the trainer", justify="right")
    shown.add_row(str(residence.plan), f"{time.perf_counter() - since:.1f}", f"{progress.seconds:.1f}")
    return shown


@click.command()
@click.option("--device", "device_name", default="cpu", show_default=True)
@click.option("--part", "parts", multiple=True, type=click.Choice(["step", "run"]), help="Default: both.")
@click.option("--new", default=48, show_default=True, help="New clips a batch.")
@click.option("--memory", default=24, show_default=True, help="Memory clips a batch.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--epochs", default=5, show_default=True, help="Epochs a task of the whole run.")
@click.option("--protocol", type=click.Choice(["ave", "kinetics-sounds", "vggsound100"]), help="Only this.")
@click.option("--cuda-graphs", is_flag=True, help="With --protocol: replay steps as CUDA graphs.")
@click.option("--precision", type=click.Choice(list(PRECISIONS)), default="bfloat16", show_default=True)
def main(
    device_name: str,
    parts: tuple[str, ...],
    new: int,
    memory: int,
    repeats: int,
    epochs: int,
    protocol: str | None,
    cuda_graphs: bool,
    precision: str,
) -> None:
    """Measure stage 2 against the plain way."""
    device = choose_device(device_name)
    console = Console(width=140)
    console.print(f"{describe_device(device)}; {platform.processor() or platform.machine()}; torch {torch.__version__}")
    if protocol is not None:
        console.print(bench_protocol(device, protocol, precision, cuda_graphs=cuda_graphs))
        return
    if "step" in parts or not parts:
        console.print(bench_step(device, new, memory, repeats))
    if "run" in parts or not parts:
        console.print(bench_run(device, epochs))


if __name__ == "__main__":
    main()
