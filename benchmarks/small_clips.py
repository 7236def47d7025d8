"""Training steps over small clips, ours beside the plain way and the matrix products alone, by instruction set.

    python benchmarks/small_clips.py [--isa native] [--isa avx2] [--rounds 30]

Encoders of few tokens a frame give clips like these, of 8 x 4 tokens. Their matrix products are small, so that what is
around them counts: what a call costs, the heads, the optimiser. Each instruction set has a process of its own, since
libraries choose theirs when they are loaded. Features are random.

Shapes: B clips, L time slices, S tokens, D channels.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import click
import torch
from avcil.benchmarks.plain import SS_IL, PlainHeads, PlainWeights, adam, separated_softmax_cross_entropy
from avcil.benchmarks.plain import task_knowledge_distillation as distillation
from avcil.benchmarks.plain_run import plain_step
from avcil.benchmarks.problem import RandomSource, table_of
from avcil.benchmarks.timing import medians
from avcil.devices import describe_device, dtype_of, fastest_precision
from avcil.incremental.config import MODALITIES, Modality, RunConfig
from avcil.incremental.data.reader import ClipReader
from avcil.incremental.data.residence import Residence
from avcil.incremental.learning.context import TaskContext
from avcil.incremental.learning.gradient import GradientLearning, Method
from avcil.incremental.learning.trainer import Trainer
from avcil.incremental.methods.av_cil import AvCil
from avcil.incremental.methods.ss_il import SsIl
from avcil.incremental.model.heads import Widths
from rich.console import Console
from rich.table import Table
from torch import nn

CPU = torch.device("cpu")
CLASSES = 7
"""Classes of each of the two tasks."""
INSTRUCTIONS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
"""What oneDNN, PyTorch and MKL are told, by the name of the instruction set."""
CASES: tuple[tuple[type[Method], Modality], ...] = (
    *((SsIl, modality) for modality in MODALITIES),
    (AvCil, "audio-visual"),
)


class Problem:
    """A batch of the second task: `new` new clips, then `memory` old ones."""

    def __init__(self, shape: tuple[int, int, int], new: int, memory: int) -> None:
        self.shape, self.new, self.memory = shape, new, memory
        self.precision = fastest_precision(CPU)
        self.source = RandomSource(new + memory, shape, shape[-1:])
        self.table = table_of(2, CLASSES, max(new, memory), 7, 7)
        old, fresh = self.table.of("train", range(CLASSES)), self.table.of("train", range(CLASSES, 2 * CLASSES))
        self.old, self.fresh = old[:memory], fresh[:new]

    def ours(self, kind: type[Method], modality: Modality) -> Callable[[], object]:
        """The product's training step, the teacher asked beforehand as it is in a run."""
        new, memory = self.new, self.memory
        config = RunConfig(
            method=kind.name,
            cache="",
            classes_per_task=CLASSES,
            epochs=1,
            batch_size=new,
            memory_size=memory,
            memory_batch_size=memory,
            modality=modality,
        )
        residence = Residence(
            self.source,
            self.table.ids,
            device=CPU,
            dtype=dtype_of(self.precision),
            visual={"audio-visual": "tokens", "visual": "mean", "audio": "none"}[modality],  # type: ignore[arg-type]
            largest_batch=new + memory,
            gigabytes=1,
        )
        reader = ClipReader(residence, self.table.labels)
        method = kind(kind.Settings(), Widths(self.shape[-1], self.shape[-1]), modality)
        trainer = Trainer(config, self.table, method, reader)
        trainer._grow(self.table.task(1))
        residence.hold(torch.cat([self.fresh, self.old]))
        task = self.table.task(2)
        context = TaskContext(task, trainer.memory, self.table.labels, self.fresh, self.fresh, self.old, reader, config)
        learning = GradientLearning(method, context)
        trainer._grow(task)
        (batch,) = reader.batches([torch.cat([self.fresh, self.old])], [new])
        return partial(learning._step, batch, optimiser=learning.build_optimiser())

    def plain(self, kind: type[Method], modality: Modality) -> Callable[[], object]:
        """The same step by `plain.py`, in float32, over features that are at hand as tensors."""
        channels = self.shape[-1]
        torch.manual_seed(0)
        student = PlainHeads(channels, channels, nn.Linear(channels, 2 * CLASSES))
        teacher = PlainHeads(channels, channels, nn.Linear(channels, CLASSES))
        optimiser = adam(list(student.parameters()))
        numbers = torch.cat([self.fresh, self.old]) % len(self.source.visual)
        visual, audio = self.source.visual[numbers].float(), self.source.audio[numbers]
        labels = self.table.labels[torch.cat([self.fresh, self.old])]
        weights, old_tasks = PlainWeights() if kind is AvCil else SS_IL, [slice(0, CLASSES)]
        if modality == "audio-visual":
            new = visual[: self.new], audio[: self.new], labels[: self.new]
            old = visual[self.new :], audio[self.new :], labels[self.new :]
            return partial(plain_step, student, teacher, optimiser, new, old, old_tasks, weights)

        def feature(heads: PlainHeads) -> torch.Tensor:
            return heads.audio_feature(audio) if modality == "audio" else heads.visual_feature(visual)

        def step() -> torch.Tensor:
            logits = student.classifier(feature(student))
            with torch.no_grad():
                told = teacher.classifier(feature(teacher))
            loss = separated_softmax_cross_entropy(logits, labels, self.new, CLASSES) + distillation(
                logits, told, old_tasks
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.detach()

        return step

    def products(self, modality: Modality) -> Callable[[], object]:
        """The step's matrix products alone, each over the whole batch at once, in the quickest type."""
        (slices, tokens, channels), clips = self.shape, self.new + self.memory
        dtype = dtype_of(self.precision)
        weight = torch.randn(channels, channels)
        attended, attention_weight = torch.randn(clips * slices * tokens, channels).to(dtype), weight.to(dtype)
        features = torch.randn(clips, channels)
        linear = {"audio-visual": 3, "visual": 1, "audio": 1}[modality]  # linear maps of the heads

        def multiply() -> None:
            if modality == "audio-visual":
                projected = attended @ attention_weight.T
                projected.T @ attended
                features @ weight  # the gradient of the pooled tokens
            for _ in range(linear):
                (features @ weight.T).T @ features

        return multiply


def bench(shape: tuple[int, int, int], new: int, memory: int, rounds: int) -> Table:
    """A step's time of each side, for each method and modality."""
    problem = Problem(shape, new, memory)
    table = Table(title=f"A step of {new} new + {memory} memory clips of {shape}; ours in {problem.precision}")
    headings = ("method", "modality", "plain, ms", "products, ms", "ours, ms", "plain over ours", "ours over products")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in headings[:2] else "right")
    for kind, modality in CASES:
        sides = {
            "plain": problem.plain(kind, modality),
            "products": problem.products(modality),
            "ours": problem.ours(kind, modality),
        }
        seconds = medians(sides, CPU, rounds)
        table.add_row(
            kind.name,
            modality,
            *(f"{1e3 * seconds[side]:.1f}" for side in sides),
            f"{seconds['plain'] / seconds['ours']:.2f}",
            f"{seconds['ours'] / seconds['products']:.2f}",
        )
    return table


