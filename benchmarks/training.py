"""Stage 2 against the plain way, side by side in one process, in turn; prints ratios.

    python benchmarks/training.py [--device cpu|cuda] [--part step|run|profile]
    python benchmarks/training.py --device cuda --protocol ave      the full published protocol, ours alone

The plain way (`plain.py`, `plain_run.py`) computes the same equations with ordinary operations over the whole
batch in float32, asks the teacher in every step and reads each clip once an epoch. Features are random.

Shapes: B clips, L = 8 time slices, S = 196 tokens, D = 768 channels.
"""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import click
import torch
from avcil.benchmarks.plain import PlainHeads, PlainWeights, adam
from avcil.benchmarks.plain_run import plain_step
from avcil.benchmarks.problem import PRECISIONS, RandomSource, table_of
from avcil.benchmarks.timing import medians
from avcil.benchmarks.whole_run import bench_parts, bench_run
from avcil.devices import choose_device, describe_device
from avcil.incremental.config import RunConfig
from avcil.incremental.data.reader import ClipReader
from avcil.incremental.data.residence import Residence
from avcil.incremental.data.tasks import ClipTable
from avcil.incremental.learning.context import TaskContext
from avcil.incremental.learning.gradient import GradientLearning
from avcil.incremental.learning.trainer import Trainer
from avcil.incremental.methods.av_cil import AvCil, AvCilSettings
from avcil.incremental.model.heads import Widths
from avcil.incremental.model.kernels.products import product_type
from avcil.incremental.runs.experiment import build_method
from avcil.manifests import published, published_names
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

OPERATIONS_A_CLIP = 2 * 8 * 196 * 768 * 768
"""Floating-point operations of one projection of a clip's tokens: 1.85e9. Training needs two of them a visit
(forward, and the weights' gradient), evaluation one; the tokens are frozen and need no gradient."""


@dataclass
class OurStep:
    """Our training step in the second task, and evaluation, on one precision."""

    trainer: Trainer
    step: Callable[[], object]
    evaluate: Callable[[], object]


def our_step(device: torch.device, dtype: torch.dtype, source: RandomSource, new: int, memory: int) -> OurStep:
    """Set a trainer up at the beginning of task 2."""
    table = table_of(2, 7, new, 7, 7)
    config = RunConfig(
        method="av-cil",
        cache="",
        classes_per_task=7,
        epochs=1,
        batch_size=new,
        memory_size=memory,
        memory_batch_size=memory,
    )
    residence = Residence(
        source, table.ids, device=device, dtype=dtype, visual="tokens", largest_batch=new + memory, gigabytes=8
    )
    reader = ClipReader(residence, table.labels)
    settings = AvCilSettings()
    method = AvCil(settings, Widths(768, 768), config.modality)
    trainer = Trainer(config, table, method, reader)
    trainer._grow(table.task(1))
    old = table.of("train", range(7))[:memory]
    fresh = table.of("train", range(7, 14))
    residence.hold(torch.cat([fresh, old]))
    task = table.task(2)
    learning = GradientLearning(
        method, TaskContext(task, trainer.memory, table.labels, fresh, fresh, old, reader, config)
    )
    trainer._grow(task)
    optimiser = learning.build_optimiser()
    (batch,) = reader.batches([torch.cat([fresh, old])], [len(fresh)])

    def evaluate() -> Tensor:
        with torch.no_grad():
            return method.scores(batch)

    return OurStep(trainer, lambda: learning._step(batch, optimiser), evaluate)


def products(device: torch.device, dtype: torch.dtype, clips: int, *, backward: bool) -> Callable[[], object]:
    """The matrix products of a step alone: tokens by weights and, for training, gradients by tokens.

    As in ours a processor that is not fast at bfloat16 multiplies float32.
    """
    if device.type == "cpu":
        dtype = product_type(dtype)
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
        f"products of bfloat16 tokens alone reach {rate / 1e12:.2f} TFLOP/s, "
        f"our step {reached / 1e12:.2f} ({reached / rate:.0%})"
    )
    return table


def bench_protocol(device: torch.device, name: str, precision: str, *, cuda_graphs: bool) -> Table:
    """The published protocol with random features: seconds of training, ours alone."""
    from avcil.incremental.runs.configure import configure

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
@click.option("--part", type=click.Choice(["step", "run", "profile"]), default="step", show_default=True)
@click.option("--new", default=48, show_default=True, help="New clips a batch.")
@click.option("--memory", default=24, show_default=True, help="Memory clips a batch.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--epochs", default=5, show_default=True, help="Epochs a task of the whole run.")
@click.option("--protocol", type=click.Choice(published_names()), help="Only this.")
@click.option("--cuda-graphs", is_flag=True, help="With --protocol: replay steps as CUDA graphs.")
@click.option("--precision", type=click.Choice(list(PRECISIONS)), default="bfloat16", show_default=True)
def main(
    device_name: str,
    part: str,
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
    elif part == "step":
        console.print(bench_step(device, new, memory, repeats))
    elif part == "run":
        console.print(bench_run(device, epochs))
    else:
        console.print(bench_parts(device, epochs))


if __name__ == "__main__":
    main()