@click.command()
@click.option("--isa", "names", type=click.Choice(list(INSTRUCTIONS)), multiple=True, help="Only this; repeatable.")
@click.option("--slices", default=8, show_default=True, help="Time slices of a clip.")
@click.option("--tokens", default=4, show_default=True, help="Tokens of a slice.")
@click.option("--channels", default=768, show_default=True)
@click.option("--new", default=64, show_default=True, help="New clips a batch.")
@click.option("--memory", default=32, show_default=True, help="Memory clips a batch.")
@click.option("--rounds", default=30, show_default=True)
@click.option("--here", is_flag=True, hidden=True, help="Measure in this process, with what its environment says.")
def main(
    names: tuple[str, ...], slices: int, tokens: int, channels: int, new: int, memory: int, rounds: int, here: bool
) -> None:
    """Measure a step over small clips, with each instruction set."""
    if here:
        console = Console(width=120)
        console.print(f"{describe_device(CPU)}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
        console.print(bench((slices, tokens, channels), new, memory, rounds))
        return
    for name in names or tuple(INSTRUCTIONS):
        click.echo(f"instruction set: {name}")
        command = [sys.executable, __file__, *sys.argv[1:], "--here"]
        subprocess.run(command, env=os.environ | INSTRUCTIONS[name], check=True)


if __name__ == "__main__":
    main()
